"""
The pairs of a client NAT pool as a line of numbers.

``index = address x ports + (port - first port)``: neighbours in the line are the next port of an address, or the first
port of the next address.  It counts from address 0.0.0.0 and not from the pool's first one, so that a reload that only
adds or removes addresses leaves every index as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from appliance.model import NatPool, Pair

ALL_BITS = 0xFFFFFFFF


class Pairs:
    """
    :param pool: whose addresses and ports; its netmask is a prefix.
    :ivar count: how many pairs there are.
    """

    def __init__(self, pool: NatPool) -> None:
        self._first, self._last = int(pool.first), int(pool.last)
        self._hosts = int(pool.netmask) ^ ALL_BITS
        self._first_port, self._last_port = pool.first_port, pool.last_port
        self._ports = pool.last_port - pool.first_port + 1
        self.count = sum(last - first + 1 for first, last in self.runs())

    def has(self, address: IPv4Address, port: int) -> bool:
        """Is it one of them?  O(1)."""
        number = int(address)
        if not (self._first <= number <= self._last and self._first_port <= port <= self._last_port):
            return False
        host = number & self._hosts
        return self._hosts < 2 or 0 < host < self._hosts

    def index(self, address: IPv4Address, port: int) -> int:
        """:param port: one of the pool's."""
        return int(address) * self._ports + port - self._first_port

    def pair(self, index: int) -> Pair:
        """The opposite of :meth:`index`."""
        address, port = divmod(index, self._ports)
        return Pair(IPv4Address(address), port + self._first_port)

    def runs(self) -> Iterator[tuple[int, int]]:
        """
        (first index, last index) of each run of addresses, in order: between two runs lies what is skipped.

        A network's first and last address are skipped (4.1), but not in a network of one or two addresses, which has
        neither (RFC 3021).
        """
        if self._hosts < 2:
            yield self._run(self._first, self._last)
            return
        for network in range(self._first & ~self._hosts, self._last + 1, self._hosts + 1):
            first, last = max(self._first, network + 1), min(self._last, network + self._hosts - 1)
            if first <= last:
                yield self._run(first, last)

    def addresses(self) -> Iterator[IPv4Address]:
        """All of them, in order."""
        for first, last in self.runs():
            yield from (IPv4Address(number) for number in range(first // self._ports, last // self._ports + 1))

    def spans(self, first: int, last: int) -> Iterator[tuple[IPv4Address, int, int]]:
        """(address, first port, last port) of each address that has pairs from index ``first`` to ``last``."""
        while first <= last:
            address, port = divmod(first, self._ports)
            count = min(self._ports - port, last - first + 1)
            yield IPv4Address(address), self._first_port + port, self._first_port + port + count - 1
            first += count

    def _run(self, first: int, last: int) -> tuple[int, int]:
        return first * self._ports, (last + 1) * self._ports - 1
