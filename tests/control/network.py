"""A SharedState of one of three POPs with two customers, at whose POPs, names and choices a person looks."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import attrs
import dns.rdatatype
import dns.zone
from twisted.internet.task import Clock

from appliance.control.carried import Carried
from appliance.control.delivered import Delivered
from appliance.control.explaining import explain
from appliance.control.orders import Orders
from appliance.errors import RequestError
from appliance.events import Event, Recovered
from appliance.model import (
    AllDown,
    Asker,
    Cause,
    Delivery,
    Endpoint,
    Layer,
    Load,
    OriginBy,
    Pop,
    PopWeights,
    Probe,
    ProbeType,
    Proof,
    Result,
    Row,
    Rows,
    Rule,
    Server,
    Service,
    Site,
    Url,
)
from appliance.naming import Answer, Question, Zones, from_text
from appliance.shared import NetworkConfig, SharedState, delivered_names, site_names
from tests import fakes
from tests.test_shared import ZONE

UNIX = 1000.0
"""What is added to the process's clock to get Unix time."""
ASKER = Asker(IPv4Address("198.51.100.7"), Proof.NONE)

PAGE = Probe(name="page", type=ProbeType.HTTP, rise=1, fall=1, interval=5.0)
WEB_1, WEB_2 = (
    Server(name=f"web-{number}", address=IPv4Address("10.0.1.0") + number, port=80, probes=(PAGE,)) for number in (1, 2)
)
BARE = Server(name="bare", address=IPv4Address("10.0.1.9"), port=80)
SHOP = Delivery(
    name="shop",
    pages=("www.example.test",),
    static=("img.example.test",),
    origins=(WEB_1, WEB_2),
    rule=Rule(origins=OriginBy.LATENCY, all_down=AllDown.LAST_GOOD, pops=PopWeights(latency=2.0), tolerance=0.0),
)
NEWS = Delivery(
    name="news",
    pages=("news.example.test",),
    static=("img.example.test", "news.example.test"),
    origins=(WEB_1,),
    rule=Rule(pops=PopWeights(latency=1.0)),
    ttl=60.0,
)
SITE = Site(
    name="site.example.test",
    pool="public",
    services=(Service(first_port=80, last_port=80, to=80),),
    servers=(WEB_2, BARE),
)


def pop(name: str, number: int, **more: Any) -> Pop:
    address = IPv4Address("203.0.113.0") + number
    peers = Url(endpoint=Endpoint(address, 8054), host=f"{address}:8054")
    return Pop(name=name, address=address, peers=peers, capacity=100.0, interval=5.0, **more)


POPS = {each.name: each for each in (pop("ams", 1), pop("fra", 2), pop("nyc", 3))}


class World:
    """
    The POP ``ams``; all checks pass until :meth:`find` says otherwise.

    :param recovered: of a process before.
    """

    def __init__(
        self, recovered: Recovered | None = None, *deliveries: Delivery, pops: Mapping[str, Pop] = POPS
    ) -> None:
        self.clock = Clock()
        self.journal = fakes.FakeJournal()
        path = fakes.FakeDataPath()
        self.state = SharedState(
            seconds=self.clock.seconds, journal=self.journal, data_path=lambda state: path, name="ams", epoch=1
        )
        self.network = self.state.network
        self.network.pops.own_load = lambda: Load(cpu=0.1, memory=0.2, connections=10.0)
        self.heard: list[Event] = []
        self.state.subscribe(self.heard.append)
        self.found: dict[str, Result] = {}
        self.versions = 0
        self.deliveries = {each.name: each for each in deliveries or (SHOP, NEWS)}
        self.configure(pops, recovered)
        self.state.carrying.restore()
        self.network.forcing.restore()
        unix = lambda: lambda instant: instant + UNIX  # noqa: E731
        self.carried = Carried(self.state, unix)
        self.delivered = Delivered(self.state, unix)
        self.orders = Orders(self.state, self.carried, self.delivered)

    def configure(self, pops: Mapping[str, Pop] = POPS, recovered: Recovered | None = None) -> None:
        pool, sites = fakes.pool(2), {SITE.name: SITE}
        source = dns.zone.from_text(ZONE, origin="example.test", relativize=False)
        laid = Zones([source], site_names(sites, {"public": pool}), delivered_names(self.deliveries.values()))
        servers = {each.name: each for each in (WEB_1, WEB_2, BARE)}
        network = NetworkConfig(servers=servers, pops=pops, delivery=self.deliveries)
        self.state.configure({"public": pool}, sites, laid, recovered or Recovered(), network=network)

    # -- what is found ---------------------------------------------------------------------------------------------

    def find(self, address: object, *, ok: bool = True, latency: float = 0.01, load: Load | None = None) -> None:
        """What the checks of an address find from now on."""
        if ok:
            result = Result(layer=Layer.APPLICATION, cause=Cause.OK, latency=latency, connect=latency, load=load)
        else:
            result = Result(layer=Layer.CONNECT, cause=Cause.REFUSED)
        self.found[str(address)] = result

    def run(self, seconds: float) -> None:
        """In steps of a tenth of a second; each check is heard of at once."""
        well = Result(layer=Layer.APPLICATION, cause=Cause.OK, latency=0.01, connect=0.01)
        for _ in range(round(seconds * 10)):
            for check in self.network.checking.due():
                self.network.checking.heard(check, self.found.get(str(check.address), well))
            self.clock.advance(0.1)

    def gossip(self, observer: str, **up: bool) -> None:
        """Rows of another POP come."""
        self.versions += 1
        rows = tuple(Row(pop=name, up=state, latency=0.05, promised=3.0) for name, state in up.items())
        self.network.pops.observe(Rows(observer=observer, epoch=1, version=self.versions, rows=rows))

    # -- looking, asking and ordering ------------------------------------------------------------------------------

    def pop(self, name: str) -> dict[str, Any]:
        [row] = self.delivered.pops(name=name)
        return row

    def name(self, name: str, customer: str = "shop") -> dict[str, Any]:
        rows = self.delivered.delivery(limit=99)
        [row] = [row for row in rows if (row["customer"], row["name"]) == (customer, name)]
        return row

    def ask(self, name: str, rdtype: str = "A", asker: Asker | None = ASKER) -> tuple[set[str], int]:
        """Addresses and TTL."""
        answer = self.state.answer(Question(from_text(name), dns.rdatatype.from_text(rdtype)), asker)
        assert isinstance(answer, Answer)
        if not answer.answer:
            return set(), 0
        return {str(each) for each in answer.answer[-1].rdatas}, answer.answer[-1].ttl

    def explain(self, name: str, rdtype: str = "A", client: str = "") -> dict[str, Any]:
        return explain(self.state, lambda instant: instant + UNIX, name, rdtype, client)

    def order(self, verb: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.orders, verb)(request)
        return answer

    def refused(self, verb: str, **request: Any) -> tuple[str, str]:
        try:
            self.order(verb, **request)
        except RequestError as error:
            return error.code, str(error)
        raise AssertionError(f"{verb} {request} was not refused")


def without_capacity() -> dict[str, Pop]:
    return {name: attrs.evolve(each, capacity=0.0) for name, each in POPS.items()}
