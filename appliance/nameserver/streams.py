"""
DNS over TCP (RFC 7766): queries in order, many on a connection, and nobody may hold a connection for nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.names.dns import DNSProtocol
from twisted.names.server import DNSServerFactory
from twisted.python.failure import Failure

from appliance.config import TCPLimits
from appliance.nameserver.responder import Responder

BYTES_A_WAKE_UP = 4096
"""Read at once from one connection: about a hundred pipelined queries, so that nobody else waits long."""


class QueryStream(DNSProtocol):
    """
    One connection.

    It is the streaming producer of its own answers (the base class brings the methods): while the asker does not read
    them, no further queries are read from it.
    """

    factory: QueryStreams
    transport: Any
    _timer: IDelayedCall | None = None
    _answered = 0
    _closing = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.setTcpNoDelay(True)
        self.transport.bufferSize = BYTES_A_WAKE_UP
        self.transport.registerProducer(self, True)
        self._timer = self.factory.clock.callLater(self.factory.limits.idle_timeout, self._quiet)

    def stringReceived(self, data: bytes) -> None:
        if self._closing:
            return
        response = self.factory.responder.respond(data, stream=True)
        if response is not None:
            self.sendString(response)
        self._answered += 1
        self.factory.used(self)
        if self._answered >= self.factory.limits.max_queries:
            self._close()
        elif self._timer is not None and self._timer.active():
            self._timer.reset(self.factory.limits.idle_timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        super().connectionLost(reason)

    def _close(self) -> None:
        """End when the answers have gone."""
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

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
