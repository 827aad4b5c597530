"""Queries by the dozen through real sockets, with the batches of Linux and without."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

import dns.flags
import dns.message
import dns.rcode
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from appliance.config import DNSConfig, RateLimit
from appliance.model import Endpoint
from appliance.nameserver import NameServer, service
from appliance.nameserver.datagrams import QueryPort
from appliance.nameserver.mmsg import BATCH, SLOT, Batch, is_supported
from appliance.nameserver.sources import Source
from tests.integration.process import free_port, own_address, own_port
from tests.nameserver.world import Asked, World

T = TypeVar("T")


class DatagramsCase(TestCase):
    """A name server for the world of tests/nameserver/world.py, at an address of its own."""

    timeout = 30
    family = socket.AF_INET

    def setUp(self) -> None:
        self.world = World()
        is_shared = self.family == socket.AF_INET6
        self.address = "::1" if is_shared else own_address()
        self.port = own_port() if is_shared else free_port(self.address)
        config = DNSConfig(
            listen=(Endpoint(ip_address(self.address), self.port),),
            zones=(),
            rate_limit=RateLimit(responses_per_second=0),
        )
        state = self.world.setting.state
        self.server = NameServer(reactor, state.answer, config, self.world.cookies, state)
        state.subscribe(self.server.follow)
        self.server.startService()
        self.addCleanup(self.stop)

    def stop(self) -> Deferred[None] | None:
        return self.server.stopService() if self.server.running else None

    def client(self) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(5)
        sock.connect((self.address, self.port))
        return sock

    def exchange(self, queries: list[bytes], clients: int = 3) -> list[tuple[bytes, bytes]]:
        """Send all at once, from several sockets in turn; each query with its response."""
        socks = [self.client() for _ in range(clients)]
        sent: dict[tuple[int, bytes], bytes] = {}
        for number, query in enumerate(queries):
            socks[number % clients].send(query)
            sent[number % clients, query[:2]] = query
        pairs = []
        for number in range(len(queries)):
            response = socks[number % clients].recv(65535)
            pairs.append((sent.pop((number % clients, response[:2])), response))
        return pairs


class BatchTests(DatagramsCase):
    def queries(self, count: int) -> list[bytes]:
        """Of all kinds, each with an id of its own."""
        kinds = [
            Asked("ns1"),
            Asked("a"),
            Asked("a", spelling=7),
            Asked("b", cookie="client"),
            Asked("nothing", edns=4096),
            Asked("big", "TXT", edns=4096),
            Asked("x.wild", "TXT", do=True, edns=512),
        ]
        return [struct.pack("!H", number) + self.world.query(kinds[number % len(kinds)])[2:] for number in range(count)]

    async def in_thread(self, do: Callable[..., T], *words: object) -> T:
        return await deferToThread(do, *words)

    async def test_everyone_gets_their_own(self) -> None:
        """More than a batch, from several clients: each response is its query's, from where it was asked."""
        for _ in range(3):
            for query, response in await self.in_thread(self.exchange, self.queries(4 * BATCH + 3)):
                asked, said = dns.message.from_wire(query), dns.message.from_wire(response)
                self.assertEqual((said.id, said.question), (asked.id, asked.question))
                self.assertEqual(said.question[0].name.to_text(), asked.question[0].name.to_text())
                self.assertIn(said.rcode(), (dns.rcode.NOERROR, dns.rcode.NXDOMAIN))
        self.assertGreater(self.server.happened["cached"], 100)
        self.assertEqual(self.server.happened["queries"], 3 * (4 * BATCH + 3))

    async def test_the_port_survives(self) -> None:
        """A bug of ours, a query from port 0, an asker who is gone, what is longer than a slot, and nothing at all."""
        await self.in_thread(self.exchange, self.queries(8))
        cache = self.server.caches[0]
        whole = cache.answer

        def broken_once(data: bytes, source: Source) -> bytes | None:
            cache.answer = whole  # type: ignore[method-assign]
            raise ZeroDivisionError

        cache.answer = broken_once  # type: ignore[method-assign]
        sock = self.client()
        sock.send(self.world.query(Asked("a", spelling=9)))
        sock.close()
        await self.in_thread(self.exchange, self.queries(8))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        sock = self.client()
        for junk in (b"", b"\0" * 11, b"\0" * 12, b"\xff" * 60):
            sock.send(junk)
        long = dns.message.make_query("a.example.test", "A").to_wire() + b"\0" * 2 * SLOT
        sock.send(long)
        ids = {(await self.in_thread(sock.recv, 65535))[:2] for _ in range(2)}
        self.assertEqual(ids, {long[:2], b"\0\0"})
        [(_, response)] = await self.in_thread(self.exchange, self.queries(1))
        self.assertEqual(dns.message.from_wire(response).rcode(), dns.rcode.NOERROR)

    async def test_waits_and_answers(self) -> None:
        """A query that nobody asked before goes the plain path, and is kept from then on."""
        [(_, first)] = await self.in_thread(self.exchange, [self.world.query(Asked("c"))])
        self.assertEqual(len(self.server.caches[0]), 1)
        [(_, second)] = await self.in_thread(self.exchange, [self.world.query(Asked("c"))])
        self.assertEqual(first, second)


class WithoutBatchesTests(BatchTests):
    """Where there is no recvmmsg."""

    def setUp(self) -> None:
        self.patch(service, "is_supported", lambda: False)
        super().setUp()
        self.assertFalse(any(isinstance(port, QueryPort) for ports in self.server._ports.values() for port in ports))


class SixTests(BatchTests):
    family = socket.AF_INET6


class RoomTests(TestCase):
    """:class:`Batch` by itself."""

    def setUp(self) -> None:
        self.assertTrue(is_supported(), "this is Linux with 64 bits")
        self.sock, self.peer = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self.sock, self.peer):
            sock.bind(("127.0.0.1", 0))
            self.addCleanup(sock.close)
        self.batch = Batch(self.sock.fileno())

    def test_lengths_and_sources(self) -> None:
        self.assertEqual(self.batch.receive(), 0)
        texts = [b"x" * length for length in (0, 1, 511, SLOT, SLOT + 1)]
        for text in texts:
            self.peer.sendto(text, self.sock.getsockname())
        self.assertEqual(self.batch.receive(), 5)
        self.assertEqual([self.batch.query(number) for number in range(5)], [text[:SLOT] for text in texts])
        self.assertEqual({self.batch.source(number) for number in range(5)}, {self.peer.getsockname()})

    def test_who_cannot_be_reached_is_passed_over(self) -> None:
        """The responses behind it are sent all the same."""
        for text in (b"one", b"two", b"three"):
            self.peer.sendto(text, self.sock.getsockname())
        self.assertEqual(self.batch.receive(), 3)
        for place in range(3):
            self.batch.put(place, place, self.batch.query(place))
        # The second goes to port 0, where nobody can be.
        struct.pack_into("!H", self.batch._names, 28 + 2, 0)
        self.assertEqual(self.batch.send(3), 1)
        self.assertEqual({self.peer.recv(99), self.peer.recv(99)}, {b"one", b"three"})

    def test_a_closed_socket_is_an_error(self) -> None:
        self.sock.close()
        self.assertRaises(OSError, self.batch.receive)
