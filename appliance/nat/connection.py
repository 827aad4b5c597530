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
- Until the server is connected the client is not read: its bytes wait in the kernel.
"""

from __future__ import annotations

import enum
import os
import socket
from ipaddress import IPv4Address, ip_address

from appliance.model import Endpoint, Site, Transport
from appliance.nat.dial import Dial
from appliance.nat.fabric import EXHAUSTED, Fabric
from appliance.nat.opening import SocketAddress
from appliance.nat.side import Side, close_with_reset
from appliance.nat.traffic import Flow


class State(enum.Enum):
    """The values are for people."""

    CONNECTING = "connecting"
    OPEN = "open"
    HALF_CLOSED = "half-closed"
    BREAKING = "breaking"
    CLOSED = "closed"


_MOVES = frozenset(
    {
        (State.CONNECTING, State.OPEN),
        (State.CONNECTING, State.CLOSED),
        (State.OPEN, State.HALF_CLOSED),
        (State.OPEN, State.BREAKING),
        (State.OPEN, State.CLOSED),
        (State.HALF_CLOSED, State.BREAKING),
        (State.HALF_CLOSED, State.CLOSED),
        (State.BREAKING, State.CLOSED),
    }
)


class Connection:
    """
    One accepted client and, soon, its server.  It counts as live from here until both sides are closed.

    :param address: the leased address that the client came to, and ``port`` there.
    :param client: where the client is.
    :param server: where its bytes go; that server is called ``server_name``.
    :ivar active_at: when a byte was last moved in either direction, or the state last changed.
    """

    __slots__ = (
        "_client",
        "_client_sock",
        "_dial",
        "_opened_at",
        "_patience",
        "_server",
        "_server_name",
        "active_at",
        "address",
        "fabric",
        "peer",
        "port",
        "site",
        "state",
        "target",
    )

    def __init__(
        self,
        fabric: Fabric,
        site: Site,
        server_name: str,
        address: IPv4Address,
        port: int,
        client: socket.socket,
        peer: SocketAddress,
        server: SocketAddress,
    ) -> None:
        self.fabric = fabric
        self.site = site
        self._server_name = server_name
        self.address = address
        self.port = port
        self.peer = peer
        self.target = server
        self.state = State.CONNECTING
        self.active_at = self._opened_at = fabric.seconds()
        self._patience = site.timeouts.connect
        self._client_sock = client
        self._client: Side | None = None
        self._server: Side | None = None
        self._dial: Dial | None = None

    def begin(self) -> None:
        """Count it and connect to its server."""
        fabric = self.fabric
        fabric.connections.add(self)
        fabric.opened(self.address, self.site.name)
        if self.state is State.CONNECTING:  # whom it was told may have closed it
            dial = self._dial = Dial(fabric, self.target, self)
            dial.start()
        deadline = self.deadline()
        if deadline is not None:
            fabric.timers.add(deadline, self)

    def dialled(self, sock: socket.socket) -> None:
        self._dial = None
        client = self._client = Side(self, self._client_sock)
        server = self._server = Side(self, sock)
        client.other = server
        server.other = client
        self._move(State.OPEN, self.site.timeouts.idle)
        client.start_reading()
        server.start_reading()

    def dial_failed(self, error: int) -> None:
        self._dial = None
        if error in EXHAUSTED:
            self.fabric.out_of_descriptors(os.strerror(error))
        self._give_up(os.strerror(error))

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
        if self._dial is not None:
            self._dial.cancel()
        if self._client is None or self._server is None:
            close_with_reset(self._client_sock)
        else:
            self._client.close(reset=reset)
            self._server.close(reset=reset)
            self._client = self._server = None
        self.fabric.closed(self.address, self.site.name)
        self.fabric.forget(self)

    def deadline(self) -> float | None:
        return None if self.state is State.CLOSED else self.active_at + self._patience

    def expired(self) -> None:
        if self.state is State.CONNECTING:
            self._give_up("no answer in time")
        else:
            self.close(reset=True)

    def flow(self, now: float) -> Flow:
        client, server = self._client, self._server
        return Flow(
            transport=Transport.TCP,
            client=Endpoint(address=ip_address(self.peer[0]), port=self.peer[1]),
            address=self.address,
            port=self.port,
            site=self.site.name,
            server=self._server_name,
            from_client_bytes=client.received if client else 0,
            from_server_bytes=server.received if server else 0,
            age=now - self._opened_at,
            state=self.state.value,
        )

    def _give_up(self, why: str) -> None:
        self.fabric.counters.connects_failed += 1
        self.fabric.connect_failed(f"{self.site.name} to {self.target[0]} port {self.target[1]}: {why}")
        self.close(reset=True)

    def _move(self, state: State, patience: float) -> None:
        assert (self.state, state) in _MOVES, (self.state, state)
        self.state = state
        if state is State.CLOSED:
            return
        shorter = patience < self._patience
        self._patience = patience
        self.active_at = self.fabric.seconds()
        if shorter:
            self.fabric.timers.add(self.active_at + patience, self)
