"""
The lease table alone: a million leases granted, renewed, reset, reclaimed and freed, and what a lease weighs.

    python benchmarks/leases.py [LEASES]

Prints microseconds an operation, the median of five parts with the spread, and bytes a lease; the targets are 5 us and
700 bytes.  Bytes are what the table adds to the process: names and addresses are there before, as the configuration's.
"""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from pathlib import Path

from appliance.leasing import Connections, LeaseTable
from appliance.model import Address, Periods, Pool, Server, Service, Site, Tiers

PARTS = 5
PERIODS = Periods(base=30, minimum=5, maximum=300, offer=10, grace=5, cooling=120)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(what: str, items: list[str], work: Callable[[str], object]) -> None:
    """Microseconds an item."""
    size = len(items) // PARTS
    spent = []
    for part in range(PARTS):
        chosen = items[part * size : (part + 1) * size]
        began = time.perf_counter()
        for item in chosen:
            work(item)
        spent.append((time.perf_counter() - began) / len(chosen) * 1e6)
    say(what, spent)


def say(what: str, spent: Iterable[float]) -> None:
    values = sorted(spent)
    print(f"{what:<28} {statistics.median(values):6.2f} us   ({values[0]:.2f} to {values[-1]:.2f})   target 5")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    first = IPv4Address("10.0.0.0")
    pool = Pool(
        name="public",
        addresses=tuple(first + number for number in range(count)),
        periods=PERIODS,
        tiers=Tiers(cookie=1.0, tcp=1.0, reputation=1.0),
    )
    names = [f"site{number}.example.test" for number in range(count)]
    services = (Service(first_port=443, last_port=443, to=443),)
    server = Server(name="one", address=IPv4Address("192.0.2.1"))
    template = Site(name="x", pool="public", services=services, servers=(server,))
    sites = {name: _named(template, name) for name in names}
    connections = Connections()
    gc.collect()
    gc.freeze()
    empty = resident()
    table = LeaseTable(pool, connections)
    before = resident()
    addresses: dict[str, Address] = {}

    def grant(name: str) -> None:
        plan = table.granting.plan(sites[name], 0.0)
        assert plan is not None
        lease = table.granting.commit(plan, asked_by=1, proven=False)
        table.granting.confirm(plan, lease, 0.0)

    measure("grant", names, grant)
    after = resident()
    print(
        f"{'memory':<28} {(after - before) / count:6.0f} bytes a lease, target 700;"
        f" and {(before - empty) / count:.0f} a free address"
    )
    measure("renew", names, lambda name: table.renew(name, 1.0))
    for name in names:
        addresses[name] = table.answered(name)[0].address
    measure("bind", names, lambda name: _connect(connections, table, addresses[name], name, 2.0))
    measure("reset", names, _cycles(table, 20.0))
    for name in names:
        connections.closed(addresses[name], name)
    measure("reclaim (cool)", names, _cycles(table, 1000.0))
    measure("reclaim (free)", names, _cycles(table, 2000.0))
    assert table.counts(2000.0).free == count, table.counts(2000.0)


def _named(template: Site, name: str) -> Site:
    """As the template, without making its keys a million times."""
    import copy

    site = copy.copy(template)
    object.__setattr__(site, "name", name)
    return site


def _connect(connections: Connections, table: LeaseTable, address: Address, name: str, now: float) -> None:
    connections.opened(address, name)
    table.used(address, name, now)


def _cycles(table: LeaseTable, now: float) -> Callable[[str], object]:
    """One deadline a call, a hundred at a time as the reaper takes them."""
    done = [0]

    def one(_: str) -> None:
        done[0] += 1
        if done[0] % 100 == 0:
            table.ending.reclaim(now, limit=100)

    return one


if __name__ == "__main__":
    main()
