"""
A TCP connection through the proxy: what its beginning, its ends and its failures mean.

::

    CONNECTING --connected--> OPEN --one side ended--> HALF_CLOSED
        |                      |                          |
        |                      +---a side failed----------+---> BREAKING
        |                      |                          |        |
        +---refused, timeout---+---idle-------------------+--------+---> CLOSED

- An end (FIN) is passed on once everything before it has been, and closes one direction only.
- A failed side (a reset) is a reset for the other, once everything that could still be read before it has been handed
  to the kernel.  It is never a clean end: that would be a silent truncation.
- Half-closed and breaking connections have the same, shorter, patience; any byte in any direction renews it.
- Until the server is connected the client is not read: its bytes wait in the kernel.  How a server is found and reached
  is :mod:`~appliance.nat.approach`'s.
- What a server is told of its client (a PROXY header), and a welcome for the client, go before all other bytes.
"""

from __future__ import annotations

import math
import socket
from ipaddress import IPv4Address, ip_address

from appliance.balancing import Route, Ticket, Wait
from appliance.model import Endpoint, ProxyProtocol, Site, Transport
from appliance.nat.approach import Approach
from appliance.nat.fabric import Fabric
from appliance.nat.opening import SocketAddress, keep_alive
from appliance.nat.proxyheader import written
from appliance.nat.side import Side, close_with_reset
from appliance.nat.states import MOVES, State
from appliance.nat.timers import Bucket
from appliance.nat.traffic import Flow


class Connection:
    """
    One accepted client and, soon, its server.  It counts as live from here until both sides are closed.

    :param address: the leased address that the client came to, and ``port`` there.
    :param client: where the client is, as far as we know: a front end may have said.
    :param ticket: what the balancing knows it by.
    :ivar active_at: when a byte was last moved in either direction, or the state last changed.
    """

    __slots__ = (
        "_approach",
        "_bucket",
        "_client",
        "_client_sock",
        "_is_kept_alive",
        "_looked_at",
        "_opened_at",
        "_patience",
        "_server",
        "active_at",
        "address",
        "fabric",
        "peer",
        "port",
        "site",
        "state",
        "ticket",
    )

    def __init__(
        self,
        fabric: Fabric,
        site: Site,
        address: IPv4Address,
        port: int,
        client: socket.socket,
        peer: SocketAddress,
        ticket: Ticket,
    ) -> None:
        self.fabric = fabric
        self.site = site
        self.address = address
        self.port = port
        self.peer = peer
        self.ticket = ticket
        self.state = State.CONNECTING
        self.active_at = self._opened_at = fabric.seconds()
        self._patience = site.timeouts.connect
        self._looked_at = math.inf
        self._bucket: Bucket = {}
        self._is_kept_alive = False
        self._client_sock = client
        self._client: Side | None = None
        self._server: Side | None = None
        self._approach = Approach(fabric, site, ticket, self, client)

    def begin(self, decision: Route | Wait) -> None:
        """Count it and go where the balancing says."""
        fabric = self.fabric
        fabric.connections.add(self)
        fabric.opened(self.address, self.site.name)
        if self.state is State.CONNECTING:  # whom it was told may have closed it
            self._approach.follow(decision)
        if self.state is not State.CLOSED and self._looked_at == math.inf:
            self.look_at(self.active_at + self._patience)

    def look_at(self, at: float) -> None:
        if at < self._looked_at or self._looked_at <= self.fabric.seconds():
            self._looked_at = at
            self._bucket = self.fabric.timers.add(at, self)

    def reached(self, sock: socket.socket) -> None:
        client = self._client = Side(self, self._client_sock)
        server = self._server = Side(self, sock)
        client.other = server
        server.other = client
        self._move(State.OPEN, self.site.timeouts.idle)
        self.fabric.balance.connected(self.ticket)
        if self._client is None:  # whom that was told has closed it
            return
        instance = self.ticket.instance
        if instance is not None and instance.welcome:
            client.say_first(instance.welcome)
        if self.site.proxy_protocol is not ProxyProtocol.NONE:
            server.say_first(written(self.site.proxy_protocol, self._from(), Endpoint(self.address, self.port)))
        if not server.leftover:
            client.start_reading()
        if not client.leftover:
            server.start_reading()

    def unreached(self, why: str, *, rule: bool) -> None:
        """No server is to be had; the client sees a reset."""
        counters = self.fabric.counters
        if rule:
            counters.refused += 1
        else:
            counters.connects_failed += 1
        self.close(reset=True)

    def began(self, side: Side) -> None:
        """The first bytes of ``side`` came."""
        if side is self._server:
            self.fabric.balance.first_byte(self.ticket)

    def ended(self, side: Side) -> None:
        """``side`` will send nothing more."""
        side.ended = True
        if self.state is State.OPEN:
            self._move(State.HALF_CLOSED, self.site.timeouts.half_closed)
        self.settle()

    def failed(self, side: Side) -> None:
        """``side`` was reset, or cannot be sent to."""
        side.broken = True
        side.discard()
        if self.state is not State.BREAKING:
            self._move(State.BREAKING, self.site.timeouts.half_closed)
        self.settle()

    def settle(self) -> None:
        """
        Bring both sides to where their flags say they should be.

        Called when a side ended or failed, when a leftover has been sent and when the reactor has let go of a side:
        never on the fast path.
        """
        client, server = self._client, self._server
        if client is None or server is None:  # closed by what led here
            return
        if self._is_lost(client) or self._is_lost(server):
            self.close(reset=True)
        elif client.ended and server.ended:  # and so all has been passed on, but for the last FIN, which close() sends
            self.close(reset=False)
        elif self._settle_one_way(client, server):
            self._settle_one_way(server, client)

    def _is_lost(self, side: Side) -> bool:
        """Nothing can be got through from or to ``side`` any more; what it sent before it ended has been passed on."""
        return side.broken and (side.ended or side.other.broken)

    def _settle_one_way(self, source: Side, target: Side) -> bool:
        """:return: False when ``target`` failed over it, and all is settled already."""
        if source.ended or target.leftover or target.broken:
            source.pause_reading()
        else:
            source.start_reading()
        if source.ended and not target.shut:
            try:
                target.pass_end_on()
            except OSError:
                self.failed(target)
                return False
        return True

    def close(self, *, reset: bool) -> None:
        """End both sides at once."""
        if self.state is State.CLOSED:
            return
        self._move(State.CLOSED, 0.0)
        self._approach.cancel()
        received = sent = 0
        if self._client is not None and self._server is not None:
            received, sent = self._client.received, self._server.received
            self.fabric.delivered_bytes += sent
        if self._client is None or self._server is None:
            close_with_reset(self._client_sock)
        else:
            self._client.close(reset=reset)
            self._server.close(reset=reset)
            self._client = self._server = None
        self._approach.give_source_back()
        self._bucket.pop(self, None)
        self.fabric.closed(self.address, self.site.name)
        self.fabric.forget(self)
        # Last, for it may send others on their way.
        self.fabric.balance.ended(self.ticket, received, sent)

    def deadline(self) -> float | None:
        if self.state is State.CLOSED:
            return None
        if self.state is State.CONNECTING:
            approaching = self._approach.deadline()
            return approaching if approaching is not None else self.active_at + self._patience
        # The first look at one that has its server is for the keepalive, which short connections are spared.
        return self.active_at + self._patience if self._is_kept_alive else self._opened_at

    def expired(self) -> None:
        self._looked_at = math.inf
        if self.state is State.CONNECTING:
            self._approach.expired()
        elif self._is_kept_alive:
            self.close(reset=True)
        else:
            self._is_kept_alive = True
            if self._server is not None:
                keep_alive(self._server.sock, self.site.timeouts.keepalive)
            self.look_at(self.active_at + self._patience)

    @property
    def delivered_bytes(self) -> int:
        """What came from the server so far, while it is alive."""
        return self._server.received if self._server is not None else 0

    def is_at(self, server: str) -> bool:
        """Does it stand there?  One that is still being opened goes elsewhere by itself."""
        where = self._approach.server
        return self.state is not State.CONNECTING and where is not None and where.name == server

    def _from(self) -> Endpoint:
        return Endpoint(ip_address(self.peer[0]), self.peer[1])

    def flow(self, now: float) -> Flow:
        client, server, approach = self._client, self._server, self._approach
        return Flow(
            transport=Transport.TCP,
            client=self._from(),
            address=self.address,
            port=self.port,
            site=self.site.name,
            server=approach.server.name if approach.server is not None else "",
            from_client_bytes=client.received if client else 0,
            from_server_bytes=server.received if server else 0,
            age=now - self._opened_at,
            state="waiting" if self.ticket in self.fabric.waiting else self.state.value,
            number=self.ticket.number,
            buddy=self.ticket.buddy,
            bind_id=self.ticket.bind_id,
            source=approach.source.pair if approach.source is not None else None,
            attempts=self.ticket.attempts,
        )

    def _move(self, state: State, patience: float) -> None:
        assert (self.state, state) in MOVES, (self.state, state)
        self.state = state
        if state is State.CLOSED:
            return
        shorter = patience < self._patience
        self._patience = patience
        self.active_at = self.fabric.seconds()
        if shorter:
            self.look_at(self.active_at + patience)
