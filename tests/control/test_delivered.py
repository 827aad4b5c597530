"""What people see of POPs, of customers' names and of the checks of servers, and what raises an alarm."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import ip_address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.delivered import MOST_NAMED, OVER_FOR
from appliance.model import AllDown, Load, Rule
from tests.control.network import NEWS, POPS, SHOP, UNIX, WEB_1, World, pop, without_capacity

DOWN = "connect refused"


class PopTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """In the order of the configuration, with what was measured, believed and promised, and the checks."""
        world = World()
        world.find(POPS["fra"].address, latency=0.02, load=Load(cpu=0.5, memory=0.25, connections=40.0, lag=0.001))
        world.run(6)
        world.gossip("nyc", ams=True, fra=True)
        world.clock.advance(0.5)
        rows = world.delivered.pops()
        self.assertEqual([row["pop"] for row in rows], ["ams", "fra", "nyc"])
        ams, fra, nyc = rows
        self.assertEqual((ams["own"], fra["own"], ams["latency"], ams["checks"]), (True, False, 0.0, []))
        self.assertEqual((ams["load"]["cpu"], ams["measured"], ams["by"]), (0.1, "up", "agreed"))
        self.assertEqual([fra[key] for key in ("state", "by", "measured", "latency")], ["up", "agreed", "up", 0.02])
        self.assertEqual((fra["load"]["connections"], fra["own_load"]["lag"]), (40.0, 0.001))
        self.assertEqual(
            [fra["ledger"][key] for key in ("others", "limit", "capacity", "load")], [3.0, 90.0, 100.0, 40.0]
        )
        self.assertEqual((fra["heard_at"], nyc["heard_at"]), (None, UNIX + world.clock.seconds() - 0.5))
        self.assertEqual((nyc["by"], nyc["load"], nyc["configured"]), ("own", None, {}))
        [check] = fra["checks"]
        self.assertEqual(
            [check[key] for key in ("probe", "type", "port", "condition", "ok", "result", "interval", "failures")],
            ["fra.load", "load", 8054, "up", True, "application ok", 5.0, 0],
        )
        self.assertLess(check["heard_at"], UNIX + world.clock.seconds())
        json.dumps(rows, allow_nan=False)

    def test_who_says_so(self) -> None:
        """The majority against our own checks; ours alone; what was kept, and then the configuration; a person."""
        world = World()
        world.find(POPS["fra"].address, ok=False)
        world.run(20)
        self.assertEqual([world.pop("fra")[key] for key in ("state", "by", "measured")], ["down", "own", "down"])
        self.assertIn(DOWN, world.pop("fra")["reason"])
        world.gossip("nyc", fra=True)
        self.assertEqual([world.pop("fra")[key] for key in ("state", "by")], ["down", "agreed"], "ours is casting")
        world.find(POPS["nyc"].address, ok=False)
        world.run(20)
        self.assertEqual(world.delivered.standing(), {"standing": "alone-kept", "believed": [], "doubted": ["ams"]})
        self.assertEqual([world.pop(each)["by"] for each in ("fra", "nyc")], ["kept", "kept"])
        world.run(70)
        self.assertEqual([world.pop("nyc")[key] for key in ("state", "by")], ["up", "configured"])
        world.order("out_of_service", name="nyc")
        self.assertEqual([world.pop("nyc")[key] for key in ("state", "by")], ["down", "forced"])

    def test_without_a_capacity_there_is_no_ledger(self) -> None:
        world = World(pops=without_capacity())
        self.assertIsNone(world.pop("fra")["ledger"])


class NameTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """By customer and name: kind, rule, and what would be answered; both families."""
        world = World()
        world.find(WEB_1.address, latency=0.05)
        world.run(6)
        rows = world.delivered.delivery(limit=99)
        self.assertEqual(
            [(row["customer"], row["name"], row["kind"]) for row in rows],
            [
                ("news", "img.example.test", "static"),
                ("news", "news.example.test", "both"),
                ("shop", "img.example.test", "static"),
                ("shop", "www.example.test", "page"),
            ],
        )
        page = world.name("www.example.test")
        self.assertEqual(page["rule"], "least latency of all; all down: last-good")
        self.assertEqual((page["a"], page["a_why"]), (["10.0.1.2"], "best"))
        self.assertEqual((page["aaaa"], page["aaaa_why"]), ([], "absent"))
        both = world.name("news.example.test", "news")
        weights = "latency 1, cpu 1, memory 0.2, connections 1, http 0.5"
        self.assertEqual(both["rule"], f"{weights}; within 10%; all down: all")
        static = world.name("img.example.test")
        self.assertIn("; strictly the best; ", static["rule"])
        self.assertEqual((static["a"], static["a_why"]), (["203.0.113.1"], "best"), "this POP is nearest to itself")
        json.dumps(rows, allow_nan=False)

    def test_whose_a_shared_name_is(self) -> None:
        world = World(None, SHOP, NEWS)
        self.assertEqual(world.name("img.example.test", "news")["a_why"], "as shop")

    def test_counts(self) -> None:
        """Questions and addresses of all the customer's names."""
        world = World()
        world.run(6)
        for _ in range(3):
            world.ask("img.example.test")
        world.ask("www.example.test")
        row = world.name("www.example.test")
        self.assertEqual([row[key] for key in ("questions", "answers", "over")], [4, 4, 0])

    def test_parts(self) -> None:
        """Each comes once, in order."""
        world = World()
        whole, parts, after = world.delivered.delivery(limit=99), [], ""
        while part := world.delivered.delivery(after=after, limit=1):
            parts += part
            after = f"{part[-1]['customer']} {part[-1]['name']}"
        self.assertEqual(
            [(row["customer"], row["name"]) for row in parts], [(row["customer"], row["name"]) for row in whole]
        )

    def test_looking_promises_nothing(self) -> None:
        """Neither to the ledgers nor to the book of those who ask."""
        world = World()
        world.run(6)
        before = [world.pop(name)["ledger"] for name in POPS]
        for _ in range(50):
            world.delivered.delivery(limit=99)
            world.explain("img.example.test", client="198.51.100.7")
        self.assertEqual([world.pop(name)["ledger"] for name in POPS], before)
        self.assertEqual(world.name("img.example.test")["questions"], 0)

    def test_over_capacity(self) -> None:
        """Where no ledger has room the best is named all the same, and is said to be; or the customer's backup."""
        backup = ip_address("192.0.2.9")
        for delivery, expected in ((SHOP, "203.0.113.1"), (attrs.evolve(SHOP, backup=(backup,)), str(backup))):
            world = World(None, delivery, pops={name: attrs.evolve(each, capacity=0.5) for name, each in POPS.items()})
            world.network.pops.own_load = Load
            world.run(6)
            row = world.name("img.example.test")
            self.assertEqual((row["a_why"], row["a"], row["over"]), ("over capacity", [expected], 0))
            self.assertEqual(world.ask("img.example.test")[0], {expected})
            self.assertEqual(world.name("img.example.test")["over"], 1)


class ServerTests(SynchronousTestCase):
    def test_what_checks_say(self) -> None:
        """Of those with probes; all the same fields for those without; those of deliveries are among them."""
        world = World()
        world.find("10.0.1.1", ok=False)
        world.run(12)
        bare, first, second = world.carried.servers(limit=99)
        self.assertEqual([row["server"] for row in (bare, first, second)], ["bare", "web-1", "web-2"])
        self.assertEqual([row["measured"] for row in (bare, first, second)], [None, "down", "up"])
        self.assertEqual(set(bare), set(first))
        self.assertEqual((first["state"], first["latency"], second["latency"]), ("failed", None, 0.01))
        self.assertIn("page of 10.0.1.1:80: connect refused", first["reason"])
        [check] = first["checks"]
        self.assertEqual((check["condition"], check["result"]), ("down", DOWN))
        json.dumps([bare, first, second], allow_nan=False)


class AlarmTests(SynchronousTestCase):
    def test_all_is_well(self) -> None:
        """Also where a person took a POP out of service, and what is measured of it is bad."""
        world = World()
        world.find(POPS["fra"].address, ok=False)
        world.order("out_of_service", name="fra")
        world.run(20)
        world.ask("img.example.test")
        self.assertEqual(world.delivered.alarms(), [])

    def test_without_pops(self) -> None:
        world = World(None, attrs.evolve(SHOP, static=()), pops={})
        self.assertEqual((world.delivered.alarms(), world.delivered.pops()), ([], []))

    def test_pops(self) -> None:
        """One that is down, and why; then this one, which is alone."""
        world = World()
        world.find(POPS["fra"].address, ok=False)
        world.run(20)
        [alarm] = world.delivered.alarms()
        self.assertEqual(alarm, "pop fra: down, own: fra.load of 203.0.113.2:8054: connect refused")
        world.find(POPS["nyc"].address, ok=False)
        world.run(20)
        alone = "this POP is alone: whoever is heard (ams) sees more than half of the others down"
        self.assertEqual(world.delivered.alarms()[0], f"{alone}; what was last agreed on counts")
        world.run(70)
        self.assertEqual(world.delivered.alarms(), [f"{alone}; all configured POPs are answered"])

    def test_many_pops(self) -> None:
        """The first are named, the others counted."""
        others = [pop(f"p{number:02}", 100 + number) for number in range(26)]
        world = World(pops={each.name: each for each in (POPS["ams"], *others)})
        for each in others[:12]:
            world.find(each.address, ok=False)
        world.run(20)
        alarms = world.delivered.alarms()
        self.assertEqual(len(alarms), MOST_NAMED + 1)
        self.assertEqual(alarms[-1], "4 more POPs: down; 'appliance pops' lists them")

    def test_deliveries(self) -> None:
        """All servers of a customer are down, and it is asked for; not any more when they are back."""
        world = World()
        world.run(6)
        world.ask("www.example.test")
        for address in ("10.0.1.1", "10.0.1.2"):
            world.find(address, ok=False)
        world.run(12)
        world.ask("www.example.test")
        [alarm] = world.delivered.alarms()
        self.assertEqual(alarm, "delivery shop: pages: all are down, and what was answered last is answered")
        self.assertEqual(world.name("www.example.test")["a_why"], "last-good")
        for address in ("10.0.1.1", "10.0.1.2"):
            world.find(address)
        world.run(12)
        world.ask("www.example.test")
        self.assertEqual(world.delivered.alarms(), [])

    def test_full_no_more(self) -> None:
        """Who looks hears what is, though nobody asks for the names and nobody went up or down."""
        world = World(None, SHOP)
        for load, alarms in (
            (Load(cpu=0.99), ["delivery shop: static: all that are up are as good as full"]),
            (Load(), []),
        ):
            world.network.pops.own_load = partial(attrs.evolve, load)
            for name in ("fra", "nyc"):
                world.find(POPS[name].address, load=load)
            world.run(12)
            if alarms:
                world.ask("img.example.test")
            self.assertEqual(world.delivered.alarms(), alarms)

    def test_over_capacity(self) -> None:
        """For a minute after the last such answer."""
        world = World(None, SHOP, pops={name: attrs.evolve(each, capacity=0.5) for name, each in POPS.items()})
        world.run(6)
        world.ask("img.example.test")
        world.clock.advance(OVER_FOR - 1)
        [alarm] = world.delivered.alarms()
        self.assertEqual(alarm, "delivery shop: static: answered over capacity 59.0s ago, 1 times so far")
        world.clock.advance(2)
        self.assertEqual(world.delivered.alarms(), [])

    def test_an_empty_answer_is_an_alarm(self) -> None:
        world = World(None, attrs.evolve(SHOP, rule=Rule(all_down=AllDown.EMPTY)))
        for address in ("10.0.1.1", "10.0.1.2"):
            world.find(address, ok=False)
        world.run(12)
        self.assertEqual(world.ask("www.example.test"), (set(), 0))
        [alarm] = world.delivered.alarms()
        self.assertEqual(alarm, "delivery shop: pages: all are down, and nothing is answered")
