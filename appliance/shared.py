"""
SharedState: the tables, the one clock, and who is told of what happened.

Every operation is synchronous, so on one reactor it is atomic and needs no lock.  A grant is one transaction: the
rules plan it, the data path opens, the journal records it, the table commits, the answer leaves.  Data path and journal
are ports that may refuse; subscribers only hear of it afterwards.  Requirements 1.1 to 1.4, 1.6.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

import attrs
import dns.rcode
from twisted.logger import Logger

from appliance.errors import Blame, DataPathError, JournalError
from appliance.events import AddressDeclined, AddressFreed, AddressRemoved, Event, LeaseGranted, PoolExhausted
from appliance.interfaces import DataPath, Journal
from appliance.leasing import Connections, LeaseTable, Plan, Promise
from appliance.model import Address, Exhausted, Pool, Site
from appliance.naming import Answer, NeedsLease, Question, Zones, answer, exhausted, leased

MAX_DECLINES = 3
"""Most addresses that one grant tries before it gives up."""

RECLAIM_ON_DEMAND = 16
"""Most deadlines that a grant looks at when the reaper is late."""


class SharedState:
    """
    :param seconds: the one clock; never steps (CLOCK_BOOTTIME in the running process, a fake one in tests).
    :param data_path: makes the data path; it is given this state, to tell it of connections.
    """

    _log = Logger()

    def __init__(
        self, *, seconds: Callable[[], float], journal: Journal, data_path: Callable[[SharedState], DataPath]
    ) -> None:
        self._seconds = seconds
        self._journal = journal
        self._tables: dict[str, LeaseTable] = {}
        self._withheld: dict[Address, str] = {}
        self._subscribers: list[Callable[[Event], None]] = []
        self._undelivered: deque[Event] = deque()
        self._delivering = False
        self._exhausted: set[str] = set()
        self.connections = Connections()
        self.pools: Mapping[str, Pool] = {}
        self.sites: Mapping[str, Site] = {}
        self.zones = Zones()
        self.happened: Counter[str] = Counter()
        self._data_path = data_path(self)

    # -- reading ---------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._seconds()

    def tables(self) -> Mapping[str, LeaseTable]:
        """The lease tables by pool, for reading; a pool that left the configuration stays until its leases are over."""
        return self._tables

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """``subscriber`` is called with each event, after the operation that caused it."""
        self._subscribers.append(subscriber)

    # -- answering -------------------------------------------------------------------------------------------------

    def answer(self, question: Question) -> Answer | None:
        """
        Answer a question, granting or renewing a lease where it asks for a site's address.

        :return: None where the configuration says that the query is to be dropped.
        """
        found = answer(self.zones, question)
        if isinstance(found, Answer):
            return found
        promise = self.lease(found.site)
        if promise is not None:
            return leased(found, promise.address, promise.ttl)
        return self._refusal(found)

    def lease(self, site_name: str) -> Promise | None:
        """
        Renew the lease of a site, or grant one.

        :return: None when there is no address for it now.
        """
        now = self._seconds()
        site = self.sites[site_name]
        table = self._tables[site.pool]
        if (promise := table.renew(site_name, now)) is not None:
            self.happened["LeaseRenewed"] += 1
            return promise
        if (deadline := table.next_deadline()) is not None and deadline <= now:
            # The reaper is late; an address that is due is not a reason to refuse.
            self._publish(table.reclaim(now, limit=RECLAIM_ON_DEMAND))
        for _ in range(MAX_DECLINES):
            plan = table.plan(site_name, now)
            if plan is None:
                break
            blame = self._open(table, plan, site)
            if blame is None:
                return self._commit(table, plan)
            if blame is Blame.PROCESS:
                break
        self.happened["LeaseRefused"] += 1
        if site.pool not in self._exhausted:
            self._exhausted.add(site.pool)
            self._publish([PoolExhausted(at=now, pool=site.pool, site=site_name)])
        return None

    def _open(self, table: LeaseTable, plan: Plan, site: Site) -> Blame | None:
        """Open the data path of a plan; where the address or the port is to blame, it is declined."""
        try:
            self._data_path.open(plan.address, site)
        except DataPathError as error:
            if error.blame is Blame.PROCESS:
                return error.blame
            by_all = error.blame is Blame.ADDRESS
            until = table.decline(plan, by_all=by_all)
            self._data_path.close(plan.address, site.name)
            declined = AddressDeclined(
                at=plan.at,
                pool=site.pool,
                address=plan.address,
                site=site.name,
                by_all=by_all,
                reason=str(error),
                until=until,
            )
            self._publish([declined])
            return error.blame
        return None

    def _commit(self, table: LeaseTable, plan: Plan) -> Promise | None:
        """Record a plan and make it true; where it cannot be recorded nothing has happened."""
        granted = LeaseGranted(
            at=plan.at,
            pool=table.pool.name,
            address=plan.address,
            site=plan.site,
            promised_until=plan.promised_until,
            ends_at=plan.ends_at,
        )
        try:
            self._journal.record(granted)
        except JournalError as error:
            self._log.error(
                "{event}: no lease for {site}: {reason}", event="journal-failed", site=plan.site, reason=error
            )
            if plan.former is None:
                self._data_path.close(plan.address, plan.site)
            return None
        promise = table.commit(plan)
        self._exhausted.discard(table.pool.name)
        self._deliver([granted])
        return promise

    def _refusal(self, needs: NeedsLease) -> Answer | None:
        how = self._tables[self.sites[needs.site].pool].pool.when_exhausted
        if how is Exhausted.DROP:
            return None
        if how is Exhausted.NODATA:
            return exhausted(needs)
        return Answer(rcode=dns.rcode.SERVFAIL, authoritative=False)

    # -- traffic ---------------------------------------------------------------------------------------------------

    def connection_opened(self, address: Address, site: str) -> None:
        """A live connection of ``site`` at ``address`` began (1.6)."""
        self.connections.opened(address, site)
        for table in self._tables.values():
            bound = table.used(address, site, self._seconds())
            if bound is not None:
                self._publish([bound])

    def connection_closed(self, address: Address, site: str) -> None:
        """One that was told to :meth:`connection_opened` is over."""
        self.connections.closed(address, site)
        for table in self._tables.values():
            table.unused(address, site, self._seconds())

    # -- ending ----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`reclaim` is worth calling."""
        return min((at for table in self._tables.values() if (at := table.next_deadline()) is not None), default=None)

    def reclaim(self, *, limit: int) -> None:
        """Take back what nobody uses, reset what somebody does; looks at ``limit`` deadlines a pool at most."""
        now = self._seconds()
        for table in list(self._tables.values()):
            self._publish(table.reclaim(now, limit=limit))

    # -- changing --------------------------------------------------------------------------------------------------

    def configure(self, pools: Mapping[str, Pool], sites: Mapping[str, Site], zones: Zones) -> None:
        """
        Take over another configuration; what was promised stays as it was.

        A site that is gone, or has moved to another pool, keeps its address until its lease has run out.  A changed
        site's new connections follow the change at once.  An address that moves between pools gets there when its
        lease in the old one is over.
        """
        now = self._seconds()
        changed = [site for name, site in sites.items() if self.sites.get(name) not in (None, site)]
        for name, table in self._tables.items():
            table.forget(site for site in self.sites if name != (sites[site].pool if site in sites else None))
        self.sites, self.zones, self.pools = sites, zones, pools
        self._withheld.clear()
        for name in dict.fromkeys((*self._tables, *pools)):
            self._configure_table(name, now)
        for site in changed:
            self._reopen(site)

    def _configure_table(self, name: str, now: float) -> None:
        """Bring one pool's table to its configuration; addresses that another table still has come when it lets go."""
        table = self._tables.get(name)
        pool = self.pools.get(name)
        if pool is None:
            assert table is not None
            pool = attrs.evolve(table.pool, addresses=())
        others = [other for other in self._tables.values() if other is not table]
        withheld = {address: name for address in pool.addresses if any(address in other for other in others)}
        self._withheld.update(withheld)
        pool = attrs.evolve(pool, addresses=tuple(address for address in pool.addresses if address not in withheld))
        if table is None:
            self._tables[name] = LeaseTable(pool, self.connections)
        else:
            self._publish(table.configure(pool, now))

    def _reopen(self, site: Site) -> None:
        """Bring the open data paths of a changed site up to date; one that cannot be stays as it was."""
        for table in self._tables.values():
            for lease in [lease for lease in table.held() if lease.site == site.name]:
                try:
                    self._data_path.open(lease.address, site)
                except DataPathError as error:
                    self._log.error(
                        "{event}: {site} at {address} stays as it was: {reason}",
                        event="data-path-failed",
                        site=site.name,
                        address=lease.address,
                        reason=error,
                    )

    # -- telling ---------------------------------------------------------------------------------------------------

    def _publish(self, events: list[Event]) -> None:
        """Record what happened, do what follows from it, and tell those who subscribed."""
        for event in events:
            try:
                self._journal.record(event)
            except JournalError as error:
                self._log.error("{event}: {what}: {reason}", event="journal-failed", what=event, reason=error)
        self._deliver(events)

    def _deliver(self, events: Iterable[Event]) -> None:
        """Tell subscribers; what they cause in turn is told after, in order, and one that raises is skipped."""
        self._undelivered.extend(events)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                event = self._undelivered.popleft()
                self.happened[type(event).__name__] += 1
                self._follow(event)
                for subscriber in self._subscribers:
                    with self._log.failuresHandled("{event}: {who}", event="subscriber-failed", who=subscriber):
                        subscriber(event)
        finally:
            self._delivering = False

    def _follow(self, event: Event) -> None:
        """An address that nobody holds has no data path; one that left a pool can enter the pool that waits for it."""
        if not isinstance(event, AddressFreed | AddressRemoved):
            return
        if event.former is not None:
            self._data_path.close(event.address, event.former)
        if isinstance(event, AddressRemoved):
            if event.pool not in self.pools and event.pool in self._tables and self._tables[event.pool].is_empty():
                del self._tables[event.pool]
            if (name := self._withheld.pop(event.address, None)) is not None:
                self._publish([self._tables[name].admit(event.address, event.at)])
