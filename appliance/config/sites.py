"""The section ``sites``: names that lease, and what stands behind them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict

import attrs

from appliance.config.faults import Faults
from appliance.config.scalars import address4, address6, duration, host_name, integer, text
from appliance.config.servers import ServerFields, server_or_name
from appliance.config.services import service
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape, whole
from appliance.config.tree import Node
from appliance.model import Service, Site, Timeouts

MOST_SERVERS = 1024
"""Of one site."""

_LONGEST_KEEPALIVE = 32767
"""Seconds; tcp(7) counts whole ones, and no more than these."""


class SiteFields(TypedDict, total=False):
    pool: Placed[str] | None
    address: Placed[IPv4Address] | None
    addresses: Placed[int] | None
    services: tuple[Placed[Service], ...]
    servers: tuple[Placed[ServerFields | str], ...]
    aliases: tuple[Placed[str], ...]
    ipv6: tuple[Placed[IPv6Address], ...]
    timeouts: Timeouts
    max_sessions: int
    client_nat: Placed[str] | None


def _keepalive(node: Node, faults: Faults) -> float:
    seconds = duration(0, _LONGEST_KEEPALIVE)(node, faults)
    if 0 < seconds < 1:
        raise faults.wrong(node, f"found {node.found()}; allowed: 0, or 1s to {_LONGEST_KEEPALIVE}s")
    return seconds


_TIMEOUTS = shape(
    "sites.*.timeouts",
    Timeouts,
    connect=duration(0.001),
    idle=duration(0.001),
    half_closed=duration(0.001),
    udp=duration(0.001),
    drain=duration(),
    keepalive=_keepalive,
)
SITE = Shape(
    "sites.*",
    {
        "pool": Key(placed(text), None),
        "address": Key(placed(address4), None),
        "addresses": Key(placed(integer(1, MOST_SERVERS)), None),
        "services": Key(sequence(service, required=True)),
        "servers": Key(sequence(server_or_name, required=True, most=MOST_SERVERS)),
        "aliases": Key(sequence(host_name), ()),
        "ipv6": Key(sequence(address6), ()),
        "timeouts": Key(whole(_TIMEOUTS, Timeouts), Timeouts()),
        "max_sessions": Key(integer(1, 16_777_216), attrs.fields(Site).max_sessions.default),
        "client_nat": Key(placed(text), None),
    },
)
