"""What a POP does not need itself, now and in a coming window (2.1)."""

from __future__ import annotations

import math

from appliance.capacity.forecast import Forecast
from appliance.capacity.reports import LONGEST

MEMORY = 300.0
"""Seconds after which a measured load counts e times less for slots without a past."""


class Supply:
    """
    One resource of one POP.

    :param hard: what the POP can carry.
    :param reserve: part of it that is kept back, 0 to 1.
    :param stated: what the operator says is unused, at all times; 0: it is measured.
    :param forecast: where the own load of past days is.
    """

    def __init__(self, *, hard: float, reserve: float, stated: float = 0.0, forecast: Forecast) -> None:
        self.hard = hard
        self.reserve = reserve
        self.stated = stated
        self.forecast = forecast
        self._load = 0.0
        self._mean = 0.0
        self._at: float | None = None

    def measured(self, load: float, now: float) -> None:
        """The POP's own load: what is sold is not in it.  Instants are seconds since the epoch."""
        self.forecast.measured(load, now)
        if self._at is None:
            self._mean = load
        else:
            self._mean += (load - self._mean) * (1.0 - math.exp(-max(0.0, now - self._at) / MEMORY))
        self._load = load
        self._at = now

    def load(self, now: float) -> float | None:
        """The load that was measured last; None where nothing was for three minutes."""
        return None if self._at is None or now - self._at > LONGEST else self._load

    def unused(self, now: float) -> float:
        """Hard - measured - reserve, at least 0; 0, too, where nothing was measured for three minutes."""
        if self.stated:
            return min(self.stated, self.hard)
        load = self.load(now)
        return 0.0 if load is None else self._left(load)

    def expected(self, start: float, end: float) -> float:
        """
        The own load that is foretold for ``[start, end)``, also where the operator states what is unused.

        Slots without a past count as the load is now, smoothed; as all that there is where it was never measured.
        """
        unknown = self.hard if self._at is None else self._mean
        return self.forecast.expected(start, end, unknown)

    def unused_in(self, start: float, end: float) -> float:
        """
        What will be unused all through ``[start, end)``: hard - foretold - reserve, at least 0.

        0, too, where a slot has no past and the load was never measured.
        """
        if self.stated:
            return min(self.stated, self.hard)
        return self._left(self.expected(start, end))

    def _left(self, load: float) -> float:
        return max(0.0, self.hard * (1.0 - self.reserve) - load)
