"""
The addresses of a pool, each in exactly one place: free, held or kept back.

This file alone moves an address from one to another, so that the partition can be checked by reading it.  Where the
pool shares by service (1.12), a held address may have several holders, whose keys never clash.

Inside, an address is its number: hashing an ``IPv4Address`` costs more than all the rest of an operation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator

from appliance.events import AddressAdded, AddressFreed, AddressRemoved, Event, State
from appliance.leasing.lease import Counts, Declined, Lease
from appliance.model import Address, Keys, Pool

_NOTHING: Keys = frozenset()


class Addresses:
    """:param pool: its addresses; all free at first, to be granted in the order of the configuration."""

    def __init__(self, pool: Pool) -> None:
        self._members = set(map(int, pool.addresses))
        # An OrderedDict, because taking the first of a plain dict that is used as a queue is O(n).
        self._free: OrderedDict[int, Address] = OrderedDict((int(address), address) for address in pool.addresses)
        self._held: dict[int, tuple[Lease, ...]] = {}
        self._declined: dict[int, Declined] = {}
        self._resting = 0
        self._cooling = 0
        self._sharing = pool.share_by_service
        self._unshared = False
        # Held addresses by what is taken there: few sets in practice, so the fullest that fits is found at once.
        self._by_keys: dict[Keys, OrderedDict[int, Address]] = {}

    def __contains__(self, address: Address) -> bool:
        """Is it (still) configured in this pool?"""
        return int(address) in self._members

    def free(self) -> Iterator[Address]:
        """Free addresses, longest free first."""
        return iter(self._free.values())

    def held(self) -> Iterator[Lease]:
        """All leases, cooling ones included, in no order."""
        for leases in self._held.values():
            yield from leases

    def holdings(self) -> list[tuple[Lease, ...]]:
        """The holders of each address as they are now; O(n), but a millisecond for 100 000."""
        return list(self._held.values())

    def holders(self, address: Address) -> tuple[Lease, ...]:
        return self._held.get(int(address), ())

    def counts(self, *, waiting: int) -> Counts:
        return Counts(
            free=len(self._free),
            leased=len(self._held) - self._cooling,
            cooling=self._cooling + self._resting,
            declined=len(self._declined) - self._resting,
            waiting=waiting,
        )

    def count(self) -> int:
        """All addresses that are in the pool or still held in it."""
        return len(self._free) + len(self._held) + len(self._declined)

    def is_free(self, address: Address) -> bool:
        return int(address) in self._free

    def free_count(self) -> int:
        return len(self._free)

    def used_fraction(self) -> float:
        """Addresses with any lease or cooling key, of all; 1 for a pool without addresses."""
        count = self.count()
        return (len(self._held) + self._resting) / count if count else 1.0

    def available(self, keys: Keys) -> int:
        """How many addresses a newcomer with ``keys`` could be given; O(sets of keys that are taken together)."""
        available = len(self._free)
        if not self._by_keys:
            return available
        for taken, addresses in self._by_keys.items():
            if taken.isdisjoint(keys):
                available += len(addresses)
        return available

    def pick(self, keys: Keys, preferred: Iterable[Address], avoided: Container[Address]) -> Address | None:
        """
        A preferred one if ``keys`` fit there, else the fullest that they fit on, else the longest free.

        :param avoided: addresses that will not do; the cost is O(how many of the suitable ones are these).
        :return: None when there is no other.
        """
        for address in preferred:
            if address not in avoided and (int(address) in self._free or self._fits(address, keys)):
                return address
        if self._by_keys:
            fitting = [taken for taken in self._by_keys if taken.isdisjoint(keys)]
            for taken in sorted(fitting, key=len, reverse=True):
                for address in self._by_keys[taken].values():
                    if address not in avoided:
                        return address
        for address in self._free.values():
            if not avoided or address not in avoided:
                return address
        return None

    def is_kept_back(self, address: Address) -> bool:
        """Could it not be opened, or does it rest?"""
        return int(address) in self._declined

    def is_resting(self, address: Address) -> bool:
        """Is it kept back because somebody may have been promised it?"""
        item = self._declined.get(int(address))
        return item is not None and item.resting

    def _fits(self, address: Address, keys: Keys) -> bool:
        number = int(address)
        if not self._sharing or number not in self._members or number not in self._held:
            return False
        return all(holder.keys.isdisjoint(keys) for holder in self._held[number])

    def hold(self, lease: Lease, former: Lease | None = None) -> None:
        """``lease`` takes its address, beside the holders it has, or in place of ``former``, the same site's."""
        number = int(lease.address)
        before = self._held.get(number, ())
        if former is None:
            self._free.pop(number, None)
            if before or self._sharing or lease.state is State.COOLING:
                self._become(number, before, (*before, lease))
            else:
                self._held[number] = (lease,)
        else:
            former.gone = True
            self._become(number, before, tuple(lease if holder is former else holder for holder in before))

    def rekey(self, lease: Lease, keys: Keys) -> None:
        """It takes other keys, which nobody beside it has."""
        number = int(lease.address)
        if self._sharing:
            self._unlist(number, self._held[number])
        lease.keys = keys
        if self._sharing:
            self._list(number)

    def cool(self, lease: Lease) -> None:
        # Around the change, or the counts would be those of after already.
        holders = self._held[int(lease.address)]
        self._cooling -= _is_cooling(holders)
        lease.state = State.COOLING
        self._cooling += _is_cooling(holders)

    def decline(self, address: Address, until: float) -> Declined:
        """A free address could not be opened."""
        del self._free[int(address)]
        declined = self._declined[int(address)] = Declined(address=address, ends_at=until)
        return declined

    def rest(self, until: float) -> list[Declined]:
        """
        All free addresses are kept back, because somebody may have been promised them; and nobody is put beside a
        holder before :meth:`share`.
        """
        self._unshared, self._sharing = True, False
        self._by_keys.clear()
        resting = [Declined(address=address, ends_at=until, resting=True) for address in self._free.values()]
        self._declined.update((int(item.address), item) for item in resting)
        self._resting += len(resting)
        self._free.clear()
        return resting

    def share(self, pool: Pool) -> None:
        """Who holds what is known by now; where the pool shares, others may join them."""
        self._unshared = False
        self._list_all(pool)

    def resting(self) -> tuple[int, float]:
        """(how many, until when); O(kept back) where there are any."""
        return self._resting, max((item.ends_at for item in self._declined.values() if item.resting), default=0.0)

    def requeue(self, address: Address) -> None:
        """A free address goes to the end of the line: it was in use not long ago."""
        if int(address) in self._free:
            self._free.move_to_end(int(address))

    def release(
        self, item: Lease | Declined, pool: str, now: float, *, at_front: bool = False
    ) -> AddressFreed | AddressRemoved:
        """
        A lease or a declined address is over: its keys are free again, or gone where they left the configuration.

        :param at_front: the address was free longest before, and goes on being so.
        """
        former: str | None
        address, number = item.address, int(item.address)
        item.gone = True
        if isinstance(item, Lease):
            former = item.site
            before = self._held[number]
            left = () if len(before) == 1 else tuple(holder for holder in before if holder is not item)
            self._become(number, before, left)
            if left:
                return AddressFreed(at=now, pool=pool, address=address, former=former)
        else:
            former = None
            self._keep_back_no_longer(item)
        if number not in self._members:
            return AddressRemoved(at=now, pool=pool, address=address, former=former)
        self._free[number] = address
        if at_front:
            self._free.move_to_end(number, last=False)
        return AddressFreed(at=now, pool=pool, address=address, former=former)

    def configure(self, pool: Pool, now: float) -> tuple[list[Event], list[Lease]]:
        """
        Take over another set of addresses.

        :return: what happened, and the leases on addresses that are no longer configured: they have to run out.
        """
        events: list[Event] = []
        orphans: list[Lease] = []
        members = set(map(int, pool.addresses))
        for number in self._members - members:
            if number in self._held:
                orphans.extend(self._held[number])
                continue
            self._free.pop(number, None)
            if (declined := self._declined.get(number)) is not None:
                if declined.resting:
                    # Who may have been promised it does not know of another configuration.
                    continue
                declined.gone = True
                self._keep_back_no_longer(declined)
            events.append(AddressRemoved(at=now, pool=pool.name, address=Address(number), former=None))
        for address in pool.addresses:
            number = int(address)
            if number not in self._members and number not in self._held and number not in self._declined:
                events.append(self.add(address, pool.name, now))
        self._members = members
        self._list_all(pool)
        return events, orphans

    def add(self, address: Address, pool: str, now: float) -> Event:
        """An address that nobody holds joins the pool."""
        self._members.add(int(address))
        self._free[int(address)] = address
        return AddressAdded(at=now, pool=pool, address=address)

    def _keep_back_no_longer(self, item: Declined) -> None:
        del self._declined[int(item.address)]
        self._resting -= item.resting

    def _become(self, number: int, before: tuple[Lease, ...], holders: tuple[Lease, ...]) -> None:
        """An address has other holders than ``before`` now, perhaps none."""
        if self._sharing and before:
            self._unlist(number, before)
        self._cooling += _is_cooling(holders) - _is_cooling(before)
        if holders:
            self._held[number] = holders
            if self._sharing:
                self._list(number)
        elif before:
            del self._held[number]

    def _list_all(self, pool: Pool) -> None:
        self._sharing = pool.share_by_service and not self._unshared
        self._by_keys.clear()
        if self._sharing:
            for number in self._held:
                self._list(number)

    def _list(self, number: int) -> None:
        if number in self._members:
            holders = self._held[number]
            self._by_keys.setdefault(_taken(holders), OrderedDict())[number] = holders[0].address

    def _unlist(self, number: int, holders: tuple[Lease, ...]) -> None:
        taken = _taken(holders)
        addresses = self._by_keys.get(taken)
        if addresses is not None and number in addresses:
            del addresses[number]
            if not addresses:
                del self._by_keys[taken]


def _taken(holders: tuple[Lease, ...]) -> Keys:
    return _NOTHING.union(*(holder.keys for holder in holders))


def _is_cooling(holders: tuple[Lease, ...]) -> bool:
    if len(holders) == 1:
        return holders[0].state is State.COOLING
    return bool(holders) and all(holder.state is State.COOLING for holder in holders)
