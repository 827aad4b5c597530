"""What people see of servers, virtual servers, clients and client NAT pools, and what raises an alarm."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Route
from appliance.control.carried import MOST_NAMED, Carried
from appliance.errors import RequestError
from appliance.model import Service, Transport
from tests.control.world import CLIENT, MAIL, PREFERRED, SNAT, UNIX, WWW, World, server
from tests.test_shared import zones

SITE = WWW.name
LISTS = ("virtuals", "servers", "clients")


class RowTests(SynchronousTestCase):
    def test_virtuals(self) -> None:
        """By site, bind id and port, with the addresses that their site holds."""
        world = World()
        address = world.lease(SITE)
        tickets = [world.connect() for _ in range(2)]
        world.order("drain", name="beta")
        world.begin()
        world.begin()
        rows = world.carried.virtuals(limit=99)
        names = [
            f"{MAIL.name}:25:0",
            *(f"{SITE}:{port}:{bind_id}" for bind_id in (0, 1, 2) for port in ("53/udp", "80")),
        ]
        self.assertEqual([row["virtual"] for row in rows], names)
        row = world.virtual(f"{SITE}:80:0")
        expected = {
            "site": SITE,
            "addresses": [address],
            "port": 80,
            "transport": "tcp",
            "bind_id": 0,
            "instance": None,
            "state": "in-service",
            "predictor": "least-connections",
            "servers": ["alpha", "beta"],
            "answer": None,
            "backup": None,
            "connections": 3,
            "waiting": 1,
            "places": 3,
            "total": 4,
            "configured": {},
        }
        self.assertEqual(row, {"virtual": f"{SITE}:80:0", **expected})
        for ticket in tickets:
            world.end(ticket)
        unwelcome = world.virtual(f"{SITE}:80:2")
        self.assertEqual((unwelcome["answer"], unwelcome["instance"]), ("close", "unwelcome"))

    def test_servers(self) -> None:
        """By name; a failed one says when it is tested, as Unix time."""
        world = World()
        world.clock.advance(5)
        world.connect()
        world.fail("beta")
        self.assertEqual(
            [row["server"] for row in world.carried.servers(limit=99)], ["alpha", "best", "beta", "mail", "spare"]
        )
        beta = world.server("beta")
        self.assertEqual((beta["state"], beta["ditched"], beta["threshold"]), ("failed", 1, 1))
        self.assertEqual((beta["failure"], beta["retried_at"]), ("port 80: No route to host", UNIX + 5 + 60))
        alpha = world.server("alpha")
        self.assertEqual((alpha["address"], alpha["port"], alpha["retried_at"]), ("10.0.0.1", 80, None))
        self.assertIsNone(alpha["failure"])
        self.assertEqual((alpha["connections"], alpha["opening"], alpha["max_connections"]), (1, 0, 2))

    def test_one_that_has_left_the_file(self) -> None:
        """It is listed until its connections have ended."""
        world = World()
        ticket = world.connect()
        gone = attrs.evolve(WWW, servers=(WWW.servers[1],))
        world.configure(gone)
        self.assertTrue(world.server("alpha")["leaving"])
        world.end(ticket)
        self.assertNotIn("alpha", [row["server"] for row in world.carried.servers(limit=99)])

    def test_clients(self) -> None:
        """Of the file, and by behaviour, which ends by itself."""
        world = World()
        for _ in range(20):
            decision = world.begin()
            if isinstance(decision, Route):
                world.end(decision.ticket)
        rows = world.carried.clients(limit=99)
        held = [row for row in rows if row["by"] == "behaviour"]
        self.assertEqual([row["virtual"] for row in held], [f"{SITE}:53/udp:2", f"{SITE}:80:2"])
        self.assertEqual({row["client"] for row in held}, {"203.0.113.7/32"})
        self.assertEqual({row["ends_at"] for row in held}, {UNIX + 600})
        configured = [row for row in rows if row["by"] == "configured"]
        self.assertEqual({(row["client"], row["ends_at"]) for row in configured}, {(str(PREFERRED), None)})

    def test_nat_pools(self) -> None:
        """Once for TCP and once for UDP; one that left the file stays for what was taken from it."""
        world = World()
        blocks = [world.state.carrying.take_source("snat", Transport.TCP) for _ in range(3)]
        [tcp, udp] = world.carried.nat_pools()
        self.assertEqual((tcp["pool"], tcp["transport"], udp["transport"]), ("snat", "tcp", "udp"))
        self.assertEqual([tcp[key] for key in ("taken", "free", "maximum", "subpools", "level")], [3, 5, 8, 1, "ok"])
        self.assertEqual([udp[key] for key in ("taken", "free", "subpools")], [0, 0, 0])
        world.state.configure({"public": world.pool}, {SITE: WWW}, world.state.zones)
        [tcp] = world.carried.nat_pools()
        self.assertEqual((tcp["taken"], tcp["leaving"], tcp["maximum"]), (3, 0, 8))
        for block in blocks:
            assert block is not None
            world.state.carrying.give_source("snat", Transport.TCP, block)
        [tcp] = world.carried.nat_pools()
        self.assertEqual((tcp["taken"], tcp["resting"]), (0, 3))
        world.clock.advance(600)
        world.state.carrying.due()
        self.assertEqual(world.carried.nat_pools(), [])

    def test_they_are_json(self) -> None:
        """Infinity and enums would not be."""
        world = World()
        world.order("real", real="alpha", weight=5)
        for what in LISTS:
            json.dumps(getattr(world.carried, what)(limit=99), allow_nan=False)
        json.dumps([world.carried.nat_pools(), world.carried.overrides(limit=9)], allow_nan=False)
        world.order("assign", virtual=f"{SITE}:80:1", client="203.0.113.9")
        self.assertEqual(world.virtual(f"{SITE}:80:1")["configured"], {}, "clients have their own list")
        [override] = world.carried.overrides(limit=1)
        self.assertEqual(override, {"subject": "server alpha", "setting": "weight", "value": "5", "configured": "1"})

    def test_by_name(self) -> None:
        """As people name them."""
        world = World()
        self.assertEqual([row["server"] for row in world.carried.servers(name="10.0.0.2", limit=9)], ["beta"])
        rows = world.carried.virtuals(name=f"{SITE}:0:1", limit=9)
        self.assertEqual([row["virtual"] for row in rows], [f"{SITE}:53/udp:1", f"{SITE}:80:1"])
        self.assertRaises(RequestError, world.carried.servers, name="nobody", limit=9)
        self.assertRaises(RequestError, world.carried.virtuals, name="nobody", limit=9)


class PartTests(SynchronousTestCase):
    both = tuple(Service(first_port=80, last_port=80, to=80, transport=transport) for transport in Transport)
    world = World(sites=(attrs.evolve(WWW, services=both), MAIL))
    for number in range(9):
        world.order("assign", virtual=f"{SITE}:80:{number % 3}", client=f"203.0.{number}.0/24")
    world.order("unassign", virtual=f"{SITE}:80:1", client=str(PREFERRED))

    @settings(deadline=None, derandomize=True, database=None, max_examples=30)
    @given(st.integers(1, 12))
    def test_parts_are_the_whole(self, limit: int) -> None:
        """Read in parts of any size, each row comes once and in order."""
        carried = self.world.carried
        for what, place in (
            ("virtuals", lambda row: row["virtual"]),
            ("servers", lambda row: row["server"]),
            ("clients", lambda row: f"{row['virtual']} {row['client']}"),
        ):
            read = getattr(carried, what)
            rows, after = [], ""
            while part := read(after=after, limit=limit):
                rows += part
                after = place(part[-1])
            self.assertEqual(rows, read(limit=999), what)

    def test_a_wrong_place(self) -> None:
        for what, after in (("virtuals", "x"), ("virtuals", "a:b:c"), ("clients", "a:1:1"), ("clients", "a:1:1 x")):
            with self.assertRaises(RequestError) as caught:
                getattr(self.world.carried, what)(after=after, limit=9)
            self.assertEqual(caught.exception.field, "after")


class AlarmTests(SynchronousTestCase):
    def test_all_is_well(self) -> None:
        """Also where a person took something out of service."""
        world = World()
        world.order("drain", name="beta")
        world.order("out_of_service", name=f"{SITE}:0:1")
        self.assertEqual(world.carried.alarms(), [])

    def test_failed_servers(self) -> None:
        """What failed it, and when it is tested; not of one that a person took out meanwhile."""
        world = World()
        world.fail("beta")
        world.clock.advance(18)
        self.assertEqual(
            world.carried.alarms(),
            ["server beta: failed, 1 ditched in a row (port 80: No route to host); tested in 42.0s"],
        )
        world.clock.advance(42)
        world.state.reclaim(limit=9)
        self.assertEqual(
            world.carried.alarms(),
            ["server beta: failed (port 80: No route to host), and is tested with the next connection"],
        )
        world.order("out_of_service", name="beta")
        self.assertEqual(world.carried.alarms(), [])

    def test_failed_virtual_servers(self) -> None:
        """One whose last server has failed, at each of its ports."""
        world = World()
        world.order("drain", name="alpha")
        world.fail("beta")
        alarms = world.carried.alarms()
        self.assertEqual(len(alarms), 3, alarms)
        why = "failed: nothing that is available to it takes new connections"
        self.assertEqual(
            set(alarms[1:]), {f"virtual server {SITE}:80:0: {why}", f"virtual server {SITE}:53/udp:0: {why}"}
        )

    def test_what_has_left_the_file(self) -> None:
        """Is no alarm any more, nor is another machine of the same name."""
        world = World()
        world.fail("beta")
        self.assertEqual(world.state.carrying.failing, {"beta"})
        world.configure(attrs.evolve(WWW, servers=(WWW.servers[0], server("beta", 22))))
        self.assertEqual(world.carried.alarms(), [])
        world.configure(attrs.evolve(WWW, servers=WWW.servers[:1]))
        self.assertEqual((world.carried.alarms(), world.state.carrying.failing), ([], set()))

    def test_many(self) -> None:
        """The first are named, the others counted."""
        several = tuple(server(f"s{number:02}", 20 + number, threshold=1, retries=1) for number in range(12))
        world = World(sites=(attrs.evolve(WWW, servers=several, instances=()),))
        for each in several:
            world.fail(each.name)
        alarms = [alarm for alarm in world.carried.alarms() if "server s" in alarm or "more servers" in alarm]
        self.assertEqual(len(alarms), MOST_NAMED + 1)
        self.assertEqual(alarms[-1], "4 more servers: failed; 'appliance servers' lists them")

    def test_client_nat_pools(self) -> None:
        """Little left, then nothing, for how long, and how many were refused."""
        world = World()
        take = world.state.carrying.take_source
        for _ in range(7):
            take("snat", Transport.UDP)
        self.assertEqual(world.carried.alarms(), ["client NAT pool snat, udp: low; 7 pairs in use, 0 rest, 1 free"])
        take("snat", Transport.UDP)
        take("snat", Transport.UDP)
        world.clock.advance(90)
        take("snat", Transport.UDP)
        exhausted = "client NAT pool snat, udp: exhausted for 1m30s; 2 connections were refused so far"
        self.assertEqual(world.carried.alarms(), [exhausted])

    def test_client_nat_pools_of_nobody(self) -> None:
        """Addresses that the host has not; of a large pool the first ones are looked at."""
        world = World()
        sizes: list[int] = []

        def absent(addresses: Iterable[IPv4Address]) -> list[IPv4Address]:
            found = list(addresses)
            sizes.append(len(found))
            return found[1:]

        carried = Carried(world.state, lambda: lambda instant: instant, absent)
        self.assertEqual((carried.alarms(), sizes), ([], [1]))
        large = attrs.evolve(SNAT, first=IPv4Address("10.9.0.250"), last=IPv4Address("10.9.9.0"))
        world.state.configure({}, {}, zones(), client_nat={"snat": large})
        [alarm] = carried.alarms()
        pools = {f"snat {number}": attrs.evolve(large, name=f"snat {number}") for number in range(100)}
        sizes.clear()
        world.state.configure({}, {}, zones(), client_nat=pools)
        self.assertEqual((carried.alarms(), sizes), ([], [1] * 100), "of many pools one address each")
        self.assertIn("snat: 63 of its first 64 addresses are not on this host, 10.9.0.251 among them", alarm)


class LookingTests(SynchronousTestCase):
    def test_looking_changes_nothing(self) -> None:
        """Twice the same, and nothing for the journal."""
        world = World()
        world.connect(CLIENT)
        for what in LISTS:
            read = getattr(world.carried, what)
            self.assertEqual(read(limit=99), read(limit=99))
        self.assertEqual(world.journal.events, [])
