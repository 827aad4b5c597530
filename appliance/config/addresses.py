"""
Runs of IPv4 addresses as two integers, so that overlaps are found and sizes known before anything is expanded; and
lists of clients.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, summarize_address_range

import attrs

from appliance.config.faults import Faults
from appliance.config.scalars import text
from appliance.config.shapes import Placed, Reader, sequence
from appliance.config.tree import Node, shorten

_ALLOWED = "an address, a network such as 192.0.2.0/24, or a run such as 192.0.2.1-192.0.2.9"

_NO_HOSTS = (
    ("0.0.0.0/8", "unspecified"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
)
"""Where no host's address is (RFC 1122 s3.2.1.3)."""


@attrs.frozen(order=True)
class Run:
    """The addresses from ``first`` to ``last``, both included, as integers."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def addresses(self) -> Iterable[IPv4Address]:
        return map(IPv4Address, range(self.first, self.last + 1))


def run(node: Node, faults: Faults) -> Run:
    """A reader of an address, a network's hosts (all of a /31 and /32) or a run of addresses."""
    written = text(node, faults)
    with _said(node, "only IPv4 is leased", faults):
        found = _hosts(_network(written)) if "/" in written else _ends(written)
    word = no_hosts(found)
    if word:
        raise faults.wrong(node, f"found {node.found()}: {word} addresses cannot be leased")
    return found


def no_hosts(found: Run) -> str | None:
    """What kind of addresses that no host has are in a run (RFC 1122 s3.2.1.3); None where there are none."""
    for network, word in _NO_HOSTS:
        hole = IPv4Network(network)
        if found.first <= int(hole.broadcast_address) and int(hole.network_address) <= found.last:
            return word
    return None


def clients(most: int) -> Reader[tuple[Placed[IPv4Network], ...]]:
    """A reader of a list of addresses, networks (all of each) and runs as networks, of ``most`` entries at most."""

    def read(node: Node, faults: Faults) -> tuple[Placed[IPv4Network], ...]:
        found = sequence(_networks, most=most)(node, faults)
        return tuple(Placed(network, each.node) for each in found for network in each.value)

    return read


def _networks(node: Node, faults: Faults) -> tuple[IPv4Network, ...]:
    written = text(node, faults)
    with _said(node, "clients of a leased address have IPv4", faults):
        if "/" in written:
            return (_network(written),)
        ends = _ends(written)
        return tuple(summarize_address_range(IPv4Address(ends.first), IPv4Address(ends.last)))


@contextmanager
def _said(node: Node, only: str, faults: Faults) -> Iterator[None]:
    """Notes what is wrong with the addresses that are read within."""
    try:
        yield
    except (AddressValueError, NetmaskValueError):
        hint = f"; {only}" if ":" in node.text else ""
        raise faults.wrong(node, f"found {node.found()}; allowed: {_ALLOWED}{hint}") from None
    except ValueError as error:
        raise faults.wrong(node, f"found {node.found()}: {error}") from None


def _network(written: str) -> IPv4Network:
    """:raises ValueError: with what is wrong; its kinds for an address or a mask that is none."""
    address, _, prefix = written.partition("/")
    if not prefix.isdecimal():
        raise NetmaskValueError(prefix)
    network = IPv4Network(written, strict=False)
    if IPv4Address(address) != network.network_address:
        raise ValueError(f"the network begins at {network.network_address}; write {network} or the address alone")
    return network


def _hosts(network: IPv4Network) -> Run:
    first, last = int(network.network_address), int(network.broadcast_address)
    return Run(first + 1, last - 1) if network.prefixlen <= 30 else Run(first, last)


def _ends(written: str) -> Run:
    first, dash, last = written.partition("-")
    ends = Run(int(IPv4Address(first.strip())), int(IPv4Address(last.strip() if dash else first)))
    if ends.last < ends.first:
        raise ValueError("the run ends before it begins")
    return ends


class Occupied:
    """
    Runs with their places, searched in O(log n).

    :param runs: in any order; they may overlap, which :attr:`clashes` then tells.
    """

    def __init__(self, runs: Iterable[tuple[Run, Node]]) -> None:
        self._runs = sorted(runs, key=lambda each: each[0])
        self._firsts = [each.first for each, _ in self._runs]
        self._reaching: list[int] = []
        """For each run, the index of the one up to it that reaches farthest: the only one to ask."""
        self.clashes: list[tuple[IPv4Address, Node, Node]] = []
        """The first address that two runs share, and their places; at most one for each run, not one for each pair."""
        farthest = 0
        for index, (each, node) in enumerate(self._runs):
            before, before_node = self._runs[farthest]
            if index and each.first <= before.last:
                self.clashes.append((IPv4Address(each.first), before_node, node))
            if each.last >= before.last:
                farthest = index
            self._reaching.append(farthest)

    def holder(self, address: IPv4Address) -> Node | None:
        """The place of a run that ``address`` is in."""
        index = bisect.bisect_right(self._firsts, int(address)) - 1
        if index < 0:
            return None
        each, node = self._runs[self._reaching[index]]
        return node if int(address) <= each.last else None

    def crossing(self, run: Run) -> Node | None:
        """The place of a run that shares an address with ``run``."""
        return self.holder(IPv4Address(run.first)) or self._beginning(run)

    def _beginning(self, run: Run) -> Node | None:
        index = bisect.bisect_left(self._firsts, run.first)
        return self._runs[index][1] if index < len(self._runs) and self._firsts[index] <= run.last else None


def shown(node: Node) -> str:
    """A run's place and text, for a message about another one."""
    return f"{node.path} (line {node.line}, {shorten(node.text)})"
