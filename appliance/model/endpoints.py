"""Addresses, ports, and sets of both."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
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


Run = tuple[int, int]
"""The first and the last of keys that follow each other."""


def keys_of_runs(runs: Iterable[Run]) -> Keys:
    """
    All keys of ``runs``, which may overlap and stand in any order.

    Equal sets are the same object while there are not too many of them: most sites have the same few, one with every
    port has 65 535, and what compares sets sees first whether it has one of them twice.
    """
    merged: list[Run] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return _made_of(tuple(merged))


@functools.lru_cache(maxsize=1024)
def _made_of(runs: tuple[Run, ...]) -> Keys:
    keys = frozenset(key for first, last in runs for key in range(first, last + 1))
    runs_of(keys)  # takes 5 ms for all ports: not from the first grant
    return keys


@functools.lru_cache(maxsize=1024)
def runs_of(keys: Keys) -> tuple[Run, ...]:
    """The opposite: in order, apart from each other."""
    runs: list[Run] = []
    for key in sorted(keys):
        if runs and runs[-1][1] == key - 1:
            runs[-1] = runs[-1][0], key
        else:
            runs.append((key, key))
    return tuple(runs)


def shown(keys: Keys) -> str:
    """``80 443 8000-8010 65589``, runs put together, as people and the disk have them."""
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs_of(keys))


def all_keys() -> Keys:
    """An address as a whole."""
    return keys_of_runs([(0, 2 * UDP_KEYS - 1)])


def joined(some: Keys, others: Keys) -> Keys:
    """Both; one of the two as it is, where that has all, for most sites have the same few."""
    if others is some or others <= some:
        return some
    return others if some <= others else some | others
