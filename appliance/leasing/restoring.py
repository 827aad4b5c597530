"""
After a restart: leases from before are taken up, and what may have been promised is kept back.
"""

from __future__ import annotations

from appliance.events import AddressFreed, LeaseRecord, State
from appliance.leasing.book import Book
from appliance.leasing.lease import Lease, Unshared
from appliance.model import Keys, Site, all_keys


class Restoring:
    """The part of a lease table that is used once, before the first answer."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def lease(self, record: LeaseRecord, site: Site | None, now: float) -> Lease | None:
        """
        Take up a lease, with the keys that it had.

        :param site: as it is configured now; None when nobody knows it any more.
        :param record: its address need not be in the pool any more; then it leaves when the lease has cooled.  Where it
            does not say the keys, they are those of the site, or, without one, all that is left of the address, so
            that nobody is put beside it.  Take up the known ones first.
        :return: None when its keys are taken.
        """
        book = self._book
        taken: Keys = frozenset().union(*(holder.keys for holder in book.addresses.holders(record.address)))
        keys = record.keys or (site.keys if site is not None else all_keys() - taken)
        if not keys.isdisjoint(taken) or book.addresses.is_kept_back(record.address):
            return None
        servers = site.servers if site is not None else ()
        lease = Lease(
            site=record.site,
            address=record.address,
            server=record.server,
            weight=next((server.weight for server in servers if server.name == record.server), 1),
            keys=keys,
            granted_at=record.granted_at,
            promised_until=record.promised_until,
            ends_at=record.ends_at,
            state=record.state,
            longest=record.longest,
            unused=record.unused,
            counted_at=now,
            requests=record.requests,
            requested_at=now,
            durable_until=record.promised_until,
            horizon=record.promised_until,
            drain_timeout=site.timeouts.drain if site is not None else 0.0,
            drain_until=record.drain_until,
            given_up=record.given_up,
        )
        book.add(lease)
        return lease

    def assure(self, lease: Lease, until: float, longest: int) -> None:
        """
        An answer that the disk does not know may have promised it until then, with a TTL of ``longest`` at most.

        A lease that cools has given none since; it cools at least until then.
        """
        if lease.state is State.COOLING:
            lease.ends_at = max(lease.ends_at, until)
            return
        lease.longest = max(lease.longest, longest)
        lease.promised_until = max(lease.promised_until, until)
        lease.ends_at = max(lease.ends_at, lease.promised_until + self._book.pool.periods.grace)

    def former(self, freed: AddressFreed, *, known: bool) -> None:
        """
        ``freed.former`` had this address last; called in the order in which they were freed.

        :param known: it is a site of this pool, and remembered for its coming back.
        """
        if freed.former is not None and freed.address in self._book.addresses:
            self._book.addresses.requeue(freed.address)
            if known:
                self._book.remember(freed.former, freed.address)

    def rest(self, until: float) -> None:
        """All free addresses, and free keys, may have been promised to somebody: they are kept back."""
        book = self._book
        for item in book.addresses.rest(until):
            book.deadlines.add(until, item)
        book.deadlines.add(until, Unshared(ends_at=until))
