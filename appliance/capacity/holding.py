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
        self._targets: dict[str, tuple[float, float, float]] = {}

    def only(self, targets: Iterable[str]) -> None:
        """These are the targets; others are forgotten, what was learned of them is kept."""
        self._targets = {name: self._targets[name] for name in targets if name in self._targets}

    def measured(self, target: str, connections: float, rate: float, period: float, now: float) -> None:
        """
        A target has ``connections``, and is promised ``rate`` new ones a second.

        Its first report counts for nothing: how long it has been so nobody knows.  While nothing is promised nothing is
        learned, for the connections are somebody else's then, or the last of ours; and what was learned fades.

        :param period: seconds between its reports, by which what it says may be old.
        """
        coming, there, at = self._targets.get(target, (0.0, 0.0, now))
        passed = min(max(0.0, now - at), MEMORY)
        counts = passed if rate > 0.0 else 0.0
        coming = _smooth(coming, rate, passed / (CONNECTING + period))
        there = _smooth(there, coming, passed / self.seconds)
        self._targets[target] = coming, there, now
        kept = math.exp(-max(0.0, now - self._at) / MEMORY)
        self._at = now
        self._connections = self._connections * kept + connections * counts
        self._sessions = self._sessions * kept + there * counts

    @property
    def seconds(self) -> float:
        return (self._connections + self.prior * PRIOR_SESSIONS) / (self._sessions + PRIOR_SESSIONS)

    def connections(self, rate: float) -> float:
        """What ``rate`` sessions a second make: the weight of a resolver in a ledger of connections."""
        return rate * self.seconds


def _smooth(mean: float, value: float, passed: float) -> float:
    """:param passed: in the time constant's unit."""
    return value + (mean - value) * math.exp(-passed)
