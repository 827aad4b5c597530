"""
How far answers may promise before the disk knows more.

Each lease has a durable horizon: up to there its promises survive a crash.  A grant is written with some periods to
spare, and the horizon is moved, ahead of need, when less than one period of it remains; so a busy site costs a record
every few periods, not one a query.  While the move is on its way to the disk, answers are cut to what is there, but
never below the pool's minimum period.

That much is always promised, also while the journal fails: a start after a crash takes every lease to be promised for
the minimum at least (``restoring.py``), which covers it.  So no answer is contradicted, and a
full or slow disk takes nobody's address away.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from appliance.events import LeaseExtended
from appliance.interfaces import Journal
from appliance.leasing import Lease
from appliance.leasing.lease import Reach
from appliance.leasing.periods import shortest
from appliance.model import Pool
from appliance.shared.telling import Telling

PERIODS_AHEAD = 3
"""Periods beyond the promise that is being made."""


class Horizon:
    """Moves the horizons of all leases."""

    def __init__(self, journal: Journal, telling: Telling) -> None:
        self._journal = journal
        self._telling = telling

    def begin(self, lease: Lease, ttl: int) -> None:
        """A grant is about to be recorded."""
        lease.horizon = lease.promised_until + PERIODS_AHEAD * ttl
        lease.durable_until = 0.0

    def reach(self, pool: Callable[[], Pool]) -> Reach:
        """
        :param pool: the pool of the table that the result is for, as it is configured when a lease is renewed.
        """

        def reach(lease: Lease, seconds: float, now: float) -> float:
            wanted = now + seconds
            if lease.durable_until - wanted >= seconds:
                return wanted
            if lease.horizon <= lease.durable_until and self._journal.failure is None:
                self._extend(lease, wanted + PERIODS_AHEAD * seconds, now, pool())
            return max(lease.durable_until, now + shortest(pool().periods))

        return reach

    def _extend(self, lease: Lease, horizon: float, now: float, pool: Pool) -> None:
        before, lease.horizon = lease.durable_until, horizon
        self._telling.publish([LeaseExtended(at=now, lease=lease.record(pool.name, now, pool.periods))])
        waiting = self._journal.durable()
        if waiting is None:
            lease.durable_until = horizon
            return

        def written(_: None) -> None:
            lease.durable_until = max(lease.durable_until, horizon)

        def failed(failure: Failure) -> None:
            # The next renewal tries again.
            lease.horizon = max(before, lease.durable_until)

        waiting.addCallbacks(written, failed)
