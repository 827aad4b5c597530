"""
The file's sections: which keys each has, in which range, and what they become.  ``etc/appliance.yaml`` shows them all.

Defaults are those of the values (``model.py``, ``values.py``).  What is not here is in ``notyet.py`` or is unknown.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict

import attrs

from appliance.config.faults import Faults, Unusable
from appliance.config.limits import rate_limit, tcp_limits
from appliance.config.pools import POOL, PoolFields
from appliance.config.scalars import (
    address,
    address4,
    address6,
    choice,
    duration,
    endpoint,
    host_name,
    integer,
    path,
    secret_file,
    text,
    yes_no,
)
from appliance.config.shapes import Fields, Key, Placed, Shape, named, placed, sequence, shape, whole
from appliance.config.transfers import PrimaryFields, TransferFields, TSIGFields, primary, transfer, tsig
from appliance.config.tree import Node
from appliance.config.values import LogConfig, LogFormat, LogLevel, RateLimit, TCPLimits
from appliance.events import Fsync
from appliance.model import Endpoint, Server, Service, Site, Timeouts, Transport

MOST_SERVERS = 1024
"""Of one site."""

MOST_TOLD = 100
"""Bytes of a name server's identity; in every response to whom asks for it."""

MOST_PORTS = 1024
"""Public ports of one site; each is a listening socket for as long as the site holds an address."""


class ZoneFields(TypedDict, total=False):
    file: Placed[str] | None
    records: Placed[str] | None
    primary: Placed[PrimaryFields] | None
    transfer: Placed[TransferFields] | None


class DNSFields(TypedDict, total=False):
    listen: tuple[Placed[Endpoint], ...] | None
    zones: dict[str, Placed[ZoneFields]]
    udp_payload: int
    tcp: TCPLimits
    cookies: CookieFields
    rate_limit: RateLimit
    nsid: str | None
    version: str
    client_subnet: bool
    tsig: dict[str, Placed[TSIGFields]]


class CookieFields(TypedDict, total=False):
    enabled: bool
    secret: Placed[str] | None


class SiteFields(TypedDict, total=False):
    pool: Placed[str] | None
    address: Placed[IPv4Address] | None
    addresses: Placed[int]
    services: tuple[Placed[Service], ...]
    servers: tuple[Placed[Server | str], ...]
    aliases: tuple[Placed[str], ...]
    ipv6: tuple[Placed[IPv6Address], ...]
    timeouts: Timeouts
    max_sessions: int


class ApplianceFields(TypedDict, total=False):
    name: str | None
    state_directory: Placed[str] | None
    snapshot_interval: float
    fsync: Fsync
    history: float
    stop_timeout: float
    max_files: int | None


class ControlFields(TypedDict, total=False):
    socket: Placed[str] | None
    manhole: Placed[ManholeFields] | None
    log: LogConfig


class ManholeFields(TypedDict, total=False):
    socket: Placed[str] | None
    ssh: Placed[Endpoint] | None
    authorized_keys: Placed[str] | None


class ServerFields(TypedDict, total=False):
    server: Server


class Root(TypedDict, total=False):
    """What was read of a file: in every part only the keys without faults."""

    appliance: ApplianceFields
    dns: DNSFields
    pools: dict[str, Placed[PoolFields]]
    servers: dict[str, Placed[ServerFields]]
    sites: dict[str, Placed[SiteFields]]
    control: ControlFields


def _ports(node: Node, faults: Faults) -> range:
    """A reader of ``80`` or ``6000-6010``."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", node.text) if node.kind in ("text", "date") else None
    if match is None and node.kind == "text" and "-" in node.text:
        raise faults.wrong(node, f"found {node.found()}; allowed: a port, or a run such as 6000-6010")
    if match is None:
        port = integer(1, 65535)(node, faults)
        return range(port, port + 1)
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        raise faults.wrong(node, f"found {node.found()}; allowed: ports 1 to 65535, the lower one first")
    if last - first >= MOST_PORTS:
        raise faults.wrong(node, f"found {last - first + 1} ports; allowed: at most {MOST_PORTS} for a site")
    return range(first, last + 1)


def _service(node: Node, faults: Faults) -> Service:
    fields = _SERVICE.read(node, faults)
    if len(fields) < len(_SERVICE.keys):
        raise Unusable
    ports: range = fields["port"]
    to: int = fields["to"] or ports.start
    if to + len(ports) - 1 > 65535:
        reason = f"{len(ports)} ports from {to} on end after 65535"
        raise faults.wrong(node.entries["to"], f"{reason}; allowed: at most {65536 - len(ports)}")
    return Service(transport=fields["protocol"], first_port=ports.start, last_port=ports.stop - 1, to=to)


def _server(node: Node, faults: Faults) -> Server:
    fields = _SERVER.read(node, faults)
    if len(fields) < len(_SERVER.keys):
        raise Unusable
    port = fields["port"]
    name = str(Endpoint(fields["address"], port)) if port else str(fields["address"])
    return Server(name=name, address=fields["address"], port=port, weight=fields["weight"])


def _server_or_name(node: Node, faults: Faults) -> Server | str:
    return _server(node, faults) if node.kind == "mapping" else text(node, faults)


def _named_server(node: Node, faults: Faults) -> Fields:
    return {"server": attrs.evolve(_server(node, faults), name=node.path.removeprefix("servers."))}


def _told(node: Node, faults: Faults) -> str:
    """A reader of text that askers of the name server are told, which has to fit into a TXT record; may be empty."""
    if node.kind == "text" and not node.text:
        return ""
    found = text(node, faults)
    if len(found.encode()) > MOST_TOLD or not found.isprintable():
        allowed = f"one line of at most {MOST_TOLD} bytes without control characters, or '' to tell nothing"
        raise faults.wrong(node, f"found {node.found()}; allowed: {allowed}")
    return found


def _manhole(node: Node, faults: Faults) -> Fields:
    if node.kind == "nothing":
        raise faults.wrong(node, "found nothing; write {} for a socket with its default name, or leave the key out")
    return _MANHOLE.read(node, faults)


_ZONE = Shape(
    "dns.zones.*",
    {
        "file": Key(placed(path), None),
        "records": Key(placed(text), None),
        "primary": Key(primary, None),
        "transfer": Key(transfer, None),
    },
)
_COOKIES = Shape(
    "dns.cookies", {"enabled": Key(yes_no, True), "secret": Key(placed(secret_file(r"[0-9a-fA-F]{32,}")), None)}
)
_DNS = Shape(
    "dns",
    {
        "listen": Key(sequence(endpoint, required=True), None),
        "zones": Key(named(_ZONE.read), {}),
        "udp_payload": Key(integer(512, 4096), 1232),
        "tcp": Key(tcp_limits, TCPLimits()),
        "cookies": Key(_COOKIES.read, {"enabled": True, "secret": None}),
        "rate_limit": Key(rate_limit, RateLimit()),
        "nsid": Key(_told, None),
        "version": Key(_told, ""),
        "client_subnet": Key(yes_no, False),
        "tsig": Key(named(tsig), {}),
    },
)
_APPLIANCE = Shape(
    "appliance",
    {
        "name": Key(text, None),
        "state_directory": Key(placed(path), None),
        "snapshot_interval": Key(duration(1, 86400), 60.0),
        "fsync": Key(choice(Fsync), Fsync.GRANT),
        "history": Key(duration(), 90 * 86400.0),
        "stop_timeout": Key(duration(0, 86400), 5.0),
        "max_files": Key(integer(64, 2**31 - 1), None),
    },
)
_SERVER = Shape(
    "servers.*",
    {"address": Key(address), "port": Key(integer(0, 65535), 0), "weight": Key(integer(1, 65535), 1)},
)
_SERVICE = Shape(
    "sites.*.services[]",
    {"port": Key(_ports), "to": Key(integer(1, 65535), None), "protocol": Key(choice(Transport), Transport.TCP)},
)
_TIMEOUTS = shape(
    "sites.*.timeouts",
    Timeouts,
    connect=duration(0.001),
    idle=duration(0.001),
    half_closed=duration(0.001),
    udp=duration(0.001),
    drain=duration(),
)
_SITE = Shape(
    "sites.*",
    {
        "pool": Key(placed(text), None),
        "address": Key(placed(address4), None),
        "addresses": Key(placed(integer(1, MOST_SERVERS)), None),
        "services": Key(sequence(_service, required=True)),
        "servers": Key(sequence(_server_or_name, required=True)),
        "aliases": Key(sequence(host_name), ()),
        "ipv6": Key(sequence(address6), ()),
        "timeouts": Key(whole(_TIMEOUTS, Timeouts), Timeouts()),
        "max_sessions": Key(integer(1, 16_777_216), attrs.fields(Site).max_sessions.default),
    },
)
_LOG = shape("control.log", LogConfig, format=choice(LogFormat), level=choice(LogLevel))
_MANHOLE = Shape(
    "control.manhole",
    {
        "socket": Key(placed(path), None),
        "ssh": Key(placed(endpoint), None),
        "authorized_keys": Key(placed(path), None),
    },
)
_CONTROL = Shape(
    "control",
    {
        "socket": Key(placed(path), None),
        "manhole": Key(placed(_manhole), None),
        "log": Key(whole(_LOG, LogConfig), LogConfig()),
    },
)

ROOT = Shape(
    "",
    {
        "appliance": Key(_APPLIANCE.read, _APPLIANCE.read(Node("", 0, "nothing"), Faults(""))),
        "dns": Key(_DNS.read),
        "pools": Key(named(POOL.read), {}),
        "servers": Key(named(_named_server), {}),
        "sites": Key(named(_SITE.read), {}),
        "control": Key(_CONTROL.read, _CONTROL.read(Node("", 0, "nothing"), Faults(""))),
    },
)
