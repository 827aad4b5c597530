"""
The prober: begins each check when it is due, and tells what it found.

What is due, how often and what follows is the rules' business (health/); this only goes and looks.  Checks are begun
in small portions, and the clock is looked at every hundredth of a second at most: thousands of targets would else
wake the reactor for each of them, and a thousand that are due at once would hold up a query.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from appliance.errors import ApplianceError
from appliance.model.delivery import Url
from appliance.model.health import Cause, Check, Layer, ProbeType, Result, Rows
from appliance.polling import Reactor
from appliance.probe.conversation import Finding, shown
from appliance.probe.ground import GRAIN, Ground
from appliance.probe.making import Maker
from appliance.probe.program import Program, Programs
from appliance.probe.rows import rows_visit
from appliance.probe.visit import Visit

CYCLE_LIMIT = 32
"""Checks that are begun in one turn of the reactor; a check takes about 0.1 ms to begin."""

PAUSE_AFTER_FAILURE = 1.0
"""What raised would raise again at once; our own bug must not spin."""


class Watch(Protocol):
    """Who knows what to check, and wants to know what was found."""

    def due(self) -> list[Check]:
        """Checks that are to begin now; each is heard of once, until then it is not due again."""

    def heard(self, check: Check, result: Result) -> None:
        """
        What it found.

        A result of ``Layer.LOCAL`` says nothing of the target, which was not looked at: it is no failure of it, and no
        success.
        """

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling, by the reactor's seconds; None: not before it is told otherwise."""

    def call_when_nearer(self, callback: Callable[[], None]) -> None:
        """``callback`` is called whenever :meth:`next_deadline` came nearer by anything but ``due`` and ``heard``."""

    def call_when_useless(self, callback: Callable[[Collection[Check]], None]) -> None:
        """``callback`` is called with checks that were :meth:`due` and that nobody wants to hear of any more."""


class Prober(Service):
    """
    :ivar checking: how many checks have begun and are not over.
    """

    name = "prober"
    _log = Logger()

    def __init__(self, reactor: Reactor, watch: Watch) -> None:
        self._reactor = reactor
        self._watch = watch
        self._ground = Ground(reactor)
        self._maker = Maker(self._ground)
        self._programs = Programs(self._ground)
        self._waiting: deque[Check] = deque()
        self._begun: dict[Check, Visit | Program | None] = {}
        self._call: IDelayedCall | None = None
        self._call_at = float("inf")
        self._looked_at = float("-inf")
        self._busy = False
        watch.call_when_nearer(self._look_again)
        watch.call_when_useless(self.end)

    @property
    def checking(self) -> int:
        return len(self._ground.underway)

    def startService(self) -> None:
        super().startService()
        self._arm()

    def stopService(self) -> None:
        """Everything ends, unheard; programs are killed and waited for."""
        super().stopService()
        self._disarm()
        self._waiting.clear()
        self._begun.clear()
        self._programs.stop()
        self._ground.stop()

    def rows(self, url: Url, timeout: float, heard: Callable[[Result, Rows | None], None]) -> None:
        """
        Ask another POP what it has seen; ``heard`` is told once, unless the service stops before.

        :param url: where its ``/load``, ``/ping`` and ``/rows`` are.
        :param timeout: seconds, for all of it.
        """

        def done(result: Result, finding: Finding | None) -> None:
            try:
                heard(result, finding.rows if finding is not None else None)
            except Exception:
                self._log.failure("{event}: rows of another POP were not taken", event="probe-failed")

        rows_visit(self._ground, url, timeout, done).start()

    def end(self, checks: Collection[Check]) -> None:
        """Their targets have left: they end, and nothing is heard of them."""
        ended = set(checks)
        self._waiting = deque(check for check in self._waiting if check not in ended)
        for check in ended:
            begun = self._begun.pop(check, None)
            if begun is not None:
                try:
                    begun.cancel()
                except Exception:
                    self._log.failure("{event}: {check} could not be ended", event="probe-failed", check=str(check))

    # -- the clock -----------------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Something may have brought the next deadline nearer."""
        # Often asked: while the next look is as near as it may be there is nothing to find out.
        if self.running and not self._busy and self._call_at > self._looked_at + GRAIN:
            self._arm()

    def _arm(self) -> None:
        now = self._reactor.seconds()
        at = now if self._waiting else self._watch.next_deadline()
        if at is None:
            return
        if not self._waiting:
            at = max(at, self._looked_at + GRAIN)
        self._wake_at(max(at, self._ground.exhausted_until), now)

    def _wake_at(self, at: float, now: float) -> None:
        """A call is never put off: to wake for nothing is cheaper."""
        if self._call is None:
            self._call = self._reactor.callLater(max(0.0, at - now), self._cycle)
        elif at < self._call_at:
            self._call.reset(max(0.0, at - now))
        else:
            return
        self._call_at = at

    def _disarm(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call, self._call_at = None, float("inf")

    def _cycle(self) -> None:
        self._call, self._call_at = None, float("inf")
        self._busy = True
        try:
            if not self._waiting:
                self._looked_at = self._reactor.seconds()
                self._waiting.extend(self._watch.due())
            for _ in range(min(CYCLE_LIMIT, len(self._waiting))):
                if self._reactor.seconds() < self._ground.exhausted_until:
                    break
                self._begin(self._waiting.popleft())
            self._arm()
        except Exception:
            self._log.failure("{event}: looking for what is due failed", event="probe-failed")
            now = self._reactor.seconds()
            self._wake_at(now + PAUSE_AFTER_FAILURE, now)
        finally:
            self._busy = False

    # -- checks --------------------------------------------------------------------------------------------------------

    def _begin(self, check: Check) -> None:
        self._begun[check] = None
        try:
            if check.probe.type is ProbeType.EXEC:
                program = self._programs.run(check, lambda result: self._heard(check, result))
                if check in self._begun:  # else it has been heard of already
                    self._begun[check] = program
            else:
                visit = self._maker.visit(check, lambda result, finding: self._heard(check, result))
                self._begun[check] = visit
                visit.start()
        except (ValueError, OSError, ApplianceError) as problem:
            # What the configuration could not see: a file that is gone, a path that would be two commands.
            self._heard(check, Result(layer=Layer.LOCAL, cause=Cause.ERROR, detail=shown(str(problem))))
        except Exception:
            self._log.failure("{event}: {check} failed by itself", event="probe-failed", check=str(check))
            detail = "the check itself failed; the log says where"
            self._heard(check, Result(layer=Layer.LOCAL, cause=Cause.ERROR, detail=detail))

    def _heard(self, check: Check, result: Result) -> None:
        self._begun.pop(check, None)
        try:
            self._watch.heard(check, result)
        except Exception:
            self._log.failure("{event}: a result was not taken", event="probe-failed")
        self._look_again()
