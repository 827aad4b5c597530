"""
A client NAT pool (4.1 to 4.5): connections to servers take their source from it.

Taking and giving back look at no more than one block and its subpool, and make no object: O(1), and O(log subpools)
where a subpool runs out or has its first free block again.  What costs more - making a subpool, deleting one - is paid
once for all its blocks.

TCP and UDP are two pools: the same pair may serve a connection of each at once, so whoever needs both makes two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heappop, heappush

from appliance.model import NatPool, Reuse
from appliance.ports.blocks import Block, Line, State, Subpool, given_at
from appliance.ports.counts import Counts
from appliance.ports.idling import Idling
from appliance.ports.intervals import Interval
from appliance.ports.pairs import Pairs
from appliance.ports.stock import Stock
from appliance.ports.supply import Level, Supply

PAUSE = 0.01
"""Seconds between two looks at what has rested: for a pool that has other free blocks it costs less in one go."""

_FREE, _TAKEN, _RESTING = State.FREE, State.TAKEN, State.RESTING


class PairPool:
    """
    The blocks of one pool, for one transport.

    :param pool: its limits and pairs; replaced by :meth:`configure`.
    :ivar nearer: :meth:`next_deadline` may have come nearer; for who has looked at it to take back.
    """

    def __init__(self, pool: NatPool, now: float) -> None:
        self._resting = Line()
        self._supply = Supply(now)
        self._stock = Stock(pool, self._resting)
        self._arrange(pool, now)

    # -- the fast path ---------------------------------------------------------------------------------------------

    def take(self, now: float) -> Block | None:
        """
        A pair that nobody has, and that nobody had for as long as the pool says.

        From the oldest subpool that has one, so that the younger ones drain and can be deleted; of that one the block
        that has been free for longest.

        :return: None when there is none: ``maximum`` or the range is used up, or rests.
        """
        if now >= self._look_at:
            self._ripen(now)
        subpool = self._first
        if subpool is None:
            subpool = self._provide(now)
            if subpool is None:
                return None
        block = subpool.head
        assert block is not None, subpool
        subpool.head = following = block.next
        block.state = _TAKEN
        subpool.taken += 1
        self._free -= 1
        if following is None:
            self._advance()
        if self._free <= self._alarm:
            self._notice(now)
        return block

    def give(self, block: Block, now: float) -> None:
        """Give back what was taken; its connection is over."""
        assert block.state is _TAKEN, block
        block.state = _RESTING
        block.given_at = now
        block.next = None
        subpool = block.subpool
        line = subpool.line
        tail = line.tail
        if tail is None:
            line.head, self.nearer = block, True
        else:
            tail.next = block
        line.tail = block
        subpool.taken -= 1
        if not subpool.taken:
            subpool.freed_at = now
            if not subpool.is_listed:
                self._enlist(subpool)

    # -- time ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`tidy` is worth calling; None: not before something is taken or given back."""
        idle, ripe_at = self._idling.next(), math.inf
        if self._stock.leaving.size or self._stock.surplus > 0 or self._supply.level is not Level.OK:
            ripe_at = self._next_ripe()
        at = ripe_at if idle is None else min(idle, ripe_at)
        return at if at < math.inf else None

    def tidy(self, now: float) -> None:
        """
        Delete the subpools that nobody uses and the pool does not need; their intervals merge back (4.4).

        Taking and giving back do not depend on it.  O(blocks that have rested since the last time).
        """
        self._ripen(now)
        due = self._idling.due(now)
        for subpool in due:
            if self._needs(subpool):
                self._idling.again(subpool, now)
            else:
                self._free -= subpool.size
                self._stock.delete(subpool)
        if due:
            self._reopen()
            self._judge(now)

    def _needs(self, subpool: Subpool) -> bool:
        """
        Would another one soon have to be made in its place?

        One is made when free blocks fall to ``low_water``, which leaves at most ``low_water + subpool`` of them.  One
        is deleted only if so many are left without it.  So between the two there are at least as many connections as
        a subpool has blocks, and a load that goes to and fro at a mark does not make and delete with each of them.
        """
        if not subpool.size or self._free == self._stock.size - self._stock.leaving.size:
            # It is empty; or nobody uses any: the next connection makes a first subpool, as it did at the start.
            return False
        return self._free - subpool.size < self._pool.low_water + self._pool.subpool

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def pairs(self) -> Pairs:
        """Says which pair an index of an interval is."""
        return self._stock.pairs

    def intervals(self) -> Iterator[Interval[Subpool]]:
        """The interval list, from the lowest to the highest; for reading."""
        return iter(self._stock.intervals)

    def counts(self, now: float) -> Counts:
        """O(subpools), beside what has rested meanwhile."""
        self._ripen(now)
        stock = self._stock
        taken = stock.leaving.taken + sum(subpool.taken for subpool in stock.subpools.values())
        return Counts(
            pairs=stock.pairs.count,
            free=self._free,
            taken=taken,
            resting=stock.size - self._free - taken,
            leaving=stock.leaving.size,
            subpools=len(stock.subpools),
            intervals=len(stock.intervals),
            level=self._supply.level,
            since=self._supply.since,
            refusals=self._supply.refusals,
        )

    # -- changing --------------------------------------------------------------------------------------------------

    def configure(self, pool: NatPool, now: float) -> None:
        """
        Take over other limits and another range.

        Blocks that are in use and not in the range stay until they are given back and have rested.  Above a lower
        ``maximum`` free blocks go at once, and others when they have rested.  O(blocks) where anything changes.
        """
        if pool != self._pool:
            self._ripen(now)
            self._arrange(pool, now)

    def _arrange(self, pool: NatPool, now: float) -> None:
        """Whatever is free or rests stands where the configuration wants it."""
        fitted = self._stock.configure(pool)
        self._pool, self._quarantine, self._by_block = pool, pool.quarantine, pool.reuse is Reuse.BLOCK
        self._idling = Idling(pool)
        self._free = fitted.free
        self._resting.head = self._resting.tail = None
        for subpool in fitted.subpools:
            subpool.line = self._resting if self._by_block else Line()
            subpool.is_idle = subpool.is_ripening = subpool.is_listed = False
        for block in sorted(fitted.resting, key=given_at):
            block.subpool.line.join(block)
        for subpool in fitted.subpools:
            if not subpool.taken:
                self._idling.add(subpool)
        self._look_at = now
        self._supply.configure(pool.low_water, min(pool.maximum, self._stock.pairs.count))
        self._reopen()
        self._judge(now)

    # -- the slow path ---------------------------------------------------------------------------------------------

    def _ripen(self, now: float) -> None:
        """What has rested is free, or gone."""
        size = self._stock.size
        self._release(self._resting, now, self._quarantine)
        if not self._by_block:
            for subpool in self._idling.ripe(now):
                self._release(subpool.line, now, -math.inf)
        if self._by_block:
            # What is given back later on rests until later: all do for as long.
            head = self._resting.head
            self._look_at = max(head.given_at + self._quarantine if head is not None else now, now + PAUSE)
        else:
            # At once, for a subpool that is taken from meanwhile would have to rest anew.
            self._look_at = self._idling.next_ripe()
        self._first = self._stock.subpools[self._open[0]] if self._open else None
        if self._stock.size != size or self._supply.level is not Level.OK:
            self._judge(now)

    def _release(self, line: Line, now: float, quarantine: float) -> None:
        """Those at the head of a line that have rested for ``quarantine``."""
        stock = self._stock
        goes = stock.surplus
        block = line.head
        while block is not None and block.given_at + quarantine <= now:
            following, block.next = block.next, None
            subpool = block.subpool
            if goes > 0 or subpool is stock.leaving:
                stock.discard(block)
                goes -= 1
            else:
                block.state = _FREE
                if subpool.head is None:
                    subpool.head = block
                    heappush(self._open, subpool.number)
                else:
                    assert subpool.tail is not None
                    subpool.tail.next = block
                subpool.tail = block
                self._free += 1
            block = following
        line.head = block
        if block is None:
            line.tail = None

    def _next_ripe(self) -> float:
        """When something will have rested; infinity: nothing rests."""
        head = self._resting.head
        block_at = head.given_at + self._quarantine if head is not None else math.inf
        return block_at if self._by_block else min(block_at, self._idling.next_ripe())

    def _enlist(self, subpool: Subpool) -> None:
        """None of its blocks is taken any more."""
        self._idling.add(subpool)
        self.nearer = True
        if not self._by_block:
            self._look_at = min(self._look_at, self._idling.next_ripe())

    def _notice(self, now: float) -> None:
        """Free blocks have fallen to where something is to be done."""
        self._ripen(now)
        if self._free <= self._pool.low_water and self._stock.growth:
            self._make(now)
        self._judge(now)

    def _provide(self, now: float) -> Subpool | None:
        """There is no free block: look for some that have rested, make some, or refuse."""
        self._ripen(now)
        if self._first is None and self._stock.growth:
            self._make(now)
        if self._first is None:
            self._supply.refuse(now)
        self._judge(now)
        return self._first

    def _make(self, now: float) -> None:
        subpool = self._stock.make(self._resting if self._by_block else Line(), now)
        self._free += subpool.size
        heappush(self._open, subpool.number)
        self._first = self._first or subpool
        self._enlist(subpool)

    def _advance(self) -> None:
        """The oldest subpool with a free block has given its last one."""
        heappop(self._open)
        self._first = self._stock.subpools[self._open[0]] if self._open else None

    def _reopen(self) -> None:
        """Find the subpools with free blocks anew; they stand by age, which is an order that a heap may have."""
        self._open = [number for number, subpool in self._stock.subpools.items() if subpool.head is not None]
        self._first = self._stock.subpools[self._open[0]] if self._open else None

    def _judge(self, now: float) -> None:
        """To be called when anything but the number of free blocks has changed, or they are few."""
        growth = self._stock.growth
        self._supply.judge(self._free + growth, now)
        # How many free blocks a take is to notice: low water, or where the pool is low, or none.
        mark = self._supply.mark if self._supply.level is Level.OK else -1
        self._alarm = self._pool.low_water if growth else mark
        self.nearer = True
