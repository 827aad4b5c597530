"""
The addresses of a pool, each in exactly one place: free, held or declined.

This file alone moves an address from one to another, so that the partition can be checked by reading it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator

from appliance.events import AddressAdded, AddressFreed, AddressRemoved, Event
from appliance.leasing.lease import Counts, Declined, Lease, State
from appliance.model import Address, Pool


class Addresses:
    """:param pool: its addresses; all free at first, to be granted in the order of the configuration."""

    def __init__(self, pool: Pool) -> None:
        self._members = set(pool.addresses)
        # An OrderedDict, because taking the first of a plain dict that is used as a queue is O(n).
        self._free: OrderedDict[Address, None] = OrderedDict.fromkeys(pool.addresses)
        self._held: dict[Address, Lease] = {}
        self._declined: dict[Address, Declined] = {}
        self._cooling = 0

    def __contains__(self, address: Address) -> bool:
        """Is it (still) configured in this pool?"""
        return address in self._members

    def free(self) -> Iterator[Address]:
        """Free addresses, longest free first."""
        return iter(self._free)

    def held(self) -> Iterator[Lease]:
        """All leases, cooling ones included, in no order."""
        return iter(self._held.values())

    def holder(self, address: Address) -> Lease | None:
        return self._held.get(address)

    def counts(self, *, waiting: int) -> Counts:
        return Counts(
            free=len(self._free),
            leased=len(self._held) - self._cooling,
            cooling=self._cooling,
            declined=len(self._declined),
            waiting=waiting,
        )

    def count(self) -> int:
        """All addresses that are in the pool or still held in it."""
        return len(self._free) + len(self._held) + len(self._declined)

    def free_count(self) -> int:
        return len(self._free)

    def pick(self, preferred: Address | None, avoided: Container[Address]) -> Address | None:
        """
        The preferred one if it is free, else the one that has been free longest.

        :param avoided: addresses that will not do; the cost is O(how many of these are free).
        :return: None when no other is free.
        """
        if preferred is not None and preferred in self._free and preferred not in avoided:
            return preferred
        return next((address for address in self._free if address not in avoided), None)

    def hold(self, lease: Lease, former: Lease | None) -> None:
        """``lease`` takes its address: out of the free ones, or from ``former``, the same site's earlier lease."""
        if former is None:
            del self._free[lease.address]
        else:
            self._leave(former)
        self._held[lease.address] = lease

    def cool(self, lease: Lease) -> None:
        lease.state = State.COOLING
        self._cooling += 1

    def decline(self, address: Address, until: float, former: Lease | None) -> Declined:
        """A free or held address could not be opened."""
        if former is None:
            del self._free[address]
        else:
            self._leave(former)
        declined = self._declined[address] = Declined(address=address, ends_at=until)
        return declined

    def release(self, item: Lease | Declined, pool: str, now: float) -> Event:
        """A cooled lease or a declined address is over: free again, or gone where it has left the configuration."""
        former: str | None
        if isinstance(item, Lease):
            former = item.site
            self._leave(item)
        else:
            former = None
            item.gone = True
            del self._declined[item.address]
        if item.address not in self._members:
            return AddressRemoved(at=now, pool=pool, address=item.address, former=former)
        self._free[item.address] = None
        return AddressFreed(at=now, pool=pool, address=item.address, former=former)

    def configure(self, pool: Pool, now: float) -> tuple[list[Event], list[Lease]]:
        """
        Take over another set of addresses.

        :return: what happened, and the leases on addresses that are no longer configured: they have to run out.
        """
        events: list[Event] = []
        orphans: list[Lease] = []
        members = set(pool.addresses)
        for address in self._members - members:
            lease = self._held.get(address)
            if lease is not None:
                orphans.append(lease)
                continue
            self._free.pop(address, None)
            declined = self._declined.pop(address, None)
            if declined is not None:
                declined.gone = True
            events.append(AddressRemoved(at=now, pool=pool.name, address=address, former=None))
        for address in pool.addresses:
            if address not in self._members and address not in self._held:
                events.append(self.add(address, pool.name, now))
        self._members = members
        return events, orphans

    def add(self, address: Address, pool: str, now: float) -> Event:
        """An address that nobody holds joins the pool."""
        self._members.add(address)
        self._free[address] = None
        return AddressAdded(at=now, pool=pool, address=address)

    def _leave(self, lease: Lease) -> None:
        lease.gone = True
        del self._held[lease.address]
        if lease.state is State.COOLING:
            self._cooling -= 1
