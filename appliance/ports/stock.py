"""
What blocks a pool has: its subpools, and the intervals that they took (4.2 to 4.4).

Knows nothing of what is taken or free, but for blocks that a reload leaves out.
"""

from __future__ import annotations

from appliance.model import NatPool
from appliance.ports.blocks import Block, Line, Subpool
from appliance.ports.reloading import Fitted, fit


class Stock:
    """
    :param resting: where blocks rest that have left.
    :ivar subpools: by number, hence oldest first.
    :ivar leaving: blocks that a reload left out while they were in use.
    :ivar size: blocks in all, those included.
    """

    def __init__(self, pool: NatPool, resting: Line) -> None:
        self.subpools: dict[int, Subpool] = {}
        self.leaving = Subpool(-1, resting, is_listed=True)
        self._made = 0
        self.configure(pool)

    def configure(self, pool: NatPool) -> Fitted:
        """Bring everything to a configuration; the start is a reload of nothing."""
        fitted = fit(pool, list(self.subpools.values()), self.leaving)
        self._pool = pool
        self.pairs, self.intervals = fitted.pairs, fitted.intervals
        self.subpools = {subpool.number: subpool for subpool in fitted.subpools}
        self.size = self.leaving.size + sum(subpool.size for subpool in fitted.subpools)
        return fitted

    @property
    def surplus(self) -> int:
        """Blocks beyond ``maximum``, which a reload has lowered; negative: how many are missing to it."""
        return self.size - self._pool.maximum

    @property
    def growth(self) -> int:
        """How many blocks can still be made."""
        return min(max(0, -self.surplus), self.intervals.free_count)

    def make(self, line: Line, now: float) -> Subpool:
        """
        Another subpool, for which there is room; it has fewer blocks than it should where there is less.

        O(blocks of it).

        :param line: where its blocks rest.
        """
        wanted = self._pool.subpool if self.subpools else self._pool.initial
        subpool = Subpool(self._made, line, freed_at=now)
        self._made += 1
        interval = self.intervals.take(min(wanted, self.growth), subpool)
        assert interval is not None
        subpool.fill(self.pairs, interval.first, interval.last)
        self.subpools[subpool.number] = subpool
        self.size += subpool.size
        return subpool

    def delete(self, subpool: Subpool) -> None:
        """Nobody has any of its blocks; its interval merges back."""
        for first, last in subpool.runs(self.pairs):
            self.intervals.give_back(first, last)
        del self.subpools[subpool.number]
        self.size -= subpool.size
        subpool.clear()

    def discard(self, block: Block) -> None:
        """One that has rested is gone, and its pair is free, where the range still has it."""
        block.subpool.drop(block)
        self.size -= 1
        if self.pairs.has(block.address, block.port):
            index = self.pairs.index(block.address, block.port)
            self.intervals.give_back(index, index)
