"""
What a configuration is once it has been read: frozen values, without places in files.

Two configurations are compared part by part for a reload; every part compares by value.  A zone compares by the text
that it was read from, because comparing ``dns.zone.Zone`` objects is slow and looks at less.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import attrs
import dns.name
import dns.zone

from appliance.errors import Fault
from appliance.events import Fsync
from appliance.model import Delivery, Endpoint, Market, NatPool, Pool, Pop, Probe, Server, Site


@attrs.frozen(kw_only=True)
class TCPLimits:
    """
    What DNS over TCP may cost.

    :param max_connections: most connections at once, over all endpoints.
    :param idle_timeout: seconds without a query after which a connection is closed.
    :param max_queries: queries after which a connection is closed.
    """

    max_connections: int = 512
    idle_timeout: float = 10.0
    max_queries: int = 1000


@attrs.frozen(kw_only=True)
class RateLimit:
    """
    How many responses of one kind go to one network over UDP.

    :param responses_per_second: 0 for no limit.
    :param window: seconds that a flood's debt lasts beyond its end, at most.
    :param slip: every so manieth response beyond the rate says TC=1 instead of being dropped; 0: none.
    :param ipv4_prefix: bits of an address that are its network; ``ipv6_prefix`` likewise.
    :param exempt: networks that are not limited.
    """

    responses_per_second: int = 50
    window: float = 5.0
    slip: int = 2
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()


@attrs.frozen(kw_only=True)
class CookieConfig:
    """
    DNS cookies (RFC 7873).

    :param secret: absolute path of the file; None: ``cookie.secret`` in the state folder, or made up at each start
        where there is none.
    """

    enabled: bool = True
    secret: str | None = None


class TSIGAlgorithm(enum.Enum):
    """How messages are signed (RFC 8945 s6); MD5 is left out on purpose."""

    SHA1 = "hmac-sha1"
    SHA224 = "hmac-sha224"
    SHA256 = "hmac-sha256"
    SHA384 = "hmac-sha384"
    SHA512 = "hmac-sha512"


@attrs.frozen
class TSIGKey:
    """
    A key that another server has as well.

    :param name: absolute, lower case.
    :param secret: absolute path of the file that holds it; None: ``NAME.tsig`` in the state folder.
    """

    name: dns.name.Name
    algorithm: TSIGAlgorithm
    secret: str | None


@attrs.frozen
class Primary:
    """
    Where a zone is transferred from.

    :param key: signs what is asked there; None: nothing is signed.
    """

    address: Endpoint
    key: dns.name.Name | None = None


@attrs.frozen(kw_only=True)
class TransferConfig:
    """
    Who may have a zone: who asks from ``allow``, or signs with one of ``keys``; either suffices.

    :param notify: who is told of a new serial.
    """

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    keys: tuple[dns.name.Name, ...] = ()
    notify: tuple[Endpoint, ...] = ()


@attrs.frozen(kw_only=True)
class ZoneConfig:
    """
    A zone that is served from a master file, or transferred in.

    :param apex: absolute, lower case.
    :param zone: the parsed records with absolute names; to be read, never changed; takes no part in comparing.  None
        where the zone has a ``primary``.
    :param source: the text it was read from, followed by the text of each file that it includes.
    """

    apex: dns.name.Name
    zone: dns.zone.Zone | None = attrs.field(eq=False, repr=False)
    source: str = attrs.field(repr=False)
    primary: Primary | None = None
    transfer: TransferConfig = TransferConfig()


@attrs.frozen(kw_only=True)
class DNSConfig:
    """
    The name server.

    :param listen: each endpoint serves UDP and TCP; at least one, none twice.
    :param zones: in the order of the file; no apex twice.
    :param udp_payload: largest UDP answer in bytes, 512 to 4096.
    :param nsid: what an asker of NSID and of ``id.server`` is told; empty: nothing.
    :param version: what an asker of ``version.bind`` is told; empty: nothing.
    :param client_subnet: EDNS client subnets are read; else they are ignored.
    :param tsig: no name twice.
    """

    listen: tuple[Endpoint, ...]
    zones: tuple[ZoneConfig, ...]
    udp_payload: int = 1232
    tcp: TCPLimits = TCPLimits()
    cookies: CookieConfig = CookieConfig()
    rate_limit: RateLimit = RateLimit()
    nsid: str = ""
    version: str = ""
    client_subnet: bool = False
    tsig: tuple[TSIGKey, ...] = ()


class LogFormat(enum.Enum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(enum.Enum):
    """The least important event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@attrs.frozen(kw_only=True)
class LogConfig:
    """What is logged, and how it looks."""

    format: LogFormat = LogFormat.TEXT
    level: LogLevel = LogLevel.INFO


@attrs.frozen
class ManholeSocket:
    """A manhole on a UNIX socket; ``path`` is absolute and short enough to bind."""

    path: str


@attrs.frozen
class ManholeSSH:
    """A manhole over SSH; ``authorized_keys`` is the absolute path of a file that existed at the check."""

    listen: Endpoint
    authorized_keys: str


DEFAULT_PEERS = Endpoint(IPv4Address("127.0.0.1"), 8054)


@attrs.frozen(kw_only=True)
class PeersListen:
    """
    Where other POPs read this one's load and what it sees of others (3.2), and nothing else.

    :param allow: who may, beside this host by its loopback addresses, which always may.
    """

    listen: Endpoint = DEFAULT_PEERS
    allow: tuple[IPv4Network | IPv6Network, ...] = ()


@attrs.frozen(kw_only=True)
class Config:
    """
    A whole configuration, without faults.

    :param name: this appliance's name.
    :param state_directory: absolute path; ``None`` keeps everything off the disk.
    :param snapshot_interval: seconds between snapshots.
    :param history: seconds for which it is known who held an address.
    :param stop_timeout: seconds that a stop drains.
    :param max_files: most open files; ``None`` for the process's hard limit.
    :param pools: by name, in the order of the file.
    :param servers: the named ones; those that a site lists inline are in its ``Site`` only.
    :param client_nat: the pools that sites name, by name.
    :param sites: by name (lower case, without the last dot), in the order of the file.
    :param probes: by name, in the order of the file; a server has those that look at it.
    :param probe_ports: by the name of each server with probes, inline ones included: what a probe without a port looks
        at, which is the server's port, or the first that a site sends it connections on.  0: no probe of it needs one.
    :param pops: by name, in the order of the file; this appliance is in it where one has its ``name``.
    :param delivery: customers by name, in the order of the file.
    :param market: what this POP has to sell.
    :param peers: None: other POPs read nothing here.
    :param control_socket: absolute path; None where the state folder is none.
    :param warnings: what is suspicious but legal, in the order of the file's lines.
    """

    name: str
    state_directory: str | None
    snapshot_interval: float
    fsync: Fsync
    history: float
    stop_timeout: float
    max_files: int | None
    dns: DNSConfig
    pools: Mapping[str, Pool]
    servers: Mapping[str, Server]
    client_nat: Mapping[str, NatPool]
    sites: Mapping[str, Site]
    probes: Mapping[str, Probe]
    probe_ports: Mapping[str, int]
    pops: Mapping[str, Pop]
    delivery: Mapping[str, Delivery]
    market: Market
    peers: PeersListen | None
    control_socket: str | None
    manhole: ManholeSocket | ManholeSSH | None
    log: LogConfig
    warnings: tuple[Fault, ...] = ()

    def carries(self, name: str) -> float:
        """
        Connections that this POP can carry, as ``pops`` or else ``market`` says; 0: neither does.

        :param name: its name since the start, which a reload does not change.
        """
        own, capacity = self.pops.get(name), self.market.capacity
        return (own.capacity if own is not None else 0.0) or (capacity.hard if capacity is not None else 0.0)
