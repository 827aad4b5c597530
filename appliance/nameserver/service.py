"""The listeners of the name server, as a service that can move them while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from appliance.config import DNSConfig
from appliance.errors import ListenError
from appliance.model import Endpoint
from appliance.nameserver.cookies import Cookies
from appliance.nameserver.datagrams import BYTES_A_WAKE_UP, MAX_DATAGRAM, QueryDatagrams
from appliance.nameserver.responder import Decide, Responder
from appliance.nameserver.streams import QueryStreams

STREAM_BACKLOG = 1024


class NameServer(Service):
    """
    Answers on each endpoint over UDP and TCP.

    :param answer: decides about a question; None drops it, a Deferred answers it later.
    :param cookies: None: DNS cookies are ignored, and only TCP proves where a query comes from.
    """

    name = "nameserver"
    _log = Logger()

    def __init__(self, reactor: Any, answer: Decide, config: DNSConfig, cookies: Cookies | None = None) -> None:
        self._reactor = reactor
        self._endpoints = config.listen
        self.responder = Responder(answer, udp_payload=config.udp_payload, cookies=cookies)
        self.streams = QueryStreams(self.responder, config.tcp, reactor)
        self._ports: dict[Endpoint, list[IListeningPort]] = {}

    def startService(self) -> None:
        """:raises ListenError: when an endpoint cannot be opened; then none is."""
        self._open(self._endpoints)
        super().startService()

    def configure(self, config: DNSConfig) -> None:
        """
        Follow a changed configuration: new endpoints open before old ones close.

        :raises ListenError: when one cannot be opened; then nothing has changed.
        """
        self._open(endpoint for endpoint in config.listen if endpoint not in self._ports)
        for endpoint in [endpoint for endpoint in self._ports if endpoint not in config.listen]:
            self._close(endpoint)
        self._endpoints = config.listen
        self.responder.udp_payload = config.udp_payload
        self.streams.limits = config.tcp

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        closed = [self._close(endpoint) for endpoint in list(self._ports)]
        self.streams.abort_all()
        return gatherResults(closed) if closed else succeed(None)

    def _open(self, endpoints: Iterable[Endpoint]) -> None:
        opened: list[Endpoint] = []
        for endpoint in endpoints:
            try:
                self._ports[endpoint] = []
                opened.append(endpoint)
                self._listen(endpoint)
            except CannotListenError as error:
                for done in opened:
                    self._close(done)
                raise ListenError(_why(endpoint, error)) from error

    def _listen(self, endpoint: Endpoint) -> None:
        ports, host = self._ports[endpoint], str(endpoint.address)
        ports.append(self._reactor.listenTCP(endpoint.port, self.streams, backlog=STREAM_BACKLOG, interface=host))
        datagrams = QueryDatagrams(self.streams, self.responder, self._reactor)
        datagrams.noisy = False
        port = self._reactor.listenUDP(endpoint.port, datagrams, interface=host, maxPacketSize=MAX_DATAGRAM)
        port.maxThroughput = BYTES_A_WAKE_UP
        ports.append(port)
        self._log.info("{event}: {endpoint} (UDP and TCP)", event="dns-listening", endpoint=str(endpoint))

    def _close(self, endpoint: Endpoint) -> Deferred[Any]:
        ports = self._ports.pop(endpoint)
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])


def _why(endpoint: Endpoint, error: CannotListenError) -> str:
    reason = error.socketError.strerror or str(error.socketError)
    return f"dns.listen: cannot open {endpoint}: {reason}{_ADVICE.get(error.socketError.errno, '')}"


_ADVICE = {
    13: "; ports below 1024 need CAP_NET_BIND_SERVICE",
    98: "; another program has it (ss -lntup shows which)",
    99: "; the address is not on this host (ip address show)",
}
"""By errno: EACCES, EADDRINUSE, EADDRNOTAVAIL."""
