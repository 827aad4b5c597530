"""Which site had a free address last: for its coming back, and for a start."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests import fakes
from tests.leasing.driver import Driver


class FormerTests(SynchronousTestCase):
    def lease_and_free(self, driver: Driver, *sites: str, now: float) -> None:
        for site in sites:
            driver.ask(site, now)
        for pause in (11.0, 31.0):
            driver.reclaim(now + pause)

    def test_longest_free_first_over_a_restart(self) -> None:
        """Whoever had how many of them."""
        driver = Driver(3)
        driver.sites["a"] = fakes.site("a", addresses=2)
        driver.ask("a", 0.0)
        driver.connect("a", 0.0)
        driver.ask("a", 0.0)
        driver.disconnect("a", 0.0, driver.first)
        driver.ask("b", 10.0)
        later = driver.table.leases_of("a")[1]
        driver.connections.opened(later.address, "a")
        driver.reclaim(30.0)
        driver.connections.closed(later.address, "a")
        for now in (60.0, 90.0, 120.0, 150.0):
            driver.reclaim(now)
        free = list(driver.table.free())
        self.assertEqual(free, [driver.first, driver.rest[1], driver.rest[0]])
        self.assertEqual([address for address, _ in driver.table.former()], free)
        self.assertEqual([site for _, site in driver.table.former()], ["a", "b", "a"])

    def test_who_had_it_before_the_last_one_is_forgotten(self) -> None:
        """It is not kept for him, nor told of in two rows."""
        driver = Driver(1)
        self.lease_and_free(driver, "a", now=0.0)
        self.lease_and_free(driver, "b", now=100.0)
        self.assertEqual(list(driver.table.former()), [(driver.first, "b")])
        self.assertEqual(driver.table._book.former, {"b": (driver.first,)})

    def test_sites_that_are_gone_are_forgotten(self) -> None:
        """Also when their lease is over only afterwards; one that came back meanwhile is remembered."""
        for comes_back in (False, True):
            driver = Driver(2)
            driver.ask("a", 0.0)
            driver.table.forget(["a"], 1.0)
            if comes_back:
                driver.ask("a", 2.0)
            for now in (12.0, 32.0, 60.0, 90.0):
                driver.reclaim(now)
            self.assertEqual(list(driver.table._book.former), ["a"] if comes_back else [])
            self.assertEqual(driver.table._book.left, set())
