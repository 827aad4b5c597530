"""
Who is answered stays for a while, so that answers do not swing with every sample.

There are those who are answered (the members) and those who should be (the wanted: within the tolerance of the best).
One who should come or go does so when that was so for the *patience*, without a break, and when nothing has changed for
:data:`RESIDENCE`; who cannot be answered any more goes at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection

PATIENCE_INTERVALS = 3
"""Checks that have to agree before somebody comes or goes."""
RESIDENCE = 30.0
"""Seconds between a change and the next one that need not be; also the longest patience."""


def patience_of(interval: float) -> float:
    """Seconds for which somebody has to be better: three checks, but no longer than :data:`RESIDENCE`."""
    return min(PATIENCE_INTERVALS * interval, RESIDENCE)


class Dwell:
    """
    :ivar members: who is answered; empty only where nobody can be.
    :ivar since: who should come or go, and since when that is so.
    :ivar changed_at: when ``members`` last changed; the first ones are no change.
    """

    __slots__ = ("changed_at", "members", "since")

    def __init__(self) -> None:
        self.members: frozenset[str] = frozenset()
        self.since: dict[str, float] = {}
        self.changed_at = -math.inf

    def settle(self, able: Collection[str], wanted: frozenset[str], patience: float, now: float) -> None:
        """
        See who is answered from now on.

        Where all members go and nobody who is to come has waited long enough, those who are wanted now come: they are
        better than what everybody has had enough of.

        :param able: who can be answered; ``wanted`` is a part of it, empty only with it.
        """
        members = self.members & frozenset(able)
        if not members:
            members = wanted
        self.since = {name: self.since.get(name, now) for name in able if (name in members) != (name in wanted)}
        ripe = {name for name, at in self.since.items() if now >= at + patience}
        if ripe and now >= self.changed_at + RESIDENCE:
            members = members ^ ripe or wanted
            self.since = {name: at for name, at in self.since.items() if (name in members) != (name in wanted)}
        if members != self.members:
            if self.members:
                self.changed_at = now
            self.members = members

    def due_at(self, name: str, patience: float) -> float | None:
        """When ``name`` comes or goes if everything stays as it is; None: it does not."""
        at = self.since.get(name)
        return None if at is None else max(at + patience, self.changed_at + RESIDENCE)

    def deadline(self, patience: float) -> float:
        """The earliest of these; infinity: nobody comes or goes."""
        if not self.since:
            return math.inf
        return max(min(self.since.values()) + patience, self.changed_at + RESIDENCE)
