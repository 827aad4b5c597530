"""What stands in for the world in unit tests: values, a data path and a journal that remember and may refuse."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from appliance.errors import Blame, DataPathError, JournalError
from appliance.events import Event
from appliance.model import Address, Periods, Pool, Server, Service, Site

PERIODS = Periods(base=20, minimum=5, maximum=60, offer=10, grace=1, cooling=20, unused_renewals=3)
"""A site that nobody connects to is promised 10 s (half of the base)."""


def addresses(count: int) -> tuple[Address, ...]:
    """``count`` addresses from 192.0.2.1 on (or more, for the large pools of benchmarks)."""
    return tuple(IPv4Address("192.0.2.1") + number for number in range(count))


def pool(count: int, periods: Periods = PERIODS, **more: object) -> Pool:
    """A pool that is always adequate, so that its periods do not shrink, unless the test says otherwise."""
    return Pool(name="public", addresses=addresses(count), periods=periods, **{"adequate": 0.0, **more})  # type: ignore[arg-type]


def site(name: str, *, pool: str = "public", server: str = "10.0.0.1", port: int = 80) -> Site:
    return Site(
        name=name,
        pool=pool,
        services=(Service(first_port=port, last_port=port, to=port),),
        server=Server(name=f"server of {name}", address=IPv4Address(server)),
    )


@attrs.define
class FakeDataPath:
    """
    Remembers what is open, as {address: site}.

    :param broken: addresses that cannot be opened.
    :param taken: (address, site) where the site's port belongs to somebody else.
    :param exhausted: nothing can be opened.
    """

    open_paths: dict[Address, Site] = attrs.Factory(dict)
    broken: set[Address] = attrs.Factory(set)
    taken: set[tuple[Address, str]] = attrs.Factory(set)
    exhausted: bool = False

    def open(self, address: Address, site: Site) -> None:
        if self.exhausted:
            raise DataPathError(f"{address}:80/tcp: too many open files", blame=Blame.PROCESS)
        if (address, site.name) in self.taken:
            raise DataPathError(f"{address}:80/tcp: port in use by another program", blame=Blame.PORT)
        if address in self.broken:
            raise DataPathError(f"{address}:80/tcp: address not on this host")
        self.open_paths[address] = site

    def close(self, address: Address, site: str) -> None:
        if address in self.open_paths and self.open_paths[address].name == site:
            del self.open_paths[address]


@attrs.define
class FakeJournal:
    """Remembers events; refuses them while ``full``."""

    events: list[Event] = attrs.Factory(list)
    full: bool = False

    def record(self, event: Event) -> None:
        if self.full:
            raise JournalError("no space left on device")
        self.events.append(event)
