"""The journal of an appliance whose state is in memory only."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from appliance.events import Event


class MemoryJournal:
    """Keeps nothing and never refuses: what is in memory is as durable as was asked for."""

    @property
    def failure(self) -> str | None:
        """None: memory does not fail."""
        return None

    def record(self, event: Event) -> None:
        """There is nowhere to write ``event``."""

    def durable(self) -> Deferred[None] | None:
        """None: nothing is on its way."""
        return None
