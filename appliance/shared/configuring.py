"""
Another configuration while everything runs: what was promised stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from appliance.errors import DataPathError
from appliance.events import AddressFreed, AddressRemoved, LeaseExtended, State, Unpinned
from appliance.interfaces import DataPath, Journal
from appliance.leasing import Lease, LeaseTable
from appliance.leasing.lease import Reach
from appliance.model import Pool, Server, Site
from appliance.naming import Zones
from appliance.shared.pinning import Pinning, complain, maximum_ttl
from appliance.shared.pins import Pin
from appliance.shared.tables import Tables, server_of
from appliance.shared.telling import Telling


class Configuring:
    """
    The part of SharedState that brings tables, pins and data paths to a configuration.

    :param reach: makes what bounds the renewals of a table, see ``horizon.py``.
    :ivar pinning: its part that brings addresses to sites for good.
    """

    def __init__(
        self,
        tables: Tables,
        telling: Telling,
        journal: Journal,
        data_path: DataPath,
        seconds: Callable[[], float],
        reach: Callable[[Callable[[], Pool]], Reach],
    ) -> None:
        self._tables = tables
        self._telling = telling
        self._journal = journal
        self._data_path = data_path
        self._seconds = seconds
        self._reach = reach
        self.pinning = Pinning(tables, telling, journal, data_path, seconds, self.leaving)

    def configure(
        self,
        pools: Mapping[str, Pool],
        sites: Mapping[str, Site],
        zones: Zones,
        restore: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Take over another configuration.

        :param restore: puts into the tables what was there before this process, before anything is pinned.

        A site that is gone, or has moved to another pool, keeps its address until its lease has run out.  A changed
        site's new connections follow the change at once.  An address that moves between pools gets there when its
        lease in the old one is over.
        """
        now = self._seconds()
        tables = self._tables
        before = tables.sites
        for name, table in list(tables.by_pool.items()):
            gone = [site for site in before if name != (sites[site].pool if site in sites else None)]
            self._telling.publish(table.forget(gone, now))
        tables.sites, tables.zones, tables.pools = sites, zones, pools
        self._give_back(tables.pins.obsolete(sites), now)
        restore()
        missing = tables.pins.missing(sites)
        for site in missing:
            assert site.address is not None
            # Found in the configuration again, it need not be on the disk - unless somebody else is there.
            recorded = tables.holding(site.address) is None
            longest = maximum_ttl(pools, site)
            pin = Pin(site=site.name, address=site.address, static=True, since=now, longest=longest, recorded=recorded)
            self.pinning.claim(pin, now)
            self._telling.publish([pin.event(now)])
        if missing:
            self._configure_tables(now)
        for site in sites.values():
            if before.get(site.name) not in (None, site):
                self.reopen(site, now)
        self.pinning.stand()

    def pin(self, pins: Iterable[Pin], now: float) -> None:
        """Their sites are to have the addresses for good: at once, or when whoever holds them has let go."""
        for pin in pins:
            self.pinning.claim(pin, now)
        self._configure_tables(now)
        self.pinning.stand()

    def unpin(self, pin: Pin, now: float) -> None:
        """
        The address is leased again like others.

        It cools first, for it was promised for the maximum; the site may take it back at once.
        """
        self._give_back([pin], now)

    def withdraw(self, pin: Pin, now: float) -> None:
        """It has never stood, so that nobody was told of it."""
        if pin.took_over:
            self.unpin(pin, now)
            return
        self._tables.pins.remove(pin)
        self._configure_tables(now)
        self._telling.publish([Unpinned(at=now, site=pin.site, address=pin.address)])

    def _give_back(self, pins: list[Pin], now: float) -> None:
        """Take pins out, and the configuration over, in one go: it costs as much as there are addresses."""
        for pin in pins:
            self._tables.pins.remove(pin)
        self._configure_tables(now)
        for pin in pins:
            # Even if it does not stand: it may have stood, and been told of, before a restart.
            cools = self.pinning.cool(pin, now)
            # Only now, or a journal that ends in between would know neither of the pin nor that the address cools.
            self._telling.publish([Unpinned(at=now, site=pin.site, address=pin.address)])
            if not cools and self._tables.holding(pin.address) is None:
                self._data_path.close(pin.address, pin.site)

    def reopen(self, site: Site, now: float) -> None:
        """
        Bring the open data paths of a changed site up to date; one that cannot be stays as it was.

        What it has beyond the addresses that it may have, and beside another of the same server, is let go.
        """
        pin = self._tables.pins.of(site.name)
        if pin is not None and pin.standing:
            try:
                self._data_path.open(pin.address, site, site.servers[0])
            except DataPathError as error:
                complain(site.name, pin.address, "stays as it was", error)
        taken: set[str] = set()
        leases = list(self._tables.leases_of(site.name))
        # Those whose server is still there keep it.
        for table, lease in sorted(leases, key=lambda each: server_of(site, each[1].server) is None):
            free = (server for server in site.servers if server.name not in taken)
            server = server_of(site, lease.server) or next(free, site.servers[0])
            if lease.state in (State.OFFERED, State.BOUND):
                if len(taken) >= site.addresses or server.name in taken:
                    self._telling.publish(table.ending.let_go(lease, now, "its site may have fewer addresses"))
                taken.add(server.name)
            self._reopen_lease(table, lease, site, server, now)

    def moved_on(self, event: AddressFreed | AddressRemoved) -> None:
        """What a lease that is over makes room for."""
        tables = self._tables
        pin = tables.pins.at(event.address)
        if pin is not None and pin.takes_over and pin.site == event.former:
            pin.takes_over = False
        elif event.former is not None and not (pin is not None and pin.standing and pin.site == event.former):
            self._data_path.close(event.address, event.former)
        if isinstance(event, AddressRemoved):
            table = tables.by_pool.get(event.pool)
            if table is not None and event.pool not in tables.pools and table.is_empty():
                del tables.by_pool[event.pool]
            name = tables.withheld.get(event.address)
            if pin is None and name is not None and tables.of(event.address) is None:
                del tables.withheld[event.address]
                self._telling.publish([tables.by_pool[name].admit(event.address, event.at)])
        if pin is not None:
            self.pinning.stand()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _configure_tables(self, now: float) -> None:
        self._tables.withheld.clear()
        for name in dict.fromkeys((*self._tables.by_pool, *self._tables.pools)):
            self._configure_table(name, now)
        for name, table in list(self._tables.by_pool.items()):
            # The others go when their last address does.
            if name not in self._tables.pools and table.is_empty():
                del self._tables.by_pool[name]

    def _configure_table(self, name: str, now: float) -> None:
        """Bring one pool's table to its configuration; addresses that somebody else still has come when he lets go."""
        tables = self._tables
        table = tables.by_pool.get(name)
        pool = tables.pools.get(name)
        if pool is None:
            assert table is not None
            pool = attrs.evolve(table.pool, addresses=())
        others = [other for other in tables.by_pool.values() if other is not table]
        withheld = {
            address: name
            for address in pool.addresses
            if address in tables.pins or any(address in other for other in others)
        }
        tables.withheld.update(withheld)
        pool = attrs.evolve(pool, addresses=tuple(address for address in pool.addresses if address not in withheld))
        if table is None:
            tables.by_pool[name] = self._new_table(pool)
        else:
            self._telling.publish(table.configure(pool, now))

    def leaving(self, name: str) -> LeaseTable:
        """The table of a pool that is not in the configuration (any more), for what has to run out in it."""
        table = self._tables.by_pool.get(name)
        if table is None:
            table = self._tables.by_pool[name] = self._new_table(Pool(name=name, addresses=()))
        return table

    def _new_table(self, pool: Pool) -> LeaseTable:
        # The reach asks the table for its pool, which a reload replaces.
        made: list[LeaseTable] = []
        made.append(LeaseTable(pool, self._tables.connections, self._reach(lambda: made[0].pool)))
        return made[0]

    def _reopen_lease(self, table: LeaseTable, lease: Lease, site: Site, server: Server, now: float) -> None:
        if not table.ending.can_become(lease, site.keys):
            # A neighbour has one of the new ports.  The site finds another address at the next question, also where
            # this one is still on its way to the disk.
            lease.given_up |= lease.pending
            self._telling.publish(table.ending.let_go(lease, now, "its new ports are another site's there"))
            return
        before = lease.keys
        try:
            self._data_path.open(lease.address, site, server)
        except DataPathError as error:
            complain(site.name, lease.address, "stays as it was", error)
            # Its answers are for the new ports, too: no neighbour is to have them meanwhile.
            table.ending.claim(lease, site.keys)
        else:
            table.ending.become(lease, site, server)
        if lease.keys != before:
            self._telling.publish([LeaseExtended(at=now, lease=table.record(lease, now))])
