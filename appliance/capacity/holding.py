"""From sessions a second to connections: how long a session lasts (Little's law)."""

from __future__ import annotations

import math

MEMORY = 300.0
"""Seconds after which a report counts e times less."""

PRIOR_SESSIONS = 600.0
"""The prior counts as much as reports that had this many sessions a second together: a minute of a hundred, reported
every ten seconds.  Connections come after the answers that bring them, so the first reports say too little."""


class Holding:
    """
    The mean number of connections that one session a second makes, which is the seconds that a session lasts.

    While the crowd grows, those who are there have not stayed as long as they will; the measure is too low then, by
    what has not ended yet.

    :param prior: seconds, where nothing has been measured.
    """

    def __init__(self, prior: float) -> None:
        self.prior = prior
        self._connections = 0.0
        self._rate = 0.0
        self._at = -math.inf

    def measured(self, connections: float, rate: float, now: float) -> None:
        """A target had ``connections`` while ``rate`` new ones came in a second."""
        fade = math.exp(-max(0.0, now - self._at) / MEMORY)
        self._at = now
        self._connections = self._connections * fade + connections
        self._rate = self._rate * fade + rate

    @property
    def seconds(self) -> float:
        return (self._connections + self.prior * PRIOR_SESSIONS) / (self._rate + PRIOR_SESSIONS)

    def connections(self, rate: float) -> float:
        """What ``rate`` sessions a second make: the weight of a resolver in a ledger of connections."""
        return rate * self.seconds
