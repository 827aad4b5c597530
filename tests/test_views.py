"""Rows and answers as people see them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Endpoint, Load, Pair, Transport
from appliance.nat.traffic import Flow
from appliance.views import as_table, flow_row, for_people, market_text, order_text, pops_text, status_text
from appliance.views.texts import explanation_text, vitals_text
from tests.control import network
from tests.control.world import CLIENT, UNIX, WWW, World

FLOW = Flow(
    transport=Transport.TCP,
    client=Endpoint(IPv4Address("198.51.100.7"), 4711),
    address=IPv4Address("203.0.113.9"),
    port=80,
    site="www.example.test",
    server="alpha",
    from_client_bytes=1,
    from_server_bytes=2,
    age=63.04,
    state="open",
    number=12,
    buddy=7,
    bind_id=1,
    source=Pair(IPv4Address("10.9.0.1"), 1024),
    attempts=2,
)


class PeopleTests(SynchronousTestCase):
    def shown(self, what: str, rows: list[dict[str, Any]]) -> list[list[object]]:
        return [list(row.values()) for row in for_people(what, rows, UNIX)]

    def test_connections(self) -> None:
        """With number, instance, source, attempts and buddy; a dash where there is none."""
        waiting = attrs.evolve(FLOW, number=13, buddy=0, source=None, server="", state="waiting", attempts=0, bind_id=0)
        rows = [flow_row(flow) for flow in (FLOW, waiting)]
        client, site = "198.51.100.7:4711", "www.example.test"
        self.assertEqual(
            self.shown("connections", rows),
            [
                [12, "tcp", client, "203.0.113.9", 80, site, 1, "alpha", "10.9.0.1:1024", 2, 7, "open", "1m03s"],
                [13, "tcp", client, "203.0.113.9", 80, site, 0, "-", "-", 0, "-", "waiting", "1m03s"],
            ],
        )

    def test_virtuals(self) -> None:
        """What a person changed has what the file says beside it."""
        world = World()
        name = f"{WWW.name}:80:0"
        first = [name, "-", "in-service", "least-connections", "alpha beta", "-", 0, "0/3", 0]
        self.assertEqual(self.shown("virtuals", [world.virtual(name)]), [first])
        world.order("bind", virtual=name, real="spare")
        world.order("unbind", virtual=name, real="alpha")
        world.order("backup", name=name, backup="mail.example.test")
        world.order("out_of_service", name=WWW.name)
        [row] = self.shown("virtuals", [world.virtual(name)])
        state, servers = "out-of-service (file: in-service)", "beta spare (file: beta alpha)"
        backup = "mail.example.test (file: none)"
        self.assertEqual(row, [name, "-", state, "least-connections", servers, backup, 0, "0/3", 0])
        world.order("in_service", name=name)
        [row] = self.shown("virtuals", [world.virtual(name)])
        self.assertEqual(row[2], "in-service", "what was ordered for one port is what the file says, too")
        [row] = self.shown("virtuals", [world.virtual(f"{WWW.name}:80:2")])
        self.assertEqual(row[1:6], ["unwelcome", "in-service", "least-connections", "(close)", "-"])

    def test_servers(self) -> None:
        """Connections of the most, ditched of the threshold, and when a failed one is tested and why it failed."""
        world = World()
        world.connect()
        self.assertEqual(
            self.shown("servers", [world.server("alpha"), world.server("beta")]),
            [
                ["alpha", "10.0.0.1:80", "in-service", 1, "-", 1, 0, 2, "0/8", 1, "-", "0.9ms", "-", "-", *["-"] * 4],
                ["beta", "10.0.0.2", "in-service", 1, "-", 0, 0, "-", "0/1", 0, "-", "-", "-", "-", *["-"] * 4],
            ],
        )
        world.order("real", real="alpha", weight=5, threshold=3, max_connections=0)
        world.order("drain", name="alpha")
        world.fail("beta")
        [alpha, beta] = self.shown("servers", [world.server("alpha"), world.server("beta")])
        self.assertEqual(alpha[2], "draining (file: in-service)")
        self.assertEqual([alpha[column] for column in (3, 7, 8)], ["5 (file: 1)", "- (file: 2)", "0/3 (file: 8)"])
        self.assertEqual(
            [beta[column] for column in (2, 8, 12, 13)], ["failed", "1/1", "1m00s", "port 80: No route to host"]
        )
        world.state.carrying.probed("beta", False, "web of 10.0.0.2:80: connect refused")
        [beta] = self.shown("servers", [world.server("beta")])
        failure = "web of 10.0.0.2:80: connect refused; port 80: No route to host"
        self.assertEqual([beta[column] for column in (2, 8, 12, 13)], ["failed", "1/1", "-", failure])

    def test_what_a_server_does_beside_what_is_ordered(self) -> None:
        """Who drains a failed one sees that it is."""
        world = World()
        world.fail("beta")
        world.order("drain", name="beta")
        [row] = self.shown("servers", [world.server("beta")])
        self.assertEqual(row[2], "draining (file: in-service), failed")

    def test_what_is_special_about_a_server(self) -> None:
        """It grows back into its weight, has left the file, or never was in it."""
        world = World()
        world.order("real", real="10.0.0.77", state="in-service", weight=7)
        made = world.server("10.0.0.77")
        [row] = self.shown("servers", [made])
        self.assertEqual(row[:4], ["10.0.0.77", "10.0.0.77", "in-service (not in the file)", "7 (file: 1)"])
        [row] = self.shown("servers", [{**world.server("alpha"), "share": 0.3, "leaving": True}])
        self.assertEqual((row[2], row[4]), ("in-service, leaving", "30%"))

    def test_clients(self) -> None:
        world = World()
        world.order("unassign", virtual=f"{WWW.name}:80:1", client="198.51.100.0/24")
        rows = self.shown("clients", world.carried.clients(limit=9))
        name = f"{WWW.name}:80:1"
        self.assertIn(["198.51.100.0/24", name, "by hand", "unassigned (file: assigned)", "never"], rows)
        held = {**world.carried.clients(limit=1)[0], "by": "behaviour", "ends_at": UNIX + 30}
        self.assertEqual(self.shown("clients", [held])[0][2:], ["behaviour", "in-use", "30.0s"])

    def test_nat_pools(self) -> None:
        world = World()
        world.clock.advance(61)
        world.state.carrying.take_source("snat", Transport.TCP)
        [tcp, _] = for_people("nat-pools", world.carried.nat_pools(), UNIX + 61)
        self.assertEqual(list(tcp.values()), ["snat", "tcp", "ok", "1m01s", 1, 7, 0, 0, 8, 64512, 1, 2, 0])

    def test_all_lists_are_tables(self) -> None:
        world = World()
        for what in ("virtuals", "servers", "clients"):
            rows = getattr(world.carried, what)(limit=99)
            lines = as_table(for_people(what, rows, UNIX)).splitlines()
            self.assertEqual(len(lines), len(rows) + 1)


class TextTests(SynchronousTestCase):
    def said(self, world: World, verb: str, **request: Any) -> list[str]:
        return order_text(world.order(verb, **request), UNIX).splitlines()

    def test_orders(self) -> None:
        """What was ordered and what the file says; without an order the thing itself."""
        world = World()
        site = WWW.name
        self.assertEqual(
            self.said(world, "real", real="alpha", weight=5, threshold=8),
            ["alpha: weight 5 (file: 1)", "alpha: threshold 8, as in the file"],
        )
        self.assertEqual(
            self.said(world, "assign", virtual=f"{site}:80:1", client="203.0.113.7"),
            [f"{site}:80:1: client 203.0.113.7/32 assigned (file: unassigned)"],
        )
        self.assertEqual(
            self.said(world, "virtual", virtual=f"{site}:80:7", state="in-service"),
            [f"{site}:80:7: made, not in the file"],
        )
        self.assertEqual(
            self.said(world, "revert", name=f"{site}:80:7"), [f"{site}:80:7: removed, for it is not in the file"]
        )
        world.connect(CLIENT + 1)
        self.assertEqual(self.said(world, "drain", name="alpha")[1], "alpha: 1 connection left")
        self.assertEqual(self.said(world, "drain", name="beta")[1], "beta: empty")
        self.assertEqual(len(self.said(world, "real", real="alpha")), 2)

    def test_status(self) -> None:
        """A line for each thing that a person changed, and the NAT's counters."""
        world = World()
        world.order("real", real="alpha", weight=5)
        status = {
            **dict.fromkeys(("name", "version", "journal"), "-"),
            **dict.fromkeys(("pid", "uptime", "sites", "connections", "now"), 0),
            **{key: {} for key in ("dns", "grants", "events", "vitals", "lag")},
            **{key: [] for key in ("alarms", "secondaries")},
            "addresses": dict.fromkeys(("addresses", "leased", "free", "cooling", "declined"), 0),
            "nat": {"refused": 2, "turned_away": 1},
            "overrides": world.carried.overrides(limit=9),
            "overrides_count": 1,
            "capacity": None,
        }
        lines = status_text(status).splitlines()
        self.assertIn("by hand: server alpha: weight 5 (file: 1)", lines)
        self.assertIn("nat: refused 2, turned_away 1", lines)
        self.assertIn("0 connections; journal -", lines)
        self.assertIn("1 connection; journal -", status_text({**status, "connections": 1}).splitlines())
        many = {**status, "overrides": world.carried.overrides(limit=9) * 30, "overrides_count": 70}
        lines = [line for line in status_text(many).splitlines() if line.startswith("by hand")]
        self.assertEqual((len(lines), lines[-1]), (21, "by hand: 50 more"))

    def test_market(self) -> None:
        """What is unused now and why, and a line for each hour; what is stated or not known is said."""
        self.assertEqual(
            market_text({"capacity": None}),
            "no capacity is configured (market.capacity), so there is nothing to sell",
        )
        hour = {"from": 1_790_003_600.0 // 3600 * 3600, "expected": 12.34, "unused": 387.66, "days": 3}
        row = {
            "unit": "connections",
            "servers": ["one", "two"],
            "hard": 500.0,
            "reserve": 0.2,
            "stated": 0.0,
            "forecast": 0.95,
            "load": 37.0,
            "unused": 363.0,
            "slot": 900.0,
            "coming": [{**hour, "until": hour["from"] + 3600.0}],
        }
        first, where, why, *table = market_text({"capacity": row}).splitlines()
        self.assertEqual(first, "37 of 500 connections used, 363 unused")
        self.assertEqual(where, "the load is counted at one two, in slots of 15 minutes")
        self.assertIn("20% of 500 are kept back", why)
        self.assertIn("EXPECTED covers 95% of past DAYS", why)
        self.assertEqual(
            [line.split() for line in table],
            [
                ["FROM", "(UTC)", "UNTIL", "DAYS", "EXPECTED", "UNUSED"],
                ["2026-09-21", "15:00", "16:00", "3", "12.3", "387.7"],
            ],
        )
        stated = market_text({"capacity": {**row, "servers": [], "stated": 120.0, "load": None, "unused": 120.0}})
        first, where, why, *_ = stated.splitlines()
        self.assertEqual(first, "an unknown part of 500 connections used, 120 unused (stated)")
        self.assertIn("counted at all servers", where)
        self.assertEqual(why, "120 are always unused, as the operator states")

    def test_vitals(self) -> None:
        """One line; what is not known yet is a dash."""
        figures = {"cpu": 0.12, "machine_cpu": 0.12, "process_cpu": 0.093, "memory": 0.34, "resident_bytes": 81_400_000}
        files = {"open_files": 120, "most_files": 65536, "egress": 3_120_000.0}
        self.assertEqual(
            vitals_text({**figures, **files}, {"p50": 0.0001, "p99": 0.00123, "worst": 0.02}),
            "cpu 12% (9% of one by this process), memory 34%, 81 MB resident; lag p99 1.2ms; 120 of 65536 files; "
            "3.1 MB/s out",
        )
        self.assertEqual(
            vitals_text(dict.fromkeys((*figures, *files)), dict.fromkeys(("p50", "p99", "worst"))),
            "cpu -% (-% of one by this process), memory -%, - MB resident; lag p99 -ms; - of any number of files; "
            "- MB/s out",
        )


class NetworkTests(SynchronousTestCase):
    def shown(self, what: str, rows: list[dict[str, Any]], now: float) -> list[dict[str, object]]:
        return for_people(what, rows, now)

    def test_pops(self) -> None:
        """This one is marked; times in ms, shares in percent, connections of how many; who says that it is up."""
        world = network.World(None, network.SHOP)
        fra = network.POPS["fra"].address
        world.find(fra, latency=0.02, load=Load(cpu=0.5, memory=0.25, connections=40.0, lag=0.0012))
        world.find(network.POPS["nyc"].address, ok=False)
        world.run(20)
        world.gossip("fra", ams=True, nyc=False)
        world.order("out_of_service", name="fra")
        now = network.UNIX + world.clock.seconds()
        ams, fra_row, nyc = self.shown("pops", world.delivered.pops(), now)
        self.assertEqual((ams["pop"], ams["state"], ams["checks"]), ("ams (own)", "up", "-"))
        shown = dict(fra_row)
        self.assertRegex(str(shown.pop("checks")), r"^load ok \d\.\ds ago$")
        self.assertEqual(
            list(shown.values()),
            [
                *("fra", "203.0.113.2", "down (file: in-service)", "forced", "up", "20.0ms", "-", "-"),
                *("50%", "25%", "40/100", "1.2ms", "0", "0", "90", "1.00", "0.0s ago"),
            ],
        )
        self.assertEqual([nyc[key] for key in ("state", "by", "measured")], ["down", "agreed", "down"])
        self.assertEqual([nyc[key] for key in ("latency", "cpu", "connections")], ["-", "-", "-/100"])
        self.assertRegex(str(nyc["checks"]), r"^load connect refused \d\.\ds ago$")
        text = pops_text({"items": world.delivered.pops(), **world.delivered.standing()}, now)
        self.assertEqual(text.splitlines()[0], "agreed; believed: ams fra; doubted: nobody")
        alone = pops_text({"items": [], "standing": "alone-all", "believed": [], "doubted": ["ams"]}, now)
        self.assertEqual(alone, "ALONE: all configured POPs are answered; believed: nobody; doubted: ams\n(none)")

    def test_deliveries(self) -> None:
        """A dash where a family has nobody."""
        world = network.World(None, network.SHOP)
        world.run(6)
        [img, www] = self.shown("delivery", world.delivered.delivery(limit=9), 0)
        self.assertEqual(
            [img[key] for key in ("customer", "name", "kind", "a", "a_why")],
            [
                "shop",
                "img.example.test",
                "static",
                "203.0.113.1",
                "best",
            ],
        )
        self.assertEqual([www[key] for key in ("kind", "aaaa", "aaaa_why")], ["page", "-", "absent"])

    def test_servers(self) -> None:
        """What checks say, what the server says of its load, and what each check has found last."""
        world = network.World()
        world.find("10.0.1.1", latency=0.0123, load=Load(cpu=0.12, memory=0.34, connections=57.0, lag=0.0012))
        world.run(6)
        rows = self.shown("servers", world.carried.servers(limit=9), network.UNIX + world.clock.seconds())
        bare, first = rows[:2]
        self.assertEqual([bare[key] for key in ("measured", "latency", "load", "checks")], ["-"] * 4)
        self.assertEqual([first[key] for key in ("measured", "latency")], ["up", "12.3ms"])
        self.assertEqual(first["load"], "cpu 12%, memory 34%, 57 connections, lag 1.2ms")
        self.assertRegex(str(first["checks"]), r"^page ok \d\.\ds ago$")

    def test_before_anything_is_found(self) -> None:
        world = network.World()
        [_, fra, _] = self.shown("pops", world.delivered.pops(), network.UNIX)
        self.assertEqual([fra[key] for key in ("measured", "latency", "checks")], ["unknown", "-", "load not yet"])


class ExplanationTests(SynchronousTestCase):
    def test_a_name_that_left(self) -> None:
        """Its zone is asked before its customer is."""
        found = {"name": "a.test", "type": "A", "from": "choice", "owner": "a.test", "family": 4, "customer": None}
        self.assertEqual(
            explanation_text(found), "a.test A\n  a.test was a customer's name this moment, and is one no more"
        )
