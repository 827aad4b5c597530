"""What is read of the market: so far how much of the POP's capacity is unused (2.1)."""

from __future__ import annotations

from typing import Protocol

from appliance.control.words import Row


class Unused(Protocol):
    """What is said of the POP's own load."""

    def row(self, *, coming: bool) -> Row | None:
        """The capacity and what is unused of it, with the coming hours or without; None: none is configured."""

    def troubles(self) -> list[str]:
        """What somebody has to look at."""


class Market:
    """:param unused: None: nobody watches the load."""

    def __init__(self, unused: Unused | None) -> None:
        self._unused = unused

    def market(self) -> Row:
        """What there is to sell, now and in the coming hours."""
        return {"capacity": self._row(coming=True)}

    def standing(self) -> Row | None:
        """What there is now, for the status."""
        return self._row(coming=False)

    def alarms(self) -> list[str]:
        return self._unused.troubles() if self._unused is not None else []

    def _row(self, *, coming: bool) -> Row | None:
        return self._unused.row(coming=coming) if self._unused is not None else None
