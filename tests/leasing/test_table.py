"""The rules of a lease, one at a time; docs/leases.rst says them in words."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseBound,
    LeaseDraining,
    LeaseReclaimed,
    LeaseReset,
)
from appliance.leasing import Promise, State
from tests import fakes
from tests.leasing.driver import Driver


class GrantTests(SynchronousTestCase):
    def test_a_query_leases_a_free_address(self) -> None:
        """1.1: the promise is for a period, and the lease lasts longer than it by the grace."""
        driver = Driver(2)
        self.assertEqual(driver.ask("a", 100.0), Promise(driver.first, 10, 110.0))
        lease = driver.lease_of("a")
        assert lease is not None
        self.assertEqual((lease.promised_until, lease.ends_at, lease.state), (110.0, 111.0, State.OFFERED))

    def test_it_leaves_the_free_list_at_once(self) -> None:
        """1.3: two sites never get the same address, and the third waits."""
        driver = Driver(2)
        got = {driver.ask(site, 0.0).address for site in "ab"}  # type: ignore[union-attr]
        self.assertEqual(got, {driver.first, *driver.rest})
        self.assertIsNone(driver.ask("c", 0.0))
        self.assertEqual(driver.table.waiting(0.0), ["c"])

    def test_longest_free_first(self) -> None:
        """1.11: the address that was given back last is given out last."""
        driver = Driver(3)
        driver.ask("a", 0.0)
        driver.reclaim(11.0, limit=9)
        driver.reclaim(31.0, limit=9)
        self.assertEqual(list(driver.table.free()), [*driver.rest, driver.first])

    def test_the_former_site_gets_its_free_address_back(self) -> None:
        """1.11: although another one has been free for longer."""
        driver = Driver(3)
        driver.ask("a", 0.0)
        driver.reclaim(11.0, limit=9)
        driver.reclaim(31.0, limit=9)
        promise = driver.ask("a", 40.0)
        assert promise is not None
        self.assertEqual(promise.address, driver.first)

    def test_who_waits_goes_first(self) -> None:
        """A site that was refused less than 30 s ago gets what becomes free before one that comes later."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        self.assertIsNone(driver.ask("b", 5.0))
        driver.reclaim(11.0, limit=9)
        self.assertIsNone(driver.ask("b", 20.0))
        driver.reclaim(31.0, limit=9)
        self.assertIsNone(driver.ask("c", 32.0))
        self.assertIsNotNone(driver.ask("b", 33.0))

    def test_who_does_not_come_back_loses_its_place(self) -> None:
        """30 s after its last refusal a site waits no more."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        self.assertIsNone(driver.ask("b", 1.0))
        driver.reclaim(11.0, limit=9)
        driver.reclaim(31.0, limit=9)
        self.assertIsNone(driver.ask("c", 30.9))
        self.assertIsNotNone(driver.ask("c", 31.0))

    def test_who_was_away_for_too_long_is_looked_at_once(self) -> None:
        """However many there were; nobody waits then."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        for number in range(5):
            self.assertIsNone(driver.ask(f"b{number}", 1.0))
        waiting = driver.table._book.waiting
        self.assertFalse(waiting.is_empty(30.9))
        self.assertTrue(waiting)
        self.assertTrue(waiting.is_empty(31.0))
        self.assertFalse(waiting)

    def test_a_declined_address_is_left_alone(self) -> None:
        """For ten minutes; then it is as free as any."""
        driver = Driver(1)
        plan = driver.plan("a", 0.0)
        assert plan is not None
        self.assertEqual(driver.table.granting.decline(plan, by_all=True), 600.0)
        self.assertIsNone(driver.ask("a", 1.0))
        self.assertEqual(driver.table.counts(1.0).declined, 1)
        self.assertEqual(driver.reclaim(599.0, limit=9), [])
        [freed] = driver.reclaim(600.0, limit=9)
        self.assertIsInstance(freed, AddressFreed)

    def test_declining_is_not_shorter_than_cooling(self) -> None:
        """Somebody may still hold an answer with that address."""
        driver = Driver(1, attrs.evolve(fakes.PERIODS, cooling=1000))
        plan = driver.plan("a", 12.0)
        assert plan is not None
        self.assertEqual(driver.table.granting.decline(plan, by_all=True), 1012.0)

    def test_an_own_address_that_cannot_be_opened_cools_on(self) -> None:
        """Its old data path stands for late clients; the site does not try it again, and nobody else has it sooner."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.reclaim(11.0, limit=9)
        plan = driver.plan("a", 12.0)
        assert plan is not None and plan.former is not None
        driver.table.granting.decline(plan, by_all=True)
        self.assertIsNone(driver.plan("a", 13.0))
        driver.table.configure(attrs.evolve(fakes.pool(1), addresses=()), 14.0)
        driver.table.configure(fakes.pool(1), 15.0)
        self.assertIsNone(driver.ask("b", 16.0))
        driver.reclaim(31.0, limit=9)
        self.assertIsNone(driver.ask("b", 31.0), "a waits since 13.0")
        self.assertIsNotNone(driver.ask("b", 43.0))


class RenewTests(SynchronousTestCase):
    def test_a_query_renews(self) -> None:
        """1.2: the same address, and the promise reaches a period further."""
        driver = Driver(2)
        driver.ask("a", 0.0)
        self.assertEqual(driver.ask("a", 4.0), Promise(driver.first, 10, 14.0))

    def test_the_longest_promise_counts(self) -> None:
        """A shorter promise does not shorten an earlier one."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.table.configure(fakes.pool(1, attrs.evolve(fakes.PERIODS, base=5)), 1.0)
        self.assertEqual(driver.ask("a", 1.0), Promise(driver.first, 5, 6.0))
        lease = driver.lease_of("a")
        assert lease is not None
        self.assertEqual(lease.promised_until, 10.0)

    def test_queries_alone_renew_a_few_times_only(self) -> None:
        """After unused_renewals the TTL counts down to what was promised."""
        driver = Driver(1)
        ttls = [driver.ask("a", float(now)).ttl for now in range(0, 50, 5)]  # type: ignore[union-attr]
        self.assertEqual(ttls, [10] * 8 + [5] + [10])
        self.assertEqual(driver.lease_of("a").granted_at, 45.0)  # type: ignore[union-attr]

    def test_below_a_second_those_who_wait_go_first(self) -> None:
        """An unused lease that is at its end is not taken up again while somebody waits."""
        driver = Driver(1)
        for now in range(0, 40, 5):
            driver.ask("a", float(now))
        self.assertIsNone(driver.ask("b", 40.0))
        self.assertIsNone(driver.ask("a", 44.5))
        self.assertEqual(driver.table.waiting(44.5), ["b", "a"])

    def test_a_connection_makes_renewals_count_anew(self) -> None:
        """What is used goes on being renewed."""
        driver = Driver(1)
        for now in range(0, 40, 5):
            driver.ask("a", float(now))
        self.assertIsInstance(driver.connect("a", 40.0), LeaseBound)
        driver.disconnect("a", 41.0)
        self.assertEqual(driver.ask("a", 41.0).ttl, 19)  # type: ignore[union-attr]

    def test_an_offer_is_short_until_it_is_used(self) -> None:
        """TTL = min(period, offer) before the first connection, the whole period after it."""
        driver = Driver(1, attrs.evolve(fakes.PERIODS, base=60, offer=10))
        self.assertEqual(driver.ask("a", 0.0).ttl, 10)  # type: ignore[union-attr]
        driver.connect("a", 1.0)
        self.assertEqual(driver.ask("a", 1.0).ttl, 60)  # type: ignore[union-attr]

    def test_the_period_is_clamped(self) -> None:
        """minimum <= period <= maximum."""
        low = Driver(1, attrs.evolve(fakes.PERIODS, base=1, offer=99))
        high = Driver(1, attrs.evolve(fakes.PERIODS, base=200, offer=99))
        self.assertEqual((low.ask("a", 0).ttl, high.ask("a", 0).ttl), (5, 60))  # type: ignore[union-attr]


class EndTests(SynchronousTestCase):
    def test_unused_leases_go_back(self) -> None:
        """1.6: at its end a lease without a connection is reclaimed, cools, and is free."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        self.assertEqual(driver.reclaim(10.9, limit=9), [])
        [reclaimed] = driver.reclaim(11.0, limit=9)
        assert isinstance(reclaimed, LeaseReclaimed)
        self.assertEqual((reclaimed.address, reclaimed.site), (driver.first, "a"))
        self.assertEqual((reclaimed.lease.state, reclaimed.lease.ends_at), (State.COOLING, 31.0))
        self.assertIsNone(driver.ask("b", 30.9))
        [freed] = driver.reclaim(31.0, limit=9)
        self.assertEqual(freed, AddressFreed(at=31.0, pool="public", address=driver.first, former="a"))
        self.assertIsNotNone(driver.ask("b", 31.0))

    def test_used_leases_are_reset(self) -> None:
        """1.6: for as long as a connection lives."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.connect("a", 1.0)
        [reset] = driver.reclaim(11.0, limit=9)
        assert isinstance(reset, LeaseReset)
        self.assertEqual((reset.lease.promised_until, reset.lease.ends_at), (27.0, 28.0))
        driver.disconnect("a", 15.0)
        [reclaimed] = driver.reclaim(28.0, limit=9)
        self.assertIsInstance(reclaimed, LeaseReclaimed)

    def test_the_former_site_has_a_cooling_address_back_at_once(self) -> None:
        """1.11: nobody else can have it, and its data path still stands; even while others wait."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.reclaim(11.0, limit=9)
        self.assertIsNone(driver.ask("b", 12.0))
        self.assertEqual(driver.ask("a", 13.0), Promise(driver.first, 10, 23.0))
        self.assertEqual(driver.reclaim(22.0, limit=9), [])

    def test_but_not_for_ever_without_a_connection(self) -> None:
        """A name that only machines ask for does not keep its address from those who wait."""
        driver = Driver(1)
        now = 0.0
        for _ in range(4):
            self.assertIsNotNone(driver.ask("a", now))
            driver.reclaim(now + 11, limit=9)
            now += 12
        self.assertIsNone(driver.ask("b", now))
        self.assertIsNone(driver.ask("a", now))

    def test_cooling_is_never_shorter_than_the_longest_promise(self) -> None:
        """However short ``cooling`` is set."""
        driver = Driver(1, attrs.evolve(fakes.PERIODS, cooling=0))
        driver.ask("a", 0.0)
        [reclaimed] = driver.reclaim(11.0, limit=9)
        self.assertEqual(reclaimed.lease.ends_at, 21.0)  # type: ignore[attr-defined]

    def test_it_remembers_promises_of_leases_that_were_taken_up_again(self) -> None:
        """A resolver may still hold an answer of the lease before."""
        driver = Driver(1, attrs.evolve(fakes.PERIODS, cooling=0, base=60, offer=30))
        driver.ask("a", 0.0)
        driver.reclaim(31.0, limit=9)
        driver.table.configure(fakes.pool(1, attrs.evolve(fakes.PERIODS, cooling=0)), 32.0)
        driver.ask("a", 32.0)
        [reclaimed] = driver.reclaim(43.0, limit=9)
        self.assertEqual(reclaimed.lease.ends_at, 73.0)  # type: ignore[attr-defined]

    def test_connections_of_one_site_do_not_hold_its_successor(self) -> None:
        """A flow that outlives its lease stays with its site and keeps nothing from the new holder."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.reclaim(11.0, limit=9)
        driver.connections.opened(driver.first, "a")
        self.assertIsNone(driver.table.used(driver.first, "a", 12.0))
        driver.reclaim(31.0, limit=9)
        driver.ask("b", 31.0)
        [reclaimed] = driver.reclaim(42.0, limit=9)
        self.assertIsInstance(reclaimed, LeaseReclaimed)

    def test_cycles_are_bounded(self) -> None:
        """A reap cycle looks at no more deadlines than it was told."""
        driver = Driver(5)
        for site in "abcde":
            driver.ask(site, 0.0)
        self.assertEqual(len(driver.reclaim(11.0, limit=2)), 2)
        self.assertEqual(driver.table.ending.next_deadline(), 11.0)
        self.assertEqual(len(driver.reclaim(11.0, limit=9)), 3)


class ConfigureTests(SynchronousTestCase):
    def test_a_free_address_leaves_at_once(self) -> None:
        """And new ones come."""
        driver = Driver(2)
        events = driver.table.configure(attrs.evolve(fakes.pool(3), addresses=fakes.addresses(3)[1:]), 0.0)
        self.assertEqual([event.address for event in events], [driver.first, fakes.addresses(3)[2]])  # type: ignore[attr-defined]
        self.assertEqual(list(driver.table.free()), list(fakes.addresses(3)[1:]))

    def test_a_leased_address_runs_out_first(self) -> None:
        """It is not renewed, although it has a connection; it cools and is gone."""
        driver = Driver(2)
        driver.ask("a", 0.0)
        driver.connect("a", 0.0)
        driver.table.configure(attrs.evolve(fakes.pool(2), addresses=tuple(driver.rest)), 1.0)
        self.assertEqual(driver.ask("a", 2.0).address, driver.rest[0])  # type: ignore[union-attr]
        driver.reclaim(11.0, limit=9)
        events = driver.reclaim(31.0, limit=9)
        self.assertIn(AddressRemoved(at=31.0, pool="public", address=driver.first, former="a"), events)
        self.assertNotIn(driver.first, driver.table)

    def test_a_site_that_is_gone_runs_out(self) -> None:
        """Its lease is not renewed and not reset."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.connect("a", 0.0)
        driver.table.forget(["a"], 1.0)
        self.assertIsNone(driver.lease_of("a"))
        [reclaimed] = driver.reclaim(11.0, limit=9)
        self.assertIsInstance(reclaimed, LeaseReclaimed)


class HoldTests(SynchronousTestCase):
    def test_for_ever_or_up_to_hold(self) -> None:
        """Connections reset a lease until ``hold`` has gone; then it drains, and they are ended at its end."""
        driver = Driver(2, attrs.evolve(fakes.PERIODS, hold=30))
        driver.ask("a", 0.0)
        driver.connect("a", 1.0)
        now = 0.0
        events: list[Event] = []
        while not any(isinstance(event, LeaseDraining) for event in events) and now < 100:
            now += 1.0
            events += driver.reclaim(now, limit=9)
        self.assertTrue(30 <= now < 60, now)
        self.assertEqual(driver.ask("a", now).address, driver.rest[0])  # type: ignore[union-attr]
        self.assertEqual(driver.reclaim(now + 5, limit=9), [])
        [*_, reclaimed] = [event for event in driver.reclaim(now + 300, limit=9) if isinstance(event, LeaseReclaimed)]
        self.assertTrue(reclaimed.connections_end)

    def test_however_often_it_is_asked_for(self) -> None:
        """Questions renew, so the end never comes; ``hold`` does."""
        driver = Driver(2, attrs.evolve(fakes.PERIODS, hold=30))
        driver.ask("a", 0.0)
        driver.connect("a", 1.0)
        for now in range(2, 30):
            self.assertEqual(driver.table.ending.let_off("a", float(now)), [])
            self.assertEqual(driver.ask("a", float(now)).address, driver.first)  # type: ignore[union-attr]
        [drained] = driver.table.ending.let_off("a", 30.0)
        self.assertIsInstance(drained, LeaseDraining)
        self.assertEqual(driver.ask("a", 30.0).address, driver.rest[0])  # type: ignore[union-attr]

    def test_a_draining_lease_ends_with_its_last_connection(self) -> None:
        """It does not wait for the drain timeout."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.connect("a", 1.0)
        driver.table.ending.give_up(driver.lease_of("a"), 2.0, at_once=False)  # type: ignore[arg-type]
        self.assertEqual(driver.reclaim(12.0, limit=9), [])
        driver.connections.closed(driver.first, "a")
        driver.table.unused(driver.first, "a", 20.0)
        [reclaimed] = driver.reclaim(20.0, limit=9)
        assert isinstance(reclaimed, LeaseReclaimed)
        self.assertFalse(reclaimed.connections_end)

    def test_connections_that_come_and_go_cost_no_memory(self) -> None:
        """While it drains; its end is where it is."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.connect("a", 1.0)
        driver.table.ending.give_up(driver.lease_of("a"), 2.0, at_once=False)  # type: ignore[arg-type]
        before = len(driver.table._book.deadlines)
        for _ in range(9):
            driver.disconnect("a", 3.0, driver.first)
            driver.connect("a", 3.0, driver.first)
        self.assertEqual(len(driver.table._book.deadlines), before)
        driver.reclaim(12.0)
        for _ in range(9):
            driver.disconnect("a", 13.0, driver.first)
            driver.connect("a", 13.0, driver.first)
        self.assertLessEqual(len(driver.table._book.deadlines), before)
        self.assertEqual(driver.reclaim(13.0), [])
        self.assertIsInstance(driver.reclaim(302.0)[0], LeaseReclaimed)

    def test_what_was_released_is_not_taken_up_again(self) -> None:
        """Its former site gets another address, or waits until it has cooled."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        [lease] = driver.table.leases_of("a")
        driver.table.ending.give_up(lease, 1.0, at_once=True)
        self.assertIsNone(driver.ask("a", 2.0))
        self.assertEqual(lease.ends_at, 21.0)
