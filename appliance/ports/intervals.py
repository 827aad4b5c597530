"""
The interval list (4.2): which runs of indexes are free, and who took the others.

Intervals cover the line without overlap, in order, each linked with its neighbours (US 7,072,981 figure 7: first and
last pair, count, previous, next, and the subpool that took it).  Two free neighbours that touch are one interval, so
what is given back heals by itself.

Costs: finding and choosing are binary searches, merging follows the links; keeping the two sorted lists moves a few
machine words an interval beyond that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import attrs

Taker = TypeVar("Taker")


@attrs.define(eq=False)
class Interval(Generic[Taker]):
    """
    The indexes from ``first`` to ``last``, both included.

    :param taker: who took it; None: it is free.
    :param before: the interval on its left, which need not touch it; None: there is none.
    """

    first: int
    last: int
    taker: Taker | None = attrs.field(default=None, repr=False)
    before: Interval[Taker] | None = attrs.field(default=None, repr=False)
    after: Interval[Taker] | None = attrs.field(default=None, repr=False)

    @property
    def count(self) -> int:
        return self.last - self.first + 1


class Intervals(Generic[Taker]):
    """
    :param runs: (first, last) of what there is, in order; all of it is free at first.
    :ivar free_count: indexes in free intervals.
    """

    def __init__(self, runs: Iterable[tuple[int, int]]) -> None:
        self._by_first: dict[int, Interval[Taker]] = {}
        self._sizes: list[tuple[int, int]] = []
        self.free_count = 0
        before: Interval[Taker] | None = None
        for first, last in runs:
            interval = Interval[Taker](first, last, before=before)
            if before is not None:
                before.after = interval
            self._by_first[first] = before = interval
            self._list(interval)
        self._firsts = list(self._by_first)

    def __len__(self) -> int:
        return len(self._firsts)

    def __iter__(self) -> Iterator[Interval[Taker]]:
        """From the lowest to the highest."""
        interval = self._by_first[self._firsts[0]] if self._firsts else None
        while interval is not None:
            yield interval
            interval = interval.after

    def find(self, index: int) -> Interval[Taker] | None:
        """The interval that ``index`` lies in; None where there is nothing."""
        at = bisect_right(self._firsts, index)
        if not at:
            return None
        interval = self._by_first[self._firsts[at - 1]]
        return interval if index <= interval.last else None

    def take(self, count: int, taker: Taker) -> Interval[Taker] | None:
        """
        Take ``count`` indexes in a row, or as many as there are in a row.

        They come from the smallest free interval that has so many, and the lowest of those, so that a gap which an
        equal taker left is filled before a larger one is cut; if none has, from the largest.

        :param count: at least 1.
        :return: None when nothing is free.
        """
        if not self._sizes:
            return None
        at = bisect_left(self._sizes, (count, 0))
        if at == len(self._sizes):
            at = bisect_left(self._sizes, (self._sizes[-1][0], 0))
        size, first = self._sizes[at]
        return self._give_to(self._by_first[first], first, first + min(size, count) - 1, taker)

    def reserve(self, first: int, last: int, taker: Taker) -> Interval[Taker]:
        """Take exactly these, which are free."""
        interval = self.find(first)
        assert interval is not None and interval.taker is None and last <= interval.last, (first, last, interval)
        return self._give_to(interval, first, last, taker)

    def give_back(self, first: int, last: int) -> Interval[Taker]:
        """
        These, which one taker took in one piece, are free again; what he took beside them stays his.

        :return: the free interval that they are in now.
        """
        interval = self.find(first)
        assert interval is not None and interval.taker is not None and last <= interval.last, (first, last, interval)
        interval = self._cut(interval, first, last)
        interval.taker = None
        self._list(interval)
        if interval.after is not None:
            self._join(interval, interval.after)
        if interval.before is not None:
            return self._join(interval.before, interval)
        return interval

    def _give_to(self, interval: Interval[Taker], first: int, last: int, taker: Taker) -> Interval[Taker]:
        interval = self._cut(interval, first, last)
        self._unlist(interval)
        interval.taker = taker
        return interval

    def _cut(self, interval: Interval[Taker], first: int, last: int) -> Interval[Taker]:
        """A part of an interval becomes one of its own."""
        if interval.first < first:
            interval = self._split(interval, first)
        if last < interval.last:
            self._split(interval, last + 1)
        return interval

    def _split(self, interval: Interval[Taker], at: int) -> Interval[Taker]:
        """:return: the right part, which begins with ``at``."""
        if interval.taker is None:
            self._unlist(interval)
        right = Interval(at, interval.last, interval.taker, before=interval, after=interval.after)
        if interval.after is not None:
            interval.after.before = right
        interval.after, interval.last = right, at - 1
        self._by_first[at] = right
        insort(self._firsts, at)
        if interval.taker is None:
            self._list(interval)
            self._list(right)
        return right

    def _join(self, left: Interval[Taker], right: Interval[Taker]) -> Interval[Taker]:
        """
        Neighbours become one where both are free and nothing is between them.

        :return: the one on the left then, else the one on the right.
        """
        if left.taker is not None or right.taker is not None or left.last + 1 != right.first:
            return right
        self._unlist(left)
        self._unlist(right)
        left.last, left.after = right.last, right.after
        if right.after is not None:
            right.after.before = left
        del self._by_first[right.first]
        del self._firsts[bisect_left(self._firsts, right.first)]
        self._list(left)
        return left

    def _list(self, interval: Interval[Taker]) -> None:
        """It can be taken."""
        insort(self._sizes, (interval.count, interval.first))
        self.free_count += interval.count

    def _unlist(self, interval: Interval[Taker]) -> None:
        del self._sizes[bisect_left(self._sizes, (interval.count, interval.first))]
        self.free_count -= interval.count
