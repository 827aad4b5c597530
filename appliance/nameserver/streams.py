"""
DNS over TCP (RFC 7766): many queries on a connection, and nobody may hold a connection for nothing.

Queries are read in their order.  An answer that has to wait for a lease is overtaken by those that need not (s6.2.1.1).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.names.dns import DNSProtocol
from twisted.names.server import DNSServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.config import TCPLimits
from appliance.nameserver.responder import Responder, Response
from appliance.nameserver.sources import Source, source_of
from appliance.nameserver.zonetransfers import Messages

BYTES_A_WAKE_UP = 4096
"""Read at once from one connection: about a hundred pipelined queries, so that nobody else waits long."""

_LENGTH = struct.Struct("!H")

MOST_READY = 65536
"""Bytes of answers that are gathered for one write; the transport then says whether it takes more."""

MAX_WAITING = 32
"""Answers that one connection may have waiting for their lease; with so many it is not read from."""


@implementer(IHalfCloseableProtocol)
class QueryStream(DNSProtocol):
    """
    One connection.

    It is the streaming producer of its own answers (the base class brings the methods): while the asker does not read
    them, or too many wait for their lease, no further queries are read from it.
    """

    factory: QueryStreams
    transport: Any
    _source: Source
    _timer: IDelayedCall | None = None
    _ready: list[bytes]
    _ready_bytes = 0
    _answered = 0
    _waiting = 0
    _sending: Messages | None = None
    """A response of many messages; while there is one, the transport is full, and no further queries are read."""
    _closing = False
    _ended = False
    """All answers are on their way."""
    _more_to_read = False
    """It ends because of us: the asker may be sending on."""
    _lost = False
    _full = False
    """The transport takes no more: whatever waits, only the transport may go on."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self._ready = []
        self._source = source_of(self.transport.getPeer().host)
        self.transport.setTcpNoDelay(True)
        self.transport.bufferSize = BYTES_A_WAKE_UP
        self.transport.registerProducer(self, True)
        self._timer = self.factory.clock.callLater(self.factory.limits.idle_timeout, self._quiet)

    def dataReceived(self, data: bytes) -> None:
        """Answer all that one read brought; what needs not wait leaves in one write."""
        if self._ended:
            return
        before = self._answered
        super().dataReceived(data)
        self._flush()
        # A query counts, not a byte of one, or who dribbles would stay for ever.
        if self._answered > before and not self._closing and self._timer is not None and self._timer.active():
            self._timer.reset(self.factory.limits.idle_timeout)

    def stringReceived(self, data: bytes) -> None:
        if self._closing:
            return
        self._answered += 1
        self.factory.used(self)
        response = self.factory.respond(data, self._source)
        if isinstance(response, Deferred):
            self._waiting += 1
            response.addCallback(self._arrived)
        elif isinstance(response, bytes):
            self._ready += (_LENGTH.pack(len(response)), response)
            self._ready_bytes += len(response)
            if self._ready_bytes >= MOST_READY:
                self._flush()
        elif response is not None:
            self._flush()
            self._sending = response
            self._send_on()
            # Paused only now: resuming from within would read this query again.
            if self._sending is not None:
                super().pauseProducing()
        if self._answered >= self.factory.limits.max_queries:
            self._more_to_read = True
            self._close()
        elif self._waiting >= MAX_WAITING:
            super().pauseProducing()

    def _flush(self) -> None:
        ready, self._ready, self._ready_bytes = self._ready, [], 0
        if ready and not self._lost:
            # The transport may pause us for it.
            self.transport.write(b"".join(ready))

    def _send_on(self) -> None:
        """More messages of one response, for as long as the transport takes them: it pauses us after most."""
        while self._sending is not None and not self._full and not self._lost:
            message = next(self._sending, None)
            if message is None:
                self._sending = None
                if not self._closing:
                    self._resume()
                elif not self._waiting:
                    self._end()
                return
            self.factory.used(self)
            self.sendString(message)
            if self._timer is not None and self._timer.active():
                self._timer.reset(self.factory.limits.idle_timeout)

    def pauseProducing(self) -> None:
        self._full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        self._send_on()
        self._resume()

    def readConnectionLost(self) -> None:
        """The asker has no more questions, and reads on."""
        self._more_to_read = False
        if self._ended:
            self.transport.loseConnection()
        elif not self._closing:
            self._close()

    def writeConnectionLost(self) -> None:
        """We never close our half alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._sending is not None:
            self._sending.close()
        super().connectionLost(reason)

    def _arrived(self, response: bytes | None) -> None:
        """A lease stands, or does not."""
        self._waiting -= 1
        if self._lost:
            return
        if response is not None:
            self.sendString(response)
        if not self._closing:
            self._resume()
        elif not self._waiting and self._sending is None:
            self._end()

    def _resume(self) -> None:
        if self.paused and not self._closing and not self._full and self._waiting < MAX_WAITING:
            super().resumeProducing()

    def _close(self) -> None:
        """End when the answers have gone, those that still wait included."""
        self._closing = True
        if not self._waiting and self._sending is None:
            self._end()

    def _end(self) -> None:
        self._flush()
        self._ended = True
        self.transport.unregisterProducer()
        if not self._more_to_read:
            self.transport.loseConnection()
            return
        # Closing while queries are unread would be a reset, which takes answers that are on their way along.  So our
        # half is closed, and theirs read until they end it or the timer does.
        if self.paused:
            self.paused = False
            self.transport.resumeProducing()
        self.transport.loseWriteConnection()

    def _quiet(self) -> None:
        """Nothing was asked for long; a peer that does not take its answers either is cut off the second time."""
        if self._closing:
            self.transport.abortConnection()
            return
        self._close()
        self._timer = self.factory.clock.callLater(self.factory.limits.idle_timeout, self._quiet)


class QueryStreams(DNSServerFactory):
    """
    Twisted Names' factory, with bounds.

    A connection beyond ``max_connections`` takes the place of the one that has been quiet for longest, as gdnsd does:
    refusing newcomers instead would let a few idle ones shut everybody out.
    """

    def __init__(self, responder: Responder, limits: TCPLimits, clock: IReactorTime) -> None:
        super().__init__()
        self.responder = responder
        self.limits = limits
        self.clock = clock
        self.noisy = False
        self._quietest_first: OrderedDict[QueryStream, None] = OrderedDict()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        stream = QueryStream(self, self.clock)
        stream.factory = self
        return stream

    def respond(self, data: bytes, source: Source) -> Response:
        """What the wire cache knows, else what the responder says."""
        cache = self.responder.streams
        response = cache.answer(data, source) if cache is not None else None
        return response if response is not None else self.responder.respond(data, stream=True, source=source)

    def connectionMade(self, protocol: QueryStream) -> None:
        if len(self._quietest_first) >= self.limits.max_connections:
            quietest, _ = self._quietest_first.popitem(last=False)
            quietest.transport.abortConnection()
        self._quietest_first[protocol] = None

    def used(self, protocol: QueryStream) -> None:
        """``protocol`` has just asked something."""
        if protocol in self._quietest_first:
            self._quietest_first.move_to_end(protocol)

    def connectionLost(self, protocol: QueryStream) -> None:
        self._quietest_first.pop(protocol, None)

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._quietest_first)

    def abort_all(self) -> None:
        for stream in list(self._quietest_first):
            stream.transport.abortConnection()
