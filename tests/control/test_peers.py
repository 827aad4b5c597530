"""The listener for other POPs as bytes: its pages, its bounds, and who is let in; on a clock that the test moves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.bounded import (
    IDLE_TIMEOUT,
    LINGER,
    MOST_CONNECTIONS,
    MOST_OF_ONE,
    BoundedChannel,
    BoundedFactory,
)
from appliance.control.peers import Said
from appliance.model.health import Load, Row, Rows
from appliance.peering import MOST_ROWS, parse_load, parse_rows

LOAD = Load(cpu=0.5, memory=0.25, connections=12.0, capacity=500.0, lag=0.001, egress=1e6)
ROWS = Rows(observer="ams1", epoch=7, version=3, age=0.5, rows=(Row(pop="fra1", up=True, latency=0.01),))


class Transport(StringTransport):
    """
    One that knows what a TCP transport does when its peer does not read: it pauses whoever writes more than 64 KB.

    :ivar aborted: it was reset.
    """

    aborted = False
    reads = True

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self.reads and len(self.value()) > 65536 and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Peer:
    """A connection."""

    def __init__(self, factory: BoundedFactory, address: str = "198.51.100.7", *, reads: bool = True) -> None:
        kind = IPv6Address if ":" in address else IPv4Address
        self.channel: BoundedChannel | None = factory.buildProtocol(kind("TCP", address, 4000))
        self.transport = Transport()
        self.transport.reads = reads
        if self.channel is not None:
            self.channel.makeConnection(self.transport)

    def say(self, data: bytes) -> bytes:
        """:return: what is answered to it."""
        assert self.channel is not None
        self.transport.clear()
        self.channel.dataReceived(data)
        answer: bytes = self.transport.value()
        return answer

    def end(self) -> None:
        assert self.channel is not None
        self.channel.connectionLost(Failure(ConnectionDone()))


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *headers, "", "")).encode()


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


class Setting(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.rows = ROWS
        self.factory = self.make()

    def make(self) -> BoundedFactory:
        allow = (IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32"))
        return BoundedFactory(self.clock, allow, Said(lambda: LOAD, lambda: self.rows))

    def ask(self, *words: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        return parts(Peer(self.factory).say(get(*words, method=method)))


class PageTests(Setting):
    def test_load(self) -> None:
        status, headers, body = self.ask("/load")
        self.assertEqual(
            (status, headers["content-type"], headers["cache-control"]), (200, "application/json", "no-store")
        )
        self.assertEqual(parse_load(body), LOAD)
        self.assertNotIn("server", headers)

    def test_no_line_of_its_own(self) -> None:
        """What listens is in one line of ours; Twisted's own about the factory tells nobody anything."""
        with capturedLogs() as logged:
            self.factory.doStart()
            self.factory.doStop()
        self.assertEqual(logged, [])

    def test_ping(self) -> None:
        status, headers, body = self.ask("/ping")
        self.assertEqual((status, body, headers["cache-control"]), (200, b"pong\n", "no-store"))

    def test_rows(self) -> None:
        status, headers, body = self.ask("/rows")
        self.assertEqual((status, parse_rows(body)), (200, ROWS))
        self.assertEqual((headers["content-type"], headers["cache-control"]), ("application/json", "no-store"))

    def test_head(self) -> None:
        for path in ("/load", "/ping", "/rows", "/other"):
            status, headers, body = self.ask(path)
            self.assertEqual(self.ask(path, method="HEAD"), (status, headers, b""))
            self.assertEqual(int(headers["content-length"]), len(body))

    def test_nothing_else(self) -> None:
        for path in ("/", "/load/", "/loads", "/api/v1/status", "//load", "/%6coad"):
            self.assertEqual(self.ask(path)[0], 404)
        self.assertEqual(self.ask("/load?x=1")[0], 200)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"):
            status, headers, _ = self.ask("/load", method=method)
            self.assertEqual((status, headers["allow"]), (405, "get, head"))

    def test_our_bug(self) -> None:
        """It is logged, the connection goes on."""
        peer = Peer(self.factory)
        self.rows = None  # type: ignore[assignment]
        status, headers, body = parts(peer.say(get("/rows")))
        self.assertEqual((status, headers["content-type"], body[:5]), (500, "text/plain; charset=utf-8", b"a bug"))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertEqual(parts(peer.say(get("/ping")))[0], 200)


class DoorTests(Setting):
    def test_who_is_let_in(self) -> None:
        """Those in the list, and this host."""
        allowed = (
            "198.51.100.7",
            "::ffff:198.51.100.7",
            "2001:db8::1",
            "127.0.0.1",
            "127.0.0.2",
            "::1",
            "::ffff:127.0.0.1",
        )
        for address in allowed:
            self.assertIsNotNone(Peer(self.factory, address).channel, address)
        for address in ("198.51.101.7", "192.0.2.1", "::ffff:192.0.2.1", "2001:db9::1", "fe80::1%eth0", "x", ""):
            self.assertIsNone(Peer(self.factory, address).channel, address)

    def test_so_many_of_one_and_no_more(self) -> None:
        peers = [Peer(self.factory) for _ in range(MOST_OF_ONE + 3)]
        self.assertEqual([peer.channel is None for peer in peers[-4:]], [False, True, True, True])
        self.assertIsNotNone(Peer(self.factory, "198.51.100.8").channel)
        peers[0].end()
        self.assertIsNotNone(Peer(self.factory).channel)
        self.assertIsNone(Peer(self.factory).channel)

    def test_so_many_of_all_and_no_more(self) -> None:
        peers = [Peer(self.factory, f"198.51.100.{number}") for number in range(1, 151)] * 1
        peers += [Peer(self.factory, f"198.51.100.{number}") for number in range(1, 151)]
        self.assertEqual(sum(peer.channel is not None for peer in peers), MOST_CONNECTIONS)
        for peer in peers:
            if peer.channel is not None:
                peer.end()
        self.assertEqual((len(self.factory.channels), len(self.factory._of)), (0, 0))


class BoundTests(Setting):
    def test_kept_alive_and_pipelined(self) -> None:
        """In order."""
        peer = Peer(self.factory)
        self.assertEqual(parts(peer.say(get("/ping")))[0], 200)
        answer = peer.say(get("/ping") + get("/other") + get("/load"))
        codes = re.findall(rb"HTTP/1.1 (\d+)", answer)
        self.assertEqual(codes, [b"200", b"404", b"200"])
        self.assertFalse(peer.transport.disconnecting)

    def test_one_that_does_not_read(self) -> None:
        """Its next requests wait; when it reads it gets the rest, each one once."""
        rows = tuple(Row(pop=f"{number:0250}", up=True) for number in range(MOST_ROWS))
        self.rows = Rows(observer="ams1", epoch=1, version=1, rows=rows)
        one = len(Peer(self.factory).say(get("/rows")))
        peer = Peer(self.factory, reads=False)
        answers = [peer.say(get("/rows") * 100)]
        self.assertLess(len(answers[0]), 2 * one)
        self.assertEqual(peer.transport.producerState, "paused")
        assert peer.channel is not None
        while peer.transport.value():
            peer.transport.clear()
            peer.channel.resumeProducing()
            answers.append(peer.transport.value())
        self.assertEqual(b"".join(answers).count(b"HTTP/1.1 200"), 100)
        self.assertEqual(peer.transport.producerState, "producing")
        peer.transport.reads = True
        self.assertEqual(parts(peer.say(get("/ping")))[2], b"pong\n")

    def test_one_that_never_reads(self) -> None:
        """Closed after ten seconds, reset two later."""
        rows = tuple(Row(pop=f"{number:0250}", up=True) for number in range(MOST_ROWS))
        self.rows = Rows(observer="ams1", epoch=1, version=1, rows=rows)
        for request in (get("/rows"), get("/rows") * 9, get("/rows", "Connection: close")):
            peer = Peer(self.factory, reads=False)
            peer.say(request)
            self.clock.advance(IDLE_TIMEOUT)
            self.assertTrue(peer.transport.disconnecting)
            self.assertFalse(peer.transport.aborted)
            self.clock.advance(LINGER)
            self.assertTrue(peer.transport.aborted)

    def test_idle(self) -> None:
        peer = Peer(self.factory)
        self.clock.advance(IDLE_TIMEOUT - 0.1)
        peer.say(get("/ping"))
        self.clock.advance(IDLE_TIMEOUT - 0.1)
        self.assertFalse(peer.transport.disconnecting)
        self.clock.advance(0.1)
        self.assertTrue(peer.transport.disconnecting)
        peer.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_byte_now_and_then(self) -> None:
        """A request that is not whole in time is none."""
        peer = Peer(self.factory)
        for byte in get("/ping")[:8]:
            self.assertFalse(peer.transport.disconnecting)
            peer.say(bytes([byte]))
            self.clock.advance(IDLE_TIMEOUT / 8)
        self.assertTrue(peer.transport.disconnecting)

    def test_long_heads(self) -> None:
        """Closed, whether it is one line, many lines, or no end of lines."""
        for said in (
            b"GET /" + b"x" * 5000,
            b"GET /ping HTTP/1.1\r\nx: " + b"x" * 5000,
            b"GET /ping HTTP/1.1\r\n" + b"x: " + b"x" * 500,
        ):
            peer = Peer(self.factory)
            said += b"" if len(said) > 5000 else b"\r\n" + b"\r\n".join([b"y: " + b"x" * 500] * 20)
            peer.say(said)
            self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.ask("/ping", *["x: y"] * 70)[0], 400)

    def test_bodies(self) -> None:
        """A small one is read past; a large one, or one without a length, is not read."""
        peer = Peer(self.factory)
        self.assertEqual(parts(peer.say(get("/load", "Content-Length: 4096", method="POST") + b"x" * 4096))[0], 405)
        self.assertEqual(parts(peer.say(get("/load", "Content-Length: 3") + b"xyz"))[0], 200)
        for header in ("Content-Length: 4097", "Content-Length: 9999999999", "Transfer-Encoding: chunked"):
            peer = Peer(self.factory)
            self.assertEqual(parts(peer.say(get("/load", header, "Expect: 100-continue")))[0], 413)
            self.assertTrue(peer.transport.disconnecting)

    def test_garbage(self) -> None:
        for said in (b"\0\1\2\r\n\r\n", b"\x16\x03\x01\x02\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\nx\r\n\r\n"):
            peer = Peer(self.factory)
            peer.say(said)
            self.assertTrue(peer.transport.disconnecting or b" 40" in peer.transport.value()[:20], said)

    def test_all_are_closed(self) -> None:
        """At the end, and not before they are gone."""
        peers = [Peer(self.factory) for _ in range(3)]
        gone = self.factory.empty()
        self.assertTrue(all(peer.transport.disconnecting for peer in peers))
        self.clock.advance(LINGER)
        self.assertTrue(all(peer.transport.aborted for peer in peers))
        for peer in peers:
            self.assertNoResult(gone)
            peer.end()
        self.successResultOf(gone)
        self.successResultOf(self.factory.empty())
        self.assertEqual(self.clock.getDelayedCalls(), [])
