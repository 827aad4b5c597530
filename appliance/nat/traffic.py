"""
What the room asks and tells: the tables (:class:`Traffic`, :class:`Balance`), and people (the rest).
"""

from __future__ import annotations

import typing
from ipaddress import IPv4Address

import attrs

from appliance.balancing import Refused, Route, Ticket, Turned, Wait
from appliance.model import Endpoint, Pair, Transport
from appliance.ports import Block


class Traffic(typing.Protocol):
    """Whoever counts the live connections of a lease; SharedState does."""

    def connection_opened(self, address: IPv4Address, site: str) -> None:
        """A live TCP connection or bound UDP session now holds this site's lease of ``address``."""

    def connection_closed(self, address: IPv4Address, site: str) -> None:
        """It is over.  Called exactly once for each :meth:`connection_opened`."""


class Balance(typing.Protocol):
    """
    Whoever says where connections go, and from which source; the part of SharedState that balances does.

    What becomes of those who wait comes through :meth:`~appliance.nat.datapath.Nat.proceed`.
    """

    def begin(self, site: str, key: int, client: int, home: str) -> Route | Wait | Turned | Refused:
        """
        A new connection or session.

        :param key: protocol and port that it came to, as :data:`appliance.model.Keys` packs them.
        :param client: its address as a number.
        :param home: name of the server that the address was leased for.
        """

    def connected(self, ticket: Ticket) -> None:
        """Its server has answered."""

    def first_byte(self, ticket: Ticket) -> None:
        """Its server has sent something; said once, after :meth:`connected`."""

    def failed(self, ticket: Ticket, why: str, *, refused: bool) -> Route | Wait | Refused:
        """
        Its server did not take it; where to go now.

        :param why: for people.
        :param refused: the machine answered, that nobody listens at the port.
        """

    def ended(self, ticket: Ticket, received: int, sent: int) -> None:
        """It is over; a second call changes nothing.  Bytes are from and to the client."""

    def take_source(self, pool: str, transport: Transport) -> Block | None:
        """A pair of a client NAT pool; None when there is none."""

    def give_source(self, pool: str, transport: Transport, source: Block) -> None:
        """Give it back."""


@attrs.frozen(kw_only=True)
class Flow:
    """
    A TCP connection or a UDP session, as a person sees it.

    :param address: the leased address that the client speaks to, and ``port`` there.
    :param from_client_bytes: what the client sent so far.
    :param from_server_bytes: what the server sent so far.
    :param age: seconds since its first packet.
    :param state: a word: waiting, connecting, open, half-closed, breaking; for UDP new, answered, bound.
    :param number: of the connection; ``buddy`` is that of another, whose server it was sent to; 0 for none.
    :param bind_id: of the instance that its client is assigned to.
    :param source: what its server sees of it, where that comes from a client NAT pool.
    :param attempts: dials on the present server, the one that got through included.
    """

    transport: Transport
    client: Endpoint
    address: IPv4Address
    port: int
    site: str
    server: str
    from_client_bytes: int
    from_server_bytes: int
    age: float
    state: str
    number: int
    buddy: int
    bind_id: int
    source: Pair | None
    attempts: int


@attrs.define(kw_only=True)
class Counters:
    """What went wrong since the start, for metrics.  Each only grows."""

    connects_failed: int = 0
    """TCP connections for which there was no server that took them."""
    refused: int = 0
    """Connections and sessions that were not carried because of a rule: a filter, a limit, a state."""
    turned_away: int = 0
    """Connections that got an answer in place of a server."""
    sources_exhausted: int = 0
    """Connections and sessions for which a client NAT pool had no pair left."""
    accepts_refused: int = 0
    """TCP connections that were reset at once because no descriptor was left."""
    sessions_refused: int = 0
    """
    Datagrams that would have begun a UDP session: one over ``max_sessions``, or over what one network may have of
    them, or without a descriptor.
    """
    datagrams_dropped: int = 0
    """Datagrams of a session that the kernel would not take."""
