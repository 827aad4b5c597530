"""
When a zone is asked for at its primary, and how long what is held may be served (RFC 1034 s4.3.5, RFC 1982).

Pure: the time is handed in, and so is chance.  A machine of four states::

              succeeded               failed            succeeded
    WAITING ------------> CURRENT -------------> STALE -----------> CURRENT
       |failed               |ran out              |ran out
       v                     +-------> EXPIRED <---+
    WAITING                               |succeeded
                                          +-----------> CURRENT

WAITING has no records yet.  STALE has records, and could not learn lately whether there are newer ones.  EXPIRED has
records that are too old to be served.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

import attrs

FIRST_RETRY = 5.0
"""Seconds after which a primary is asked again that has never sent the zone; doubled each time."""
LONGEST_FIRST_RETRY = 600.0
LEAST_INTERVAL = 1.0
"""Of refresh and retry, whatever the SOA says."""
LONGEST_REFRESH = 4 * 7 * 86400.0
LONGEST_RETRY = 2 * 7 * 86400.0
"""As in BIND: a wrong timer must not part a secondary from its primary for years."""
NOTIFY_INTERVAL = 1.0
"""Least seconds between two times that a notification has the primary asked."""
EARLIEST = 0.9
"""Fraction of an interval that may be left out, so that the secondaries of a primary do not all come at once."""


class Chance(Protocol):
    def uniform(self, a: float, b: float) -> float: ...


class ZoneState(enum.Enum):
    WAITING = "waiting"
    CURRENT = "current"
    STALE = "stale"
    EXPIRED = "expired"


class _Event(enum.Enum):
    SUCCEEDED = enum.auto()
    FAILED = enum.auto()
    RAN_OUT = enum.auto()


_NEXT: Mapping[tuple[ZoneState, _Event], ZoneState] = {
    (ZoneState.WAITING, _Event.SUCCEEDED): ZoneState.CURRENT,
    (ZoneState.WAITING, _Event.FAILED): ZoneState.WAITING,
    (ZoneState.CURRENT, _Event.SUCCEEDED): ZoneState.CURRENT,
    (ZoneState.CURRENT, _Event.FAILED): ZoneState.STALE,
    (ZoneState.CURRENT, _Event.RAN_OUT): ZoneState.EXPIRED,
    (ZoneState.STALE, _Event.SUCCEEDED): ZoneState.CURRENT,
    (ZoneState.STALE, _Event.FAILED): ZoneState.STALE,
    (ZoneState.STALE, _Event.RAN_OUT): ZoneState.EXPIRED,
    (ZoneState.EXPIRED, _Event.SUCCEEDED): ZoneState.CURRENT,
    (ZoneState.EXPIRED, _Event.FAILED): ZoneState.EXPIRED,
}


@attrs.frozen
class Timers:
    """A SOA's, in seconds."""

    refresh: float
    retry: float
    expire: float


def is_newer(serial: int, than: int) -> bool:
    """RFC 1982 s3.2; of two that are 2**31 apart neither is."""
    return 0 < (serial - than) % 2**32 < 2**31


class Schedule:
    """
    One zone's.

    :param now: seconds of the clock that all methods are given.
    :ivar next_at: when the primary is to be asked; None while it is.
    :ivar refreshed_at: when the primary last said that what is held is its newest; None before the first time.
    """

    def __init__(self, now: float, rng: Chance) -> None:
        self._rng = rng
        self.state = ZoneState.WAITING
        self._timers = Timers(FIRST_RETRY, FIRST_RETRY, FIRST_RETRY)
        self._failures = 0
        self._began_at: float | None = None
        self._again = False
        self.refreshed_at: float | None = None
        self.next_at: float | None = now

    def held(self, timers: Timers, refreshed_at: float, now: float) -> None:
        """There are records from before the start; whether they may be served, :meth:`look` says."""
        self._succeed(timers, refreshed_at)
        # Asked at once: who knows how many notifications were missed.
        self.next_at = now

    def deadline(self) -> float | None:
        """When :meth:`look` is worth calling again; None while the primary is asked about records that are not held."""
        found = [at for at in (self.next_at, self.expires_at()) if at is not None]
        return min(found, default=None)

    def expires_at(self) -> float | None:
        """When what is held may not be served any more; None where it is not served."""
        if self.refreshed_at is None or self.state is ZoneState.EXPIRED:
            return None
        return self.refreshed_at + self._timers.expire

    def look(self, now: float) -> bool:
        """:return: whether the primary is to be asked now; the state follows the time."""
        expires_at = self.expires_at()
        if expires_at is not None and now >= expires_at:
            self._follow(_Event.RAN_OUT)
        return self.next_at is not None and now >= self.next_at

    def began(self, now: float) -> None:
        """The primary is being asked."""
        assert self.next_at is not None, "it is asked once at a time"
        self._began_at, self.next_at, self._again = now, None, False

    def succeeded(self, timers: Timers, now: float) -> None:
        """What is held is the newest."""
        self._succeed(timers, now)
        self._plan(now, self._within(self._timers.refresh))

    def failed(self, now: float) -> None:
        """It could not be found out."""
        self._follow(_Event.FAILED)
        if self.state is ZoneState.WAITING:
            delay = min(FIRST_RETRY * 2.0 ** min(self._failures, 30), LONGEST_FIRST_RETRY)
        else:
            delay = self._timers.retry
        self._failures += 1
        self._plan(now, self._within(delay))

    def abandoned(self, now: float) -> None:
        """If it was being asked, it is not any more; whoever is asked next may know something else."""
        self._again, self.next_at = False, now

    def notified(self, now: float) -> None:
        """Somebody says that there is a newer one; told many times at once, the primary is asked once."""
        if self.next_at is None:
            # What is being answered may be older than what this is about.
            self._again = True
        else:
            self.next_at = min(self.next_at, self._soonest(now))

    def _succeed(self, timers: Timers, refreshed_at: float) -> None:
        self._follow(_Event.SUCCEEDED)
        self._failures = 0
        self.refreshed_at = refreshed_at
        self._timers = Timers(
            min(max(timers.refresh, LEAST_INTERVAL), LONGEST_REFRESH),
            min(max(timers.retry, LEAST_INTERVAL), LONGEST_RETRY),
            max(timers.expire, LEAST_INTERVAL),
        )

    def _plan(self, now: float, delay: float) -> None:
        self.next_at = min(now + delay, self._soonest(now)) if self._again else now + delay
        self._again = False

    def _soonest(self, now: float) -> float:
        return now if self._began_at is None else max(now, self._began_at + NOTIFY_INTERVAL)

    def _within(self, interval: float) -> float:
        return interval * self._rng.uniform(EARLIEST, 1.0)

    def _follow(self, event: _Event) -> None:
        self.state = _NEXT[self.state, event]
