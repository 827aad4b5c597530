"""Another configuration while everything runs: what was promised stays as it was."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import LeaseDraining
from appliance.model import Pool
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
