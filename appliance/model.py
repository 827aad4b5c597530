"""
The values that the rooms exchange: what a site, a server, a service and an endpoint are.

Nothing here changes or decides; configuration makes these values and everybody else reads them.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

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


Keys = frozenset[int]
"""A set of (protocol, port), each packed in a number: the port, plus 65536 for UDP."""

UDP_KEYS = 65536
"""What is added to a port to pack it as a UDP key."""


@functools.cache
def all_keys() -> Keys:
    """An address as a whole."""
    return frozenset(range(2 * UDP_KEYS))


def joined(some: Keys, others: Keys) -> Keys:
    """Both; one of the two as it is, where that has all, for most sites have the same few."""
    if others <= some:
        return some
    return others if some <= others else some | others


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


class Proof(enum.IntEnum):
    """How sure it is that who asks is where the query says it came from."""

    NONE = 0
    """A datagram: its source may be forged."""
    COOKIE = 1
    """A datagram with a DNS cookie that we gave to that address (RFC 7873)."""
    STREAM = 2
    """A TCP connection."""


@attrs.frozen
class Asker:
    """
    Who asks a question: the address that the query came from, and how sure that is.

    :param client: the network of whom a resolver asks for (RFC 7871), where it says so and may.
    """

    source: IPv4Address | IPv6Address
    proof: Proof
    client: IPv4Network | IPv6Network | None = None


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
    :param hold: how long connections may keep resetting a lease before it drains; 0: for ever.
    :param unused_renewals: how often queries alone, without a connection, renew.
    """

    base: float = 30.0
    minimum: float = 5.0
    maximum: float = 300.0
    offer: float = 10.0
    grace: float = 5.0
    cooling: float = 120.0
    hold: float = 0.0
    unused_renewals: int = 3


@attrs.frozen(kw_only=True)
class Quota:
    """
    Most offers that may wait for their first connection (1.9).

    :param per_source: for all askers of one prefix together.
    :param per_site: for one site.
    :param ipv4_prefix: bits of an asker's address that count; ``ipv6_prefix`` likewise.
    """

    per_source: int = 8
    per_site: int = 4
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56


@attrs.frozen(kw_only=True)
class Tiers:
    """
    From which used fraction of a pool on a new grant needs more than a question (1.9); 1.0: never.

    :param cookie: a valid DNS cookie, or TCP.
    :param tcp: TCP.
    :param reputation: that enough of what the asker's prefix was offered before has been used:
    :param minimum: this fraction, where an unknown prefix has one half.
    """

    cookie: float = 0.5
    tcp: float = 0.8
    reputation: float = 0.9
    minimum: float = 0.3


@attrs.frozen(kw_only=True)
class Pool:
    """
    Addresses that are leased.

    :param addresses: each address once, in the order of the configuration.
    :param adequate: the fraction of them that should be free; below it periods shrink.  0: they never do.
    :param share_by_service: sites whose keys do not clash may hold the same address (1.12).
    """

    name: str
    addresses: tuple[Address, ...]
    periods: Periods = Periods()
    adequate: float = 0.25
    share_by_service: bool = False
    quota: Quota = Quota()
    tiers: Tiers = Tiers()
    when_exhausted: Exhausted = Exhausted.SERVFAIL
