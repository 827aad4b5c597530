"""
The balancing alone: what a connection costs from its beginning to its end.

    python benchmarks/balancing.py [CONNECTIONS]

A connection is begun, connected and ended, with a hundred others alive.  Prints what a live connection weighs, and then
microseconds a connection, the median of five parts with the spread; the aim for one server without lists is 5 us.
"""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs

from appliance.balancing import Balancer, Route, Ticket
from appliance.model import Behaviour, Instance, Predictor, Server, Service, Site

PARTS = 5
ALIVE = 100
NAME = "www.example.test"
SITE = Site(name=NAME, pool="public", services=(Service(first_port=80, last_port=80, to=8080),), servers=())


def servers(count: int) -> tuple[Server, ...]:
    first = IPv4Address("10.0.0.1")
    return tuple(Server(name=f"server {number}", address=first + number) for number in range(count))


def balancer(site: Site) -> Balancer:
    made = Balancer()
    made.configure({site.name: site}, {}, 0.0)
    return made


def connection(made: Balancer) -> Callable[[int], None]:
    """One more connection, and the end of the oldest one."""
    alive: deque[Ticket] = deque()

    def one(number: int) -> None:
        now = number * 1e-4
        route = made.begin(NAME, 80, 0xC6336400 + number % 65536, now)
        assert isinstance(route, Route)
        made.connected(route.ticket, now)
        alive.append(route.ticket)
        if len(alive) > ALIVE:
            made.ended(alive.popleft(), now, received=100, sent=1000)

    for number in range(2 * ALIVE):
        one(number)
    return one


def measure(what: str, site: Site, count: int) -> None:
    one = connection(balancer(site))
    spent = []
    for part in range(PARTS):
        began = time.perf_counter()
        for number in range(part * count, (part + 1) * count):
            one(number)
        spent.append((time.perf_counter() - began) / count * 1e6)
    spent.sort()
    print(f"{what:<44} {statistics.median(spent):6.2f} us   ({spent[0]:.2f} to {spent[-1]:.2f})")


def weigh(count: int) -> None:
    made = balancer(attrs.evolve(SITE, servers=servers(2)))
    gc.collect()
    before = resident()
    kept = []
    for number in range(count):
        route = made.begin(NAME, 80, 0xC6336400 + number, 0.0)
        assert isinstance(route, Route)
        made.connected(route.ticket, 0.0)
        kept.append(route.ticket)
    print(f"{'memory':<44} {(resident() - before) / count:6.0f} bytes a live connection")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    weigh(20_000)
    measure("one server", attrs.evolve(SITE, servers=servers(1)), count)
    for predictor in Predictor:
        for number in (2, 100):
            site = attrs.evolve(SITE, servers=servers(number), predictor=predictor)
            measure(f"{number} servers, {predictor.value}", site, count)
    lists = tuple(IPv4Network((0x0A000000 + number * 256, 24)) for number in range(1000))
    welcome = Instance(bind_id=1, name="preferred", clients=lists, servers=servers(1))
    measure("1000 assignments", attrs.evolve(SITE, servers=servers(1), instances=(welcome,)), count)
    watched = Instance(bind_id=1, name="unwelcome", behaviour=Behaviour(connections=10**6, bytes=10**12, short=10**6))
    measure("behaviour", attrs.evolve(SITE, servers=servers(1), instances=(watched,)), count)
    measure("sticky, max_per_client", attrs.evolve(SITE, servers=servers(2), sticky=60.0, max_per_client=1000), count)
    measure("buddies", attrs.evolve(SITE, servers=servers(2), buddies=(frozenset({80, 443}),)), count)


if __name__ == "__main__":
    main()
