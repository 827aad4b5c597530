"""
HTTP within bounds, for those who are allowed and no better than their software (RFC 9110, 9112).

Bounded are connections, of all and of one address; a request's head, its body, and the time until it is there; and what
waits for somebody who does not read.  Who is not in the access list is closed before anything is read.  The protocol is
Twisted's; pipelined requests are answered in order.  It suits pages that are made at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import Site as WebSite

MOST_CONNECTIONS = 256
MOST_OF_ONE = 64
"""Connections of one address, so that no POP keeps the others out."""
MOST_HEAD_BYTES = 8192
MOST_LINE_BYTES = 4096
MOST_HEADERS = 64
MOST_BODY_BYTES = 4096
"""Of a request; it is read past, so that the answer arrives."""
IDLE_TIMEOUT = 10.0
"""Seconds from the beginning, or the last answer, until the next request has to be there as a whole."""
LINGER = 2.0
"""Seconds in which a peer that is closed has to take what was written."""

Network = IPv4Network | IPv6Network


class BoundedChannel(HTTPChannel):
    """One connection."""

    MAX_LENGTH = MOST_LINE_BYTES
    totalHeadersSize = MOST_HEAD_BYTES
    maxHeaders = MOST_HEADERS
    factory: BoundedFactory
    # The transport of TCP; its interface does not name all that it has.
    transport: Any
    peer: str
    _giving_up: IDelayedCall | None = None

    def resetTimeout(self) -> None:
        """The request has to be there in time as a whole: one byte every nine seconds is no request."""

    def allHeadersReceived(self) -> None:
        if self.length is None or self.length > MOST_BODY_BYTES:
            self.transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.loseConnection()
            # The body is not read, for the connection is not.
            self.length = None
            return
        super().allHeadersReceived()

    def requestDone(self, request: Any) -> None:
        super().requestDone(request)
        if not self.persistent:
            # Twisted has no bound for somebody who asks for a close and does not read.
            self.setTimeout(IDLE_TIMEOUT)

    # While the peer does not read, its next requests wait: else a packet of them would be a memory full of answers.

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self.paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self.paused = False
        self.dataReceived(b"")

    def timeoutConnection(self) -> None:
        """Close it; without a log line, for idle pollers are closed all day."""
        if not self.transport.disconnecting:
            self.loseConnection()
        if self._giving_up is None:
            self._giving_up = self.factory.call_later(LINGER, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        super().connectionLost(reason)
        self.factory.left(self)


class BoundedFactory(WebSite):
    """
    Lets in who is allowed, as many as there may be.

    :param allow: who is, besides this host itself.  It may be set anew; who is in stays until the connection ends.
    :param pages: a leaf whose answers are whole when ``render`` returns.
    :ivar channels: those who are in.
    """

    protocol = BoundedChannel  # type: ignore[assignment]  # Twisted's own also speaks HTTP/2, which is not wanted
    displayTracebacks = False
    noisy = False

    def __init__(self, clock: Any, allow: Iterable[Network], pages: Resource) -> None:
        super().__init__(pages, timeout=IDLE_TIMEOUT, reactor=clock)
        self.call_later = clock.callLater
        self.allow = tuple(allow)
        self.channels: set[BoundedChannel] = set()
        self._of: Counter[str] = Counter()
        self._waiting: list[Deferred[None]] = []

    def log(self, request: HttpRequest) -> None:
        """No line a request."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """None closes the connection at once."""
        peer = getattr(addr, "host", "")
        if not self._allows(peer) or len(self.channels) >= MOST_CONNECTIONS or self._of[peer] >= MOST_OF_ONE:
            return None
        channel: BoundedChannel = super().buildProtocol(addr)
        channel.peer = peer
        self.channels.add(channel)
        self._of[peer] += 1
        return channel

    def left(self, channel: BoundedChannel) -> None:
        self.channels.discard(channel)
        self._of[channel.peer] -= 1
        if not self._of[channel.peer]:
            del self._of[channel.peer]
        if not self.channels:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def _allows(self, peer: str) -> bool:
        """Loopback always: whoever is on this host could come from any address of it."""
        try:
            address: IPv4Address | IPv6Address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self.allow)

    def empty(self) -> Deferred[None]:
        """Close all connections; fires when they are gone, after :data:`LINGER` at the latest."""
        emptied: Deferred[None] = Deferred()
        if not self.channels:
            emptied.callback(None)
            return emptied
        self._waiting.append(emptied)
        for channel in list(self.channels):
            channel.timeoutConnection()
        return emptied
