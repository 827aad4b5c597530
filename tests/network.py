"""
The network's part of a SharedState, with targets that find what a test says: the clock and what is measured are fake,
all between them is real.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

import attrs
import dns.rcode
import dns.rdatatype
import dns.zone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import Event
from appliance.model import (
    Asker,
    Cause,
    Delivery,
    Endpoint,
    Layer,
    Load,
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
    Url,
)
from appliance.naming import Answer, Question, Zones, from_text
from appliance.shared import NetworkConfig, SharedState, delivered_names
from appliance.store import MemoryJournal
from tests.fakes import FakeDataPath

ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 60\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n"
HERE = "ams"
"""The POP that the tests are."""
REFUSED = Result(layer=Layer.CONNECT, cause=Cause.REFUSED)
NOTHING = {field.name: 0.0 for field in attrs.fields(PopWeights)}


def weights(**some: float) -> PopWeights:
    """All others are 0."""
    return PopWeights(**{**NOTHING, **some})


def found(latency: float = 0.01, connect: float | None = None, **load: float) -> Result:
    """A check that passed; ``connect`` is a part of ``latency``, by default all of it; ``load``: what the page says."""
    return Result(
        layer=Layer.APPLICATION,
        cause=Cause.OK,
        latency=latency,
        connect=latency if connect is None else connect,
        load=Load(**load) if load else None,
    )


def origin(name: str, number: int, kind: ProbeType = ProbeType.LOAD, **more: Any) -> Server:
    """A customer's web server at 192.0.2.``number``, or 2001:db8::``number`` where ``v6``, looked at each second."""
    address = ip_address(f"2001:db8::{number}" if more.pop("v6", False) else f"192.0.2.{number}")
    probe = Probe(name=kind.value, type=kind, interval=1.0, fast_interval=1.0, idle_interval=1.0, rise=2, fall=2)
    return Server(name=name, address=address, port=80, probes=(probe,), **more)


def pop(name: str, number: int, **more: Any) -> Pop:
    """
    A POP at 203.0.113.``number``, whose load, page and FTP server are looked at each second.

    What is found there comes from ``World.found`` by its address, and the kind of a check.
    """
    address = IPv4Address(f"203.0.113.{number}")
    return Pop(
        name=name,
        address=address,
        peers=Url(endpoint=Endpoint(address, 8054), host=name),
        http=Url(endpoint=Endpoint(address, 80), host=name),
        ftp=Endpoint(address, 21),
        **{"interval": 1.0, **more},
    )


def customer(name: str = "shop", **settings: Any) -> Delivery:
    """:param settings: of the delivery and of its rule, ``by`` is its ``origins``; names without their zone."""
    own = ("pages", "static", "origins", "answers", "ttl", "backup")
    of_delivery = {key: settings.pop(key) for key in own if key in settings}
    for kind in ("pages", "static"):
        of_delivery[kind] = tuple(f"{each}.{name}.test" for each in of_delivery.get(kind, ()))
    of_delivery["backup"] = tuple(map(ip_address, of_delivery.get("backup", ())))
    if "by" in settings:
        settings["origins"] = settings.pop("by")
    return Delivery(name=name, rule=Rule(**settings), **of_delivery)


def asker(source: str, subnet: str = "") -> Asker:
    """Somebody who sent a datagram, and says for which network."""
    return Asker(ip_address(source), Proof.NONE, IPv4Network(subnet) if subnet else None)


class World:
    """
    :ivar own_load: what this POP says of itself.
    :ivar found: what checks find, by address and kind; nothing there is a check that passes.
    :ivar events: all that was told.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.found: dict[tuple[str, ProbeType], Result] = {}
        self.events: list[Event] = []
        self.own_load = Load(cpu=0.0, memory=0.0, connections=0.0)
        self.state = SharedState(
            seconds=self.clock.seconds,
            journal=MemoryJournal(),
            data_path=lambda state: FakeDataPath(),
            name=HERE,
            epoch=1,
        )
        self.network = self.state.network
        self.network.pops.own_load = lambda: attrs.evolve(self.own_load)
        self.state.subscribe(self.events.append)
        self._rng = random.Random(5)
        self._versions = 0

    def configure(self, *customers: Delivery, pops: tuple[Pop, ...] = ()) -> None:
        servers = {server.name: server for each in customers for server in each.origins}
        config = NetworkConfig(
            servers=servers,
            pops={each.name: each for each in pops},
            delivery={each.name: each for each in customers},
        )
        apexes = dict.fromkeys(name.split(".", 1)[1] for each in customers for name in (*each.pages, *each.static))
        zones = [dns.zone.from_text(ZONE, origin=apex, relativize=False) for apex in apexes]
        self.state.configure({}, {}, Zones(zones, (), delivered_names(customers)), network=config)

    def run(self, seconds: float, step: float = 0.1) -> None:
        """Time goes by, and every check that is due finds at once what there is."""
        for _ in range(round(seconds / step)):
            self.check()
            self.clock.advance(step)
        self.check()

    def check(self) -> None:
        """What is due now: deadlines, as the reaper sees to them, and checks."""
        at = self.state.next_deadline()
        if at is not None and at <= self.clock.seconds():
            self.state.reclaim(limit=100)
        for check in self.network.checking.due():
            result = self.found.get((str(check.address), check.probe.type), found())
            # Each page that is read is another one.
            load = attrs.evolve(result.load) if result.load is not None else None
            self.network.checking.heard(check, attrs.evolve(result, load=load))

    def down(self, address: str) -> None:
        """Nothing there answers any more; :meth:`back`: all does."""
        self.found |= {(address, kind): REFUSED for kind in ProbeType}

    def back(self, address: str) -> None:
        self.found = {key: result for key, result in self.found.items() if key[0] != address}

    def observe(self, observer: str, up: Mapping[str, bool], **promised: float) -> bool:
        """What another POP has seen."""
        self._versions += 1
        rows = tuple(Row(pop=name, up=seen, promised=promised.get(name, 0.0)) for name, seen in up.items())
        return self.network.pops.observe(Rows(observer=observer, epoch=1, version=self._versions, rows=rows))

    def answer(self, name: str, rdtype: str = "A", client: str = "198.51.100.7", subnet: str = "") -> Answer:
        question = Question(from_text(name), dns.rdatatype.from_text(rdtype))
        answer = self.state.answer(question, asker(client, subnet))
        assert isinstance(answer, Answer) and answer.rcode == dns.rcode.NOERROR
        return answer

    def ask(self, name: str, rdtype: str = "A", client: str = "198.51.100.7", subnet: str = "") -> list[str]:
        """The addresses, in their order."""
        answer = self.answer(name, rdtype, client, subnet)
        return [str(rdata) for rrset in answer.answer for rdata in rrset.rdatas]

    def ttl(self, name: str, client: str = "198.51.100.7") -> int:
        return min(rrset.ttl for rrset in self.answer(name, client=client).answer)

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class DeliveringCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def load(self, address: str, connections: float, latency: float = 0.01, cpu: float = 0.0) -> None:
        """What the load page of a server or POP says, and how long it takes."""
        said = found(latency, connections=connections, capacity=100.0, cpu=cpu, memory=0.0)
        self.world.found[address, ProbeType.LOAD] = said

    def until_answered(self, address: str, name: str, seconds: float = 60.0) -> None:
        for _ in range(round(seconds * 2)):
            if self.world.ask(name) == [address]:
                return
            self.world.run(0.5)
        self.fail(f"{address} is not answered at {name}")
