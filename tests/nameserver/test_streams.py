"""DNS over TCP: order, limits and patience (RFC 7766)."""

from __future__ import annotations

import struct

import dns.message
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import TCPLimits
from appliance.nameserver import Responder
from appliance.nameserver.streams import QueryStreams
from tests.nameserver.test_responder import decide


class Transport(StringTransport):
    """One that can be aborted and takes the options of a socket."""

    aborted = False
    bufferSize = 65536

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Answers are small and complete."""

    def abortConnection(self) -> None:
        self.aborted = True


def framed(name: str) -> bytes:
    wire = dns.message.make_query(name, "A").to_wire()
    return struct.pack("!H", len(wire)) + wire


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = TCPLimits(max_connections=2, idle_timeout=10, max_queries=3)
        self.streams = QueryStreams(Responder(decide, udp_payload=1232), self.limits, self.clock)

    def connect(self) -> tuple[Transport, object]:
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

    def test_pipelined_and_in_pieces(self) -> None:
        """Queries are answered in their order, however the bytes come."""
        transport, stream = self.connect()
        for byte in framed("a.example.test") + framed("b.example.test"):
            stream.dataReceived(bytes([byte]))  # type: ignore[attr-defined]
        self.assertEqual(self.names(transport), ["a.example.test.", "b.example.test."])

    def test_max_queries(self) -> None:
        """After so many the connection ends, with the answers it owes."""
        transport, stream = self.connect()
        stream.dataReceived(framed("a.example.test") * 5)  # type: ignore[attr-defined]
        self.assertEqual(len(self.names(transport)), 3)
        self.assertTrue(transport.disconnecting)

    def test_idle(self) -> None:
        """A quiet connection is closed; one that does not take its answers either is cut off."""
        transport, stream = self.connect()
        self.clock.advance(9)
        stream.dataReceived(framed("a.example.test"))  # type: ignore[attr-defined]
        self.clock.advance(9)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.aborted)
        self.clock.advance(10)
        self.assertTrue(transport.aborted)

    def test_the_quietest_makes_room(self) -> None:
        """A connection too many takes the place of the one that has asked nothing for longest."""
        first, stream = self.connect()
        second, _ = self.connect()
        stream.dataReceived(framed("a.example.test"))  # type: ignore[attr-defined]
        self.connect()
        self.assertEqual((first.aborted, second.aborted, len(self.streams)), (False, True, 2))

    def test_who_does_not_read_is_not_read(self) -> None:
        """While answers pile up no more queries are answered."""
        transport, stream = self.connect()
        stream.dataReceived(framed("a.example.test"))  # type: ignore[attr-defined]
        producer = transport.producer
        assert producer is not None
        producer.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        stream.dataReceived(framed("b.example.test"))  # type: ignore[attr-defined]
        self.assertEqual(len(self.names(transport)), 1)
        producer.resumeProducing()
        self.assertEqual(len(self.names(transport)), 2)

    def test_a_lost_connection_leaves_nothing(self) -> None:
        """No timer and no place taken."""
        _, stream = self.connect()
        stream.connectionLost()  # type: ignore[attr-defined]
        self.assertEqual((len(self.streams), self.clock.getDelayedCalls()), (0, []))
