"""The line of sites that were refused: when something gets free, they go before those who come later."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

WAITS_FOR = 30.0
"""How long after its last refusal a site keeps its place."""

MOST_LOOKED_AT = 1000
"""Of those who stand before a site; who is behind so many and does not know better waits."""


class WaitingLine:
    """Sites in the order of their first refusal; bounded by the number of configured sites."""

    def __init__(self) -> None:
        self._refused_at: OrderedDict[str, float] = OrderedDict()

    def __bool__(self) -> bool:
        """Does anybody stand in line, perhaps for too long?"""
        return bool(self._refused_at)

    def is_empty(self, now: float) -> bool:
        """Does nobody wait?  Who has been away for too long is forgotten, so that he is looked at once."""
        late = []
        for site, refused_at in self._refused_at.items():
            if now - refused_at < WAITS_FOR:
                break
            late.append(site)
        for site in late:
            del self._refused_at[site]
        return not self._refused_at

    def refuse(self, site: str, now: float) -> None:
        """``site`` asked and got nothing; it keeps its place if it has one."""
        if now - self._refused_at.get(site, now) >= WAITS_FOR:
            del self._refused_at[site]
        self._refused_at[site] = now

    def leave(self, site: str) -> None:
        self._refused_at.pop(site, None)

    def is_turn(self, site: str, available: int, now: float, competes: Callable[[str], bool] | None = None) -> bool:
        """
        Are there more addresses available than sites that stand before this one?

        :param available: addresses that ``site`` could be given now.  The cost is O(available) at worst, and only
            while that many sites wait.
        :param competes: could a site that waits use one of these, and not beside ``site``?  None: every one could.
        """
        ahead = 0
        late = []
        for looked_at, (other, refused_at) in enumerate(self._refused_at.items()):
            if other == site or ahead >= available:
                break
            if now - refused_at >= WAITS_FOR:
                late.append(other)
            elif looked_at >= MOST_LOOKED_AT and competes is not None:
                ahead = available
            elif competes is None or competes(other):
                ahead += 1
        for other in late:
            del self._refused_at[other]
        return ahead < available

    def sites(self, now: float) -> list[str]:
        """Who waits, first in turn first; O(sites waiting)."""
        return [site for site, refused_at in self._refused_at.items() if now - refused_at < WAITS_FOR]
