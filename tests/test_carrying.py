"""The balancing and the client NAT pools in SharedState: what is recorded of them, and what a start takes up."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Route, Wait
from appliance.balancing.events import ServerBack, ServerEvent, ServerFailed, VirtualFailed
from appliance.errors import BalancingError
from appliance.events import Override
from appliance.model import Site
from appliance.reaper import Reaper
from appliance.shared import overrides, servers_of
from tests.balancing.driver import PROBES
from tests.control.world import PREFERENCES, WWW, World

SITE = WWW.name


class RestartTests(SynchronousTestCase):
    def again(self, before: World, *sites: Site) -> World:
        """The process that comes after one that was killed."""
        world = World(sites=())
        world.journal.snapshot = list(before.journal.recovered().entries)
        world.configure(*sites, recovered=before.journal.recovered())
        world.state.carrying.restore()
        return world

    def test_orders_hold(self) -> None:
        """All that can be ordered, with what was made by hand, and in the order in which one builds on another."""
        world = World()
        world.order("real", real="10.0.0.77:81", state="in-service", weight=4)
        world.order("real", real="alpha", weight=5, threshold=3, max_connections=9)
        world.order("drain", name="beta")
        world.order("virtual", virtual=f"{SITE}:80:7", state="in-service")
        world.order("bind", virtual=f"{SITE}:80:7", real="10.0.0.77:81")
        world.order("assign", virtual=f"{SITE}:80:7", client="192.0.2.0", mask="255.255.255.0")
        world.order("unassign", virtual=f"{SITE}:80:1", client="198.51.100.0/24")
        world.order("backup", name=SITE, backup="mail.example.test")
        world.order("out_of_service", name=f"{SITE}:53/udp:0")
        expected = world.overrides()
        for _ in range(2):
            world = self.again(world, *world.state.sites.values())
            self.assertEqual(world.overrides(), expected)
            self.assertEqual(list(world.overrides()), list(expected))
        self.assertEqual(world.server("alpha")["weight"], 5)
        self.assertEqual(world.server("beta")["state"], "draining")
        self.assertEqual(world.virtual(f"{SITE}:80:7")["servers"], ["10.0.0.77:81"])
        self.assertEqual(world.heard_of(Override), [], "nothing has changed")

    def test_what_was_taken_back(self) -> None:
        world = World()
        world.order("real", real="alpha", weight=5)
        world.order("revert", name="alpha")
        self.assertEqual(self.again(world, WWW).overrides(), {})

    def test_a_file_that_changed_while_nobody_ran(self) -> None:
        """What it says anew wins; the order is gone, also for the next start."""
        world = World()
        world.order("real", real="alpha", weight=5, threshold=3)
        world.order("assign", virtual=f"{SITE}:80:1", client="192.0.2.1")
        alpha = attrs.evolve(WWW.servers[0], weight=2)
        changed = attrs.evolve(WWW, servers=(alpha, WWW.servers[1]), instances=())
        world = self.again(world, changed)
        self.assertEqual(list(world.overrides()), [("server alpha", "threshold")])
        ended = [(event.setting, event.value) for event in world.heard_of(Override)]
        self.assertEqual(ended, [("weight", None), ("client 192.0.2.1/32", None)])
        world = self.again(world, WWW)
        self.assertEqual(list(world.overrides()), [("server alpha", "threshold")])

    def test_a_snapshot_has_them(self) -> None:
        world = World()
        world.order("real", real="alpha", weight=5)
        [entry] = [entry for entry in world.state.entries() if isinstance(entry, Override)]
        self.assertEqual(
            (entry.subject, entry.setting, entry.value, entry.configured), ("server alpha", "weight", "5", "1")
        )
        world.order("real", real="alpha", weight=1)
        self.assertEqual([entry for entry in world.state.entries() if isinstance(entry, Override)], [])


class OrderTests(SynchronousTestCase):
    def test_there_is_a_bound(self) -> None:
        """What is set may still be changed, and taken back."""
        world = World()
        self.patch(overrides, "MOST", 2)
        world.order("real", real="alpha", weight=5, threshold=3)
        self.assertEqual(world.refused("real", real="beta", weight=5)[0], "too-many")
        world.order("real", real="alpha", weight=6)
        world.order("real", real="alpha", weight=1)
        world.order("real", real="beta", weight=5)

    def test_nothing_remains_of_what_was_refused(self) -> None:
        """Neither there, nor in the journal's last word of each setting."""
        world = World()
        carrying = world.state.carrying
        carrying.override("server alpha", "weight", "3")
        self.assertRaises(BalancingError, carrying.override_all, "server alpha", {"weight": "5", "backup": "nobody"})
        self.assertRaises(
            BalancingError, carrying.override_all, "server 10.0.0.77", {"made": "yes", "threshold": "0", "weight": "2"}
        )
        self.assertEqual(world.overrides(), {("server alpha", "weight"): ("3", "1")})
        recorded = [entry for entry in world.journal.recovered().entries if isinstance(entry, Override)]
        self.assertEqual([(each.subject, each.value) for each in recorded], [("server alpha", "3")])


class FailureTests(SynchronousTestCase):
    def test_what_befalls_many(self) -> None:
        """A server that many sites share fails: who waits for deadlines looks for the next one but a few times."""
        shared = attrs.evolve(WWW.servers[0], threshold=1, retries=1)
        sites = [
            attrs.evolve(WWW, name=f"s{number}.example.test", servers=(shared,), instances=()) for number in range(100)
        ]
        world = World(sites=tuple(sites))
        reaper = Reaper(world.clock, world.state)
        reaper.startService()
        self.addCleanup(reaper.stopService)
        looks: list[float | None] = []
        look = world.state.next_deadline
        self.patch(world.state, "next_deadline", lambda: looks.append(look()))
        route = world.state.carrying.begin(sites[0].name, 80, 1, shared.name)
        assert isinstance(route, Route)
        world.state.carrying.failed(route.ticket, "no answer", refused=False)
        self.assertGreater(sum(isinstance(event, VirtualFailed) for event in world.heard), 99)
        self.assertLess(len(looks), 9)

    def test_connections_of_a_server_that_fails(self) -> None:
        """They are reset where its configuration says so, of an instance's servers too."""
        reset = attrs.evolve(PREFERENCES.servers[0], threshold=1, retries=1, reset_on_failure=True)
        world = World(sites=(attrs.evolve(WWW, instances=(attrs.evolve(PREFERENCES, servers=(reset,)),)),))
        told: list[str] = []
        world.state.carrying.reset = told.append
        client = int(PREFERENCES.clients[0].network_address) + 1
        world.connect(client)
        world.fail("best", client)
        self.assertEqual(told, ["best"])
        world.fail("beta")
        self.assertEqual(told, ["best"])

    def test_probes(self) -> None:
        """They are told of and alarm as other failures, reset connections where that is set, and are not recorded."""
        alpha = attrs.evolve(WWW.servers[0], reset_on_failure=True, probes=PROBES)
        world = World(sites=(attrs.evolve(WWW, servers=(alpha, WWW.servers[1]), instances=()),))
        carrying = world.state.carrying
        told: list[str] = []
        carrying.reset = told.append
        for _ in range(2):
            carrying.probed("alpha", False, "web of 10.0.0.1:80: connect refused")
        self.assertEqual((told, carrying.failing), (["alpha"], {"alpha"}))
        self.assertEqual(world.carried.alarms(), ["server alpha: failed, web of 10.0.0.1:80: connect refused"])
        [failed] = world.heard_of(ServerFailed)
        self.assertEqual((failed.server, failed.retry_at), ("alpha", None))
        carrying.probed("alpha", True, "web of 10.0.0.1:80: application ok")
        self.assertEqual([back.reason for back in world.heard_of(ServerBack)], ["web of 10.0.0.1:80: application ok"])
        self.assertEqual((carrying.failing, world.carried.alarms()), (set(), []))
        self.assertEqual([entry for entry in world.journal.recovered().entries if isinstance(entry, ServerEvent)], [])

    def test_who_waits_hears_of_probes(self) -> None:
        """Without another connection or event: the deadline says that there is something to do, and when."""
        alpha, beta = (attrs.evolve(each, max_connections=1, queue=1, probes=PROBES) for each in WWW.servers)
        world = World(sites=(attrs.evolve(WWW, servers=(alpha, beta), instances=()),))
        carrying = world.state.carrying
        carrying.probed("beta", False, "web of 10.0.0.2:80: connect refused")
        world.connect()
        waiting = world.begin()
        assert isinstance(waiting, Wait)
        carrying.probed("beta", True, "web of 10.0.0.2:80: application ok")
        at = carrying.next_deadline()
        assert at is not None and at <= world.clock.seconds()
        carrying.due()
        [route] = world.decided
        assert isinstance(route, Route)
        self.assertEqual((route.ticket, route.server.name), (waiting.ticket, "beta"))

    def test_servers_of_a_site(self) -> None:
        self.assertEqual([server.name for server in servers_of(WWW)], ["alpha", "beta", "best"])
