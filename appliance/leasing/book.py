"""
The leases of a pool: by address, by site, and by when they end; the three are changed here together.

Knows no rule: what may be granted, renewed and ended is decided in ``table.py`` and ``granting.py``.
"""

from __future__ import annotations

from appliance.deadlines import Deadlines
from appliance.events import AddressFreed, AddressRemoved, LeaseRecord, State
from appliance.leasing.addresses import Addresses
from appliance.leasing.avoided import Avoided
from appliance.leasing.connections import Connections
from appliance.leasing.gates import Gates
from appliance.leasing.lease import Declined, Due, Lease, Surplus
from appliance.leasing.periods import pressure_of, span
from appliance.leasing.waiting import WaitingLine
from appliance.model import Address, Keys, Pool

MOST_FORMER = 8
"""Former addresses that are remembered of a site, for its coming back."""


class Book:
    """
    :ivar former: by site, addresses that it had last and that were freed since, the last one first.
    :ivar last: by the number of a free address, the site that had it last; in the order in which they were freed.
    :ivar left: sites that are no longer configured here, and still have leases.
    """

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self.pool = pool
        self.connections = connections
        self.addresses = Addresses(pool)
        self.gates = Gates(pool)
        self.waiting = WaitingLine()
        self.avoided = Avoided()
        self.deadlines: Deadlines[Due] = Deadlines(_deadline_of)
        self.former: dict[str, tuple[Address, ...]] = {}
        self.last: dict[int, str] = {}
        self.left: set[str] = set()
        self._leases: dict[str, tuple[Lease, ...]] = {}
        self._surplus: dict[tuple[int, str], Surplus] = {}

    def of(self, site: str) -> tuple[Lease, ...]:
        """All leases of a site, draining and cooling ones included."""
        return self._leases.get(site, ())

    def add(self, lease: Lease, former: Lease | None = None) -> None:
        """A new lease, in place of ``former`` where that is given."""
        self.addresses.hold(lease, former)
        if self.last and former is None and (last := self.last.pop(int(lease.address), lease.site)) != lease.site:
            self._forget_former(last, lease.address)
        others = self._leases.get(lease.site)
        if others is None:
            self._leases[lease.site] = (lease,)
        else:
            self._leases[lease.site] = (*(other for other in others if other is not former), lease)
        self.deadlines.add(lease.ends_at, lease)

    def put_back(self, former: Lease, lease: Lease) -> None:
        """``lease`` did not come about; ``former``, which it replaced, goes on."""
        former.gone = False
        self.add(former, lease)

    def cool(self, lease: Lease, until: float) -> None:
        self.addresses.cool(lease)
        self.postpone(lease, until)

    def postpone(self, lease: Lease, until: float) -> None:
        """It ends then, which may also be earlier than it was."""
        lease.ends_at = until
        self.deadlines.add(until, lease)

    def release(self, item: Lease | Declined, now: float, *, at_front: bool = False) -> AddressFreed | AddressRemoved:
        """It is over; a site's address is remembered for its coming back."""
        event = self.addresses.release(item, self.pool.name, now, at_front=at_front)
        if isinstance(item, Lease):
            if self._surplus and (surplus := self._surplus.pop((int(item.address), item.site), None)) is not None:
                surplus.gone = True
            mine = self._leases[item.site]
            left = () if len(mine) == 1 else tuple(lease for lease in mine if lease is not item)
            if left:
                self._leases[item.site] = left
            else:
                del self._leases[item.site]
            if item.site in self.left:
                if not left:
                    self.left.discard(item.site)
            elif not at_front:
                self.remember(item.site, item.address)
        return event

    def give_up_keys(self, lease: Lease, keep: Keys) -> None:
        """
        Its site has only ``keep`` there from now on; the others cool as if the lease had ended with its promise.

        One that gives up others meanwhile has all of them until the last have cooled.
        """
        until = lease.ends_at
        if lease.state is not State.COOLING:
            until += max(self.pool.periods.cooling, lease.longest)
        place = int(lease.address), lease.site
        before = self._surplus.get(place)
        if before is not None:
            before.gone = True
            until = max(until, before.ends_at)
        surplus = self._surplus[place] = Surplus(address=lease.address, site=lease.site, keep=keep, ends_at=until)
        self.deadlines.add(until, surplus)

    def has_surplus(self, lease: Lease) -> bool:
        return bool(self._surplus) and (int(lease.address), lease.site) in self._surplus

    def trim(self, surplus: Surplus) -> None:
        """The keys that a site has given up have cooled."""
        del self._surplus[int(surplus.address), surplus.site]
        for lease in self.addresses.holders(surplus.address):
            if lease.site == surplus.site:
                self.addresses.rekey(lease, surplus.keep if surplus.keep <= lease.keys else lease.keys & surplus.keep)

    def remember(self, site: str, address: Address) -> None:
        """``address`` is free now, and ``site`` had it last."""
        others = (other for other in self.former.get(site, ()) if other != address)
        known = (address, *others)[:MOST_FORMER]
        self.former[site] = known
        # Out and in again, so that they stand in the order in which they were freed.
        last = self.last.pop(int(address), site)
        if last != site:
            self._forget_former(last, address)
        if self.addresses.is_free(address):
            self.last[int(address)] = site

    def forget_address(self, address: Address) -> None:
        """It is no longer in the pool."""
        if (last := self.last.pop(int(address), None)) is not None:
            self._forget_former(last, address)

    def _forget_former(self, site: str, address: Address) -> None:
        left = tuple(other for other in self.former.get(site, ()) if other != address)
        if left:
            self.former[site] = left
        else:
            self.former.pop(site, None)

    def promise(self, lease: Lease, ttl: int, now: float) -> None:
        """An answer promises it for ``ttl`` seconds from now; what was promised before still stands."""
        lease.promised_until = max(lease.promised_until, now + ttl)
        lease.ends_at = max(lease.ends_at, lease.promised_until + self.pool.periods.grace)
        lease.longest = max(lease.longest, ttl)

    def record(self, lease: Lease, now: float) -> LeaseRecord:
        """All that it is now."""
        return lease.record(self.pool.name, now, self.pool.periods)

    def pressure(self) -> float:
        """The factor by which the pool shortens its promises now (1.7)."""
        return pressure_of(self.addresses.free_count(), self.addresses.count(), self.pool.adequate)

    def span(self, requests: float, *, offered: bool) -> int:
        """The TTL of the next promise."""
        return span(self.pool.periods, requests=requests, pressure=self.pressure(), offered=offered)

    def is_connected(self, lease: Lease) -> bool:
        return (lease.address, lease.site) in self.connections

    def is_spent(self, lease: Lease) -> bool:
        """Has it been renewed by queries alone as often as is allowed?"""
        return lease.unused >= self.pool.periods.unused_renewals and not self.is_connected(lease)

    def withdraw_offer(self, lease: Lease) -> None:
        """Nobody is to be judged for it any more."""
        if lease.asked_by:
            self.gates.withdrawn(lease.asked_by)
            lease.asked_by = 0

    def settle_offer(self, lease: Lease, now: float, *, used: bool) -> None:
        """It was used, or ended unused; who asked for it is judged."""
        if lease.asked_by:
            self.gates.settled(lease.asked_by, now, proven=lease.proven, used=used)
            lease.asked_by = 0


def _deadline_of(item: Due) -> float | None:
    return None if item.gone else item.ends_at
