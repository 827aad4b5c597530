"""Subpools that are made, pairs that rest, and what that costs (4.1 to 4.5)."""

from __future__ import annotations

import gc
import math
import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Pair, Reuse
from appliance.ports import Block, Level, PairPool
from appliance.ports.idling import LINGER
from tests.ports.driver import FIRST, Driver, configured


class GrowTests(SynchronousTestCase):
    def test_nothing_before_the_first_need(self) -> None:
        driver = Driver()
        counts = driver.counts(0.0)
        self.assertEqual((counts.pairs, counts.blocks, counts.subpools, counts.intervals), (999, 0, 0, 1))
        self.assertIsNone(driver.pool.next_deadline())

    def test_step_by_step(self) -> None:
        """4.3: the first with ``initial`` blocks, the next when free ones fall to ``low_water``, up to ``maximum``."""
        driver = Driver()
        sizes = []
        for _ in range(8):
            driver.take(0.0)
            sizes.append(sum(driver.sizes()))
        self.assertEqual(sizes, [4, 4, 6, 6, 8, 8, 8, 8])
        self.assertEqual(driver.sizes(), [4, 2, 2])

    def test_a_low_water_of_nothing(self) -> None:
        driver = Driver(low_water=0)
        driver.take(0.0, 3)
        self.assertEqual(driver.sizes(), [4])
        driver.take(0.0)
        self.assertEqual(driver.sizes(), [4, 2])

    def test_the_last_subpool_is_cut_to_the_maximum(self) -> None:
        driver = Driver(maximum=5)
        self.assertEqual(driver.take(0.0, 9), [1, 2, 3, 4, 5])
        self.assertEqual(driver.sizes(), [4, 1])

    def test_the_range_may_end_first(self) -> None:
        """The last subpool has what is left."""
        driver = Driver(last_port=5)
        self.assertEqual(driver.take(0.0, 9), [1, 2, 3, 4, 5])
        self.assertEqual((driver.sizes(), driver.counts(0.0).intervals), ([4, 1], 2))

    def test_blocks_carry_their_pairs(self) -> None:
        """From their making on; the block of a later connection is the same one."""
        driver = Driver(quarantine=0.0, initial=1, subpool=1, maximum=1)
        first = driver.pool.take(0.0)
        assert first is not None
        self.assertEqual(first.pair, Pair(FIRST, 1))
        driver.pool.give(first, 1.0)
        self.assertIs(driver.pool.take(2.0), first)

    def test_a_pool_for_each_transport(self) -> None:
        """The same pair may serve TCP and UDP."""
        self.assertEqual(*(PairPool(configured(), 0.0).take(0.0).pair for _ in range(2)))  # type: ignore[union-attr]

    def test_over_several_addresses(self) -> None:
        """What is skipped is in no subpool."""
        first, last = FIRST + 253, FIRST + 257
        driver = Driver(first=first, last=last, last_port=2, initial=3, subpool=3, maximum=99)
        pairs = []
        while (block := driver.pool.take(0.0)) is not None:
            pairs.append(str(block.pair))
        hosts = ("10.9.0.254", "10.9.1.1", "10.9.1.2")
        self.assertEqual(sorted(pairs), [f"{host}:{port}" for host in hosts for port in (1, 2)])


class ExhaustedTests(SynchronousTestCase):
    def test_refused_and_counted(self) -> None:
        """4.6: it shows, since when, and how often."""
        driver = Driver()
        driver.take(1.0, 6)
        self.assertEqual(driver.counts(1.0).level, Level.OK)
        driver.take(2.0, 2)
        counts = driver.counts(2.0)
        self.assertEqual((counts.level, counts.since, counts.refusals), (Level.LOW, 2.0, 0))
        self.assertEqual(driver.take(3.0, 2), [])
        counts = driver.counts(4.0)
        self.assertEqual((counts.level, counts.since, counts.refusals), (Level.EXHAUSTED, 3.0, 2))
        self.assertEqual((counts.free, counts.taken, counts.resting, counts.blocks), (0, 8, 0, 8))

    def test_the_end_of_it_is_a_deadline(self) -> None:
        """When a pair has rested, whether anybody asks or not."""
        driver = Driver()
        driver.take(0.0, 9)
        self.assertEqual(driver.pool.next_deadline(), LINGER * 6)
        driver.give(5.0, 1, 2, 3, 4)
        driver.tidy(64.9)
        self.assertEqual(driver.pool._supply.level, Level.EXHAUSTED)
        self.assertEqual(driver.pool.next_deadline(), 65.0)
        driver.pool.tidy(65.0)
        self.assertEqual((driver.pool._supply.level, driver.pool._supply.since), (Level.OK, 65.0))

    def test_room_of_its_own_is_found_again(self) -> None:
        """A pool that has refused grows when a reload lets it."""
        driver = Driver()
        driver.take(0.0, 9)
        driver.configure(1.0, maximum=9)
        self.assertEqual(len(driver.take(1.0, 2)), 1)


class RestTests(SynchronousTestCase):
    def test_a_block_by_itself(self) -> None:
        """``reuse: block``: after its quarantine, not a moment earlier."""
        driver = Driver(initial=2, maximum=2)
        driver.take(0.0, 2)
        driver.give(10.0, 2)
        self.assertEqual(driver.take(69.9), [])
        self.assertEqual(driver.counts(69.9).resting, 1)
        self.assertEqual(driver.take(70.0), [2])

    def test_a_subpool_as_a_whole(self) -> None:
        """``reuse: subpool``: when all of it is free, and has rested (US 7,660,909 claim 3)."""
        driver = Driver(initial=2, maximum=2, reuse=Reuse.SUBPOOL)
        driver.take(0.0, 2)
        driver.give(10.0, 2)
        self.assertEqual(driver.take(500.0), [])
        driver.give(500.0, 1)
        self.assertEqual(driver.take(559.9), [])
        self.assertEqual(driver.take(560.0, 2), [2, 1])

    def test_a_subpool_that_is_taken_from_meanwhile(self) -> None:
        """What of it was not used yet may be, and its rest begins anew."""
        driver = Driver(initial=3, maximum=3, reuse=Reuse.SUBPOOL)
        driver.take(0.0, 2)
        driver.give(10.0)
        self.assertEqual(driver.take(60.0, 2), [3])
        driver.give(65.0)
        self.assertEqual(driver.take(124.9), [])
        self.assertEqual(driver.take(125.0, 4), [1, 2, 3])
        driver.give(126.0, 1, 2)
        driver.give(127.0, 3)
        self.assertEqual(driver.take(187.0, 4), [1, 2, 3])

    def test_no_quarantine(self) -> None:
        for reuse in Reuse:
            driver = Driver(initial=1, maximum=1, quarantine=0.0, reuse=reuse)
            for now in (0.0, 0.0, 1.0):
                self.assertEqual(driver.take(now), [1], reuse)
                self.assertEqual(driver.take(now), [], reuse)
                driver.give(now)

    def test_longest_free_first(self) -> None:
        """Of the oldest subpool, so that the younger ones drain."""
        driver = Driver(quarantine=0.0)
        driver.take(0.0, 8)
        driver.give(1.0, 5, 3)
        driver.give(2.0, 8, 1)
        self.assertEqual(driver.take(3.0, 9), [3, 1, 5, 8])

    def test_giving_twice_is_a_bug(self) -> None:
        """Which would have two connections on one pair."""
        driver = Driver()
        driver.take(0.0)
        block = driver.taken[1]
        driver.give(1.0)
        self.assertRaises(AssertionError, driver.pool.give, block, 2.0)


class CostTests(SynchronousTestCase):
    def test_nothing_is_made_on_the_fast_path(self) -> None:
        """4.5: thousands of connections leave no object, and never more than a few numbers at a time."""
        pool = PairPool(configured(initial=900, maximum=999, quarantine=1.0), 0.0)
        blocks: list[Block | None] = [None] * 100
        instants = [number / 100 for number in range(1000)]
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for now in instants:
            for at in range(5):
                block = blocks[at]
                if block is not None:
                    pool.give(block, now)
                blocks[at] = pool.take(now)
            if now == 2.0:
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
        after, peak = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 500)
        self.assertLess(peak - before, 2000)

    def test_a_deleted_subpool_is_no_work_for_the_garbage_collector(self) -> None:
        """It has no cycles left."""
        driver = Driver(quarantine=0.0)
        driver.take(0.0, 8)
        driver.give(1.0)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        driver.tidy(1.0 + LINGER)
        self.assertEqual(driver.sizes(), [])
        self.assertFalse([each for each in gc.get_objects() if isinstance(each, Block)])

    def test_time_that_stands_still(self) -> None:
        """Is no reason for a timer that never rests."""
        driver = Driver(quarantine=0.1)
        now = 0.3
        driver.take(now, 9)
        driver.give(now)
        due = driver.pool.next_deadline()
        assert due is not None
        driver.pool.tidy(due)
        following = driver.pool.next_deadline()
        self.assertTrue(following is None or due < following < math.inf)
