"""
One check: what it has found, and when it is done next.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from appliance.health.condition import Condition, Tally
from appliance.health.decay import Count, Mean
from appliance.model import Check, Load, Result

if TYPE_CHECKING:
    from appliance.health.subject import Subject

JITTER = 0.1
"""Part of an interval by which it may be shorter or longer, so that checks do not come in step."""
IDLE_AFTER = 300.0
"""
Seconds without demand after which a target is checked at its idle interval.

The longest period of a lease by default: as long as answers that name a target are about, it is looked at.
"""
LOAD_INTERVALS = 3
"""Intervals for which a load figure counts: one that was missed three times is stale (ORCA has such an expiry)."""


@attrs.frozen(kw_only=True)
class CheckRow:
    """
    A check for people.

    :param result: the last, as of ``heard_at``; None before.
    :param next_at: when it begins; None while it is under way, since ``began_at``.
    :param idle: nobody has asked lately.
    :param failures: counted ones that are not enough; ``successes``: likewise, in a row.
    :param flaps: changes between up and down, decayed.
    """

    check: Check
    condition: Condition
    result: Result | None
    heard_at: float | None
    began_at: float | None
    next_at: float | None
    idle: bool
    failures: int
    successes: int
    latency: float | None
    deviation: float | None
    flaps: float


class Watch:
    """
    :ivar users: who want it; ``wanted_at``: when somebody last asked for one of them.
    :ivar next_at: when it is to begin; not of use while it is under way.
    :ivar serial: of its place in the schedule; 0: it stands in none.
    :ivar queued: its time has come, and it waits for a free place.
    :ivar dozing: it was put off to the idle interval, and the next demand brings it forward.
    :ivar failure: the last result that was not well.
    """

    __slots__ = (
        "_factor",
        "began_at",
        "check",
        "connect",
        "dozing",
        "failure",
        "failure_at",
        "flaps",
        "heard_at",
        "hurried",
        "latency",
        "load",
        "load_at",
        "next_at",
        "queued",
        "result",
        "serial",
        "tally",
        "under_way",
        "users",
        "wanted_at",
    )

    def __init__(self, check: Check, next_at: float) -> None:
        self.check = check
        self.users: list[Subject] = []
        self.wanted_at = -math.inf
        self.tally = Tally()
        self.latency = Mean()
        self.connect = Mean()
        self.flaps = Count()
        self.result: Result | None = None
        self.failure: Result | None = None
        self.failure_at = -math.inf
        self.load: Load | None = None
        self.load_at = -math.inf
        self.began_at: float | None = None
        self.heard_at: float | None = None
        self.next_at = next_at
        self.serial = 0
        self.under_way = False
        self.queued = False
        self.dozing = False
        self.hurried = False
        self._factor = 1.0

    @property
    def least_gap(self) -> float:
        """Seconds that lie between the beginnings of two checks at least."""
        probe = self.check.probe
        return (1.0 - JITTER) * min(probe.fast_interval, probe.interval, probe.idle_interval)

    def begin(self, now: float, chance: float) -> None:
        """
        :param chance: 0 to 1, where in the range of the jitter the next interval lies.

        One that was brought forward has lost its phase, with many others perhaps; the interval after it is anything up
        to a whole one.
        """
        self.under_way, self.queued = True, False
        self.began_at = now
        self._factor = chance if self.hurried else 1.0 - JITTER + 2.0 * JITTER * chance
        self.hurried = False

    def hear(self, result: Result, now: float) -> bool:
        """
        Take a result, and find when the next check begins.

        :return: the condition is another: down or not, or known now.
        """
        tally, ok = self.tally, result.ok
        before, was_down = tally.condition, tally.is_down
        tally.hear(self.check.probe, ok=ok)
        self.result, self.heard_at, self.under_way = result, now, False
        if ok:
            if result.latency is not None:
                self.latency.add(result.latency, now)
            if result.connect is not None:
                self.connect.add(result.connect, now)
            if result.load is not None:
                self.load, self.load_at = result.load, now
        else:
            self.failure, self.failure_at = result, now
        self.next_at = max(now, self._next(now))
        changed = tally.is_down is not was_down
        if changed and before is not Condition.UNKNOWN:
            self.flaps.add(now)
        return changed or before is Condition.UNKNOWN

    def pass_over(self, result: Result, now: float) -> None:
        """It was begun and could not be done: nothing is known that was not known before."""
        self.result, self.heard_at, self.under_way = result, now, False
        assert self.began_at is not None
        self.next_at = max(now, self.began_at + max(self.least_gap, self.check.probe.fast_interval * self._factor))

    def fresh_load(self, now: float) -> Load | None:
        """What was read last, unless that was too long ago."""
        return self.load if now <= self.load_at + LOAD_INTERVALS * self.check.probe.interval else None

    def until(self, now: float) -> float:
        """
        The earliest instant at which it could be up rather than down, or down rather than up.

        As gdnsd reckons the longest TTL: the results that are wanting, times the interval.  But the first of them comes
        when the schedule says, and the others follow at the fast interval, as short as jitter makes it.  One that
        sleeps or was never done may be brought forward at any time.
        """
        if self.under_way:
            assert self.began_at is not None
            begins = self.began_at
        elif self.dozing or self.tally.condition is Condition.UNKNOWN:
            begins = now
        else:
            begins = max(now, self.next_at)
        return max(now, begins + (self.tally.wanting(self.check.probe) - 1) * self.least_gap)

    def succeed(self, check: Check, now: float) -> None:
        """
        Be ``check`` from now on: the same target under the same name, looked at in another way.

        What is known of the target stays, or a reload would bring back what is down (HAProxy issues 918, 2085).
        """
        self.check = check
        self.next_at, self.hurried = now, True
        self.under_way = self.queued = False

    def row(self, now: float) -> CheckRow:
        return CheckRow(
            check=self.check,
            condition=self.tally.condition,
            result=self.result,
            heard_at=self.heard_at,
            began_at=self.began_at,
            next_at=None if self.under_way else self.next_at,
            idle=now - self.wanted_at > IDLE_AFTER,
            failures=self.tally.failures,
            successes=self.tally.successes,
            latency=self.latency.value,
            deviation=self.latency.deviation,
            flaps=self.flaps.at(now),
        )

    def _next(self, now: float) -> float:
        probe = self.check.probe
        self.dozing = False
        if self.tally.is_in_doubt:
            interval = probe.fast_interval
        elif now - self.wanted_at <= IDLE_AFTER:
            interval = probe.interval
        else:
            interval = probe.idle_interval
            self.dozing = True
        assert self.began_at is not None
        return self.began_at + max(self.least_gap, interval * self._factor)
