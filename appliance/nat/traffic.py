"""
What the room tells about what it carries: to the tables (:class:`Traffic`) and to people (the rest).
"""

from __future__ import annotations

import typing
from ipaddress import IPv4Address

import attrs

from appliance.model import Endpoint, Transport


class Traffic(typing.Protocol):
    """Whoever counts the live connections of a lease; SharedState does."""

    def connection_opened(self, address: IPv4Address, site: str) -> None:
        """A live TCP connection or bound UDP session now holds this site's lease of ``address``."""

    def connection_closed(self, address: IPv4Address, site: str) -> None:
        """It is over.  Called exactly once for each :meth:`connection_opened`."""


@attrs.frozen(kw_only=True)
class Flow:
    """
    A TCP connection or a UDP session, as a person sees it.

    :param address: the leased address that the client speaks to, and ``port`` there.
    :param from_client_bytes: what the client sent so far.
    :param from_server_bytes: what the server sent so far.
    :param age: seconds since its first packet.
    :param state: a word: connecting, open, half-closed, breaking; for UDP new, answered, bound.
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


@attrs.define(kw_only=True)
class Counters:
    """What went wrong since the start, for metrics.  Each only grows."""

    connects_failed: int = 0
    """TCP connections whose server refused, or did not answer in time."""
    accepts_refused: int = 0
    """TCP connections that were reset at once because no descriptor was left."""
    sessions_refused: int = 0
    """
    Datagrams that would have begun a UDP session: one over ``max_sessions``, or over what one network may have of
    them, or without a descriptor.
    """
    datagrams_dropped: int = 0
    """Datagrams of a session that the kernel would not take."""
