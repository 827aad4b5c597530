"""
The lease reaper: sleeps until the next lease is due, and has it looked at.

What is due and what becomes of it is leasing's business (1.6).  A cycle is bounded, so a thousand leases that end in
one moment do not delay a query; when more is due, the next cycle follows after the reactor has had its turn.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from appliance.shared import SharedState

CYCLE_LIMIT = 100
"""Deadlines in one cycle (Kea's max-reclaim-leases)."""

PAUSE_AFTER_FAILURE = 1.0
"""A cycle that raised would raise again at once; our own bug must not spin."""


class Reaper(Service):
    """:param clock: the reactor, whose seconds are those of ``state``."""

    name = "reaper"
    _log = Logger()

    def __init__(self, clock: IReactorTime, state: SharedState) -> None:
        self._clock = clock
        self._state = state
        self._call: IDelayedCall | None = None
        state.call_when_nearer(self._look_again)

    def startService(self) -> None:
        super().startService()
        self._arm()

    def stopService(self) -> None:
        super().stopService()
        self._disarm()

    def _look_again(self) -> None:
        """Something may have brought the next deadline nearer."""
        if self.running:
            self._arm()

    def _arm(self) -> None:
        deadline = self._state.next_deadline()
        if deadline is None:
            self._disarm()
            return
        delay = max(0.0, deadline - self._state.now())
        if self._call is None:
            self._call = self._clock.callLater(delay, self._cycle)
        elif deadline < self._call.getTime():
            self._call.reset(delay)

    def _disarm(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _cycle(self) -> None:
        self._call = None
        try:
            self._state.reclaim(limit=CYCLE_LIMIT)
        except Exception:
            self._log.failure("{event}", event="reaper-failed")
            self._call = self._clock.callLater(PAUSE_AFTER_FAILURE, self._cycle)
        else:
            self._arm()
