"""
How late the reactor is: what was due at an instant, against when it had its turn.

The instants are 100 ms apart and fixed beforehand, whatever the last one met with.  A reactor that stands still for a
second is late for ten of them, by a second, by 0.9 s, ... and all ten are written down; a timer that is set anew after
each turn would see one (the *coordinated omission* of load generators: G. Tene, wrk2).
"""

from __future__ import annotations

import math
from collections import deque

import attrs

PER_SECOND = 10
"""Instants."""
SPAN = 60.0
"""Seconds that are remembered; 600 numbers."""
_KEPT = round(SPAN * PER_SECOND)


@attrs.frozen(kw_only=True)
class Lateness:
    """Of the last minute, in seconds: nearest-rank percentiles, and the worst."""

    p50: float
    p99: float
    worst: float


class Lag:
    """:param now: monotonic, as every ``now`` here; the first instant is 100 ms after it."""

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._number = 1
        self._late: deque[float] = deque(maxlen=_KEPT)

    def turn(self, now: float) -> float:
        """
        The reactor has come round.

        O(1), and once more for each instant that was missed before, of which there are at most a minute's.

        :return: seconds until it should come round again.
        """
        # What is older would be forgotten at once.
        self._number = max(self._number, math.floor((now - self._began_at) * PER_SECOND) - _KEPT)
        while (due := self._began_at + self._number / PER_SECOND) <= now:
            self._late.append(now - due)
            self._number += 1
        return due - now

    def lateness(self) -> Lateness | None:
        """None before the first instant.  O(n log n) of 600 numbers."""
        late = sorted(self._late)
        if not late:
            return None
        return Lateness(p50=_rank(late, 0.50), p99=_rank(late, 0.99), worst=late[-1])


def _rank(ascending: list[float], part: float) -> float:
    return ascending[math.ceil(part * len(ascending)) - 1]
