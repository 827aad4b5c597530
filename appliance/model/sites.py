"""Names that lease, and what stands behind them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

import attrs

from appliance.model.endpoints import UDP_KEYS, Address, Keys, Transport


@attrs.frozen(kw_only=True)
class Service:
    """
    A port, or a run of ports, that a site offers on its leased address.

    :param first_port: first public port.
    :param last_port: last public port, at least ``first_port``.
    :param to: the server's port for ``first_port``; later ports of a run keep their distance to it.
    """

    transport: Transport = Transport.TCP
    first_port: int
    last_port: int
    to: int

    def ports(self) -> range:
        return range(self.first_port, self.last_port + 1)

    def target(self, port: int) -> int:
        """The server's port that public ``port`` is translated to."""
        return self.to + port - self.first_port


@attrs.frozen(kw_only=True)
class Server:
    """
    A real server: where the traffic of a site ends.

    :param port: 0 keeps what the service's ``to`` says.
    :param weight: its share of a site's requests, relative to the site's other servers.
    """

    name: str
    address: IPv4Address | IPv6Address
    port: int = 0
    weight: int = 1


@attrs.frozen(kw_only=True)
class Timeouts:
    """
    How long the data path waits, in seconds.  Defaults are those of RFC 5382 (idle) and RFC 4787 (udp).

    :param drain: how long connections may go on once their lease drains.
    """

    connect: float = 3.0
    idle: float = 7200.0
    half_closed: float = 30.0
    udp: float = 300.0
    drain: float = 300.0


def keys_of(services: Iterable[Service]) -> Keys:
    """The keys that ``services`` take on a leased address."""
    return frozenset(
        port + (UDP_KEYS if service.transport is Transport.UDP else 0)
        for service in services
        for port in service.ports()
    )


@attrs.frozen(kw_only=True)
class Site:
    """
    A name that leases an address.

    :param name: the name, lower case, without the last dot; it is also the site's identity in every table.
    :param pool: name of the pool that it leases from; empty for a site with an ``address`` of its own.
    :param servers: at least one; the first that has no address yet is the next to get one (1.5).
    :param addresses: most addresses at once, at most one a server.
    :param address: static: the site has this address always and leases none.
    :param aliases: other names that are answered with the same lease.
    :param ipv6: what AAAA is answered with; never leased.
    :param max_sessions: most UDP sessions at once on all its leased ports together.
    :ivar keys: what it takes on an address; made of ``services``.
    """

    name: str
    pool: str
    services: tuple[Service, ...]
    servers: tuple[Server, ...]
    addresses: int = 1
    address: Address | None = None
    aliases: tuple[str, ...] = ()
    ipv6: tuple[IPv6Address, ...] = ()
    timeouts: Timeouts = Timeouts()
    max_sessions: int = 65536
    keys: Keys = attrs.field(init=False, eq=False, repr=False)

    @keys.default
    def _keys(self) -> Keys:
        return keys_of(self.services)
