"""Who asks a question."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs


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
