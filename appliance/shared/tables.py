"""What SharedState holds, for its parts: configuration, lease tables, pins, and what was set at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from appliance.events import AddressFreed, Entry
from appliance.leasing import Connections, Lease, LeaseTable
from appliance.model import Address, Pool, Server, Site
from appliance.naming import Zones
from appliance.shared.overrides import Overrides
from appliance.shared.pins import Pins


class Tables:
    """
    :ivar by_pool: a pool that left the configuration stays until its leases are over.
    :ivar withheld: addresses that a pool is to have when another table, or a pin, lets go of them.
    """

    def __init__(self) -> None:
        self.by_pool: dict[str, LeaseTable] = {}
        self.withheld: dict[Address, str] = {}
        self.connections = Connections()
        self.pins = Pins()
        self.overrides = Overrides()
        self.pools: Mapping[str, Pool] = {}
        self.sites: Mapping[str, Site] = {}
        self.zones = Zones()

    def holding(self, address: Address) -> LeaseTable | None:
        """The table in which somebody holds ``address``, or in which it rests."""
        return next((table for table in self.by_pool.values() if table.has(address)), None)

    def of(self, address: Address) -> LeaseTable | None:
        """The table that ``address`` belongs to now."""
        return next((table for table in self.by_pool.values() if address in table), None)

    def is_of(self, site: str | None, table: LeaseTable) -> bool:
        """Does the configuration let this site lease from this pool?"""
        known = self.sites.get(site) if site is not None else None
        return known is not None and known.pool == table.pool.name

    def leases_of(self, site: str) -> Iterator[tuple[LeaseTable, Lease]]:
        """All leases of a site, those that run out in a pool that it left included."""
        for table in self.by_pool.values():
            for lease in table.leases_of(site):
                yield table, lease

    def entries(self, seconds: Callable[[], float]) -> Iterator[Entry]:
        """What a snapshot has to hold; each entry is as it is when it is taken, while the tables may go on changing."""
        for table in list(self.by_pool.values()):
            for leases in table.holdings():
                for lease in leases:
                    if not lease.gone:
                        yield table.record(lease, seconds())
            for address, site in table.former():
                yield AddressFreed(at=seconds(), pool=table.pool.name, address=address, former=site)
        for pin in list(self.pins):
            # One that was taken back since would come after its end, and win over it.
            if self.pins.of(pin.site) is pin:
                yield pin.event(pin.since)
        yield from self.overrides.current()

    def next_deadline(self) -> float | None:
        deadlines = (table.ending.next_deadline() for table in self.by_pool.values())
        return min((at for at in deadlines if at is not None), default=None)


def server_of(site: Site, name: str) -> Server | None:
    """The site's server of that name, if it still has it."""
    return next((server for server in site.servers if server.name == name), None)
