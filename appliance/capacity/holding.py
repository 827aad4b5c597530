"""
From sessions a second to connections: how long a session lasts (Little's law).

Connections come after the answers that bring them, and stay; so those that are there now are owed to the sessions of a
while ago.  Of sessions that last S on average and end at random there are S times as many as came in a second, where
what came is smoothed by an exponential of the time S.  That holds while a crowd comes, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MEMORY = 300.0
"""Seconds after which what was seen counts e times less."""

PRIOR_SESSIONS = 30.0
"""The prior counts as much as so many sessions that were seen."""
CONNECTING = 1.0
"""Seconds from an answer to its connection, where that is slow."""
SHORTEST = 0.25
"""Seconds: where answers bring nothing at all, who asks has no clients, and those who have are not to weigh nothing."""


class _Seen:
    """A target: its rate, smoothed once (who is coming) and twice (who is there), as of a time."""

    __slots__ = ("at", "coming", "rate", "there")

    def __init__(self, rate: float, at: float) -> None:
        self.rate = rate
        self.at = at
        self.coming = self.there = 0.0


class Holding:
    """
    The mean number of connections that one session a second makes, which is the seconds that a session lasts.

    :param prior: seconds, where nothing has been measured.
    """

    def __init__(self, prior: float) -> None:
        self.prior = prior
        self._connections = 0.0
        self._sessions = 0.0
        self._at = -math.inf
        self._targets: dict[str, _Seen] = {}

    def only(self, targets: Iterable[str]) -> None:
        """These are the targets; others are forgotten, what was learned of them is kept."""
        self._targets = {name: self._targets[name] for name in targets if name in self._targets}

    def measured(self, target: str, connections: float, rate: float, now: float) -> None:
        """
        A target has ``connections``, and is to get ``rate`` new ones a second.

        Its first report counts for nothing: how long it has been so nobody knows.  While nothing is promised nothing is
        learned, for the connections are somebody else's then, or the last of ours; and what was learned fades.
        """
        seen = self._targets.get(target)
        if seen is None:
            seen = self._targets[target] = _Seen(rate, now)
        passed = min(max(0.0, now - seen.at), MEMORY)
        # As if it had become another one half-way.
        seen.coming = _smooth(seen.coming, (seen.rate + rate) / 2.0, passed / CONNECTING)
        seen.there = _smooth(seen.there, seen.coming, passed / self.seconds)
        seen.rate, seen.at = rate, now
        counts = passed if rate > 0.0 else 0.0
        kept = math.exp(-max(0.0, now - self._at) / MEMORY)
        self._at = now
        self._connections = self._connections * kept + connections * counts
        self._sessions = self._sessions * kept + seen.there * counts

    @property
    def seconds(self) -> float:
        found = (self._connections + self.prior * PRIOR_SESSIONS) / (self._sessions + PRIOR_SESSIONS)
        return max(SHORTEST, found)

    def connections(self, rate: float) -> float:
        """What ``rate`` sessions a second make."""
        return rate * self.seconds


def _smooth(mean: float, value: float, passed: float) -> float:
    """:param passed: in the time constant's unit."""
    return value + (mean - value) * math.exp(-passed)
