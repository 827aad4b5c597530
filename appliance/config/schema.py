"""
The file's sections: which keys each has, in which range, and what they become.  ``etc/appliance.yaml`` shows them all.

Sections with many keys are in modules of their own: ``pools``, ``servers``, ``clientnat``, ``sites`` and
``services``, ``probes``, ``pops``, ``delivery``, ``market``, ``transfers``.
Defaults are those of the values (``model``, ``values.py``).  What is not here is in ``notyet.py`` or is unknown.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TypedDict

from appliance.config.clientnat import NatFields, nat_pool
from appliance.config.delivery import DeliveryFields, delivery
from appliance.config.faults import Faults
from appliance.config.limits import network, rate_limit, tcp_limits
from appliance.config.market import MARKET, MarketFields
from appliance.config.pools import POOL, PoolFields
from appliance.config.pops import POP, PopFields
from appliance.config.probes import probe
from appliance.config.scalars import (
    choice,
    duration,
    endpoint,
    integer,
    path,
    secret_file,
    text,
    yes_no,
)
from appliance.config.servers import ServerFields, server
from appliance.config.shapes import Fields, Key, Placed, Shape, named, placed, sequence, shape, whole, words
from appliance.config.sites import SITE, SiteFields
from appliance.config.transfers import PrimaryFields, TransferFields, TSIGFields, primary, transfer, tsig
from appliance.config.tree import Node
from appliance.config.values import DEFAULT_PEERS, LogConfig, LogFormat, LogLevel, RateLimit, TCPLimits
from appliance.events import Fsync
from appliance.model import Endpoint

DEFAULT_LISTEN = Endpoint(IPv4Address("127.0.0.1"), 5300)

MOST_TOLD = 100
"""Bytes of a name server's identity; in every response to whom asks for it."""


MOST_ALLOWED = 1000
"""Networks of other POPs; each is looked at for every request."""


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
    peers: Placed[PeersFields] | None
    log: LogConfig


class ManholeFields(TypedDict, total=False):
    socket: Placed[str] | None
    ssh: Placed[Endpoint] | None
    authorized_keys: Placed[str] | None


class PeersFields(TypedDict, total=False):
    listen: Placed[Endpoint] | None
    allow: tuple[Placed[IPv4Network | IPv6Network], ...]


class Root(TypedDict, total=False):
    """What was read of a file: in every part only the keys without faults."""

    appliance: ApplianceFields
    dns: DNSFields
    pools: dict[str, Placed[PoolFields]]
    servers: dict[str, Placed[ServerFields]]
    probes: dict[str, Placed[Fields]]
    client_nat: dict[str, Placed[NatFields]]
    sites: dict[str, Placed[SiteFields]]
    pops: dict[str, Placed[PopFields]]
    delivery: dict[str, Placed[DeliveryFields]]
    market: MarketFields
    control: ControlFields


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


def _peers(node: Node, faults: Faults) -> Fields:
    if node.kind == "nothing":
        where = f"{DEFAULT_PEERS}, where this host alone may ask"
        raise faults.wrong(node, f"found nothing; write {{}} to listen on {where}, or leave the key out")
    return _PEERS.read(node, faults)


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
_LOG = shape("control.log", LogConfig, format=choice(LogFormat), level=choice(LogLevel))
_MANHOLE = Shape(
    "control.manhole",
    {
        "socket": Key(placed(path), None),
        "ssh": Key(placed(endpoint), None),
        "authorized_keys": Key(placed(path), None),
    },
)
_PEERS = Shape(
    "control.peers",
    {
        "listen": Key(placed(endpoint), None),
        "allow": Key(sequence(network, most=MOST_ALLOWED), ()),
    },
)
_CONTROL = Shape(
    "control",
    {
        "socket": Key(placed(path), None),
        "manhole": Key(placed(_manhole), None),
        "peers": Key(placed(_peers), None),
        "log": Key(whole(_LOG, LogConfig), LogConfig()),
    },
)

ROOT = Shape(
    "",
    {
        "appliance": Key(_APPLIANCE.read, _APPLIANCE.read(Node("", 0, "nothing"), Faults(""))),
        "dns": Key(_DNS.read),
        "pools": Key(words(POOL.read), {}),
        "servers": Key(words(server), {}),
        "probes": Key(words(probe), {}),
        "client_nat": Key(words(nat_pool), {}),
        "sites": Key(named(SITE.read), {}),
        "pops": Key(words(POP.read), {}),
        "delivery": Key(words(delivery), {}),
        "market": Key(MARKET.read, MARKET.read(Node("", 0, "nothing"), Faults(""))),
        "control": Key(_CONTROL.read, _CONTROL.read(Node("", 0, "nothing"), Faults(""))),
    },
)
