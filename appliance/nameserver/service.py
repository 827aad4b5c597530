"""The listeners of the name server, as a service that can move them while it runs."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from appliance.config import DNSConfig
from appliance.errors import ListenError
from appliance.events import Event
from appliance.model import Endpoint
from appliance.nameserver.cookies import Cookies
from appliance.nameserver.datagrams import BYTES_A_WAKE_UP, MAX_DATAGRAM, RECEIVE_BUFFER, QueryDatagrams, QueryPort
from appliance.nameserver.identity import Identity
from appliance.nameserver.mmsg import is_supported
from appliance.nameserver.ratelimit import RateLimiter
from appliance.nameserver.responder import Decide, Responder
from appliance.nameserver.standing import Standing
from appliance.nameserver.streams import QueryStreams
from appliance.nameserver.wirecache import WireCache
from appliance.nameserver.zonetransfers import Transfers

STREAM_BACKLOG = 1024


class NameServer(Service):
    """
    Answers on each endpoint over UDP and TCP.

    :param answer: decides about a question; None drops it, a Deferred answers it later.
    :param cookies: None: DNS cookies are ignored, and only TCP proves where a query comes from.
    :param standing: what the wire caches ask; None: there are none.
    :param transfers: None: NOTIFY, AXFR, IXFR and signed queries are refused.
    """

    name = "nameserver"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        answer: Decide,
        config: DNSConfig,
        cookies: Cookies | None = None,
        standing: Standing | None = None,
        transfers: Transfers | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoints = config.listen
        self._limiter = RateLimiter(config.rate_limit)
        self.responder = Responder(
            answer, udp_payload=config.udp_payload, cookies=cookies, limiter=self._limiter, seconds=reactor.seconds
        )
        self.responder.transfers = transfers
        self.caches = [self._cache(standing, cookies, stream=stream) for stream in (False, True)] if standing else []
        if self.caches:
            self.responder.datagrams, self.responder.streams = self.caches
        self.streams = QueryStreams(self.responder, config.tcp, reactor)
        self._ports: dict[Endpoint, list[IListeningPort]] = {}
        self._follow(config)

    def _cache(self, standing: Standing, cookies: Cookies | None, *, stream: bool) -> WireCache:
        return WireCache(
            standing,
            stream=stream,
            seconds=self._reactor.seconds,
            happened=self.responder.happened,
            cookies=cookies,
            limiter=self._limiter,
        )

    def _follow(self, config: DNSConfig) -> None:
        """All that changes without a listener."""
        self._limiter.configure(config.rate_limit)
        responder = self.responder
        responder.udp_payload = config.udp_payload
        responder.identity = Identity(nsid=config.nsid, version=config.version)
        responder.client_subnet = config.client_subnet
        responder.keepalive = config.tcp.idle_timeout
        self.streams.limits = config.tcp
        for cache in self.caches:
            cache.payload = config.udp_payload
            cache.clear()

    def follow(self, event: Event) -> None:
        """Something happened that kept answers may be about."""
        for cache in self.caches:
            cache.follow(event)

    @property
    def happened(self) -> Mapping[str, int]:
        """What was asked and answered since the start, by kind."""
        for cache in self.caches:
            cache.settle()
        return self.responder.happened

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
        self._follow(config)

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
        ports.append(self._listen_udp(endpoint.port, host))
        self._log.info("{event}: {endpoint} (UDP and TCP)", event="dns-listening", endpoint=str(endpoint))

    def _listen_udp(self, number: int, host: str) -> IListeningPort:
        cache = self.responder.datagrams
        datagrams = QueryDatagrams(self.streams, self.responder, cache, self._reactor)
        datagrams.noisy = False
        if cache is not None and is_supported():
            port = QueryPort(number, datagrams, host, MAX_DATAGRAM, self._reactor)
            port.startListening()
        else:
            port = self._reactor.listenUDP(number, datagrams, interface=host, maxPacketSize=MAX_DATAGRAM)
            port.maxThroughput = BYTES_A_WAKE_UP
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return port

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
