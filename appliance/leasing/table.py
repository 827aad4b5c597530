"""
The lease table of one pool.

Invariants, each held by a property test:

* every address of the pool is in exactly one of: free, held (leased or cooling), declined;
* an address has at most one holder, a site at most one lease that is not retired;
* a lease never ends before an answer that was given from it, and nobody else gets the address before it has cooled.

Costs: asking, granting and renewing O(1), ending O(log n), refusing O(free addresses) at worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.deadlines import Deadlines
from appliance.events import Event, LeaseBound, LeaseReclaimed
from appliance.leasing.addresses import Addresses
from appliance.leasing.avoided import Avoided
from appliance.leasing.connections import Connections
from appliance.leasing.lease import Counts, Declined, Lease, Plan, Promise, State
from appliance.leasing.periods import Span, explain, pressure_of, span
from appliance.leasing.waiting import WaitingLine
from appliance.model import Address, Pool

DECLINED_FOR = 600.0
"""
How long an address whose data path failed is left alone, and never shorter than it would have cooled.  (Kea: 24 h, but
there a person must look first.)
"""


class LeaseTable:
    """
    :param pool: its addresses and periods; replaced by :meth:`configure`.
    :param connections: what is live now, counted by somebody else; told to :meth:`used` and :meth:`unused` too.
    """

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self.pool, self._connections, self._addresses = pool, connections, Addresses(pool)
        self._leases: dict[str, Lease] = {}
        self._former: dict[str, Address] = {}
        self._waiting = WaitingLine()
        self._avoided = Avoided()
        self._deadlines: Deadlines[Lease | Declined] = Deadlines(_deadline_of)

    # -- reading ---------------------------------------------------------------------------------------------------

    def lease_of(self, site: str) -> Lease | None:
        """The lease that answers for ``site`` come from, if it has one."""
        return self._leases.get(site)

    def holder(self, address: Address) -> Lease | None:
        """Who has ``address``, cooling leases included."""
        return self._addresses.holder(address)

    def held(self) -> Iterator[Lease]:
        """Every lease, cooling ones included, in no order; O(n)."""
        return self._addresses.held()

    def free(self) -> Iterator[Address]:
        """The free addresses, the next to be granted first."""
        return self._addresses.free()

    def waiting(self, now: float) -> list[str]:
        """The sites that were refused and still stand in line, in their turn."""
        return self._waiting.sites(now)

    def __contains__(self, address: Address) -> bool:
        """Does it belong to this pool, or does somebody still hold it here?"""
        return address in self._addresses or self._addresses.holder(address) is not None

    def is_empty(self) -> bool:
        return not self._addresses.count()

    def counts(self, now: float) -> Counts:
        return self._addresses.counts(waiting=len(self.waiting(now)))

    # -- answering -------------------------------------------------------------------------------------------------

    def renew(self, site: str, now: float) -> Promise | None:
        """
        What a query for a site that holds an address is answered (1.2).

        A query renews.  Queries that bring no connection renew ``unused_renewals`` times, counted once a period;
        after that the TTL counts down to what was promised.

        :return: None when the site holds nothing, or has less than a second left of a lease that it does not use: then
            it is a newcomer and :meth:`plan` decides.
        """
        lease = self._leases.get(site)
        if lease is None:
            return None
        ttl = self._span(lease.recent_requests(now, self.pool.periods), offered=lease.state is State.OFFERED)
        if now >= lease.counted_at + ttl and (lease.address, site) not in self._connections:
            if lease.unused >= self.pool.periods.unused_renewals:
                left = int(lease.promised_until - now)
                return Promise(lease.address, left, now + left) if left >= 1 else None
            lease.unused += 1
            lease.counted_at = now
        self._promise(lease, ttl, now)
        return Promise(lease.address, ttl, now + ttl)

    def plan(self, site: str, now: float) -> Plan | None:
        """
        Choose an address for a newcomer: its former one where that is its own still or free, else the longest free.

        Sites that were refused in the last 30 s go first.  A site takes its own cooling address back at once (1.11),
        but one whose leases saw no connection for as many renewals as are allowed stands behind those who wait.

        :return: None when the site has to wait (it is now remembered as waiting), or can open none of the free ones.
        """
        former = self._former_lease(site)
        available = self._addresses.free_count() + (former is not None)
        if (former is None or self._spent(former)) and not self._waiting.is_turn(site, available, now):
            self._waiting.refuse(site, now)
            return None
        address = former.address if former is not None else self._pick(site, now)
        if address is None:
            return None
        bound = (address, site) in self._connections
        requests = former.recent_requests(now, self.pool.periods) if former is not None else 0.0
        ttl = self._span(requests, offered=not bound)
        promised_until = max(now + ttl, former.promised_until if former is not None else now)
        return Plan(
            site=site,
            address=address,
            at=now,
            ttl=ttl,
            promised_until=promised_until,
            ends_at=promised_until + self.pool.periods.grace,
            requests=requests,
            bound=bound,
            former=former,
        )

    def commit(self, plan: Plan) -> Promise:
        """Make a plan true.  Nothing may have changed this table since the plan was made."""
        former, site = plan.former, plan.site
        unused = 0
        if former is not None and not plan.bound and not self._spent(former):
            # Leases in a row that nobody connects to are counted through, or a name that only a prefetching
            # resolver asks for would keep its address from those who wait.
            unused = former.unused + 1
        lease = plan.lease(unused=unused)
        self._addresses.hold(lease, former)
        self._leases[site] = lease
        self._former[site] = plan.address
        self._waiting.leave(site)
        self._deadlines.add(lease.ends_at, lease)
        return Promise(plan.address, plan.ttl, plan.at + plan.ttl)

    def decline(self, plan: Plan, *, by_all: bool) -> float:
        """
        The data path of a plan could not be opened: leave its address alone for a while.

        :param by_all: no site may have it; else only this one may not, unless it was its own already.
        :return: until when.
        """
        longest = plan.former.longest if plan.former is not None else 0
        until = plan.at + max(DECLINED_FOR, self.pool.periods.cooling, longest)
        if plan.former is None and not by_all:
            self._avoided.avoid(plan.site, plan.address, until)
            return until
        if plan.former is not None:
            self._leave(plan.former)
        self._deadlines.add(until, self._addresses.decline(plan.address, until, plan.former))
        return until

    # -- traffic ---------------------------------------------------------------------------------------------------

    def used(self, address: Address, site: str, now: float) -> Event | None:
        """
        A connection or a UDP session of ``site`` at ``address`` became live; while it cools that changes nothing.

        :return: LeaseBound when it is the first since the grant.
        """
        lease = self._addresses.holder(address)
        if lease is None or lease.site != site or lease.state is State.COOLING:
            return None
        lease.unused = 0
        lease.count_request(now, self.pool.periods)
        if lease.state is State.BOUND:
            return None
        lease.state = State.BOUND
        return LeaseBound(at=now, pool=self.pool.name, address=address, site=site)

    def unused(self, address: Address, site: str, now: float) -> None:
        """A live connection is over: a period without one counts as unused from here."""
        lease = self._addresses.holder(address)
        if lease is not None and lease.site == site:
            lease.counted_at = now

    # -- ending ----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`reclaim` is worth calling; never later than the first end."""
        return self._deadlines.next()

    def reclaim(self, now: float, *, limit: int) -> list[Event]:
        """
        Do what is due: reset leases that are in use (1.6), cool those that are not, free what has cooled.

        :param limit: most deadlines to look at; more may be due, which :meth:`next_deadline` then says.
        """
        return [self._end(item, now) for item in self._deadlines.due(now, limit=limit)]

    def _end(self, item: Lease | Declined, now: float) -> Event:
        pool = self.pool.name
        if isinstance(item, Declined) or item.state is State.COOLING:
            return self._addresses.release(item, pool, now)
        if (item.address, item.site) in self._connections and not item.retired:
            self._promise(item, self._span(item.recent_requests(now, self.pool.periods), offered=False), now)
            self._deadlines.add(item.ends_at, item)
            return item.reset_event(pool, now)
        self._addresses.cool(item)
        self._leave(item)
        item.ends_at = now + max(self.pool.periods.cooling, item.longest)
        self._deadlines.add(item.ends_at, item)
        return LeaseReclaimed(at=now, pool=pool, address=item.address, site=item.site, cooling_until=item.ends_at)

    # -- changing --------------------------------------------------------------------------------------------------

    def configure(self, pool: Pool, now: float) -> list[Event]:
        """
        Take over new addresses and periods; promises that were made stay as they are.

        An address that is no longer in the pool leaves at once when nobody holds it; a lease on it runs out, is not
        renewed, and cools first.
        """
        events, orphans = self._addresses.configure(pool, now)
        for lease in orphans:
            self._retire(lease)
        self.pool = pool
        return events

    def admit(self, address: Address, now: float) -> Event:
        """One more address of the configuration that could not come before."""
        return self._addresses.add(address, self.pool.name, now)

    def forget(self, sites: Iterable[str]) -> None:
        """These sites are no longer configured here: their leases run out and are not renewed."""
        for site in sites:
            if (lease := self._leases.get(site)) is not None:
                self._retire(lease)
            self._former.pop(site, None)
            self._waiting.leave(site)
            self._avoided.forget(site)

    def pressure(self) -> float:
        """The factor by which the pool shortens its promises now (1.7)."""
        return pressure_of(self._addresses.free_count(), self._addresses.count(), self.pool.adequate)

    def explain(self, site: str, now: float) -> Span:
        """What the next answer for ``site`` would promise, and why; changes nothing."""
        lease = self._leases.get(site)
        requests = lease.recent_requests(now, self.pool.periods) if lease is not None else 0.0
        offered = lease is None or lease.state is State.OFFERED
        return explain(self.pool.periods, requests=requests, pressure=self.pressure(), offered=offered)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _span(self, requests: float, *, offered: bool) -> int:
        return span(self.pool.periods, requests=requests, pressure=self.pressure(), offered=offered)

    def _promise(self, lease: Lease, ttl: int, now: float) -> None:
        lease.promised_until = max(lease.promised_until, now + ttl)
        lease.ends_at = max(lease.ends_at, lease.promised_until + self.pool.periods.grace)
        lease.longest = max(lease.longest, ttl)

    def _pick(self, site: str, now: float) -> Address | None:
        return self._addresses.pick(self._former.get(site), self._avoided.of(site, now))

    def _spent(self, lease: Lease) -> bool:
        """Has it been renewed by queries alone as often as is allowed?"""
        return (
            lease.unused >= self.pool.periods.unused_renewals and (lease.address, lease.site) not in self._connections
        )

    def _former_lease(self, site: str) -> Lease | None:
        """The lease that ``site`` may take up again: its own where it is at its end, cools, or was retired."""
        address = self._former.get(site)
        lease = self._addresses.holder(address) if address is not None else None
        if lease is None or lease.site != site or lease.address not in self._addresses:
            return None
        return lease

    def _retire(self, lease: Lease) -> None:
        lease.retired = True
        self._leave(lease)

    def _leave(self, lease: Lease) -> None:
        """The site has this lease no more, whatever becomes of the address."""
        if self._leases.get(lease.site) is lease:
            del self._leases[lease.site]


def _deadline_of(item: Lease | Declined) -> float | None:
    return None if item.gone else item.ends_at
