"""The section ``sites``: names that lease, and what stands behind them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import TypedDict

import attrs

from appliance.config.addresses import clients
from appliance.config.faults import Faults
from appliance.config.instances import InstanceFields, instance
from appliance.config.scalars import address4, address6, choice, duration, host_name, integer, text
from appliance.config.servers import MOST_CONNECTIONS, MOST_SERVERS, ServerFields, server_or_name
from appliance.config.services import MOST_PORTS, service, site_ports
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape, whole
from appliance.config.tree import Node
from appliance.model import Predictor, ProxyProtocol, Service, Site, Timeouts

_MOST_FRONT_ENDS = 1000
"""Of one site; each is looked at for every connection."""

_MOST_INSTANCES = 256
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
    predictor: Predictor
    sticky: float
    buddies: tuple[Placed[tuple[Placed[range], ...]], ...]
    backup: Placed[str] | None
    proxy_protocol: ProxyProtocol
    accept_proxy_from: tuple[Placed[IPv4Network], ...]
    max_per_client: int
    instances: tuple[Placed[InstanceFields], ...]


def _keepalive(node: Node, faults: Faults) -> float:
    seconds = duration(0, _LONGEST_KEEPALIVE)(node, faults)
    if 0 < seconds < 1:
        raise faults.wrong(node, f"found {node.found()}; allowed: 0, or 1s to {_LONGEST_KEEPALIVE}s")
    return seconds


def _front_ends(node: Node, faults: Faults) -> tuple[Placed[IPv4Network], ...]:
    found = clients(_MOST_FRONT_ENDS)(node, faults)
    for network in found:
        if network.value.prefixlen == 0:
            faults.warn(network.node, "everybody is a front end here, and can say to be anybody")
    return found


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
        "predictor": Key(choice(Predictor), Predictor.LEAST_CONNECTIONS),
        "sticky": Key(duration(), 0.0),
        "buddies": Key(sequence(sequence(site_ports, required=True), most=MOST_PORTS), ()),
        "backup": Key(placed(host_name), None),
        "proxy_protocol": Key(choice(ProxyProtocol), ProxyProtocol.NONE),
        "accept_proxy_from": Key(_front_ends, ()),
        "max_per_client": Key(integer(0, MOST_CONNECTIONS), 0),
        "instances": Key(sequence(instance, most=_MOST_INSTANCES), ()),
    },
)
