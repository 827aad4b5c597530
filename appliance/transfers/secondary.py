"""
One zone that is transferred in: its schedule, its version, and what others are told of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import dns.name
import dns.rdatatype
import dns.tsig
from dns.rdtypes.ANY.SOA import SOA
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from appliance.config import Primary
from appliance.naming import ExtendedError, Zone
from appliance.naming.names import wire
from appliance.transfers.asking import PeerFailed, in_slices
from appliance.transfers.fetching import Fetched, Fetching
from appliance.transfers.incoming import TransferFailed, Version
from appliance.transfers.schedule import Chance, Schedule, Timers, ZoneState, is_newer
from appliance.transfers.zonefiles import Unusable, ZoneFiles

NOT_READY = ExtendedError(14, "the zone has not been transferred yet")
EXPIRED = ExtendedError(24, "the zone has expired")
"""Codes of RFC 8914: Not Ready, Invalid Data."""


@attrs.frozen(kw_only=True)
class World:
    """
    What all secondary zones share.

    :param wall: Unix time.
    :param replace: takes a zone's new records, and answers from them at once.
    :param files: None where nothing is kept.
    """

    reactor: Any
    rng: Chance
    wall: Callable[[], float]
    fetching: Fetching
    replace: Callable[[Zone], None]
    files: ZoneFiles | None


class Secondary:
    """
    :param key: what signs the questions to the primary; None: nothing does.
    :ivar version: what is held; expired or not.
    :ivar error: why the last refresh failed; empty when it did not.
    :ivar unwritten: why the disk does not have the version; empty when it has.
    """

    _log = Logger()

    def __init__(self, world: World, apex: dns.name.Name, primary: Primary, key: dns.tsig.Key | None) -> None:
        self._world = world
        self._reactor = world.reactor
        self.apex, self.primary, self._key = apex, primary, key
        self._name = apex.to_text(omit_final_dot=True)
        self.schedule = Schedule(self._reactor.seconds(), world.rng)
        self.version: Version | None = None
        self.error = ""
        self.unwritten = ""
        self._timer: IDelayedCall | None = None
        self._doing: Deferred[None] | None = None
        self._started = False

    # -- what others are told ----------------------------------------------------------------------------------------

    def zone(self) -> Zone:
        """What is answered now; new, and without sites.  O(n)."""
        error = self._unserved()
        if error is not None or self.version is None:
            return Zone(wire(self.apex), error)
        return Zone.of(self.version.source)

    def _unserved(self) -> ExtendedError | None:
        if self.schedule.state is ZoneState.EXPIRED:
            return EXPIRED
        return NOT_READY if self.version is None else None

    # -- its life ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take up what an earlier process has left.  Blocks."""
        files = self._world.files
        if files is None:
            return
        try:
            found = files.read(self.apex)
        except Unusable as error:
            self._log.warn("{event}: {reason}", event="zone-file-unusable", zone=self._name, reason=str(error))
            return
        if found is None:
            return
        self.version, refreshed_at = found
        now = self._reactor.seconds()
        # A file from the future, by whatever clock, is as young as can be.
        age = max(0.0, self._world.wall() - refreshed_at)
        self.schedule.held(_timers(self.version.soa), now - age, now)
        self._follow_time(now)

    def start(self) -> None:
        self._started = True
        self._look()

    def follow(self, primary: Primary, key: dns.tsig.Key | None) -> None:
        """The configuration has changed; what is held stays, and the primary of now is asked."""
        if (primary, key) == (self.primary, self._key):
            return
        self.primary, self._key = primary, key
        self._abandon()
        self.schedule.abandoned(self._reactor.seconds())
        if self._started:
            self._look()

    def notified(self) -> None:
        """The primary says that there is a newer version."""
        self.schedule.notified(self._reactor.seconds())
        if self._started:
            self._look()

    def stop(self) -> None:
        """Idempotent; nothing of it runs on."""
        self._started = False
        self._abandon()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _abandon(self) -> None:
        doing, self._doing = self._doing, None
        if doing is not None:
            doing.cancel()

    def _look(self) -> None:
        now = self._reactor.seconds()
        before = self.schedule.state
        due = self._follow_time(now)
        if self.schedule.state is not before:
            self._world.replace(self.zone())
        if due and self._doing is None:
            self.schedule.began(now)
            doing = self._doing = Deferred.fromCoroutine(self._refresh())
            doing.addErrback(lambda failure: failure.trap(CancelledError) and None)
            if doing.called:
                self._doing = None
        self._wait()

    def _follow_time(self, now: float) -> bool:
        """:return: whether the primary is to be asked now."""
        before = self.schedule.state
        due = self.schedule.look(now)
        if self.schedule.state is not before:
            self._log.error(
                "{event}: {zone}, for its primary has not been reached for too long",
                event="zone-expired",
                zone=self._name,
            )
        return due

    def _wait(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        # A refresh that still waits for the disk looks again when it ends.
        deadline = self.schedule.deadline() if self._doing is None else self.schedule.expires_at()
        if self._started and deadline is not None:
            self._timer = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._look)

    # -- a refresh ---------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        try:
            await self._follow_primary()
            self.error = ""
        except (PeerFailed, TransferFailed) as error:
            self._failed(str(error))
        except CancelledError:
            raise
        except Exception:
            # A reactor edge: the next refresh must come.
            self._log.failure("{event}: {zone}", event="zone-refresh-bug", zone=self._name)
            self._failed("our own bug; the log has it")
        self._doing = None
        self._look()

    def _failed(self, reason: str) -> None:
        now = self._reactor.seconds()
        self.error = reason
        self.schedule.failed(now)
        self._log.warn(
            "{event}: {zone} from {primary}: {reason}; asked again in {for_seconds} s",
            event="zone-transfer-failed",
            zone=self._name,
            primary=str(self.primary.address),
            reason=reason,
            for_seconds=round((self.schedule.next_at or now) - now),
        )

    async def _follow_primary(self) -> None:
        """:raises PeerFailed, TransferFailed: when it is not known, or not had, what the primary has."""
        held, address = self.version, self.primary.address
        soa = await self._world.fetching.soa(address, self.apex, self._key)
        newer = held is None or is_newer(soa.serial, held.serial)
        if held is not None and soa.serial != held.serial:
            expired = self.schedule.state is ZoneState.EXPIRED
            if not newer and not expired:
                raise TransferFailed(f"the primary's serial {soa.serial} is older than ours, {held.serial}")
            fetched = await self._world.fetching.version(address, self.apex, self._key, held if newer else None)
        elif held is None:
            fetched = await self._world.fetching.version(address, self.apex, self._key, None)
        else:
            fetched = None
        if fetched is not None:
            await self._take(fetched)
        else:
            await self._confirm()

    async def _take(self, fetched: Fetched) -> None:
        began_at = self._reactor.seconds()
        zone = await in_slices(self._reactor, Zone.slowly(fetched.version.source))
        self.version = fetched.version
        self.schedule.succeeded(_timers(fetched.version.soa), self._reactor.seconds())
        self._world.replace(zone)
        self._log.info(
            "{event}: {zone} {serial} from {primary}: {records} records in {messages} messages, {bytes} bytes, {kind}",
            event="zone-transferred",
            zone=self._name,
            serial=fetched.version.serial,
            primary=str(self.primary.address),
            records=fetched.records,
            messages=fetched.messages,
            bytes=fetched.bytes,
            kind=fetched.kind,
            for_seconds=round(self._reactor.seconds() - began_at, 3),
        )
        if fetched.version.source.get_rdataset(self.apex, dns.rdatatype.DNSKEY) is not None:
            self._log.warn(
                "{event}: {zone}, but answers come without signatures; its parent must have no DS record for it",
                event="zone-signed",
                zone=self._name,
            )
        await self._keep(written=False)

    async def _confirm(self) -> None:
        """What is held is the newest."""
        assert self.version is not None
        expired = self.schedule.state is ZoneState.EXPIRED
        zone = await in_slices(self._reactor, Zone.slowly(self.version.source)) if expired else None
        self.schedule.succeeded(_timers(self.version.soa), self._reactor.seconds())
        if zone is not None:
            self._world.replace(zone)
        await self._keep(written=not self.unwritten)

    async def _keep(self, *, written: bool) -> None:
        """Have the disk know; that it does not is no reason not to serve."""
        files, version = self._world.files, self.version
        if files is None or version is None:
            return
        try:
            if written:
                await files.touch(self.apex, self._world.wall())
            else:
                await files.write(self.apex, version, self._world.wall())
            self.unwritten = ""
        except FileNotFoundError:
            # Removed by somebody.
            if written:
                await self._keep(written=False)
        except OSError as error:
            self.unwritten = str(error)
            self._log.error("{event}: {zone}: {reason}", event="zone-not-written", zone=self._name, reason=str(error))


def _timers(soa: SOA) -> Timers:
    return Timers(float(soa.refresh), float(soa.retry), float(soa.expire))
