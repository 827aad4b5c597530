"""
Figures in which the past counts less the longer it is ago.

By time, not by number: checks come every second while their target is in doubt and every minute while nobody asks.
"""

from __future__ import annotations

import math

LATENCY_PERIOD = 30.0
"""Seconds after which a latency counts 1/e of what it did: six checks at the default interval."""
FLAP_PERIOD = 600.0
"""Seconds; the same of a change between up and down."""


class Mean:
    """
    A decayed mean and variance of what was measured at uneven instants.

    A sample gets the weight ``1 - exp(-t / period)`` where t is the time since the sample before it; the first one is
    the mean.  The variance is West's, updated with the same weight (Finch, "Incremental calculation of weighted mean
    and variance", 2009, s9).

    :ivar value: None before the first sample.
    """

    __slots__ = ("_at", "_period", "_variance", "value")

    def __init__(self, period: float = LATENCY_PERIOD) -> None:
        self._period = period
        self._at = 0.0
        self._variance = 0.0
        self.value: float | None = None

    @property
    def deviation(self) -> float | None:
        """The root of the variance; 0 after one sample."""
        return None if self.value is None else math.sqrt(self._variance)

    @property
    def variance(self) -> float | None:
        return None if self.value is None else self._variance

    def add(self, sample: float, now: float) -> None:
        if self.value is None:
            self.value = sample
        else:
            weight = -math.expm1((self._at - now) / self._period)
            difference = sample - self.value
            self.value += weight * difference
            self._variance = (1.0 - weight) * (self._variance + weight * difference * difference)
        self._at = now


class Count:
    """How often something happened lately: each time counts 1 at first, 1/e after a period."""

    __slots__ = ("_at", "_period", "_value")

    def __init__(self, period: float = FLAP_PERIOD) -> None:
        self._period = period
        self._at = 0.0
        self._value = 0.0

    def add(self, now: float) -> None:
        self._value = self.at(now) + 1.0
        self._at = now

    def at(self, now: float) -> float:
        return self._value * math.exp((self._at - now) / self._period) if self._value else 0.0
