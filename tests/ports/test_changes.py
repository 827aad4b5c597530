"""Subpools that nobody needs any more, and pools that get another configuration (4.4)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Reuse
from appliance.ports.idling import LINGER
from tests.ports.driver import Driver


class ShrinkTests(SynchronousTestCase):
    def test_back_to_one_interval(self) -> None:
        """4.4: when all of them are free, the first included."""
        for reuse in Reuse:
            driver = Driver(reuse=reuse)
            driver.take(0.0, 8)
            driver.give(10.0)
            driver.tidy(69.9)
            self.assertEqual(driver.sizes(), [4, 2, 2])
            driver.tidy(70.0)
            counts = driver.counts(70.0)
            self.assertEqual((counts.subpools, counts.intervals, counts.blocks), (0, 1, 0))
            self.assertIsNone(driver.pool.next_deadline())

    def test_it_keeps_what_it_would_soon_make_again(self) -> None:
        """Without a subpool that goes there are ``low_water`` and another one's blocks; the younger go first."""
        driver = Driver(initial=2, maximum=20, quarantine=0.0)
        driver.take(0.0, 12)
        self.assertEqual(driver.sizes(), [2] * 7)
        driver.give(1.0, *range(2, 13))
        driver.tidy(1.0 + LINGER)
        self.assertEqual(list(driver.pool._stock.subpools), [0, 1])
        self.assertEqual(driver.counts(12.0).free, 3)
        self.assertEqual(driver.pool.next_deadline(), 1.0 + 2 * LINGER)
        driver.give(12.0)
        driver.tidy(99.0)
        self.assertEqual(driver.sizes(), [])

    def test_what_is_not_needed_any_more_later_on(self) -> None:
        """Blocks of other subpools got free meanwhile, and nobody asked for any."""
        driver = Driver(initial=4, subpool=4, maximum=12, quarantine=30.0)
        driver.take(0.0, 10)
        driver.give(0.0, 9, 10)
        driver.tidy(40.0)
        self.assertEqual(driver.sizes(), [4, 4, 4])
        driver.give(41.0, 1, 2, 3, 5, 6, 7)
        driver.tidy(70.0)
        self.assertEqual(driver.sizes(), [4, 4, 4])
        driver.tidy(81.0)
        self.assertEqual(driver.sizes(), [4, 4])

    def test_a_load_at_the_mark(self) -> None:
        """Does not make and delete with each connection."""
        driver = Driver(initial=2, subpool=2, maximum=99, quarantine=0.0)
        driver.take(0.0, 7)
        now, made = 0.0, driver.pool._stock._made
        for _ in range(50):
            [port] = driver.take(now)
            now += 2 * LINGER
            driver.tidy(now)
            driver.give(now, port)
            now += 2 * LINGER
            driver.tidy(now)
        self.assertLessEqual(driver.pool._stock._made, made + 1)

    def test_a_connection_now_and_then(self) -> None:
        """Makes its subpool once in a while, not each time."""
        driver = Driver(quarantine=0.0)
        now = 0.0
        for _ in range(50):
            driver.take(now)
            driver.give(now + 0.1)
            driver.tidy(now + LINGER - 1)
            now += LINGER - 1
        self.assertEqual(driver.pool._stock._made, 1)
        driver.tidy(now + LINGER)
        self.assertEqual(driver.sizes(), [])

    def test_no_more_than_once_a_while(self) -> None:
        """A reserve that is kept is not looked at all the time."""
        driver = Driver(initial=2, quarantine=0.0)
        driver.take(0.0)
        for number in range(1, 5):
            due = driver.pool.next_deadline()
            self.assertEqual(due, number * LINGER)
            driver.pool.tidy(number * LINGER)
        self.assertEqual(driver.sizes(), [2, 2])


class ReloadTests(SynchronousTestCase):
    def test_out_of_the_range(self) -> None:
        """4.2: in use until they are given back and have rested, then gone; free ones at once."""
        driver = Driver()
        driver.take(0.0, 3)
        driver.configure(1.0, first_port=3, last_port=4)
        counts = driver.counts(1.0)
        self.assertEqual((counts.pairs, counts.blocks, counts.leaving, counts.free), (2, 4, 2, 1))
        driver.give(2.0, 1, 2)
        self.assertEqual(driver.counts(2.0).leaving, 2)
        self.assertEqual(driver.pool.next_deadline(), 62.0)
        driver.tidy(62.0)
        counts = driver.counts(62.0)
        self.assertEqual((counts.leaving, counts.blocks, counts.intervals), (0, 2, 1))
        self.assertEqual(driver.take(62.0, 3), [4])

    def test_back_into_the_range(self) -> None:
        """A pair that somebody still has, or that has not rested, is nobody else's."""
        driver = Driver(last_port=2)
        driver.take(0.0, 2)
        driver.configure(1.0, first_port=3, last_port=4)
        driver.give(1.0, 2)
        driver.configure(2.0, first_port=1, last_port=2)
        self.assertEqual(driver.take(60.9, 2), [])
        self.assertEqual(driver.take(61.0, 2), [2])
        driver.give(62.0, 1)
        self.assertEqual(driver.take(122.0, 2), [1])

    def test_a_lower_maximum(self) -> None:
        """Free ones go at once, and of the others as they have rested."""
        driver = Driver()
        driver.take(0.0, 6)
        driver.configure(1.0, maximum=4)
        self.assertEqual((driver.counts(1.0).free, driver.counts(1.0).blocks), (0, 6))
        driver.give(2.0, 1, 2, 3)
        driver.tidy(62.0)
        self.assertEqual((driver.counts(62.0).free, driver.counts(62.0).blocks), (1, 4))
        self.assertEqual(driver.take(62.0, 2), [3])

    def test_an_empty_subpool_does_not_stay(self) -> None:
        """All of its blocks were too many."""
        driver = Driver(initial=2, quarantine=1.0)
        driver.take(0.0, 8)
        driver.configure(1.0, maximum=6)
        driver.give(2.0, 7, 8)
        driver.tidy(2.0 + LINGER)
        self.assertEqual(driver.sizes(), [2, 2, 2])

    def test_another_quarantine(self) -> None:
        """Counts for what rests; what has rested by the former one is free."""
        driver = Driver(initial=2, maximum=2)
        driver.take(0.0, 2)
        driver.give(0.0, 1)
        driver.give(50.0, 2)
        driver.configure(60.0, quarantine=1000.0)
        self.assertEqual(driver.take(60.0, 2), [1])
        driver.configure(70.0, quarantine=5.0)
        self.assertEqual(driver.take(70.0, 2), [2])

    def test_another_rule(self) -> None:
        """For what rests as well."""
        driver = Driver(initial=3, maximum=3)
        driver.take(0.0, 3)
        driver.give(1.0, 2)
        driver.give(2.0, 1)
        driver.configure(3.0, reuse=Reuse.SUBPOOL)
        self.assertEqual(driver.take(100.0), [])
        driver.configure(101.0, reuse=Reuse.BLOCK)
        self.assertEqual(driver.take(101.0, 3), [2, 1])

    def test_a_subpool_that_rests_without_those_that_left(self) -> None:
        """Since the last of the others came back."""
        driver = Driver(initial=2, maximum=2, reuse=Reuse.SUBPOOL)
        driver.take(0.0, 2)
        driver.give(50.0, 1)
        driver.configure(55.0, last_port=1)
        self.assertEqual(driver.take(109.9), [])
        self.assertEqual(driver.take(110.0), [1])

    def test_the_longest_free_goes_first_still(self) -> None:
        driver = Driver(initial=3, maximum=3, quarantine=0.0)
        driver.take(0.0, 3)
        driver.give(1.0, 2)
        driver.give(2.0, 1)
        driver.configure(3.0, low_water=0)
        self.assertEqual(driver.take(3.0, 2), [2, 1])

    def test_nothing_changes(self) -> None:
        """Then nothing is done, which would cost as much as there are blocks."""
        driver = Driver()
        driver.take(0.0)
        stock = driver.pool._stock.intervals
        driver.configure(1.0)
        self.assertIs(driver.pool._stock.intervals, stock)
