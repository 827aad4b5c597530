"""What a target says of its load, and how far that is believed as it grows old."""

from __future__ import annotations

BELIEVED = 3
"""Periods for which a report counts in full."""

LONGEST = 180.0
"""Seconds after which an old report means that there is no capacity at all; as long as ORCA's black-out by default."""


class Reports:
    """
    The last report of one target.

    :param period: seconds between reports.
    :param ttl: seconds in which the capacity is halved while no report comes: promises made before run out in it.
    :param needed: without a report there is no capacity.  If not: a report that is missing, or older than three
        periods, is as if there had never been one, and the capacity counts as it was configured.
    """

    def __init__(self, *, period: float, ttl: float, needed: bool) -> None:
        self.period = period
        self.ttl = ttl
        self.needed = needed
        self._load = 0.0
        self._at: float | None = None

    def measured(self, load: float, now: float) -> None:
        self._load = load
        self._at = now

    def rescale(self, factor: float) -> None:
        """The load in another unit."""
        self._load *= factor

    def age(self, now: float) -> float | None:
        """Seconds; None: there has been none."""
        return None if self._at is None else now - self._at

    def is_known(self, now: float) -> bool:
        """Is there a load to go by?  One that need not be there is not believed when it is old."""
        return self._at is not None and (self.needed or now - self._at <= BELIEVED * self.period)

    def load(self, now: float) -> float:
        """The last that was said; 0 where nothing is known."""
        return self._load if self.is_known(now) else 0.0

    def belief(self, now: float) -> float:
        """The part of the capacity that counts, 0 to 1."""
        if not self.needed:
            return 1.0
        if self._at is None:
            return 0.0
        late = now - self._at - BELIEVED * self.period
        if late <= 0.0:
            return 1.0
        return 0.0 if now - self._at > LONGEST else float(0.5 ** (late / self.ttl))
