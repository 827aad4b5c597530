"""The journal of an appliance whose state is in memory only."""

from __future__ import annotations

from appliance.events import Event


class MemoryJournal:
    """Keeps nothing and never refuses: what is in memory is as durable as was asked for."""

    def record(self, event: Event) -> None:
        """There is nowhere to write ``event``."""
