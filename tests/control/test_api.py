"""The API as bytes: lists of the balancing with their parts, orders, and errors with code, message and field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any, cast
from urllib.parse import quote

from twisted.internet.defer import succeed
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from appliance.control import Changing, Reading, api_factory
from appliance.control.delivered import MOST_NAMES
from appliance.control.reading import Carrier
from appliance.control.web import ORDERS
from appliance.model import Endpoint, Transport
from appliance.nat import Counters, Flow
from tests.control import network
from tests.control.world import MAIL, WWW, World

COUNT = 2500


class Carried:
    """A NAT, in the middle of its work."""

    counters = Counters(refused=2)

    def count(self) -> int:
        return COUNT

    def absent(self, addresses: Iterable[IPv4Address]) -> list[IPv4Address]:
        return []

    def connections(self, after: int, limit: int) -> list[Flow]:
        return [flow(number) for number in range(after + 1, min(COUNT, after + limit) + 1)]


def flow(number: int) -> Flow:
    here = Endpoint(IPv4Address("127.0.0.1"), number)
    return Flow(
        transport=Transport.TCP,
        client=here,
        address=IPv4Address("127.0.0.2"),
        port=80,
        site=WWW.name,
        server="alpha",
        from_client_bytes=1,
        from_server_bytes=2,
        age=3.0,
        state="open",
        number=number,
        buddy=0,
        bind_id=0,
        source=None,
        attempts=1,
    )


class LateReactor:
    """Vital signs, with something to look at."""

    def figures(self) -> dict[str, float | None]:
        return {"cpu": 0.5}

    def lag(self) -> dict[str, float | None]:
        return {"p50": 0.001, "p99": 0.3, "worst": 0.4}

    def troubles(self) -> list[str]:
        return ["the reactor is late"]


class HalfUsed:
    """A POP's capacity, with something to look at."""

    def row(self, *, coming: bool) -> dict[str, Any]:
        return {"hard": 500.0, "unused": 250.0, **({"coming": [{"unused": 240.0}]} if coming else {})}

    def troubles(self) -> list[str]:
        return ["past load is not on the disk"]


class Api:
    """What a client of the control socket has."""

    def __init__(self, world: World | network.World) -> None:
        reading = Reading(
            world.state,
            name="ams1",
            version="0",
            carrier=lambda: cast(Carrier, Carried()),
            asked=dict,
            find=None,
            wall=lambda: 1000.0,
            vitals=LateReactor(),
            unused=HalfUsed(),
        )
        changing = Changing(world.state, reload=lambda: succeed((True, "")), listen=lambda: (), snapshot=None)
        self._factory = api_factory(reading, changing, world.orders, world.clock)
        self._factory.startFactory()
        self.stop = self._factory.stopFactory

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """(status, JSON); None where there is no answer yet."""
        data = json.dumps(body).encode() if body is not None else b""
        protocol = self._factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        head = f"{method} /api/v1/{path} HTTP/1.0\r\ncontent-length: {len(data)}\r\n\r\n"
        protocol.dataReceived(head.encode() + data)
        answer = transport.value()
        if not answer:
            return 0, None
        lines, _, content = answer.partition(b"\r\n\r\n")
        return int(lines.split()[1]), json.loads(content)


class ApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.api = Api(self.world)
        self.addCleanup(self.api.stop)

    def get(self, path: str) -> Any:
        status, found = self.api.ask("GET", path)
        self.assertEqual(status, 200, found)
        return found

    def test_lists(self) -> None:
        for what, key in (("virtuals", "virtual"), ("servers", "server"), ("clients", "client"), ("nat-pools", "pool")):
            found = self.get(what)
            self.assertTrue(found["items"][0][key])
            self.assertIsNone(found["next"])

    def test_pops_and_deliveries(self) -> None:
        """Lists, also where there are none; the former says whose word counts."""
        found = self.get("pops")
        self.assertEqual((found["items"], found["next"], found["standing"]), ([], None, "agreed"))
        self.assertEqual(self.get("delivery"), {"items": [], "next": None})
        api = Api(network.World())
        self.addCleanup(api.stop)
        _, found = api.ask("GET", "pops")
        self.assertEqual([row["pop"] for row in found["items"]], ["ams", "fra", "nyc"])
        _, first = api.ask("GET", "delivery?limit=3")
        _, second = api.ask("GET", f"delivery?after={quote(first['next'])}")
        self.assertEqual([len(part["items"]) for part in (first, second)], [3, 1])
        self.assertEqual(api.ask("GET", f"delivery?limit={MOST_NAMES + 1}")[0], 400)
        _, found = api.ask("GET", "explain?name=img.example.test&client=198.51.100.7")
        self.assertEqual((found["from"], len(found["candidates"])), ("choice", 3))
        status, found = api.ask("POST", "out-of-service", {"name": "fra"})
        self.assertEqual((status, found["items"][0]["by"]), (200, "forced"))
        _, found = api.ask("GET", "status")
        self.assertEqual(found["pops"]["standing"], "agreed")
        self.assertEqual([row["subject"] for row in found["overrides"]], ["pop fra"])

    def test_connections(self) -> None:
        """In parts too, and their count costs none of them."""
        numbers, parts, after = [], 0, "0"
        while after is not None:
            found = self.get(f"connections?after={after}")
            numbers += [row["number"] for row in found["items"]]
            parts, after = parts + 1, found["next"]
        self.assertEqual((numbers, parts), (list(range(1, COUNT + 1)), 3))
        for wrong in ("x", "-1", "%C2%B2", "9" * 5000):
            for parameter in ("after", "limit"):
                self.assertEqual(self.api.ask("GET", f"connections?{parameter}={wrong}")[0], 400, wrong)
        self.patch(Carried, "connections", lambda *_: self.fail("nobody asked"))
        self.assertEqual(self.get("status")["connections"], COUNT)

    def test_parts(self) -> None:
        for what in ("virtuals", "servers", "clients"):
            whole, parts, after = self.get(what)["items"], [], ""
            while after is not None:
                found = self.get(f"{what}?limit=2&after={after.replace(' ', '+')}")
                parts += found["items"]
                after = found["next"]
            self.assertEqual(parts, whole)
        self.assertEqual(self.api.ask("GET", "virtuals?after=x")[0], 400)

    def test_by_name(self) -> None:
        self.assertEqual(len(self.get(f"virtuals?name={WWW.name}:80")["items"]), 1)
        self.assertEqual(len(self.get("servers?name=10.0.0.2")["items"]), 1)
        self.assertEqual(self.api.ask("GET", "servers?name=nobody")[0], 404)

    def test_status(self) -> None:
        """Counters of the NAT that are not 0, what persons changed, and failed servers as alarms."""
        self.world.fail("beta")
        self.world.order("real", real="alpha", weight=5)
        found = self.get("status")
        self.assertEqual(found["nat"], {"refused": 2})
        self.assertEqual([row["subject"] for row in found["overrides"]], ["server alpha"])
        self.assertEqual(found["alarms"][0], "the reactor is late")
        self.assertEqual(found["alarms"][1], "past load is not on the disk")
        self.assertIn("server beta: failed", found["alarms"][2])
        self.assertEqual(found["capacity"], {"hard": 500.0, "unused": 250.0})
        self.assertEqual((found["vitals"], found["lag"]["p99"]), ({"cpu": 0.5}, 0.3))

    def test_market(self) -> None:
        coming = [{"unused": 240.0}]
        self.assertEqual(self.get("market"), {"capacity": {"hard": 500.0, "unused": 250.0, "coming": coming}})

    def test_orders(self) -> None:
        """Each verb is one of the API."""
        for verb, request in (
            ("virtual", {"virtual": f"{WWW.name}:80:9", "state": "in-service"}),
            ("real", {"real": "alpha", "weight": 4}),
            ("bind", {"virtual": WWW.name, "real": "spare"}),
            ("unbind", {"virtual": WWW.name, "real": "spare"}),
            ("assign", {"virtual": f"{WWW.name}:80:1", "client": "203.0.113.7"}),
            ("unassign", {"virtual": f"{WWW.name}:80:1", "client": "203.0.113.7"}),
            ("backup", {"name": WWW.name, "backup": MAIL.name}),
            ("out-of-service", {"name": "beta"}),
            ("in-service", {"name": "beta"}),
            ("drain", {"name": "beta"}),
            ("revert", {"name": "beta"}),
        ):
            status, found = self.api.ask("POST", verb, request)
            self.assertEqual((status, bool(found.get("changed"))), (200, True), (verb, found))
        self.assertEqual(len(ORDERS), 11)
        self.assertEqual(self.world.server("alpha")["weight"], 4)

    def test_errors(self) -> None:
        """Status, code and field; an unknown virtual server in 'assign' stores nothing (5.10)."""
        for verb, request, status, code, field in (
            ("assign", {"virtual": f"{WWW.name}:80:9", "client": "203.0.113.7"}, 404, "not-found", "virtual"),
            ("real", {"real": "alpha", "weight": -1}, 400, "invalid", "weight"),
            ("drain", {}, 400, "invalid", "name"),
            ("drain", {"name": "alpha", "now": True}, 400, "unknown-field", "now"),
            ("virtual", {"virtual": "10.0.0.1", "state": "in-service"}, 404, "not-found", "virtual"),
        ):
            found_status, found = self.api.ask("POST", verb, request)
            error = found["error"]
            self.assertEqual((found_status, error["code"], error["field"]), (status, code, field), error)
            self.assertTrue(error["message"])
        self.assertEqual(self.api.ask("GET", "drain")[0], 405)
        self.assertEqual(self.world.journal.events, [])

    def test_a_name_that_is_several(self) -> None:
        world = World(sharing=True)
        address = world.lease(WWW.name)
        world.lease(MAIL.name)
        api = Api(world)
        self.addCleanup(api.stop)
        status, found = api.ask("POST", "virtual", {"virtual": address})
        self.assertEqual((status, found["error"]["code"]), (409, "ambiguous"))

    def test_the_answer_waits_for_the_disk(self) -> None:
        """Whoever has read it may pull the plug."""
        self.world.journal.slow = True
        self.assertEqual(self.api.ask("POST", "real", {"real": "alpha", "weight": 4}), (0, None))
        self.world.journal.write()
