"""
What answers bring that named a target though nobody had room: no promises, but they are out there all the same.

Sums are kept by the second of their end, so that nothing has to be seen to when many end at once.
"""

from __future__ import annotations

import itertools
import math

_REAPED = 2
"""Resolvers that one new one clears away, where they are over: so they do not become more and more."""


class Overbooked:
    """
    :param grace: seconds for which a resolver is known after its answer's end.
    :param most: resolvers.
    """

    def __init__(self, grace: float, most: int) -> None:
        self._grace = grace
        self._most = most
        self._sum = 0.0
        self._ending: dict[int, float] = {}
        self._resolvers: dict[int, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._resolvers)

    def take(self, resolver: int, weight: float, ends_at: float, now: float) -> None:
        """
        Its answer lives until ``ends_at``, a second more at most; a former one of it counts no more.

        :param weight: one that can be added and taken away without a trace.
        """
        former = self._resolvers.pop(resolver, None)
        if former is not None and former[1] in self._ending:
            self._sum -= former[0]
            self._ending[former[1]] -= former[0]
        for oldest in list(itertools.islice(self._resolvers, _REAPED)):
            if not self._is_known(oldest, now):
                del self._resolvers[oldest]
        if len(self._resolvers) >= self._most:
            return
        end = math.ceil(ends_at)
        self._resolvers[resolver] = weight, end
        self._ending[end] = self._ending.get(end, 0.0) + weight
        self._sum += weight

    def sum(self, now: float) -> float:
        """Of the weights of answers that live.  O(seconds that answers live)."""
        for end in [end for end in self._ending if end <= now]:
            self._sum -= self._ending.pop(end)
        return self._sum

    def knows(self, resolver: int, now: float) -> bool:
        """Does an answer of it live, or is it about to ask again?"""
        return resolver in self._resolvers and self._is_known(resolver, now)

    def _is_known(self, resolver: int, now: float) -> bool:
        return now < self._resolvers[resolver][1] + self._grace
