"""DNS over TCP: order, limits and patience (RFC 7766)."""

from __future__ import annotations

import struct
from typing import Any

import dns.message
from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import TCPLimits
from appliance.nameserver import Responder
from appliance.nameserver import streams as streams_module
from appliance.nameserver.streams import QueryStreams
from appliance.naming import Answer
from tests.nameserver.asking import Waiting


class Transport(StringTransport):
    """One that can be aborted and takes the options of a socket."""

    aborted = False
    bufferSize = 65536

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Answers are small and complete."""

    def abortConnection(self) -> None:
        self.aborted = True

    def loseWriteConnection(self) -> None:
        """Our half ends when all is written."""
        self.disconnecting = True


def framed(name: str) -> bytes:
    wire = dns.message.make_query(name, "A").to_wire()
    return struct.pack("!H", len(wire)) + wire


class Streams(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = TCPLimits(max_connections=2, idle_timeout=10, max_queries=3)
        self.world = Waiting()
        responder = Responder(self.world.answer, udp_payload=1232, cookies=None)
        self.streams = QueryStreams(responder, self.limits, self.clock)

    def connect(self) -> tuple[Transport, Any]:
        stream = self.streams.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = Transport()
        stream.makeConnection(transport)
        return transport, stream

    def names(self, transport: Transport) -> list[str]:
        data, found = transport.value(), []
        while data:
            [size] = struct.unpack_from("!H", data)
            found.append(dns.message.from_wire(data[2 : 2 + size]).question[0].name.to_text())
            data = data[2 + size :]
        return found


class StreamTests(Streams):
    def test_pipelined_and_in_pieces(self) -> None:
        """Queries are answered in their order, however the bytes come."""
        transport, stream = self.connect()
        for byte in framed("a.example.test") + framed("b.example.test"):
            stream.dataReceived(bytes([byte]))
        self.assertEqual(self.names(transport), ["a.example.test.", "b.example.test."])

    def test_max_queries(self) -> None:
        """After so many the connection ends, with the answers it owes."""
        transport, stream = self.connect()
        stream.dataReceived(framed("a.example.test") * 5)
        self.assertEqual(len(self.names(transport)), 3)
        self.assertTrue(transport.disconnecting)

    def test_idle(self) -> None:
        """A quiet connection is closed; one that does not take its answers either is cut off."""
        transport, stream = self.connect()
        self.clock.advance(9)
        stream.dataReceived(framed("a.example.test"))
        self.clock.advance(9)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.aborted)
        self.clock.advance(10)
        self.assertTrue(transport.aborted)

    def test_dribbling(self) -> None:
        """A byte now and then is no query."""
        transport, stream = self.connect()
        for byte in framed("a.example.test")[:9]:
            stream.dataReceived(bytes([byte]))
            self.clock.advance(1)
        self.assertFalse(transport.disconnecting)
        stream.dataReceived(b"x")
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_the_quietest_makes_room(self) -> None:
        """A connection too many takes the place of the one that has asked nothing for longest."""
        first, stream = self.connect()
        second, _ = self.connect()
        stream.dataReceived(framed("a.example.test"))
        self.connect()
        self.assertEqual((first.aborted, second.aborted, len(self.streams)), (False, True, 2))

    def test_who_does_not_read_is_not_read(self) -> None:
        """While answers pile up no more queries are answered."""
        transport, stream = self.connect()
        stream.dataReceived(framed("a.example.test"))
        producer = transport.producer
        assert producer is not None
        producer.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        stream.dataReceived(framed("b.example.test"))
        self.assertEqual(len(self.names(transport)), 1)
        producer.resumeProducing()
        self.assertEqual(len(self.names(transport)), 2)

    def test_a_lost_connection_leaves_nothing(self) -> None:
        """No timer and no place taken."""
        _, stream = self.connect()
        stream.connectionLost()
        self.assertEqual((len(self.streams), self.clock.getDelayedCalls()), (0, []))


class LaterTests(Streams):
    """The same, while some answers wait for their lease."""

    def ask(self, stream: Any, *names: str) -> None:
        stream.dataReceived(b"".join(framed(f"{name}.example.test") for name in names))

    def test_others_overtake_it(self) -> None:
        """RFC 7766 s6.2.1.1."""
        transport, stream = self.connect()
        self.ask(stream, "new", "old")
        self.assertEqual(self.names(transport), ["old.example.test."])
        self.world.decided()
        self.assertEqual(self.names(transport), ["old.example.test.", "new.example.test."])

    def test_it_fails(self) -> None:
        """SERVFAIL, and the connection goes on."""
        transport, stream = self.connect()
        self.ask(stream, "new")
        self.world.waiting.pop()[1].errback(RuntimeError("our bug"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.ask(stream, "old")
        self.assertEqual(self.names(transport), ["new.example.test.", "old.example.test."])

    def test_it_is_to_be_dropped(self) -> None:
        """Then nothing is said, and a connection that is to end ends."""
        transport, stream = self.connect()
        self.ask(stream, "old", "old", "new")
        self.world.waiting.pop()[1].callback(None)
        self.assertEqual((len(self.names(transport)), transport.disconnecting), (2, True))

    def test_max_queries_waits_for_it(self) -> None:
        """What was asked within the limit is answered; what comes after it is not."""
        transport, stream = self.connect()
        self.ask(stream, "new1", "new2", "old", "old")
        self.world.decided()
        self.assertFalse(transport.disconnecting)
        self.world.decided()
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.names(transport), [f"{name}.example.test." for name in ("old", "new1", "new2")])

    def test_a_quiet_connection_waits_for_it(self) -> None:
        """For one idle timeout more."""
        for decided in (True, False):
            transport, stream = self.connect()
            self.ask(stream, "new")
            self.clock.advance(10)
            self.assertFalse(transport.disconnecting)
            self.ask(stream, "old")
            if decided:
                self.world.decided()
                self.assertTrue(transport.disconnecting)
                self.assertEqual(self.names(transport), ["new.example.test."])
                stream.connectionLost()
            else:
                self.clock.advance(10)
                self.assertTrue(transport.aborted)

    def test_the_asker_has_no_more_questions(self) -> None:
        """A half-closed connection gets the answers that it still waits for."""
        transport, stream = self.connect()
        self.ask(stream, "new")
        stream.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.world.decided()
        self.assertEqual((self.names(transport), transport.disconnecting), (["new.example.test."], True))

    def test_it_comes_after_the_connection_is_lost(self) -> None:
        """Nobody is told."""
        transport, stream = self.connect()
        self.ask(stream, "new", "new")
        stream.connectionLost()
        self.world.decided()
        self.world.waiting.pop()[1].errback(RuntimeError("our bug"))
        self.assertEqual((transport.value(), len(self.flushLoggedErrors())), (b"", 1))

    def test_so_many_wait(self) -> None:
        """Then no more is read, until one has its answer."""
        self.patch(streams_module, "MAX_WAITING", 2)
        self.streams.limits = TCPLimits(max_connections=2, idle_timeout=10, max_queries=100)
        transport, stream = self.connect()
        self.ask(stream, "new1", "new2", "new3", "new4", "old")
        self.assertEqual((len(self.world.waiting), transport.producerState), (2, "paused"))
        self.world.decided()
        self.assertEqual((len(self.world.waiting), transport.producerState), (2, "paused"))
        self.world.decided()
        self.world.decided()
        self.assertEqual(transport.producerState, "producing")
        self.world.decided()
        answered = [f"{name}.example.test." for name in ("new1", "new2", "new3", "old", "new4")]
        self.assertEqual(self.names(transport), answered)

    def test_two_reasons_not_to_read(self) -> None:
        """Too many wait and the peer takes nothing: both have to end, in either order."""
        self.patch(streams_module, "MAX_WAITING", 1)
        self.streams.limits = TCPLimits(max_connections=9, idle_timeout=10, max_queries=100)
        for decided_first in (True, False):
            transport, stream = self.connect()
            self.ask(stream, "new")
            stream.pauseProducing()
            steps = [self.world.decided, stream.resumeProducing]
            first, second = steps if decided_first else reversed(steps)
            first()
            self.assertEqual(transport.producerState, "paused")
            second()
            self.assertEqual(transport.producerState, "producing")

    def test_one_that_is_there_already(self) -> None:
        """A Deferred that has fired counts for nothing, and each query is answered once."""
        self.patch(streams_module, "MAX_WAITING", 1)
        self.streams.responder = Responder(lambda question, asker: succeed(Answer()), udp_payload=1232, cookies=None)
        transport, stream = self.connect()
        self.ask(stream, "a", "b")
        self.assertEqual(self.names(transport), ["a.example.test.", "b.example.test."])
        self.assertEqual(transport.producerState, "producing")


class Sent:
    """A response of many messages."""

    def __init__(self, count: int) -> None:
        self._messages = iter([dns.message.make_query(f"m{n}.test", "A").to_wire() for n in range(count)])
        self.closed = False

    def __next__(self) -> bytes:
        return next(self._messages)

    def close(self) -> None:
        self.closed = True


class SendingTests(Streams):
    """A response of many messages, such as a zone transfer."""

    def setUp(self) -> None:
        super().setUp()
        self.sent = Sent(3)
        plain = self.streams.respond

        def respond(data: bytes, source: Any) -> Any:
            return self.sent if b"zone" in data else plain(data, source)

        self.streams.respond = respond  # type: ignore[method-assign]

    def test_in_the_order_of_the_questions(self) -> None:
        transport, stream = self.connect()
        stream.dataReceived(framed("a.test") + framed("zone.test") + framed("b.test"))
        self.assertEqual(self.names(transport), ["a.test.", "m0.test.", "m1.test.", "m2.test.", "b.test."])
        self.assertEqual(transport.producerState, "producing")

    def full(self) -> tuple[Transport, Any]:
        """A connection that takes one message at a time."""
        transport, stream = self.connect()
        write = transport.write

        def pausing(data: bytes) -> None:
            write(data)
            stream.pauseProducing()

        transport.write = pausing  # type: ignore[method-assign]
        return transport, stream

    def test_as_the_transport_takes_them(self) -> None:
        """And no other question is read meanwhile."""
        transport, stream = self.full()
        stream.dataReceived(framed("zone.test") + framed("b.test"))
        for count in (1, 2, 3):
            self.assertEqual((len(self.names(transport)), transport.producerState), (count, "paused"))
            stream.resumeProducing()
        self.assertEqual(self.names(transport)[3:], ["b.test."])

    def test_whoever_takes_nothing_is_cut_off(self) -> None:
        """After twice the idle timeout; one that takes a message now and then is not quiet."""
        transport, stream = self.full()
        stream.dataReceived(framed("zone.test"))
        self.clock.advance(9)
        stream.resumeProducing()
        self.clock.advance(9)
        self.assertEqual((transport.disconnecting, transport.aborted), (False, False))
        self.clock.advance(1)
        self.assertEqual((transport.disconnecting, transport.aborted), (False, False))
        self.clock.advance(10)
        self.assertTrue(transport.aborted)

    def test_a_connection_that_is_lost(self) -> None:
        """The rest is not made."""
        _, stream = self.full()
        stream.dataReceived(framed("zone.test"))
        stream.connectionLost()
        self.assertTrue(self.sent.closed)

    def test_it_is_sent_before_the_end(self) -> None:
        """Of an asker that has closed its half, or has asked as often as it may."""
        for last in (True, False):
            self.sent = Sent(3)
            transport, stream = self.full()
            stream.dataReceived((b"" if last else framed("a.test") * 2) + framed("zone.test"))
            if last:
                stream.readConnectionLost()
            for _ in range(5):
                self.assertFalse(transport.disconnecting)
                stream.resumeProducing()
                if len(self.names(transport)) == (3 if last else 5):
                    break
            stream.resumeProducing()
            self.assertTrue(transport.disconnecting, last)
