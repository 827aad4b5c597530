"""Another configuration while everything runs: what was promised stays as it was."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import LeaseDraining
from appliance.leasing import Promise
from appliance.model import Pool
from appliance.shared import Refusal
from tests import fakes
from tests.test_shared import Setting, zones

NAME = "a.example.test"
[FIRST] = fakes.addresses(1)


class ConfigureTests(SynchronousTestCase):
    def test_an_address_that_moves_between_pools_runs_out_first(self) -> None:
        """1.3: it has one holder all the time."""
        [one] = fakes.addresses(1)
        setting = Setting([fakes.pool(1)], "a.example.test")
        setting.ask("a.example.test")
        other = Pool(name="other", addresses=(one,), periods=fakes.PERIODS, tiers=fakes.NO_TIERS)
        setting.configure([other], "b.example.test", pool="other")
        self.assertEqual(setting.ask("b.example.test").rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        setting.clock.advance(11)
        setting.state.reclaim(limit=9)
        setting.clock.advance(20)
        setting.state.reclaim(limit=9)
        self.assertEqual(list(setting.state.tables()), ["other"])
        answer = setting.ask("b.example.test")
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), str(one))

    def test_a_free_address_moves_at_once(self) -> None:
        """Whatever the order of the pools."""
        setting = Setting([fakes.pool(1)], "a.example.test")
        other = Pool(name="a-other", addresses=fakes.addresses(1), tiers=fakes.NO_TIERS)
        setting.configure([other], "a.example.test", pool="a-other")
        self.assertEqual(len(setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]

    def test_a_pool_with_several_addresses_leaves(self) -> None:
        """At once when nobody holds any of them; another may come in its place."""
        setting = Setting([fakes.pool(3)], "a.example.test")
        setting.configure([])
        self.assertEqual(dict(setting.state.tables()), {})
        setting.configure([fakes.pool(3)], "a.example.test")
        self.assertEqual(len(setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]

    def test_a_changed_site_is_opened_anew(self) -> None:
        """New connections go to the new server at once, under the same lease."""
        setting = Setting([fakes.pool(1)], "a.example.test")
        setting.ask("a.example.test")
        setting.configure([fakes.pool(1)], "a.example.test", server="10.0.0.2")
        [(_, server)] = setting.path.open_paths.values()
        self.assertEqual(str(server.address), "10.0.0.2")

    def test_a_removed_site_keeps_its_promise(self) -> None:
        """Its data path stays until the lease has ended and cooled; questions are answered no more."""
        setting = Setting([fakes.pool(1)], "a.example.test")
        setting.ask("a.example.test")
        setting.configure([fakes.pool(1)])
        self.assertEqual(setting.ask("a.example.test").rcode, dns.rcode.NXDOMAIN)  # type: ignore[union-attr]
        setting.clock.advance(11)
        setting.state.reclaim(limit=9)
        self.assertEqual(len(setting.path.open_paths), 1)
        setting.clock.advance(20)
        setting.state.reclaim(limit=9)
        self.assertEqual(setting.path.open_paths, {})

    def test_connections_survive_a_pool(self) -> None:
        """A flow that began before its pool left ends without an error."""
        setting = Setting([fakes.pool(1)], "a.example.test")
        setting.ask("a.example.test")
        setting.state.connection_opened(IPv4Address("192.0.2.1"), "a.example.test")
        setting.configure([])
        setting.clock.advance(40)
        setting.state.reclaim(limit=9)
        setting.clock.advance(40)
        setting.state.reclaim(limit=9)
        self.assertEqual(dict(setting.state.tables()), {})
        setting.state.connection_closed(IPv4Address("192.0.2.1"), "a.example.test")


class ReconfigureTests(SynchronousTestCase):
    def test_fewer_addresses_for_a_site(self) -> None:
        """What it has too many of runs out."""
        setting = Setting([fakes.pool(4)])
        two = {NAME: fakes.site(NAME, addresses=2)}
        setting.state.configure({"public": fakes.pool(4)}, two, zones(NAME))
        setting.ask(NAME)
        setting.state.connection_opened(FIRST, NAME)
        setting.ask(NAME)
        self.assertEqual(len(setting.state.tables()["public"].answered(NAME)), 2)
        setting.state.configure({"public": fakes.pool(4)}, {NAME: fakes.site(NAME)}, zones(NAME))
        self.assertEqual(len(setting.state.tables()["public"].answered(NAME)), 1)

    def test_new_ports_that_are_a_neighbours(self) -> None:
        """The lease runs out, and the site finds another address."""
        pool = fakes.pool(2, share_by_service=True)
        names = (NAME, "b.example.test")
        sites = {NAME: fakes.site(NAME, port=22), names[1]: fakes.site(names[1], port=25)}
        setting = Setting([])
        setting.state.configure({"public": pool}, sites, zones(*names))
        for name in names:
            setting.ask(name)
        self.assertEqual(setting.path.sites_at(FIRST), list(names))
        sites = {**sites, NAME: fakes.site(NAME, port=25)}
        setting.state.configure({"public": pool}, sites, zones(*names))
        [drained] = setting.heard_of(LeaseDraining)
        self.assertEqual(drained.site, NAME)
        answer = setting.ask(NAME)
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.2")


class PortTests(SynchronousTestCase):
    """Where sites share an address, what a site gives up there is promised still."""

    pool = fakes.pool(1, share_by_service=True)

    def setUp(self) -> None:
        self.setting = Setting([])

    def configure(self, *ports: int) -> None:
        sites = {
            name: fakes.site(name, port=port)
            for name, port in zip((NAME, "b.example.test", "c.example.test"), ports, strict=False)
        }
        self.setting.state.configure({"public": self.pool}, sites, zones(*sites))

    def ports(self, name: str) -> list[int]:
        return next(sorted(lease.keys) for lease in self.setting.state.tables()["public"].leases_of(name))

    def got(self, name: str) -> bool:
        return isinstance(self.setting.state.lease(name), Promise)

    def wait(self, seconds: float) -> None:
        self.setting.clock.advance(seconds)
        self.setting.state.reclaim(limit=9)

    def test_a_port_that_is_given_up_cools(self) -> None:
        """For as long as if the lease had ended with the reload, although it is renewed."""
        self.configure(80, 80)
        self.got(NAME)
        self.setting.state.connection_opened(FIRST, NAME)
        self.configure(81, 80)
        self.assertEqual(self.ports(NAME), [80, 81])
        for _ in range(30):
            self.assertFalse(self.got("b.example.test"))
            self.assertTrue(self.got(NAME))
            self.wait(1)
        self.wait(1)
        self.assertEqual(self.ports(NAME), [81])
        self.assertTrue(self.got("b.example.test"))

    def test_a_new_port_that_cannot_be_opened(self) -> None:
        """The site goes on with its address, and no neighbour gets the port that its answers are for."""
        self.configure(80, 81)
        self.got(NAME)
        self.setting.path.taken.add((FIRST, NAME))
        self.configure(81, 81)
        self.assertTrue(self.got(NAME))
        self.assertFalse(self.got("b.example.test"))
        self.assertEqual(self.ports(NAME), [80, 81])

    def test_over_a_new_grant(self) -> None:
        """The site takes its cooling address up again, with the new port; the old one cools on."""
        self.configure(80, 80)
        self.got(NAME)
        self.wait(11)
        self.configure(81, 80)
        self.got(NAME)
        self.assertEqual(self.ports(NAME), [80, 81])
        self.assertFalse(self.got("b.example.test"))
        self.wait(20)
        self.assertEqual(self.ports(NAME), [81])
        self.assertTrue(self.got("b.example.test"))

    def test_a_port_that_comes_back(self) -> None:
        """Is the site's, when what it had meanwhile has cooled, too."""
        self.configure(80, 81)
        self.got(NAME)
        self.setting.state.connection_opened(FIRST, NAME)
        for port in (81, 80):
            self.configure(port, 81)
            self.wait(1)
        self.assertEqual(self.ports(NAME), [80, 81])
        for _ in range(60):
            self.wait(1)
        self.assertEqual(self.ports(NAME), [80])
        self.assertTrue(self.got("b.example.test"))

    def test_a_lease_that_ends_takes_its_ports_along(self) -> None:
        """A later lease of the site has nothing of them."""
        self.configure(80)
        self.got(NAME)
        self.configure(81)
        for seconds in (11, 20):
            self.wait(seconds)
        self.assertEqual(self.setting.state.tables()["public"].counts(99.0).free, 1)
        self.configure(82)
        self.got(NAME)
        self.wait(5)
        self.assertEqual(self.ports(NAME), [82])

    def test_a_grant_that_waits_for_the_disk_meanwhile(self) -> None:
        """It is not answered where one of the new ports is a neighbour's, whom clients would reach."""
        self.configure(80, 25)
        self.setting.journal.slow = True
        waiting = [self.setting.state.lease(name) for name in (NAME, "b.example.test")]
        self.configure(80, 80)
        self.setting.journal.write()
        outcomes = [self.successResultOf(outcome) for outcome in waiting]  # type: ignore[arg-type]
        self.assertEqual([type(outcome) for outcome in outcomes], [Promise, Refusal])

    def test_of_a_pinned_address(self) -> None:
        """Whatever ports it had had, they cool."""
        self.configure(80, 80)
        self.setting.state.by_hand.pin(NAME, FIRST)
        self.got(NAME)
        self.configure(81, 80)
        self.setting.state.by_hand.unpin(NAME)
        self.assertFalse(self.got("b.example.test"))
        self.assertTrue(self.got(NAME))
        self.wait(61)
        self.assertTrue(self.got("b.example.test"))
