"""
A start from what was on the disk: leases are taken up, data paths opened, and what ended meanwhile cools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs
from twisted.logger import Logger

from appliance.errors import DataPathError
from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseReclaimed,
    LeaseRecord,
    Override,
    Pinned,
    Recovered,
    State,
    Unpinned,
)
from appliance.interfaces import DataPath
from appliance.leasing import Lease, LeaseTable
from appliance.leasing.periods import shortest
from appliance.model import Address, Pool
from appliance.shared.configuring import Configuring
from appliance.shared.pins import Pin, fits, statics_of
from appliance.shared.tables import Tables, server_of
from appliance.shared.telling import Telling


class Restoring:
    """The part of SharedState that is used once, with the first configuration."""

    _log = Logger()

    def __init__(
        self,
        tables: Tables,
        telling: Telling,
        data_path: DataPath,
        configuring: Configuring,
        seconds: Callable[[], float],
    ) -> None:
        self._tables = tables
        self._telling = telling
        self._data_path = data_path
        self._configuring = configuring
        self._seconds = seconds

    def restore(self, recovered: Recovered) -> None:
        """
        Take up what was there.

        A lease whose address left the configuration meanwhile runs out and cools like any other, in its former pool.
        """
        now = self._seconds()
        for entry in recovered.entries:
            if isinstance(entry, Override):
                self._tables.overrides.put(entry)
        leases = [entry for entry in recovered.entries if isinstance(entry, LeaseRecord)]
        # The newest first: should there be two of an address, the older one is the one that is over.
        leases.reverse()
        leases.sort(key=lambda record: record.site not in self._tables.sites)
        over = self._take_up(leases, now, recovered)
        for entry in recovered.entries:
            if isinstance(entry, AddressFreed) and (table := self._tables.of(entry.address)) is not None:
                table.restoring.former(entry, known=self._tables.is_of(entry.former, table))
        self._free(over)
        pins = [entry for entry in recovered.entries if isinstance(entry, Pinned)]
        # What waited for an address to have rested waits on.
        early = [entry for entry in pins if not (recovered.unsure and entry.waits)]
        self._pin(early, now)
        if recovered.unsure:
            for table in self._tables.by_pool.values():
                table.restoring.rest(now + _rest(table.pool, recovered))
            self._pin([entry for entry in pins if entry.waits], now)

    def _pin(self, entries: list[Pinned], now: float) -> None:
        """What a changed configuration does not allow any more cools."""
        sites, statics = self._tables.sites, statics_of(self._tables.sites)
        stay: dict[Address, Pin] = {}
        for pin in sorted((self._pinned(entry, now) for entry in entries), key=lambda pin: pin.since):
            if fits(pin, sites.get(pin.site), statics):
                # Should there be two of an address, the newer one counts.
                stay[pin.address] = pin
            else:
                self._configuring.pinning.cool(pin, now)
                self._telling.publish([Unpinned(at=now, site=pin.site, address=pin.address)])
        if stay:
            self._configuring.pin(stay.values(), now)

    def _pinned(self, entry: Pinned, now: float) -> Pin:
        """A pin from before, of which the last answer may have been given just now."""
        longest = entry.longest or max((int(pool.periods.maximum) for pool in self._tables.pools.values()), default=1)
        return Pin(
            site=entry.site,
            address=entry.address,
            static=entry.static,
            since=entry.at,
            longest=longest,
            promised_until=now + longest,
            restored=True,
        )

    def _free(self, over: list[LeaseRecord]) -> None:
        """
        These ended and cooled while nobody ran; who was to have cooled first has been free for longest.

        The journal is to know, or the next start would take them up beside whoever has the addresses by then.
        """
        cooled = [(_cooled_at(record, self._home(record).pool), record) for record in over]
        for at, record in sorted(cooled, key=lambda each: each[0]):
            pool = self._home(record).pool.name
            events: list[Event] = []
            if record.state is not State.COOLING:
                lease = attrs.evolve(record, pool=pool, state=State.COOLING, ends_at=at)
                events.append(LeaseReclaimed(at=record.ends_at, lease=lease))
            if (table := self._tables.of(record.address)) is not None:
                freed = AddressFreed(at=at, pool=pool, address=record.address, former=record.site)
                table.restoring.former(freed, known=self._tables.is_of(record.site, table))
                events.append(freed)
            else:
                events.append(AddressRemoved(at=at, pool=pool, address=record.address, former=record.site))
            self._telling.publish(events)

    def _home(self, record: LeaseRecord) -> LeaseTable:
        """Where a lease from before belongs now."""
        tables = self._tables.by_pool
        return (
            self._tables.of(record.address)
            or tables.get(record.pool)
            or next(iter(tables.values()), None)
            or self._configuring.leaving(record.pool)
        )

    def _take_up(self, records: list[LeaseRecord], now: float, recovered: Recovered) -> list[LeaseRecord]:
        """:return: those that have ended, and cooled, and are over."""
        over: list[LeaseRecord] = []
        found: list[_Found] = []
        for record in records:
            table = self._home(record)
            doubt = _doubt(table.pool, now, recovered)
            if record.ends_at <= now and _cooled_at(record, table.pool, doubt) <= now:
                over.append(record)
                continue
            known = self._tables.is_of(record.site, table)
            here = known and self._tables.of(record.address) is not None
            lease = table.restoring.lease(record, self._tables.sites.get(record.site), now)
            if lease is not None:
                # By the disk it has cooled: what is not there may be that another site was given it.
                lease.given_up |= doubt.cooling_until > 0 and _cooled_at(record, table.pool) <= now
                if not known:
                    table.granting.forget(record.site)
                found.append(_Found(table, lease, doubt, here))
                continue
            self._log.error(
                "{event}: {site} had {address}, which is taken; it gets another",
                event="lease-not-restored",
                site=record.site,
                address=str(record.address),
            )
        # All with the ports that they had, before any gets others.
        for each in found:
            self._settle(each, now)
        for name, count in Counter(each.lease.site for each in found).items():
            if count > 1 and (site := self._tables.sites.get(name)) is not None:
                self._configuring.reopen(site, now)
        return over

    def _settle(self, found: _Found, now: float) -> None:
        """Cool what has ended meanwhile, and open what its site may still have."""
        table, lease, doubt = found.table, found.lease, found.doubt
        cooled: list[Event] = []
        if lease.state is State.COOLING:
            table.restoring.assure(lease, doubt.cooling_until, 0)
        elif lease.ends_at <= now:
            cooled.append(table.ending.cool(lease, now, since=lease.ends_at, floor=doubt.ended_until))
        else:
            table.restoring.assure(lease, doubt.promised_until, doubt.longest)
        stands = self._reopen(table, lease)
        self._telling.publish(cooled)
        if not cooled and not (stands and found.here):
            lease.given_up = True
            self._telling.publish(table.ending.let_go(lease, now, "its site cannot have it any more"))

    def _reopen(self, table: LeaseTable, lease: Lease) -> bool:
        """:return: its data path stands, as its site is configured now."""
        site = self._tables.sites.get(lease.site)
        if site is None or not table.ending.can_become(lease, site.keys):
            return False
        server = server_of(site, lease.server)
        if server is None:
            taken = {other.server for _, other in self._tables.leases_of(site.name)}
            server = next((server for server in site.servers if server.name not in taken), site.servers[0])
        try:
            self._data_path.open(lease.address, site, server)
        except DataPathError as error:
            self._log.error(
                "{event}: {site} at {address} is not answered any more: {reason}",
                event="data-path-failed",
                site=site.name,
                address=str(lease.address),
                reason=str(error),
            )
            return False
        table.ending.become(lease, site, server)
        return True


@attrs.frozen
class _Found:
    """
    A lease that was taken up.

    :param here: its address is still in the pool that its site leases from.
    """

    table: LeaseTable
    lease: Lease
    doubt: _Doubt
    here: bool


@attrs.frozen
class _Doubt:
    """
    What may have been promised of a lease, and is not on the disk.

    :param promised_until: of one that is live; ``longest`` is with which TTL.
    :param ended_until: when one that had ended may be another's, at the earliest.
    :param cooling_until: the same of one that is known to cool.
    """

    promised_until: float = 0.0
    longest: int = 0
    ended_until: float = 0.0
    cooling_until: float = 0.0


_NONE = _Doubt()


def _doubt(pool: Pool, now: float, recovered: Recovered) -> _Doubt:
    periods = pool.periods
    if recovered.unsure:
        # Anything may be missing, so that even one that cooled may have been granted again.
        until, longest = now + _rest(pool, recovered), max(periods.maximum, recovered.maximum)
        return _Doubt(now + longest, max(1, int(longest)), until, until)
    if recovered.crashed:
        # While the disk fails, the minimum is promised beyond what it knows.
        least = max(shortest(periods), int(recovered.minimum))
        return _Doubt(now + least, least, now + least + periods.grace)
    return _NONE


def _rest(pool: Pool, recovered: Recovered) -> float:
    """How long everything is kept back after an unsure start."""
    return max(pool.periods.maximum, pool.periods.cooling, recovered.maximum) + pool.periods.grace


def _cooled_at(record: LeaseRecord, pool: Pool, doubt: _Doubt = _NONE) -> float:
    """When a lease that had ended before the start will have cooled."""
    if record.state is State.COOLING:
        return max(record.ends_at, doubt.cooling_until)
    return max(record.ends_at + max(pool.periods.cooling, record.longest), doubt.ended_until)
