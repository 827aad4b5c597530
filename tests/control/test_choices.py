"""Why a customer's name is answered as it is, as programs and people are told."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Load
from appliance.naming.completing import EXHAUSTED_TTL
from appliance.shared.room import AHEAD
from appliance.views import explanation_text
from tests.control.network import ASKER, NEWS, POPS, SHOP, SITE, WEB_1, World

IMG, PAGE = "img.example.test", "www.example.test"


def candidate(found: dict[str, Any], name: str) -> dict[str, Any]:
    [row] = [row for row in found["candidates"] if row["candidate"] == name]
    return row  # type: ignore[no-any-return]


class StaticTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(None, SHOP)
        self.world.find(POPS["fra"].address, latency=0.1, load=Load(cpu=0.5, connections=40.0))
        self.world.run(6)

    def test_numbers(self) -> None:
        """The candidates with their standing and ledger, and the terms whose products are the cost."""
        found = self.world.explain(IMG, client="198.51.100.77")
        said = {key: found[key] for key in ("from", "customer", "kind", "answer", "why", "client", "family")}
        expected = {"from": "choice", "customer": "shop", "kind": "static", "answer": ["203.0.113.1"], "why": "best"}
        self.assertEqual(said, {**expected, "client": "198.51.100.0/24", "family": 4})
        self.assertEqual([row["candidate"] for row in found["candidates"]], ["ams", "fra", "nyc"])
        ams, fra = candidate(found, "ams"), candidate(found, "fra")
        self.assertEqual([ams[key] for key in ("answered", "place", "within", "member")], [True, 0, True, True])
        self.assertEqual([fra[key] for key in ("answered", "within", "member")], [False, False, False])
        self.assertEqual((ams["verdict"], fra["ledger"]["load"]), ("admitted", 40.0))
        self.assertEqual((ams["hash_rank"], fra["hash_rank"], fra["takes"]), (0, None, None))
        terms = {row["term"]: row for row in found["terms"] if row["candidate"] == "fra"}
        self.assertEqual(
            [terms["latency"][key] for key in ("value", "reference", "scaled", "weight", "product")],
            [0.1, 0.05, 2.0, 2.0, 4.0],
        )
        self.assertEqual((terms["cpu"]["value"], terms["cpu"]["reference"]), (0.5, None))
        products = sum(row["product"] for name, row in terms.items() if name != "sum")
        self.assertAlmostEqual(products, terms["sum"]["product"], 5)
        self.assertEqual(terms["sum"]["product"], fra["cost"])
        self.assertEqual([check["probe"] for check in fra["checks"]], ["fra.load"])
        json.dumps(found, allow_nan=False)

    def test_it_is_what_is_answered(self) -> None:
        """To the same client, whoever it is."""
        for number in range(20):
            client = f"198.51.{number}.7"
            found = self.world.explain(IMG, client=client)
            asker = attrs.evolve(ASKER, source=IPv4Address(client))
            self.assertEqual(self.world.ask(IMG, asker=asker)[0], set(found["answer"]))

    def test_lines(self) -> None:
        """Who, how long, why and by which rule first; then candidates, terms, ledgers and checks."""
        lines = explanation_text(self.world.explain(IMG, client="198.51.100.77")).splitlines()
        self.assertEqual(
            lines[:5],
            [
                f"{IMG} A",
                f"  shop's static content, as {IMG}, among IPv4 addresses",
                f"  best: 203.0.113.1 TTL {self.world.explain(IMG)['ttl']}",
                "  why: the best",
                "  rule: latency 2, cpu 1, memory 0.2, connections 1, http 0.5; strictly the best; all down: last-good",
            ],
        )
        self.assertIn("  spread by the network 198.51.100.0/24, who may bring 1 connections", lines)
        nobody = "spread by the network 0.0.0.0/24, of nobody in particular (--client ADDRESS: who asks)"
        self.assertIn(
            f"  {nobody}, who may bring 1 connections", explanation_text(self.world.explain(IMG)).splitlines()
        )
        heads = [line.split() for line in lines if line.startswith(("  CANDIDATE", "  LEDGER"))]
        self.assertEqual(
            [head[:2] for head in heads], [["CANDIDATE", "ADDRESS"], ["CANDIDATE", "TERM"], ["LEDGER", "VERDICT"]]
        )
        [latency] = [line.split() for line in lines if line.split()[:2] == ["fra", "latency"]]
        self.assertEqual(latency, ["fra", "latency", "100.0ms", "50.0ms", "2.000", "2", "4.000"])
        [cpu] = [line.split() for line in lines if line.split()[:2] == ["nyc", "cpu"]]
        self.assertEqual(cpu[2:5], ["30%", "(median)", "u/(1-u)"])
        self.assertIn("  ams: no checks", lines)
        self.assertRegex(lines[-2], r"^  fra: load ok \d\.\ds ago$")

    def test_a_person_and_a_break(self) -> None:
        """What is forced stands beside what is measured; what is down says why."""
        self.world.order("out_of_service", name="ams")
        self.world.find(POPS["nyc"].address, ok=False)
        self.world.run(20)
        found = self.world.explain(IMG)
        ams, nyc = candidate(found, "ams"), candidate(found, "nyc")
        self.assertEqual((ams["forced"], ams["measured"], ams["standing"], ams["until"]), ("down", "up", "down", None))
        self.assertEqual((nyc["forced"], nyc["measured"], nyc["standing"]), (None, "down", "down"))
        self.assertIn("connect refused", nyc["reason"])
        self.assertEqual(found["answer"], ["203.0.113.2"])
        text = explanation_text(found)
        self.assertRegex(text, r"ams +203.0.113.1 +down \(by hand\) +up")

    def test_over_capacity(self) -> None:
        """No ledger has room, and each says why."""
        world = World(None, SHOP, pops={name: attrs.evolve(each, capacity=0.5) for name, each in POPS.items()})
        world.network.pops.own_load = Load
        world.run(6)
        found = world.explain(IMG)
        self.assertEqual((found["why"], found["answer"]), ("over capacity", ["203.0.113.1"]))
        self.assertEqual({row["verdict"] for row in found["candidates"]}, {"full"})
        self.assertIn("  why: no ledger has room for this asker", explanation_text(found).splitlines())

    def test_a_heavy_asker(self) -> None:
        """Who brings much of what a POP can take is answered for a shorter time, and that is said."""
        pops = {name: attrs.evolve(each, capacity=3.0, peers=None) for name, each in POPS.items()}
        world = World(None, attrs.evolve(SHOP, ttl=20.0), pops=pops)
        world.network.pops.own_load = Load
        world.run(6)
        found = world.explain(IMG, client=str(ASKER.source))
        self.assertEqual(
            [found[key] for key in ("weight", "ttl", "customer_ttl", "health_until")], [1.0, 15, 20.0, None]
        )
        self.assertTrue(found["ttl_why"].startswith("shorter than others get it"), found["ttl_why"])
        self.assertLessEqual(world.ask(IMG)[1], 15)


class PageTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """Latency by the rule, and whether the balancing would take connections for it."""
        world = World()
        world.find(WEB_1.address, latency=0.1)
        world.run(6)
        found = world.explain(PAGE)
        self.assertEqual((found["kind"], found["answer"], found["client"]), ("page", ["10.0.1.2"], None))
        self.assertEqual([row["ledger"] for row in found["candidates"]], [None, None])
        first = candidate(found, "web-1")
        self.assertEqual([first[key] for key in ("place", "takes", "connections", "verdict")], [1, True, 0, None])
        world.order("drain", name="web-1")
        world.clock.advance(2)
        found = world.explain(PAGE)
        self.assertFalse(candidate(found, "web-1")["takes"])
        self.assertRegex(explanation_text(found), r"web-1 +10.0.1.1 +down \(takes none\) +up")
        json.dumps(found, allow_nan=False)

    def test_why_the_ttl(self) -> None:
        """The customer's, or less: until somebody's state could change."""
        world = World(None, attrs.evolve(SHOP, ttl=1.0), attrs.evolve(NEWS, static=("news.example.test",)))
        world.run(6)
        world.clock.advance(1)
        self.assertEqual([world.explain(IMG)[key] for key in ("ttl", "ttl_why")], [1, "the customer's"])
        found = world.explain("news.example.test")
        left = found["health_until"] - found["now"]
        self.assertTrue(0 < left < 60, left)
        self.assertEqual(found["ttl"], max(1, int(left)))
        words = "the least there is" if left < 1 else "until the earliest instant"
        self.assertTrue(found["ttl_why"].startswith(words), found["ttl_why"])

    def test_the_ttl_is_that_of_the_answer(self) -> None:
        """One that is the same for all is given again for a second; no data is kept for 5 s in any case."""
        world = World()
        world.find(WEB_1.address, latency=0.1)
        world.run(6)
        while (found := world.explain(PAGE))["health_until"] - found["now"] < 2.5:
            world.run(0.1)
        left = found["health_until"] - found["now"]
        self.assertEqual(found["ttl"], int(left - AHEAD))
        self.assertTrue(found["ttl_why"].startswith("until 1.0s before the earliest instant"), found["ttl_why"])
        found = world.explain(PAGE, "AAAA")
        self.assertEqual((found["answer"], found["ttl"]), ([], EXHAUSTED_TTL))
        self.assertTrue(found["ttl_why"].startswith("that of no data"), found["ttl_why"])

    def test_no_address_of_a_family(self) -> None:
        found = World().explain(PAGE, "AAAA")
        self.assertEqual((found["why"], found["answer"], found["candidates"], found["terms"]), ("absent", [], [], []))
        self.assertEqual(explanation_text(found).splitlines()[-1], "  nobody has an IPv6 address")


class LeaseTests(SynchronousTestCase):
    def test_what_checks_say_of_its_servers(self) -> None:
        """Of those with probes."""
        world = World()
        world.find("10.0.1.2", ok=False)
        world.run(12)
        found = world.explain(SITE.name)
        [row] = found["probed"]
        self.assertEqual((row["server"], row["measured"]), ("web-2", "down"))
        self.assertRegex(
            explanation_text(found).splitlines()[-1], r"^  server web-2: down by its checks: page connect refused "
        )
