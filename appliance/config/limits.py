"""
The keys of ``dns`` that bound what strangers can cost: connections, and responses to forged sources.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from appliance.config.faults import Faults
from appliance.config.scalars import duration, integer, text
from appliance.config.shapes import sequence, shape, whole
from appliance.config.tree import Node
from appliance.config.values import RateLimit, TCPLimits

MOST_EXEMPT = 1000
"""Each is looked at for every response beyond the rate."""


def network(node: Node, faults: Faults) -> IPv4Network | IPv6Network:
    """A reader of one address, or of a prefix such as 192.0.2.0/24."""
    written = text(node, faults)
    try:
        return ip_network(written)
    except ValueError as error:
        allowed = "an address, or a network such as 192.0.2.0/24"
        hint = "; no bits may be set behind the prefix" if "host bits" in str(error) else ""
        raise faults.wrong(node, f"found {node.found()}; allowed: {allowed}{hint}") from None


def _exempt(node: Node, faults: Faults) -> tuple[IPv4Network | IPv6Network, ...]:
    found = sequence(network)(node, faults)
    if len(node.items) > MOST_EXEMPT:
        raise faults.wrong(node, f"found {len(node.items)} networks; allowed: at most {MOST_EXEMPT}")
    return tuple(each.value for each in found)


_TCP = shape(
    "dns.tcp",
    TCPLimits,
    max_connections=integer(1, 1_000_000),
    idle_timeout=duration(0.1, 86400),
    max_queries=integer(1, 1_000_000_000),
)
_RATE_LIMIT = shape(
    "dns.rate_limit",
    RateLimit,
    responses_per_second=integer(0, 1_000_000),
    window=duration(1, 3600),
    slip=integer(0, 100),
    ipv4_prefix=integer(0, 32),
    ipv6_prefix=integer(0, 128),
    exempt=_exempt,
)
tcp_limits = whole(_TCP, TCPLimits)
rate_limit = whole(_RATE_LIMIT, RateLimit)
