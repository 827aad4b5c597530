"""A name server with its transfers on real sockets, and a primary that a test makes do what it likes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.zone
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import Int16StringReceiver
from twisted.trial.unittest import TestCase

from appliance.config import Config, loads
from appliance.model import Asker
from appliance.nameserver import NameServer
from appliance.naming import (
    Answer,
    NeedsChoice,
    NeedsLease,
    Question,
    SiteNames,
    Zone,
    Zones,
    answer,
    from_text,
    leased,
)
from appliance.transfers import Bounds, Patience, ZoneTransfers
from tests.integration.process import free_port, own_address

reactor: Any = global_reactor

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
KEY = dns.tsig.Key("k.test", SECRET)
QUICK = Patience(datagrams=(0.2, 0.2), connect=2.0, message=1.0, transfer=3.0)
APEX = dns.name.from_text("in.test")


def records(serial: int = 1, more: str = "", timers: str = "3600 60 86400 5") -> str:
    """A zone as a master file."""
    return f"@ 60 SOA ns1 h {serial} {timers}\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n{more}"


def zone_of(text: str, apex: dns.name.Name = APEX) -> dns.zone.Zone:
    return dns.zone.from_text(text, apex, relativize=False)


async def until(condition: Callable[[], object]) -> None:
    """Let the reactor turn until ``condition`` holds; a test's own timeout ends it where it never does."""
    while not condition():
        await deferLater(reactor, 0.005)


class Served:
    """
    :param text: the configuration; ``LISTEN`` in it is where it listens.
    """

    def __init__(self, case: TestCase, text: str, *, patience: Patience = QUICK, bounds: Bounds | None = None) -> None:
        self.address = own_address()
        self.port = free_port(self.address)
        self._text = text
        self.folder = Path(case.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "secret").chmod(0o600)
        self.sites: list[SiteNames] = []
        self.zones = Zones()
        self.replaced = 0
        self._patience, self._bounds = patience, bounds
        self.transfers: Any = None

    def config(self, text: str | None = None) -> Config:
        text = (text or self._text).replace("LISTEN", f"{self.address}:{self.port}")
        return loads(text, file="a.yaml", folder=str(self.folder))

    def start(self) -> Served:
        config = self.config()
        self.transfers = ZoneTransfers(
            reactor, lambda: self.zones, self.replace, self.folder, patience=self._patience, bounds=self._bounds
        )
        self.transfers.configure(config.dns, self.transfers.keys(config.dns))
        self.zones = Zones(self.transfers.zones_of(config.dns), self.sites)
        self.server = NameServer(reactor, self.answer, config.dns, None, None, self.transfers)
        self.server.startService()
        self.transfers.startService()
        return self

    def reload(self, text: str) -> None:
        config = self.config(text)
        self.transfers.configure(config.dns, self.transfers.keys(config.dns))
        self.zones = Zones(self.transfers.zones_of(config.dns), self.sites)
        self.transfers.settle()

    def stop(self) -> Deferred[Any]:
        self.transfers.stopService()
        return self.server.stopService()

    def replace(self, zone: Zone) -> None:
        self.replaced += 1
        self.zones = self.zones.with_zone(zone)

    def answer(self, question: Question, asker: Asker) -> Answer:
        found = answer(self.zones, question)
        assert not isinstance(found, NeedsChoice)
        return leased(found, IPv4Address("192.0.2.200"), 9) if isinstance(found, NeedsLease) else found

    def row(self, number: int = 0) -> dict[str, Any]:
        row: dict[str, Any] = self.transfers.rows(float)[number]
        return row

    def addresses(self, name: str) -> list[str]:
        """What an A question is answered with, without the wire."""
        found = answer(self.zones, Question(from_text(name), dns.rdatatype.A))
        assert isinstance(found, Answer)
        return [str(rdata) for rrset in found.answer for rdata in rrset.rdatas]

    def rcode(self, name: str) -> tuple[int, int | None]:
        """The code of its answer, and the Extended DNS Error's."""
        found = answer(self.zones, Question(from_text(name), dns.rdatatype.A))
        assert isinstance(found, Answer)
        return found.rcode, found.error.code if found.error is not None else None

    async def ask(self, query: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
        """One message of the answer; a signed query must have a signed one."""

        def ask() -> dns.message.Message:
            if stream:
                return dns.query.tcp(query, self.address, port=self.port, timeout=10)
            return dns.query.udp(query, self.address, port=self.port, timeout=10)

        return await deferToThread(ask)

    async def transfer(self, apex: str, *, key: dns.tsig.Key | None = None, serial: int | None = None) -> dns.zone.Zone:
        """The zone as dnspython's client takes it."""
        zone = dns.zone.Zone(dns.name.from_text(apex), relativize=False)
        if serial is not None:
            with zone.writer() as writer:
                writer.add(zone.origin, 60, dns.rdata.from_text("IN", "SOA", f"ns1. h. {serial} 1 1 1 1"))
        query, _ = dns.xfr.make_query(zone, 0 if serial is not None else None)
        if key is not None:
            query.use_tsig(key)
        await deferToThread(dns.query.inbound_xfr, self.address, zone, query, port=self.port, timeout=10)
        return zone


class World(TestCase):
    timeout = 60

    def serve(self, text: str, **more: Any) -> Served:
        served = Served(self, text, **more)
        self.addCleanup(lambda: served.stop() if served.transfers is not None else None)
        return served


class Primary:
    """
    A primary whose behaviour is a method: ``stream`` is called with each query over TCP.

    :ivar asked: (opcode or type, over TCP) of all queries.
    """

    def __init__(self, case: TestCase, text: str = records(), key: dns.tsig.Key | None = None) -> None:
        self.address = own_address()
        self.port = free_port(self.address)
        self.zone = zone_of(text)
        self.key = key
        self.asked: list[tuple[str, bool]] = []
        self.datagrams: Callable[[dns.message.Message], list[bytes]] = lambda query: [self.soa(query).to_wire()]
        self.stream: Callable[[Any, dns.message.Message], None] = self.transfer
        self.connections: list[Any] = []
        self._ports = [
            reactor.listenUDP(self.port, _Datagrams(self), interface=self.address),
            reactor.listenTCP(self.port, _factory(self), interface=self.address),
        ]
        case.addCleanup(self.close)

    def close(self) -> Deferred[Any]:
        ports, self._ports = self._ports, []
        for connection in self.connections:
            connection.transport.abortConnection()
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])

    def read(self, data: bytes, *, stream: bool) -> dns.message.Message:
        query = dns.message.from_wire(data, keyring={self.key.name: self.key} if self.key is not None else None)
        self.asked.append((dns.rdatatype.to_text(query.question[0].rdtype), stream))
        return query

    def count(self, rdtype: str, *, stream: bool) -> int:
        return self.asked.count((rdtype, stream))

    def rrset(self, rdtype: str = "SOA") -> dns.rrset.RRset:
        return self.zone.find_rrset(self.zone.origin or dns.name.root, rdtype)

    def soa(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        response.answer.append(self.rrset())
        return response

    def transfer(self, connection: Any, query: dns.message.Message) -> None:
        """All of the zone, as it should be, in one message."""
        response = self.soa(query)
        if query.question[0].rdtype != dns.rdatatype.SOA:
            response.answer += self.body()
            response.answer.append(self.rrset())
        connection.say(response.to_wire(multi=True))

    def body(self) -> list[dns.rrset.RRset]:
        return [
            dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))
            for name, rdataset in self.zone.iterate_rdatasets()
            if rdataset.rdtype != dns.rdatatype.SOA
        ]

    @property
    def where(self) -> str:
        return f"'{self.address}:{self.port}'"


class _Datagrams(DatagramProtocol):
    def __init__(self, primary: Primary) -> None:
        self._primary = primary

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        for response in self._primary.datagrams(self._primary.read(datagram, stream=False)):
            self.transport.write(response, addr)


class Connection(Int16StringReceiver):
    transport: Any

    def __init__(self, primary: Primary) -> None:
        self._primary = primary

    def connectionMade(self) -> None:
        self._primary.connections.append(self)

    def stringReceived(self, data: bytes) -> None:
        self._primary.stream(self, self._primary.read(data, stream=True))

    def say(self, data: bytes) -> None:
        self.sendString(data)

    def raw(self, data: bytes) -> None:
        self.transport.write(data)


def _factory(primary: Primary) -> Factory:
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: Connection(primary)  # type: ignore[method-assign]
    return factory


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
