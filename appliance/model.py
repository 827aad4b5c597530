"""
The values that the rooms exchange: what a site, a server, a service and an endpoint are.

Nothing here changes or decides; configuration makes these values and everybody else reads them.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

import attrs

Address = IPv4Address
"""A public address that can be leased.  Only IPv4 is scarce; AAAA answers are fixed (``sites.*.ipv6``)."""


class Transport(enum.Enum):
    """The protocols that are leased, translated and counted."""

    TCP = "tcp"
    UDP = "udp"


@attrs.frozen
class Endpoint:
    """Where something listens."""

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        if isinstance(self.address, IPv6Address):
            return f"[{self.address}]:{self.port}"
        return f"{self.address}:{self.port}"


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
    """A real server: where the traffic of a site ends.  ``port`` 0 keeps what the service's ``to`` says."""

    name: str
    address: IPv4Address | IPv6Address
    port: int = 0


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long the data path waits, in seconds.  Defaults are those of RFC 5382 (idle) and RFC 4787 (udp)."""

    connect: float = 3.0
    idle: float = 7200.0
    half_closed: float = 30.0
    udp: float = 300.0


@attrs.frozen(kw_only=True)
class Site:
    """
    A name that leases an address.

    :param name: the name, lower case, without the last dot; it is also the site's identity in every table.
    :param pool: name of the pool that it leases from.
    :param aliases: other names that are answered with the same lease.
    :param ipv6: what AAAA is answered with; never leased.
    :param max_sessions: most UDP sessions at once on all its leased ports together.
    """

    name: str
    pool: str
    services: tuple[Service, ...]
    server: Server
    aliases: tuple[str, ...] = ()
    ipv6: tuple[IPv6Address, ...] = ()
    timeouts: Timeouts = Timeouts()
    max_sessions: int = 65536


class Exhausted(enum.Enum):
    """What a new grant is answered with when no address can be had."""

    SERVFAIL = "servfail"
    NODATA = "nodata"
    DROP = "drop"


@attrs.frozen(kw_only=True)
class Periods:
    """
    The spans of a lease, in seconds (LEASES in ``docs/leases.rst``).

    :param base: what an answer promises a site with a connection now and then, while addresses are not short.
    :param minimum: it never promises less than this (but for what remains of a lease that is not renewed),
    :param maximum: nor more than this.
    :param offer: most that is promised before the first connection.
    :param grace: how long after its last promise a lease still stands.
    :param cooling: how long a reclaimed address is kept from other sites.
    :param unused_renewals: how often queries alone, without a connection, renew.
    """

    base: float = 30.0
    minimum: float = 5.0
    maximum: float = 300.0
    offer: float = 10.0
    grace: float = 5.0
    cooling: float = 120.0
    unused_renewals: int = 3


@attrs.frozen(kw_only=True)
class Pool:
    """
    Addresses that are leased.

    :param addresses: each address once, in the order of the configuration.
    :param adequate: the fraction of them that should be free; below it periods shrink.  0: they never do.
    """

    name: str
    addresses: tuple[Address, ...]
    periods: Periods = Periods()
    adequate: float = 0.25
    when_exhausted: Exhausted = Exhausted.SERVFAIL
