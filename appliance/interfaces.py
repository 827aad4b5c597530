"""
What SharedState asks of others: the ports that an operation calls and that may refuse.

``nat`` opens data paths and ``store`` keeps a journal; neither imports this, they only have what is asked for.
"""

from __future__ import annotations

from typing import Protocol

from appliance.events import Event
from appliance.model import Address, Site


class DataPath(Protocol):
    """The port through which a grant opens the way for traffic."""

    def open(self, address: Address, site: Site) -> None:
        """
        Traffic to ``address`` reaches ``site`` when this returns; opening what is open brings it up to date.

        :raises DataPathError: when it cannot; then what was open before still is.
        """

    def close(self, address: Address, site: str) -> None:
        """No new traffic to ``address`` reaches ``site``; TCP connections go on, UDP sessions end."""


class Journal(Protocol):
    """The port through which a change is recorded before it is promised to anybody."""

    def record(self, event: Event) -> None:
        """:raises JournalError: when it cannot; a grant is then undone."""
