"""
UDP: one socket for each leased endpoint, one connected socket towards the server for each client endpoint.

The server so sees each client at its own port, and a reply needs no lookup.  An ICMP error ends neither a session nor
a listener (RFC 4787 REQ-12); a datagram that the kernel will not take now is dropped, as a router would.

A session is::

    NEW --the server replied--> ANSWERED --the client sent again--> BOUND

Only a bound one holds its lease: a datagram with a forged source gets as far as ANSWERED.
"""

from __future__ import annotations

import enum
import os
import socket
from ipaddress import IPv4Address, ip_address

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.model import Endpoint, Server, Service, Site, Transport
from appliance.nat.fabric import EXHAUSTED, Fabric
from appliance.nat.opening import SocketAddress, family_of, open_socket, target_of
from appliance.nat.traffic import Flow

_BATCH = 32
"""Most datagrams moved in one wake-up, for each socket."""
_TRIES = 2
"""A socket reports an ICMP error once, in place of the send it was asked for; the next one goes out."""
_FEWEST_OF_ONE_NETWORK = 64
"""A quarter of a small site's sessions is less than one busy network needs, so it may have this many."""
_UNBOUND_TIMEOUT = 30.0
"""A session that has not shown a real client yet ends after this long without a datagram."""


class State(enum.Enum):
    """The values are for people."""

    NEW = "new"
    ANSWERED = "answered"
    BOUND = "bound"


@implementer(IReadDescriptor)
class Session:
    """A client endpoint's way to the server and back."""

    __slots__ = (
        "_client",
        "_fabric",
        "_from_client_bytes",
        "_from_server_bytes",
        "_listener",
        "_open",
        "_opened_at",
        "_recv_into",
        "_send",
        "_server_name",
        "_site",
        "_sock",
        "_state",
        "active_at",
        "fileno",
    )

    def __init__(
        self, listener: UdpListener, site: Site, server_name: str, client: SocketAddress, sock: socket.socket
    ) -> None:
        self._listener = listener
        self._fabric = listener.fabric
        self._site = site
        self._server_name = server_name
        self._client = client
        self._sock = sock
        self._send = sock.send
        self._recv_into = sock.recv_into
        self.fileno = sock.fileno
        self._state = State.NEW
        self._open = True
        self._from_client_bytes = self._from_server_bytes = 0
        self.active_at = self._opened_at = self._fabric.seconds()

    def forward(self, data: memoryview) -> None:
        """A datagram came from the client."""
        if self._state is State.ANSWERED:
            self._bind()
        self._from_client_bytes += len(data)
        for _ in range(_TRIES):
            try:
                self._send(data)
                return
            except BlockingIOError:
                break
            except OSError:
                continue
        self._fabric.counters.datagrams_dropped += 1

    def doRead(self) -> None:
        """Datagrams came from the server."""
        fabric = self._fabric
        for _ in range(_BATCH):
            if not self._open:  # told of being bound, somebody closed us
                return
            try:
                count = self._recv_into(fabric.buffer)
            except BlockingIOError:
                return
            except OSError:
                continue
            self.active_at = fabric.seconds()
            self._from_server_bytes += count
            if self._listener.reply(fabric.view[:count], self._client) and self._state is State.NEW:
                self._state = State.ANSWERED

    def logPrefix(self) -> str:
        return "nat"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw EPOLLERR, which is an ICMP error, and has removed us; it is cleared, and we go on."""
        if self._open:
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._fabric.reactor.addReader(self)

    def deadline(self) -> float | None:
        if not self._open:
            return None
        return self.active_at + (self._site.timeouts.udp if self._state is State.BOUND else _UNBOUND_TIMEOUT)

    def expired(self) -> None:
        self.close()

    def _bind(self) -> None:
        self._state = State.BOUND
        if self._site.timeouts.udp < _UNBOUND_TIMEOUT:  # its deadline came nearer
            self._fabric.timers.add(self.active_at + self._site.timeouts.udp, self)
        self._fabric.opened(self._listener.address, self._site.name)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._fabric.reactor.removeReader(self)
        self._sock.close()
        self._listener.forget(self._client, self, self._site.name)
        if self._state is State.BOUND:
            self._fabric.closed(self._listener.address, self._site.name)

    def is_of(self, address: IPv4Address, site: str) -> bool:
        return self._listener.address == address and self._site.name == site

    def flow(self, now: float) -> Flow:
        return Flow(
            transport=Transport.UDP,
            client=Endpoint(address=ip_address(self._client[0]), port=self._client[1]),
            address=self._listener.address,
            port=self._listener.port,
            site=self._site.name,
            server=self._server_name,
            from_client_bytes=self._from_client_bytes,
            from_server_bytes=self._from_server_bytes,
            age=now - self._opened_at,
            state=self._state.value,
        )


@implementer(IReadDescriptor)
class UdpListener:
    """
    A leased endpoint that datagrams come to and replies leave from.

    :raises DataPathError: where it cannot be opened.
    """

    log = Logger(namespace="appliance.nat")

    def __init__(
        self, fabric: Fabric, address: IPv4Address, port: int, site: Site, server: Server, service: Service
    ) -> None:
        self.fabric = fabric
        self.address = address
        self.port = port
        self._site = site
        self._server = server
        self._target = target_of(server, service, port)
        self._sessions: dict[SocketAddress, Session] = {}
        self._sock = open_socket(Transport.UDP, address, port)
        self._sendto = self._sock.sendto
        self._open = True
        fabric.reactor.addReader(self)

    def assign(self, site: Site, server: Server, service: Service) -> None:
        """The site was configured anew: so new sessions are treated from now on."""
        self._site = site
        self._server = server
        self._target = target_of(server, service, self.port)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._end_sessions()
            self.fabric.reactor.removeReader(self)
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "nat"

    def doRead(self) -> None:
        fabric = self.fabric
        now = fabric.seconds()
        for _ in range(_BATCH):
            if not self._open:
                return
            try:
                count, client = self._sock.recvfrom_into(fabric.buffer)
            except BlockingIOError:
                return
            except OSError:
                continue
            session = self._sessions.get(client) or self._begin(client)
            if session is not None:
                session.active_at = now
                session.forward(fabric.view[:count])

    def reply(self, data: memoryview, client: SocketAddress) -> bool:
        """:return: whether the kernel took it."""
        try:
            self._sendto(data, client)
        except OSError:
            self.fabric.counters.datagrams_dropped += 1
            return False
        return True

    def forget(self, client: SocketAddress, session: Session, site: str) -> None:
        """``session`` is over."""
        del self._sessions[client]
        self.fabric.sessions.discard(session)
        for key in (site, (site, _prefix(client))):
            self.fabric.sessions_of[key] -= 1
            if not self.fabric.sessions_of[key]:
                del self.fabric.sessions_of[key]

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed us over an error of the socket; it is cleared, and we listen on."""
        if self._open:
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.fabric.reactor.addReader(self)

    def _begin(self, client: SocketAddress) -> Session | None:
        """:return: a session for a new client endpoint; None when there can be none, and its datagram is dropped."""
        fabric = self.fabric
        site, network = self._site.name, (self._site.name, _prefix(client))
        most = self._site.max_sessions
        if fabric.sessions_of[site] >= most or fabric.sessions_of[network] >= _most_of_one_network(most):
            fabric.counters.sessions_refused += 1
            return None
        try:
            sock = socket.socket(family_of(self._target), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as problem:
            fabric.counters.sessions_refused += 1
            if problem.errno in EXHAUSTED:
                fabric.out_of_descriptors(os.strerror(problem.errno))
            return None
        try:
            sock.connect(self._target)
        except OSError as problem:
            sock.close()
            fabric.counters.datagrams_dropped += 1
            fabric.connect_failed(f"{self._site.name} to {self._target[0]} port {self._target[1]}: {problem.strerror}")
            return None
        session = self._sessions[client] = Session(self, self._site, self._server.name, client, sock)
        fabric.sessions.add(session)
        fabric.sessions_of[site] += 1
        fabric.sessions_of[network] += 1
        fabric.reactor.addReader(session)
        fabric.timers.add(fabric.seconds() + _UNBOUND_TIMEOUT, session)
        return session

    def _end_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session.close()


def _most_of_one_network(most: int) -> int:
    """:return: of a site that may have ``most`` in all; it can be more than that, which is a bound of its own."""
    return max(most // 4, _FEWEST_OF_ONE_NETWORK)


def _prefix(client: SocketAddress) -> str:
    """The /24 that a client is in; leased addresses are IPv4, and so are their clients."""
    return client[0].rpartition(".")[0]
