"""
A UDP session: a client endpoint's way to its server and back.

The server sees each client at its own port, so a reply needs no lookup.  An ICMP error does not end a session (RFC 4787
REQ-12); a datagram that the kernel will not take now is dropped, as a router would.  A session is::

    NEW --the server replied--> ANSWERED --the client sent again--> BOUND

Only a bound one holds its lease: a datagram with a forged source gets as far as ANSWERED.
"""

from __future__ import annotations

import enum
import socket
import typing
from ipaddress import IPv4Address, ip_address

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.balancing import Route, Ticket
from appliance.model import Endpoint, Site, Transport
from appliance.nat.opening import SocketAddress
from appliance.nat.traffic import Flow
from appliance.ports import Block

if typing.TYPE_CHECKING:
    from appliance.nat.datagrams import UdpListener

BATCH = 32
"""Most datagrams moved in one wake-up, for each socket."""
_TRIES = 2
"""A socket reports an ICMP error once, in place of the send it was asked for; the next one goes out."""
UNBOUND_TIMEOUT = 30.0
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
        "_route",
        "_send",
        "_site",
        "_sock",
        "_source",
        "_state",
        "active_at",
        "fileno",
    )

    def __init__(
        self,
        listener: UdpListener,
        site: Site,
        route: Route,
        client: SocketAddress,
        sock: socket.socket,
        source: Block | None,
    ) -> None:
        self._listener = listener
        self._fabric = listener.fabric
        self._site = site
        self._route = route
        self._source = source
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
        for _ in range(BATCH):
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
                fabric.balance.connected(self._route.ticket)
                fabric.balance.first_byte(self._route.ticket)

    def logPrefix(self) -> str:
        return "nat"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw EPOLLERR, which is an ICMP error, and has removed us; it is cleared, and we go on."""
        if self._open:
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._fabric.poll.addReader(self)

    def deadline(self) -> float | None:
        if not self._open:
            return None
        return self.active_at + (self._site.timeouts.udp if self._state is State.BOUND else UNBOUND_TIMEOUT)

    def expired(self) -> None:
        self.close()

    def _bind(self) -> None:
        self._state = State.BOUND
        if self._site.timeouts.udp < UNBOUND_TIMEOUT:  # its deadline came nearer
            self._fabric.timers.add(self.active_at + self._site.timeouts.udp, self)
        self._fabric.opened(self._listener.address, self._site.name)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._fabric.poll.removeReader(self)
        self._sock.close()
        fabric = self._fabric
        fabric.delivered_bytes += self._from_server_bytes
        self._listener.forget(self._client, self, self._site.name)
        if self._source is not None and self._site.client_nat is not None:
            fabric.balance.give_source(self._site.client_nat, Transport.UDP, self._source)
        if self._state is State.BOUND:
            fabric.closed(self._listener.address, self._site.name)
        fabric.balance.ended(self._route.ticket, self._from_client_bytes, self._from_server_bytes)

    @property
    def delivered_bytes(self) -> int:
        """What came from the server so far."""
        return self._from_server_bytes

    @property
    def ticket(self) -> Ticket:
        return self._route.ticket

    def is_at(self, server: str) -> bool:
        return self._route.server.name == server

    def is_of(self, address: IPv4Address, site: str) -> bool:
        return self._listener.address == address and self._site.name == site

    def flow(self, now: float) -> Flow:
        return Flow(
            transport=Transport.UDP,
            client=Endpoint(address=ip_address(self._client[0]), port=self._client[1]),
            address=self._listener.address,
            port=self._listener.port,
            site=self._site.name,
            server=self._route.server.name,
            from_client_bytes=self._from_client_bytes,
            from_server_bytes=self._from_server_bytes,
            age=now - self._opened_at,
            state=self._state.value,
            number=self._route.ticket.number,
            buddy=self._route.ticket.buddy,
            bind_id=self._route.ticket.bind_id,
            source=self._source.pair if self._source is not None else None,
            attempts=self._route.ticket.attempts,
        )
