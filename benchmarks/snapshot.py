"""
A snapshot of 100 000 leases while the reactor does other things, and a start from it.

    PYTHONPATH=. .venv/bin/python benchmarks/snapshot.py [LEASES]

Prints how late the reactor was at worst while the snapshot was written (target 10 ms) beside how late it is without
one, how long the snapshot took, and how long the next start needs to read it and take the leases up again (target 3 s).
"""

from __future__ import annotations

import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from appliance.events import Fsync
from appliance.model import Address, Periods, Pool, Server, Service, Site, Tiers
from appliance.naming import Zones
from appliance.shared import SharedState
from appliance.store import FileJournal
from appliance.tap import boot_seconds, settled_memory

reactor: Any = _reactor
INTERVAL = 0.001
QUIET = 1.0


class NoDataPath:
    """Opens nothing: sockets are not what is measured."""

    def open(self, address: Address, site: Site, server: Server) -> None:
        """It is open."""

    def close(self, address: Address, site: str) -> None:
        """It is closed."""

    def abort(self, address: Address, site: str) -> None:
        """There is nothing."""


class Lag:
    """How late a call every millisecond comes."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._due = 0.0
        self._running = True
        self._next()

    def _next(self) -> None:
        self._due = time.perf_counter() + INTERVAL
        reactor.callLater(INTERVAL, self._tick)

    def _tick(self) -> None:
        self.worst = max(self.worst, time.perf_counter() - self._due)
        if self._running:
            self._next()

    def stop(self) -> float:
        self._running = False
        return self.worst * 1000


def journal(folder: str) -> FileJournal:
    return FileJournal(reactor, Path(folder), fsync=Fsync.GRANT, snapshot_interval=3600, history_seconds=86400)


def state(kept: FileJournal) -> SharedState:
    return SharedState(seconds=reactor.seconds, journal=kept, data_path=lambda _: NoDataPath())


def sites(count: int) -> dict[str, Site]:
    services = (Service(first_port=443, last_port=443, to=443),)
    server = (Server(name="one", address=IPv4Address("192.0.2.1")),)
    names = [f"site{number}.example.test" for number in range(count)]
    return {name: Site(name=name, pool="public", services=services, servers=server) for name in names}


async def measure(count: int, folder: str) -> None:
    first = IPv4Address("10.0.0.0")
    pool = Pool(
        name="public",
        addresses=tuple(first + number for number in range(count)),
        periods=Periods(base=3600, minimum=3600, maximum=3600, offer=3600),
        tiers=Tiers(cookie=1.0, tcp=1.0, reputation=1.0),
    )
    configured = sites(count)
    kept = journal(folder)
    recovered = kept.open()
    shared = state(kept)
    shared.configure({"public": pool}, configured, Zones(), recovered)
    kept.serve(shared.entries)
    with settled_memory():
        for number, name in enumerate(configured):
            shared.lease(name)
            if number % 1000 == 0:
                await deferLater(reactor, 0)
        await kept.snapshot()
    lag = Lag()
    await deferLater(reactor, QUIET)
    quiet = lag.stop()
    lag = Lag()
    began = time.perf_counter()
    await kept.snapshot()
    took = time.perf_counter() - began
    worst = lag.stop()
    print(f"reactor late at worst        {worst:7.1f} ms   target 10; without a snapshot {quiet:.1f} ms")
    print(f"snapshot of {count} leases   {took:7.2f} s")
    await kept.stop()
    kept = journal(folder)
    with settled_memory():
        began = time.perf_counter()
        recovered = kept.open()
        read = time.perf_counter() - began
        again = state(kept)
        again.configure({"public": pool}, configured, Zones(), recovered)
        took = time.perf_counter() - began
    held = sum(1 for _ in again.tables()["public"].held())
    assert held == count, held
    print(f"start from it                {took:7.2f} s    target 3; {read:.2f} s of it to read and write it anew")
    kept.serve(again.entries)
    await kept.stop()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    reactor.seconds = boot_seconds
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as folder:
        done = Deferred.fromCoroutine(measure(count, folder))
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.stop())
        reactor.run()


if __name__ == "__main__":
    main()
