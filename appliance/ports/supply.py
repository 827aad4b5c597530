"""
How much a client NAT pool has left::

             scarce              refused
    OK ------------------> LOW ------------> EXHAUSTED
    ^                      | ^               |       |
    |        plenty        | |   relieved    |       |
    +----------------------+ +---------------+       |
    |                        plenty                  |
    +------------------------------------------------+

(A pool that refuses without having been low first goes from *OK* to *EXHAUSTED* at once.)

What is left are blocks that can be taken now, and pairs that can still become blocks.  The marks lie apart, so that a
pool at the edge of one does not change its level with every connection: low at ``mark``, no longer exhausted at half
of it, well again at twice as much and two.
"""

from __future__ import annotations

import enum

SMALL_POOL = 8
"""A pool of fewer than this times ``low_water`` pairs is low when that part of it is left, or it would always be."""


class Level(enum.Enum):
    """As drawn above."""

    OK = "ok"
    LOW = "low"
    EXHAUSTED = "exhausted"


class Cause(enum.Enum):
    """What may change it."""

    SCARCE = enum.auto()
    REFUSED = enum.auto()
    RELIEVED = enum.auto()
    PLENTY = enum.auto()


_NEXT = {
    (Level.OK, Cause.SCARCE): Level.LOW,
    (Level.OK, Cause.REFUSED): Level.EXHAUSTED,
    (Level.LOW, Cause.REFUSED): Level.EXHAUSTED,
    (Level.LOW, Cause.PLENTY): Level.OK,
    (Level.EXHAUSTED, Cause.REFUSED): Level.EXHAUSTED,
    (Level.EXHAUSTED, Cause.RELIEVED): Level.LOW,
    (Level.EXHAUSTED, Cause.PLENTY): Level.OK,
}


class Supply:
    """
    :param since: the instant of the beginning.
    :ivar since: when the level became what it is.
    :ivar refusals: how often nothing could be taken.
    """

    def __init__(self, since: float) -> None:
        self.level = Level.OK
        self.since = since
        self.refusals = 0
        self.mark = 0
        self._plenty = self._relief = 1

    def configure(self, low_water: int, capacity: int) -> None:
        """:param capacity: blocks that the pool can have at most."""
        self.mark = min(low_water, capacity // SMALL_POOL)
        self._relief = max(1, self.mark // 2)
        self._plenty = max(1, min(capacity, 2 * self.mark + 2))

    def judge(self, left: int, now: float) -> None:
        """:param left: how many could be taken one after the other, now."""
        if self.level is Level.OK:
            if left <= self.mark:
                self._turn(Cause.SCARCE, now)
        elif left >= self._plenty:
            self._turn(Cause.PLENTY, now)
        elif self.level is Level.EXHAUSTED and left >= self._relief:
            self._turn(Cause.RELIEVED, now)

    def refuse(self, now: float) -> None:
        """Nothing could be taken."""
        self.refusals += 1
        self._turn(Cause.REFUSED, now)

    def _turn(self, cause: Cause, now: float) -> None:
        before, self.level = self.level, _NEXT[self.level, cause]
        if self.level is not before:
            self.since = now
