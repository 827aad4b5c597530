"""
How fast a real server has answered lately (5.7).
"""

from __future__ import annotations

import math

GUESS = 0.001
"""Seconds: what is thought of the response of a server that nothing is known of."""

_HALF_LIFE = 30.0
"""Seconds after which half of what was measured is forgotten: so a slow server is tried again."""
_NEW = 0.2
"""The weight of a new measurement."""


class Measured:
    """:ivar response: seconds, connect and first-byte time together, decayed; a guess where nothing is known."""

    __slots__ = ("_byte_time", "_connect_time", "_measured_at", "response")

    def forget_measured(self) -> None:
        """Nothing is known (any more)."""
        self._connect_time = self._byte_time = GUESS / 2
        self.response = GUESS
        self._measured_at = -math.inf

    def answered(self, seconds: float, now: float) -> None:
        """It took, or refused, ``seconds`` to connect."""
        self._connect_time += _NEW * (seconds - self._connect_time)
        self.response = self._connect_time + self._byte_time
        self._measured_at = now

    def spoke(self, seconds: float, now: float) -> None:
        """Its first byte came after ``seconds``."""
        self._byte_time += _NEW * (seconds - self._byte_time)
        self.response = self._connect_time + self._byte_time
        self._measured_at = now

    def fade(self, now: float) -> None:
        """Forget some of what was measured before ``now``."""
        kept = 0.5 ** ((now - self._measured_at) / _HALF_LIFE)
        self._connect_time = GUESS / 2 + (self._connect_time - GUESS / 2) * kept
        self._byte_time = GUESS / 2 + (self._byte_time - GUESS / 2) * kept
        self.response = self._connect_time + self._byte_time
        self._measured_at = now
