"""DNS over UDP."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.names.dns import DNSDatagramProtocol
from twisted.names.server import DNSServerFactory

from appliance.nameserver.responder import Responder
from appliance.nameserver.sources import source_of

MAX_DATAGRAM = 65535
"""What one read may take in; a query that is cut off would only be malformed in a new way."""

BYTES_A_WAKE_UP = 4096
"""
Twisted reads up to this much from a UDP port before it looks at anything else; its default of 256 KiB answers for a
third of a second and starves the proxy.
"""


MOST_WAITING = 10_000
"""Queries that may wait for the disk at once; one more is dropped, as a full socket would."""


class QueryDatagrams(DNSDatagramProtocol):
    """Twisted Names' protocol, fed to a Responder instead of its decoder."""

    def __init__(self, factory: DNSServerFactory, responder: Responder, reactor: IReactorTime) -> None:
        super().__init__(factory, reactor)
        self._responder = responder
        self._waiting = 0

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self._waiting >= MOST_WAITING:
            self._responder.happened["dropped"] += 1
            return
        response = self._responder.respond(datagram, stream=False, source=source_of(addr[0]))
        if isinstance(response, Deferred):
            self._waiting += 1
            response.addCallback(self._late, addr)
        else:
            self._send(response, addr)

    def _late(self, response: bytes | None, addr: tuple[str, int]) -> None:
        self._waiting -= 1
        self._send(response, addr)

    def _send(self, response: bytes | None, addr: tuple[str, int]) -> None:
        # The port may have been closed meanwhile, and port 0 is nobody's.
        if response is None or self.transport is None or addr[1] == 0:
            return
        try:
            self.transport.write(response, addr)
        except OSError:
            # No way there, or no room: a forged source must not write a traceback a packet.
            self._responder.happened["unsent"] += 1
