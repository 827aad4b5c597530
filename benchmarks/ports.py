"""
A client NAT pool alone: a block taken and one given back, at several loads; a subpool made and deleted.

    python benchmarks/ports.py [CONNECTIONS]

Prints microseconds, the median of five parts with the spread, and bytes a block; the target is 1 us for both together.
The loop around them, which moves a connection from one end of a deque to the other, is measured and taken off.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from appliance.model import NatPool, Reuse
from appliance.ports import Block, PairPool

PARTS = 5
LARGEST = 65536


def configured(**limits: Any) -> NatPool:
    """As the configuration's defaults are, with four addresses."""
    first, netmask = IPv4Address("10.9.0.1"), IPv4Address("255.255.255.0")
    return NatPool(name="snat", first=first, last=first + 3, netmask=netmask, **limits)


def say(what: str, spent: Iterable[float], target: str = "") -> None:
    values = sorted(spent)
    print(f"{what:<44} {statistics.median(values):8.3f} us   ({values[0]:.3f} to {values[-1]:.3f})   {target}")


def measure(what: str, pool: PairPool, *, held: int, instants: list[float]) -> None:
    """Connections end in the order in which they began, while ``held`` others go on."""
    connections: deque[Block | None] = deque(pool.take(0.0) for _ in range(held))
    size = len(instants) // PARTS
    spent = []
    for part in range(PARTS):
        chosen = instants[part * size : (part + 1) * size]
        began = time.perf_counter()
        for now in chosen:
            block = connections.popleft()
            assert block is not None
            pool.give(block, now)
            connections.append(pool.take(now))
        both = time.perf_counter() - began
        began = time.perf_counter()
        for _ in chosen:
            block = connections.popleft()
            assert block is not None
            connections.append(block)
        spent.append((both - (time.perf_counter() - began)) / len(chosen) * 1e6)
    say(what, spent, "target 1")


def measure_subpools(what: str, blocks: int) -> None:
    """By the block."""
    made, deleted = [], []
    for _ in range(PARTS):
        pool = PairPool(configured(initial=blocks, low_water=0, quarantine=0.0), 0.0)
        gc.collect()
        began = time.perf_counter()
        block = pool.take(0.0)
        made.append((time.perf_counter() - began) / blocks * 1e6)
        assert block is not None
        pool.give(block, 0.0)
        began = time.perf_counter()
        pool.tidy(1000.0)
        deleted.append((time.perf_counter() - began) / blocks * 1e6)
        assert not pool.counts(1000.0).blocks
    say(f"{what} made, each block", made)
    say(f"{what} deleted, each block", deleted)


def measure_memory() -> None:
    import tracemalloc

    tracemalloc.start()
    pool = PairPool(configured(initial=LARGEST, low_water=0), 0.0)
    before = tracemalloc.get_traced_memory()[0]
    pool.take(0.0)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"{'memory':<44} {(after - before) / LARGEST:8.0f} bytes a block")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    gc.collect()
    gc.freeze()
    # A thousand connections a second, so that a quarantine of 60 s has 60 000 blocks at rest.
    instants = [number / 1000 for number in range(count)]
    still = PairPool(configured(quarantine=0.0), 0.0)
    measure("take + give back, one connection at a time", still, held=1, instants=instants)
    for reuse in Reuse:
        pool = PairPool(configured(reuse=reuse, maximum=4 * LARGEST), 0.0)
        measure(f"take + give back, quarantine 60 s, {reuse.value}", pool, held=1000, instants=instants)
    measure_subpools("a subpool of 1024", 1024)
    measure_subpools(f"a subpool of {LARGEST}", LARGEST)
    measure_memory()


if __name__ == "__main__":
    main()
