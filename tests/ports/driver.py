"""A pool of one address, driven by port."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs

from appliance.model import NatPool
from appliance.ports import Block, Counts, PairPool

FIRST = IPv4Address("10.9.0.1")


def configured(**limits: Any) -> NatPool:
    """One address; a block is its port."""
    values: dict[str, Any] = {
        "first": FIRST,
        "last": FIRST,
        "netmask": IPv4Address("255.255.255.0"),
        "first_port": 1,
        "last_port": 999,
        "initial": 4,
        "subpool": 2,
        "maximum": 8,
        "low_water": 1,
        "quarantine": 60.0,
    }
    return NatPool(name="snat", **{**values, **limits})


class Driver:
    """A pool, and what is taken from it by port."""

    def __init__(self, **limits: Any) -> None:
        self.configuration = configured(**limits)
        self.pool = PairPool(self.configuration, 0.0)
        self.taken: dict[int, Block] = {}

    def take(self, now: float, count: int = 1) -> list[int]:
        """:return: the ports that were got."""
        ports = []
        for _ in range(count):
            block = self.pool.take(now)
            if block is not None:
                self.taken[block.port] = block
                ports.append(block.port)
        return ports

    def give(self, now: float, *ports: int) -> None:
        for port in ports or list(self.taken):
            self.pool.give(self.taken.pop(port), now)

    def tidy(self, until: float) -> None:
        """As its timer does."""
        while (due := self.pool.next_deadline()) is not None and due <= until:
            self.pool.tidy(due)

    def configure(self, now: float, **limits: Any) -> None:
        self.configuration = attrs.evolve(self.configuration, **limits)
        self.pool.configure(self.configuration, now)

    def counts(self, now: float) -> Counts:
        return self.pool.counts(now)

    def sizes(self) -> list[int]:
        """Of the subpools, oldest first."""
        return [subpool.size for subpool in self.pool._stock.subpools.values()]
