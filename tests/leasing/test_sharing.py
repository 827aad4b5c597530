"""Several sites on an address (1.12), several addresses for a site (1.5), and grants that wait for the disk."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.leasing import State
from tests import fakes
from tests.leasing.driver import Driver

PORTS = {"ssh": 22, "mail": 25, "web": 443, "other-web": 443}


def sharing(count: int) -> Driver:
    driver = Driver(count, share_by_service=True)
    driver.sites = {name: fakes.site(name, port=port) for name, port in PORTS.items()}
    return driver


class SharingTests(SynchronousTestCase):
    def test_disjoint_ports_share(self) -> None:
        """First fit on the fullest address; a port that clashes takes the next."""
        driver = sharing(3)
        got = {name: driver.ask(name, 0.0).address for name in PORTS}  # type: ignore[union-attr]
        self.assertEqual({got["ssh"], got["mail"], got["web"]}, {driver.first})
        self.assertEqual(got["other-web"], driver.rest[0])
        self.assertEqual(driver.table.counts(0.0).free, 1)

    def test_the_fullest_that_fits(self) -> None:
        """Not the one that was taken first."""
        driver = sharing(3)
        driver.ask("web", 0.0)
        driver.ask("other-web", 0.0)
        driver.ask("mail", 0.0)
        driver.ask("ssh", 0.0)
        self.assertEqual(sorted(x.site for x in driver.table.holders(driver.first)), ["mail", "ssh", "web"])

    def test_one_ends_and_the_others_stay(self) -> None:
        """Its keys cool for themselves; another site with the same port gets them only after that."""
        driver = sharing(1)
        for name in ("ssh", "mail", "web"):
            driver.ask(name, 0.0)
        driver.connect("ssh", 1.0)
        driver.connect("mail", 1.0)
        driver.reclaim(11.0)
        states = {lease.site: lease.state for lease in driver.table.holders(driver.first)}
        self.assertEqual(states, {"ssh": State.BOUND, "mail": State.BOUND, "web": State.COOLING})
        self.assertIsNone(driver.ask("other-web", 12.0))
        driver.reclaim(31.0)
        self.assertEqual(driver.ask("other-web", 31.0).address, driver.first)  # type: ignore[union-attr]
        self.assertEqual(len(driver.table.holders(driver.first)), 3)

    def test_who_waits_for_another_port_is_not_in_the_way(self) -> None:
        """Only those who could use the place go first."""
        driver = sharing(1)
        driver.ask("web", 0.0)
        self.assertIsNone(driver.ask("other-web", 1.0))
        self.assertEqual(driver.table.waiting(1.0), ["other-web"])
        self.assertIsNotNone(driver.ask("ssh", 2.0))

    def test_sharing_can_be_turned_off_and_on(self) -> None:
        """Those who share go on; newcomers find a free address."""
        driver = sharing(2)
        driver.ask("web", 0.0)
        driver.ask("ssh", 0.0)
        driver.table.configure(attrs.evolve(driver.table.pool, share_by_service=False), 1.0)
        self.assertEqual(driver.ask("mail", 1.0).address, driver.rest[0])  # type: ignore[union-attr]
        self.assertIsNone(driver.ask("other-web", 1.0))
        driver.table.configure(attrs.evolve(driver.table.pool, share_by_service=True), 2.0)
        self.assertEqual(driver.ask("other-web", 2.0).address, driver.rest[0])  # type: ignore[union-attr]


class SeveralTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver(4)
        self.driver.sites["a"] = fakes.site("a", addresses=3)

    def addresses(self) -> list[str]:
        return [str(lease.address) for lease in self.driver.table.answered("a")]

    def grow(self, now: float) -> None:
        """Every address has a connection, and somebody asks."""
        for lease in self.driver.table.answered("a"):
            self.driver.connect("a", now, lease.address)
        self.driver.ask("a", now)

    def test_it_grows_with_demand_up_to_its_servers(self) -> None:
        """One address a server, while those it has are in use (1.5)."""
        self.driver.ask("a", 0.0)
        self.driver.ask("a", 1.0)
        self.assertEqual(len(self.addresses()), 1, "an address that nobody uses is enough")
        for now, count in ((2.0, 2), (3.0, 3), (4.0, 3)):
            self.grow(now)
            self.assertEqual(len(self.addresses()), count)
        servers = {lease.server for lease in self.driver.table.answered("a")}
        self.assertEqual(len(servers), 3)

    def test_the_answer_is_the_least_asked(self) -> None:
        """By connections and answers, decayed, and by weight; only that one is renewed."""
        self.driver.sites["a"] = fakes.site("a", addresses=2)
        self.driver.ask("a", 0.0)
        self.grow(1.0)
        first, second = self.driver.table.answered("a")
        for _ in range(3):
            self.driver.connect("a", 2.0, second.address)
            self.driver.disconnect("a", 2.0, second.address)
        before = second.promised_until
        self.assertEqual(self.driver.ask("a", 3.0).address, first.address)  # type: ignore[union-attr]
        self.assertEqual(second.promised_until, before)
        second.weight = 9
        self.assertEqual(self.driver.ask("a", 3.0).address, second.address)  # type: ignore[union-attr]

    def test_it_shrinks_when_nobody_comes(self) -> None:
        """Those that are not answered run out."""
        self.driver.ask("a", 0.0)
        for now in (1.0, 2.0):
            self.grow(now)
        for lease in list(self.driver.table.answered("a")):
            while self.driver.connections.count(lease.address, "a"):
                self.driver.disconnect("a", 3.0, lease.address)
        now = 3.0
        while now < 200:
            now += 20.0
            self.driver.reclaim(now)
            self.driver.ask("a", now)
        self.assertEqual(len(self.addresses()), 1)

    def test_not_while_somebody_waits_or_addresses_are_short(self) -> None:
        """A first address for one goes before a second for another."""
        self.driver.table.configure(attrs.evolve(self.driver.table.pool, adequate=0.9), 0.0)
        self.driver.ask("a", 0.0)
        self.grow(1.0)
        self.assertEqual(len(self.addresses()), 1)


class PendingTests(SynchronousTestCase):
    def test_an_undone_grant_leaves_no_trace(self) -> None:
        """The address is the first to be granted again, and its asker is not blamed."""
        driver = Driver(2)
        plan = driver.plan("a", 0.0)
        assert plan is not None
        lease = driver.table.granting.commit(plan, asked_by=7, proven=True)
        self.assertEqual(driver.table.answered("a"), [])
        driver.table.granting.undo(plan, lease, 1.0)
        self.assertEqual(list(driver.table.free()), [driver.first, *driver.rest])
        self.assertEqual(driver.table.gates.offers(7), 0)
        self.assertEqual(driver.table.gates.reputation.score(7, 1.0), 0.5)

    def test_a_cooling_lease_goes_on_cooling(self) -> None:
        """When taking it up again could not be recorded."""
        driver = Driver(1)
        driver.ask("a", 0.0)
        driver.reclaim(11.0)
        plan = driver.plan("a", 12.0)
        assert plan is not None
        lease = driver.table.granting.commit(plan, asked_by=0, proven=False)
        driver.table.granting.undo(plan, lease, 13.0)
        [cooling] = driver.table.holders(driver.first)
        self.assertEqual((cooling.state, cooling.ends_at), (State.COOLING, 31.0))
        self.assertEqual(len(driver.reclaim(31.0)), 1)
        self.assertEqual(driver.table.counts(31.0).free, 1)
