"""
How sites get addresses for good, and how those are leased again.

An address that another site holds is waited for; one that its site gives back cools, for it was promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.errors import DataPathError
from appliance.events import LeaseReclaimed, LeaseRecord, State
from appliance.interfaces import DataPath, Journal
from appliance.leasing import Lease, LeaseTable, Promise
from appliance.model import Address, Periods, Pool, Site, all_keys
from appliance.shared.pins import Pin
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


class Pinning:
    """
    The part of Configuring that lets pins stand, and cools what they leave.

    :param leaving: makes a table where there is no pool for that to cool in.
    """

    def __init__(
        self,
        tables: Tables,
        telling: Telling,
        journal: Journal,
        data_path: DataPath,
        seconds: Callable[[], float],
        leaving: Callable[[str], LeaseTable],
    ) -> None:
        self._tables = tables
        self._telling = telling
        self._journal = journal
        self._data_path = data_path
        self._seconds = seconds
        self._leaving = leaving

    def claim(self, pin: Pin, now: float) -> None:
        """The address is to be the site's; its own lease of it ends at once, that of another is waited for."""
        table, own = self._own(pin.site, pin.address)
        self._tables.pins.add(pin)
        pin.waits = table is not None and own is None
        if table is not None and own is not None:
            # Nothing to wait for, and the data path stays.
            pin.took_over = pin.takes_over = True
            pin.promised_until = max(pin.promised_until, own.promised_until)
            self._telling.publish([table.ending.hand_over(own, now)])

    def open(self, site: Site, address: Address) -> None:
        """
        Try what a pin needs, where nobody else is in the way; what stood there goes on if it fails.

        :raises DataPathError: it cannot be pinned.
        """
        if not self.has_to_wait(site.name, address):
            self._data_path.open(address, site, site.servers[0])

    def has_to_wait(self, site: str, address: Address) -> bool:
        """Does somebody else have the address, or may he have been promised it?"""
        table, own = self._own(site, address)
        return table is not None and own is None

    def _own(self, site: str, address: Address) -> tuple[LeaseTable | None, Lease | None]:
        """(the table in which ``address`` is held, the site's lease of it where it is the only one)."""
        table = self._tables.holding(address)
        holders = table.holders(address) if table is not None else ()
        alone = len(holders) == 1 and holders[0].site == site and not holders[0].pending
        return table, holders[0] if alone else None

    def promise(self, pin: Pin, site: Site, now: float, ahead: float) -> Promise:
        """What a question for a site with a pin that stands is answered: the maximum, as far as the disk knows."""
        wanted = maximum_ttl(self._tables.pools, site)
        if wanted > pin.longest:
            self._lengthen(pin, wanted, now)
        ttl = min(wanted, pin.longest)
        pin.promised_until = max(pin.promised_until, now + ahead + ttl)
        return Promise(pin.address, ttl, now + ahead + ttl)

    def _lengthen(self, pin: Pin, longest: int, now: float) -> None:
        """A reload has raised the maximum; a start that finds the pin obsolete has to know."""
        if pin.lengthening or self._journal.failure is not None:
            return
        pin.lengthening = longest
        self._journal.record(pin.event(pin.since))

        def written(_: None) -> None:
            pin.longest, pin.lengthening = longest, 0

        def failed(failure: Failure) -> None:
            pin.lengthening = 0

        if (waiting := self._journal.durable()) is not None:
            waiting.addCallbacks(written, failed)
        else:
            written(None)

    def cool(self, pin: Pin, now: float) -> bool:
        """
        An address that was promised for the maximum is its site's no more.

        :return: False when somebody holds it, so that it was never promised.
        """
        tables, address = self._tables, pin.address
        if tables.holding(address) is not None:
            return False
        site = tables.sites.get(pin.site)
        # One that is in no pool cools all the same: a configuration may bring it into one at any time.
        home = tables.of(address) or tables.by_pool.get(site.pool if site is not None else "")
        table = (
            home or next(iter(tables.by_pool.values()), None) or self._leaving(site.pool if site is not None else "")
        )
        pool = table.pool
        # By the pool of the site as much as by that of the address; and before a reload it may have been longer.
        longest = max(pin.longest, int(pool.periods.maximum))
        promised_until = max(pin.promised_until, now + pool.periods.maximum)
        record = LeaseRecord(
            pool=pool.name,
            address=address,
            site=pin.site,
            server=site.servers[0].name if site is not None else "",
            state=State.COOLING,
            granted_at=pin.since,
            promised_until=promised_until,
            ends_at=max(promised_until, now + max(pool.periods.cooling, longest)) + pool.periods.grace,
            longest=longest,
            unused=0,
            requests=0.0,
            # Where others may come beside it: whatever ports it has had there since it was pinned.
            keys=all_keys() if pool.share_by_service or site is None else site.keys,
        )
        if table.restoring.lease(record, site, now) is None:
            return False
        if not tables.is_of(pin.site, table):
            table.granting.forget(pin.site)
        self._telling.publish([LeaseReclaimed(at=now, lease=record)])
        return True

    def stand(self) -> None:
        """Open the data path of each pinned address that nobody else holds any more."""
        for pin in self._tables.pins:
            site = self._tables.sites.get(pin.site)
            if pin.standing or site is None:
                continue
            if self._tables.holding(pin.address) is not None:
                pin.restored, pin.waits = False, True
                continue
            try:
                self._data_path.open(pin.address, site, site.servers[0])
            except DataPathError as error:
                # It may stand open from the lease that the pin took over.
                self._data_path.close(pin.address, pin.site)
                complain(pin.site, pin.address, "has no data path", error)
                pin.trouble = str(error)
            else:
                pin.standing, pin.trouble = True, ""
                if not pin.restored:
                    pin.since = self._seconds()
                if pin.waits:
                    pin.waits = False
                    self._journal.record(pin.event(pin.since))
                self.record(pin)

    def record(self, pin: Pin) -> None:
        """Have the disk know that a pin stands, and whose the address is no more, before anybody is told."""
        if pin.recorded or pin.recording:
            return
        waiting = self._journal.durable()
        if waiting is None:
            pin.recorded = True
            return
        pin.recording = True

        def written(_: None) -> None:
            pin.recorded, pin.recording = True, False

        def failed(failure: Failure) -> None:
            # The next question tries again.
            pin.recording = False

        waiting.addCallbacks(written, failed)


_log = Logger()


def complain(site: str, address: Address, what: str, error: DataPathError) -> None:
    """A data path could not be opened, or not as it is configured now."""
    _log.error(
        "{event}: {site} at {address} {what}: {reason}",
        event="data-path-failed",
        site=site,
        address=str(address),
        what=what,
        reason=str(error),
    )


def maximum_ttl(pools: Mapping[str, Pool], site: Site) -> int:
    """What an address that a site has for good is promised for."""
    pool = pools.get(site.pool)
    return max(1, int((pool.periods if pool is not None else Periods()).maximum))
