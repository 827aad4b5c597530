"""
Which sites have live connections at which addresses.

Kept apart from the leases, and one for all pools: a TCP connection may outlive the lease under which it was accepted,
and even the address's stay in its pool.
"""

from __future__ import annotations

from appliance.model import Address


class Connections:
    """Counts of live connections and UDP sessions by (address, site); entries that reach 0 are forgotten."""

    def __init__(self) -> None:
        # By the address's number: hashing an IPv4Address is slow.
        self._counts: dict[tuple[int, str], int] = {}

    def __contains__(self, key: tuple[Address, str]) -> bool:
        """Is at least one live?"""
        return bool(self._counts) and (int(key[0]), key[1]) in self._counts

    def count(self, address: Address, site: str) -> int:
        return self._counts.get((int(address), site), 0)

    def opened(self, address: Address, site: str) -> None:
        key = (int(address), site)
        self._counts[key] = self._counts.get(key, 0) + 1

    def closed(self, address: Address, site: str) -> None:
        """One that was told to :meth:`opened` is over; a KeyError is our own bug."""
        key = (int(address), site)
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
