"""
Who has a place at a target: live promises, and places that are held a while for those who are about to ask again.

::

    (none) --take--> live --end of the answer--> held --grace--> (none)
                      ^ |                         | |
                  take+-+                         | +--leave--> (none)
                      ^---------take--------------+

A live place that was told to leave is not held.  All sums are exact, whatever the order: weights are whole numbers of
1/65536, rounded up, and such sums are right up to 2^37.
"""

from __future__ import annotations

import hashlib
import math

from appliance.deadlines import Deadlines

RANKS = 256

_STEP = 65536.0
_REAPED = 256
"""Ends that one call may see to; those that are left count as if they lived."""


def whole(weight: float) -> float:
    """The same, or so little more that it can be added and taken away without a trace."""
    return math.ceil(weight * _STEP) / _STEP


class Place:
    """
    One resolver's.

    :ivar due_at: end of its answer; once it is held, of its grace.
    :ivar leaves: it is not held.
    """

    __slots__ = ("due_at", "is_gone", "is_live", "leaves", "rank", "resolver", "weight")

    def __init__(self, resolver: int, rank: int, weight: float, due_at: float) -> None:
        self.resolver = resolver
        self.rank = rank
        self.weight = weight
        self.due_at = due_at
        self.is_live = True
        self.is_gone = False
        self.leaves = False


class Places:
    """
    All of one ledger.

    :param salt: makes the ranks; who does not know it cannot choose to rank well.
    :param grace: seconds for which a place is held.
    """

    def __init__(self, salt: bytes, grace: float) -> None:
        self.promised = 0.0
        """The live ones' weights."""
        self.held = 0.0
        self._salt = salt
        self._grace = grace
        self._places: dict[int, Place] = {}
        self._ends: Deadlines[Place] = Deadlines(_due_at)
        self._by_rank = [0.0] * RANKS

    def __len__(self) -> int:
        return len(self._places)

    def get(self, resolver: int) -> Place | None:
        return self._places.get(resolver)

    def before(self, place: Place) -> float:
        """The weights of those who rank before a place or as it does, itself included, live or held.  O(256)."""
        return sum(self._by_rank[: place.rank + 1])

    def take(self, resolver: int, weight: float, ends_at: float) -> None:
        """
        The resolver's answer lives until ``ends_at``, or until an earlier one's end if that is later.  O(log n).

        :param weight: as :func:`whole` makes it.
        """
        place = self._places.get(resolver)
        if place is not None and place.is_live:
            self.promised += weight - place.weight
            self._by_rank[place.rank] += weight - place.weight
            place.weight = weight
            place.due_at = max(place.due_at, ends_at)
            place.leaves = False
            return
        rank = self._rank(resolver) if place is None else place.rank
        if place is not None:
            self._drop(place)
        place = self._places[resolver] = Place(resolver, rank, weight, ends_at)
        self.promised += weight
        self._by_rank[rank] += weight
        self._ends.add(ends_at, place)

    def leave(self, place: Place) -> None:
        """It has to go: now if it is only held, else at the end of its answer."""
        if place.is_live:
            place.leaves = True
        else:
            self._drop(place)

    def next_deadline(self) -> float | None:
        return self._ends.next()

    def expire(self, now: float) -> None:
        """See to the ends that have come, 256 at most."""
        for place in self._ends.due(now, limit=_REAPED):
            held_until = place.due_at + self._grace
            if not place.is_live or place.leaves or held_until <= now:
                self._drop(place)
                continue
            self.promised -= place.weight
            self.held += place.weight
            place.is_live = False
            place.due_at = held_until
            self._ends.add(held_until, place)

    def _drop(self, place: Place) -> None:
        if place.is_live:
            self.promised -= place.weight
        else:
            self.held -= place.weight
        self._by_rank[place.rank] -= place.weight
        place.is_gone = True
        del self._places[place.resolver]

    def _rank(self, resolver: int) -> int:
        return hashlib.blake2b(resolver.to_bytes(20, "big"), digest_size=1, key=self._salt).digest()[0]


def _due_at(place: Place) -> float | None:
    return None if place.is_gone else place.due_at
