"""What SharedState asks of whoever chooses for the customers of the POP network (3.1, 3.2)."""

from __future__ import annotations

from typing import Protocol

from appliance.model import Asker
from appliance.naming import Answer, NeedsChoice


class Choosing(Protocol):
    """Knows who is up, and how near and how busy they are."""

    def complete(self, needs: NeedsChoice, asker: Asker | None) -> Answer:
        """
        The answer, as :func:`appliance.naming.chosen` or :func:`appliance.naming.unchosen` makes it.

        What it says is for all may be given to others for a quarter of a second, but not after a ``ChoiceChanged`` of
        its customer, which may be told during the call.

        :param asker: None for this process's own people.
        """
        ...
