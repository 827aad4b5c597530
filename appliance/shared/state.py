"""SharedState itself: what the shells ask of the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred

from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseReclaimed,
    Recovered,
)
from appliance.interfaces import DataPath, Journal
from appliance.leasing import Promise
from appliance.model import Address, Asker, NatPool, Pool, Site
from appliance.naming import Answer, NeedsChoice, NeedsLease, Question, Zone, Zones, answer, leased
from appliance.shared.byhand import ByHand
from appliance.shared.carrying import Carrying
from appliance.shared.choosing import Choosing
from appliance.shared.configuring import Configuring
from appliance.shared.grants import Grants, Outcome
from appliance.shared.horizon import Horizon
from appliance.shared.network import Network, NetworkConfig
from appliance.shared.outcome import Refusal, refused
from appliance.shared.restoring import Restoring
from appliance.shared.shown import Shown
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


class SharedState(Shown):
    """
    :param seconds: the one clock; never steps (CLOCK_BOOTTIME in the running process, a fake one in tests).
    :param data_path: makes the data path; it is given this state, to tell it of connections.
    :param name: of this POP; ``epoch`` of this process: a later one has a larger number.
    :ivar by_hand: what a person may do to its leases.
    :ivar network: health, the POPs, and what the names of customers are answered with.
    """

    def __init__(
        self,
        *,
        seconds: Callable[[], float],
        journal: Journal,
        data_path: Callable[[SharedState], DataPath],
        name: str = "",
        epoch: int = 0,
    ) -> None:
        telling = Telling(journal, self._follow, self._came_nearer)
        super().__init__(seconds, journal, Tables(), telling)
        self._nearer: list[Callable[[], None]] = []
        self._carried: Mapping[str, Site] = {}
        self.carrying = Carrying(seconds, telling, self._came_nearer, self._tables.overrides)
        self.network = Network(seconds, telling, self._came_nearer, self.carrying, self._tables, name, epoch)
        self.delivering: Choosing = self.network.delivering
        self._data_path = data_path(self)
        horizon = Horizon(journal, telling)
        self._grants = Grants(seconds, journal, self._data_path, telling, horizon)
        self._configuring = Configuring(self._tables, telling, journal, self._data_path, seconds, horizon.reach)
        self.by_hand = ByHand(self._tables, telling, journal, self._configuring, seconds)
        self._restoring = Restoring(self._tables, telling, self._data_path, self._configuring, seconds)

    # -- telling ---------------------------------------------------------------------------------------------------

    @property
    def denied(self) -> Counter[str]:
        """New leases that were refused, by why, and those that were ``granted``."""
        return self._grants.denied

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """``subscriber`` is called with each event, after the operation that caused it."""
        self._telling.subscribe(subscriber)

    def call_when_nearer(self, call: Callable[[], None]) -> None:
        """``call`` is called when :meth:`next_deadline` may have come nearer: after events too, once for many."""
        self._nearer.append(call)

    def finish(self) -> None:
        """No more answers will be given: what was promised is all that the disk has to know."""
        for table in self._tables.by_pool.values():
            for leases in table.holdings():
                for lease in leases:
                    lease.horizon = lease.promised_until

    # -- answering -------------------------------------------------------------------------------------------------

    def answer(self, question: Question, asker: Asker | None = None) -> Answer | Deferred[Answer | None] | None:
        """
        Answer a question, granting or renewing a lease where it asks for a site's address, and choosing where it asks
        for a customer's.

        :param asker: who asks; None for this process's own people.
        :return: None where the configuration says that the query is to be dropped; a Deferred where a new lease is on
            its way to the disk.
        """
        found = answer(self._tables.zones, question)
        if isinstance(found, Answer):
            return found
        if isinstance(found, NeedsChoice):
            return self.delivering.complete(found, asker)
        outcome = self.lease(found.site, asker)
        if isinstance(outcome, Deferred):
            return outcome.addCallback(lambda outcome: self._complete(found, outcome))
        return self._complete(found, outcome)

    def lease(self, site_name: str, asker: Asker | None = None) -> Outcome | Deferred[Outcome]:
        """Renew the lease of a site, or grant one; a Refusal when there is no address for it now."""
        promise = self.renew(site_name, asker)
        if promise is not None:
            return promise
        pin = self._tables.pins.of(site_name)
        if pin is not None and pin.static:
            self._grants.denied[Refusal.EXHAUSTED.value] += 1
            return Refusal.EXHAUSTED
        site = self._tables.sites[site_name]
        return self._grants.grant(site, self._tables.by_pool[site.pool], asker)

    def renew(self, site_name: str, asker: Asker | None = None, ahead: float = 0.0) -> Promise | None:
        """
        What a site that has an address is answered; None where it has none.

        :param ahead: for so many seconds others are given the same answer; None also where that cannot be promised.
        """
        tables = self._tables
        site = tables.sites.get(site_name)
        if site is None:
            # It left the configuration while somebody waited.
            return None
        now = self._seconds()
        pin = tables.pins.of(site_name)
        if pin is not None:
            if pin.static and not pin.standing:
                self._configuring.pinning.stand()
            if pin.standing and not pin.recorded:
                self._configuring.pinning.record(pin)
            if pin.is_answered():
                return self._configuring.pinning.promise(pin, site, now, ahead)
            if pin.static:
                return None
        table = tables.by_pool[site.pool]
        if held := table.ending.let_off(site_name, now):
            self._telling.publish(held)
        promise = table.renew(site_name, now, ahead)
        if promise is None:
            return None
        if site.addresses > 1 and table.granting.wants_another(site, now):
            self._grants.grow(site, table, asker)
        self._telling.happened["LeaseRenewed"] += 1
        return promise

    def answered_also(self, site_name: str, address: Address, count: int) -> None:
        """The last answer for a site, which named ``address``, was given ``count`` times more."""
        site = self._tables.sites.get(site_name)
        if site is not None and site.addresses > 1:
            self._tables.by_pool[site.pool].answered_also(site_name, address, count, self._seconds())

    def _complete(self, needs: NeedsLease, outcome: Outcome) -> Answer | None:
        if isinstance(outcome, Promise):
            return leased(needs, outcome.address, outcome.ttl)
        site = self._tables.sites.get(needs.site)
        pool = self._tables.pools.get(site.pool) if site is not None else None
        return refused(needs, outcome, (pool or Pool(name="", addresses=())).when_exhausted)

    # -- traffic ---------------------------------------------------------------------------------------------------

    def connection_opened(self, address: Address, site: str) -> None:
        """A live connection of ``site`` at ``address`` began (1.6)."""
        self.connections.opened(address, site)
        now = self._seconds()
        for table in self._tables.by_pool.values():
            bound = table.used(address, site, now)
            if bound is not None:
                self._telling.publish([bound])
                return

    def connection_closed(self, address: Address, site: str) -> None:
        """One that was told to :meth:`connection_opened` is over."""
        self.connections.closed(address, site)
        now = self._seconds()
        nearer = [table.unused(address, site, now) for table in self._tables.by_pool.values()]
        if any(nearer):
            self._came_nearer()

    def _came_nearer(self) -> None:
        for call in self._nearer:
            call()

    # -- ending ----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`reclaim` is worth calling."""
        deadlines = (self._tables.next_deadline(), self.carrying.next_deadline(), self.network.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def reclaim(self, *, limit: int) -> None:
        """Take back what nobody uses, reset what somebody does; looks at ``limit`` deadlines a pool at most."""
        now = self._seconds()
        for table in list(self._tables.by_pool.values()):
            self._telling.publish(table.ending.reclaim(now, limit=limit))
        self.carrying.due()
        self.network.due()

    def _follow(self, event: Event) -> None:
        """What an event means for the data path, and for who waits for an address."""
        self.network.follow(event)
        if isinstance(event, LeaseReclaimed) and event.connections_end:
            self._data_path.abort(event.address, event.site)
        elif isinstance(event, AddressFreed | AddressRemoved):
            self._configuring.moved_on(event)

    # -- changing --------------------------------------------------------------------------------------------------

    def replace_zone(self, zone: Zone) -> None:
        """
        A zone has other records from now on.

        :param zone: new, without sites; one of its apex is configured.
        """
        self._tables.zones = self._tables.zones.with_zone(zone)

    def configure(
        self,
        pools: Mapping[str, Pool],
        sites: Mapping[str, Site],
        zones: Zones,
        recovered: Recovered | None = None,
        *,
        client_nat: Mapping[str, NatPool] | None = None,
        network: NetworkConfig = NetworkConfig(),  # noqa: B008 - frozen
    ) -> None:
        """
        Take over another configuration; what was promised stays as it was.

        :param recovered: with the first configuration, what was on the disk.
        :param client_nat: what sites name; ``network``: named servers, which may be backups and origins, and the rest.
        """
        left = {name: site for name, site in self._carried.items() if name not in sites and self._holds(name)}
        self._carried = {**left, **sites}
        self.carrying.configure(self._carried, network.servers, client_nat or {})
        # Before the zones, in which there may be names that it answers from now on.
        self.network.configure(network, self._carried.values())
        if recovered is None:
            self._configuring.configure(pools, sites, zones)
        else:
            self._configuring.configure(pools, sites, zones, lambda: self._restoring.restore(recovered))

    def _holds(self, site: str) -> bool:
        """Has it an address, or one that cools, so that its clients may come?"""
        return next(self._tables.leases_of(site), None) is not None
