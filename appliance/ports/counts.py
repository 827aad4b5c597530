"""What a pool is at one instant, for people and metrics."""

from __future__ import annotations

import attrs

from appliance.ports.supply import Level


@attrs.frozen(kw_only=True)
class Counts:
    """
    :param pairs: addresses times ports of the configuration, without what is skipped.
    :param free: blocks that can be taken at once.
    :param taken: blocks in use, and
    :param resting: such that were, and cannot be taken yet; both with those that a reload has left out.
    :param leaving: of these two, how many are gone when they have rested, because a reload has left them out.
    :param subpools: how many there are; ``intervals``: of how many the interval list consists, free ones included.
    :param since: when ``level`` became what it is.
    :param refusals: connections that got none, since the pool was made.
    """

    pairs: int
    free: int
    taken: int
    resting: int
    leaving: int
    subpools: int
    intervals: int
    level: Level
    since: float
    refusals: int

    @property
    def blocks(self) -> int:
        """All there are, which is what ``maximum`` bounds."""
        return self.free + self.taken + self.resting
