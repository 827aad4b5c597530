"""A lease table with its connections, asked as SharedState asks it."""

from __future__ import annotations

from typing import Any

from appliance.events import Event
from appliance.leasing import Connections, Lease, LeaseTable, Plan, Promise
from appliance.model import Address, Periods, Site
from tests import fakes


class Driver:
    """:ivar first: the pool's first address; ``rest`` are the others."""

    def __init__(self, count: int, periods: Periods = fakes.PERIODS, **more: Any) -> None:
        self.connections = Connections()
        self.table = LeaseTable(fakes.pool(count, periods, **more), self.connections)
        self.first, *self.rest = fakes.addresses(count)
        self.sites: dict[str, Site] = {}

    def site(self, name: str) -> Site:
        """As configured with :attr:`sites`, else one with a single server and port 80."""
        return self.sites.get(name) or fakes.site(name)

    def plan(self, name: str, now: float) -> Plan | None:
        return self.table.granting.plan(self.site(name), now)

    def ask(self, name: str, now: float) -> Promise | None:
        promise = self.table.renew(name, now)
        if promise is not None:
            if self.table.granting.wants_another(self.site(name), now):
                self.grant(name, now)
            return promise
        return self.grant(name, now)

    def grant(self, name: str, now: float, *, asked_by: int = 0, proven: bool = False) -> Promise | None:
        plan = self.plan(name, now)
        if plan is None:
            return None
        lease = self.table.granting.commit(plan, asked_by=asked_by, proven=proven)
        return self.table.granting.confirm(plan, lease, now)

    def lease_of(self, name: str) -> Lease | None:
        """The first lease that answers come from."""
        return next(iter(self.table.answered(name)), None)

    def connect(self, name: str, now: float, address: Address | None = None) -> object:
        if address is None:
            lease = self.lease_of(name)
            assert lease is not None
            address = lease.address
        self.connections.opened(address, name)
        return self.table.used(address, name, now)

    def disconnect(self, name: str, now: float, address: Address | None = None) -> None:
        if address is None:
            lease = self.lease_of(name)
            assert lease is not None
            address = lease.address
        self.connections.closed(address, name)
        self.table.unused(address, name, now)

    def reclaim(self, now: float, *, limit: int = 99) -> list[Event]:
        return self.table.ending.reclaim(now, limit=limit)
