"""Addresses, ports, and sets of both."""

from __future__ import annotations

import enum
import functools
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
