"""DNS over UDP."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.names.dns import DNSDatagramProtocol
from twisted.names.server import DNSServerFactory

from appliance.nameserver.responder import Responder

MAX_DATAGRAM = 65535
"""What one read may take in; a query that is cut off would only be malformed in a new way."""

BYTES_A_WAKE_UP = 4096
"""
Twisted reads up to this much from a UDP port before it looks at anything else; its default of 256 KiB answers for a
third of a second and starves the proxy.
"""


class QueryDatagrams(DNSDatagramProtocol):
    """Twisted Names' protocol, fed to a Responder instead of its decoder."""

    def __init__(self, factory: DNSServerFactory, responder: Responder, reactor: IReactorTime) -> None:
        super().__init__(factory, reactor)
        self._responder = responder

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        response = self._responder.respond(datagram, stream=False)
        if response is not None and self.transport is not None and addr[1] != 0:
            self.transport.write(response, addr)
