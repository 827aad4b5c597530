"""
The lease table of one pool.

Invariants, each held by a property test:

* every address of the pool is in exactly one of: free, held (leased or cooling), kept back;
* no two holders of an address have a key in common; without sharing it has one holder at most;
* a site has at most as many answered leases as it may have addresses, each with a server of its own;
* a lease never ends before an answer that was given from it, and nobody else gets its keys before they have cooled.

Costs: asking, granting and renewing O(1) (O(sets of keys in use) where the pool shares), ending O(log n), refusing
O(free addresses) at worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.events import AddressRemoved, Event, LeaseBound, LeaseRecord, State
from appliance.leasing.book import Book
from appliance.leasing.connections import Connections
from appliance.leasing.ending import Ending
from appliance.leasing.gates import Verdict
from appliance.leasing.granting import Granting
from appliance.leasing.lease import NEVER, Counts, Explanation, Lease, Promise, Reach
from appliance.leasing.periods import explain, shortest
from appliance.leasing.restoring import Restoring
from appliance.model import Address, Asker, Pool


def _anything(lease: Lease, seconds: float, now: float) -> float:
    return NEVER


class LeaseTable:
    """
    :param pool: its addresses and periods; replaced by :meth:`configure`.
    :param connections: what is live now, counted by somebody else; told to :meth:`used` and :meth:`unused` too.
    :param reach: bounds what a renewal may promise, for what the disk does not know yet.
    :ivar granting: makes new leases; ``ending`` ends them; ``restoring`` takes up those from before a restart.
    :ivar gates: what they have to pass.
    """

    def __init__(self, pool: Pool, connections: Connections, reach: Reach = _anything) -> None:
        self._book = Book(pool, connections)
        self._reach = reach
        self.granting = Granting(self._book)
        self.ending = Ending(self._book, reach)
        self.restoring = Restoring(self._book)
        self.gates = self._book.gates

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def pool(self) -> Pool:
        return self._book.pool

    def leases_of(self, site: str) -> tuple[Lease, ...]:
        """All leases of ``site``, pending, draining and cooling ones included."""
        return self._book.of(site)

    def answered(self, site: str) -> list[Lease]:
        """The leases that answers for ``site`` come from."""
        return [lease for lease in self._book.of(site) if lease.is_answered()]

    def holders(self, address: Address) -> tuple[Lease, ...]:
        """Who has ``address``, cooling leases included."""
        return self._book.addresses.holders(address)

    def held(self) -> Iterator[Lease]:
        """Every lease, cooling ones included, in no order; O(n)."""
        return self._book.addresses.held()

    def holdings(self) -> list[tuple[Lease, ...]]:
        """The leases of each held address as they are now, for who goes through them while they change."""
        return self._book.addresses.holdings()

    def free(self) -> Iterator[Address]:
        """The free addresses, the next to be granted first."""
        return self._book.addresses.free()

    def former(self) -> Iterator[tuple[Address, str]]:
        """Free addresses whose last site is remembered, with it; longest free first."""
        last = self._book.last
        for number in list(last):
            address = Address(number)
            if number in last and self._book.addresses.is_free(address):
                yield address, last[number]

    def waiting(self, now: float) -> list[str]:
        """The sites that were refused and still stand in line, in their turn."""
        return self._book.waiting.sites(now)

    def used_fraction(self) -> float:
        """Addresses with any lease or cooling key, of all."""
        return self._book.addresses.used_fraction()

    def __contains__(self, address: Address) -> bool:
        """Does it belong to this pool, or is it still taken here?"""
        return address in self._book.addresses or self.has(address)

    def has(self, address: Address) -> bool:
        """Does somebody hold it here, or may somebody have been promised it, in the pool or not?"""
        return bool(self._book.addresses.holders(address)) or self._book.addresses.is_resting(address)

    def is_empty(self) -> bool:
        return not self._book.addresses.count()

    def counts(self, now: float) -> Counts:
        return self._book.addresses.counts(waiting=len(self.waiting(now)))

    def resting(self) -> tuple[int, float]:
        """How many addresses rest since the start, and until when."""
        return self._book.addresses.resting()

    def pressure(self) -> float:
        """The factor by which the pool shortens its promises now (1.7)."""
        return self._book.pressure()

    def explain(self, site: str, now: float) -> Explanation:
        """What the next answer for ``site`` would promise, and why; changes nothing."""
        leases, periods = self.answered(site), self.pool.periods
        lease = self._least_asked(leases, now) if leases else None
        requests = lease.recent_requests(now, periods) if lease is not None else 0.0
        offered = lease is None or lease.state is State.OFFERED
        span = explain(periods, requests=requests, pressure=self.pressure(), offered=offered)
        if lease is None or now < lease.counted_at + span.ttl or not self._book.is_spent(lease):
            return Explanation(lease=lease, ttl=span.ttl, renews=lease is not None, span=span)
        left = self._left(lease, span.ttl, now, 0.0)
        return Explanation(lease=lease if left >= 1 else None, ttl=max(left, 0), renews=False, span=span)

    def record(self, lease: Lease, now: float) -> LeaseRecord:
        """All that ``lease`` is now."""
        return self._book.record(lease, now)

    def judge(self, asker: Asker, site: str, now: float) -> Verdict:
        """May ``asker`` have a new lease for ``site``?  One at its end, which it would replace, is not in its way."""
        replaced = offers = 0
        for lease in self._book.of(site):
            if lease.state is State.OFFERED and self.granting.is_at_its_end(lease, now):
                replaced = lease.asked_by
            elif lease.state is State.OFFERED:
                offers += 1
        return self.gates.judge(asker, offers, self.used_fraction(), now, replaced)

    # -- answering -------------------------------------------------------------------------------------------------

    def renew(self, site: str, now: float, ahead: float = 0.0) -> Promise | None:
        """
        What a query for a site that holds an address is answered (1.2).

        Of several, the address whose server has the fewest requests is answered and renewed (1.5).  A query renews.
        Queries that bring no connection renew ``unused_renewals`` times, counted once a period; after that the TTL
        counts down to what was promised.

        :param ahead: for so many seconds the same answer is given to others who ask; the promise covers them all.
        :return: None when the site holds nothing, or has less than a second left of a lease that it does not use: then
            it is a newcomer.  With ``ahead`` also where nothing can be said ahead of time.
        """
        leases = self._book.of(site)
        if len(leases) == 1:
            return self._renew(leases[0], now, ahead) if leases[0].is_answered() else None
        candidates = [lease for lease in leases if lease.is_answered()]
        while candidates:
            lease = self._least_asked(candidates, now)
            promise = self._renew(lease, now, ahead)
            if promise is not None:
                lease.count_answers(1, now, self.pool.periods)
                return promise
            candidates.remove(lease)
        return None

    def _renew(self, lease: Lease, now: float, ahead: float) -> Promise | None:
        book, periods = self._book, self._book.pool.periods
        ttl = book.span(lease.recent_requests(now, periods), offered=lease.state is State.OFFERED)
        if now >= lease.counted_at + ttl and not book.is_connected(lease):
            if lease.unused >= periods.unused_renewals:
                left = self._left(lease, ttl, now, ahead)
                return Promise(lease.address, left, now + ahead + left) if left >= 1 else None
            lease.unused += 1
            lease.counted_at = now
        reach = self._reach(lease, ttl + ahead, now)
        if reach < now + ahead + ttl:
            # What is not on the disk yet is promised from one answer to the next, never ahead.
            ttl = 0 if ahead else int(reach - now)
            if ttl < 1:
                return None
        book.promise(lease, ttl, now + ahead)
        return Promise(lease.address, ttl, now + ahead + ttl)

    def _left(self, lease: Lease, ttl: int, now: float, ahead: float) -> int:
        """
        The TTL of a countdown: what was promised already, as far as the disk knows.

        The end of a promise alone would not do: a reset moves it without an answer, and while the disk fails.
        """
        known = lease.durable_until if ahead else max(lease.durable_until, now + shortest(self.pool.periods))
        return min(ttl, int(min(lease.promised_until, known) - now - ahead))

    def answered_also(self, site: str, address: Address, count: int, now: float) -> None:
        """The last answer for ``site``, which named ``address``, was given to ``count`` others too."""
        leases = self._book.of(site)
        if len(leases) > 1:
            for lease in leases:
                if lease.address == address:
                    lease.count_answers(count, now, self.pool.periods)

    def _least_asked(self, leases: list[Lease], now: float) -> Lease:
        """The one whose server has the fewest requests: connections and answers, decayed, by weight (1.5)."""
        periods, connections = self.pool.periods, self._book.connections

        def load(lease: Lease) -> float:
            live = connections.count(lease.address, lease.site)
            return (max(lease.recent_requests(now, periods), live) + lease.recent_answers(now, periods)) / lease.weight

        return min(leases, key=load)

    # -- traffic ---------------------------------------------------------------------------------------------------

    def used(self, address: Address, site: str, now: float) -> Event | None:
        """
        A connection or a UDP session of ``site`` at ``address`` became live; while it cools that changes nothing.

        :return: LeaseBound when it is the first since the grant.
        """
        lease = self._lease_at(address, site)
        if lease is None or lease.state is State.COOLING:
            return None
        book, first = self._book, lease.state is State.OFFERED
        lease.unused = 0
        lease.count_request(now, self.pool.periods)
        if first:
            lease.state = State.BOUND
            book.settle_offer(lease, now, used=True)
        if lease.state is State.BOUND and not lease.pending:
            # With demand the next promise grows; the disk is to know of it before somebody asks.
            self._reach(lease, book.span(lease.recent_requests(now, self.pool.periods), offered=False), now)
        if not first:
            return None
        return LeaseBound(at=now, lease=self.record(lease, now))

    def unused(self, address: Address, site: str, now: float) -> bool:
        """
        A live connection is over: a period without one counts as unused from here.

        :return: whether a lease ends earlier for it: one that drained and waited for its last connection.
        """
        lease = self._lease_at(address, site)
        if lease is None:
            return False
        lease.counted_at = now
        if lease.state is not State.DRAINING or lease.drain_until == NEVER or self._book.is_connected(lease):
            return False
        ends_at = max(now, lease.promised_until + self.pool.periods.grace)
        if ends_at >= lease.ends_at:
            return False
        self._book.postpone(lease, ends_at)
        return True

    # -- changing --------------------------------------------------------------------------------------------------

    def configure(self, pool: Pool, now: float) -> list[Event]:
        """
        Take over new addresses and periods; promises that were made stay as they are.

        An address that is no longer in the pool leaves at once when nobody holds it; a lease on it runs out, is not
        renewed, and cools first.
        """
        events, orphans = self._book.addresses.configure(pool, now)
        self._book.pool = self._book.gates.pool = pool
        for event in events:
            if isinstance(event, AddressRemoved):
                self._book.forget_address(event.address)
        for lease in orphans:
            events += self.ending.let_go(lease, now, "its address left the pool")
        return events

    def admit(self, address: Address, now: float) -> Event:
        """One more address of the configuration that could not come before."""
        return self._book.addresses.add(address, self.pool.name, now)

    def forget(self, sites: Iterable[str], now: float) -> list[Event]:
        """These sites are no longer configured here: their leases run out and are not renewed."""
        events: list[Event] = []
        for site in sites:
            for lease in self._book.of(site):
                events += self.ending.let_go(lease, now, "its site left the configuration")
            self.granting.forget(site)
        return events

    # -- inside ----------------------------------------------------------------------------------------------------

    def _lease_at(self, address: Address, site: str) -> Lease | None:
        return next((lease for lease in self._book.addresses.holders(address) if lease.site == site), None)
