"""
What all visits share: the reactor, one receive buffer, one timer for all their deadlines, and the list of them.

A timer for each check would cost more than the rest of a short one.  Deadlines stand in one heap and are looked at
every hundredth of a second at most, so one may pass that much late.
"""

from __future__ import annotations

import resource
import sys
import time
import typing
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from appliance.deadlines import Deadlines
from appliance.polling import Reactor

GRAIN = 0.01
"""Seconds between two looks at what is due, at least; here and in the prober."""

_BUFFER_BYTES = 65536
_LOOKED_AT = 10_000
_PAUSE = 1.0
_HELD_UP = 0.25
"""Seconds by which the clock is looked at too late before that is our own fault."""
_MOST_HELD_UP = 2.0
"""Seconds that targets get for it at most."""
_MOST_SPARE = 384


def ceiling() -> int:
    """
    The first descriptor that a check does not get, of those that this process may have now.

    Traffic leaves the last eighth, at most 256, to DNS over TCP and commands; checks leave half as much again to
    traffic.  The kernel gives the lowest number that is free, so a number tells how many are in use.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(limit * 3 // 16, _MOST_SPARE)


class Underway(typing.Protocol):
    """Something that has a deadline."""

    @property
    def deadline(self) -> float | None:
        """None: it is over."""

    def expire(self) -> None:
        """The deadline has come."""

    def cancel(self) -> None:
        """Stop without a word."""


class Ground:
    """
    :param stopwatch: seconds that never jump; what takes how long is told by it.
    :ivar exhausted_until: until then this host had better begin nothing; by the reactor's seconds.
    :ivar underway: what has begun and is not over.

    ``buffer`` belongs to whoever is inside one ``doRead``; nothing may keep a view of it after that.
    """

    log = Logger(namespace="appliance.probe")

    def __init__(self, reactor: Reactor, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self.reactor = reactor
        self.seconds = reactor.seconds
        self.stopwatch = stopwatch
        self.ceiling = ceiling()
        self.buffer = bytearray(_BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.exhausted_until = float("-inf")
        self.underway: set[Underway] = set()
        self._deadlines: Deadlines[Underway] = Deadlines(lambda item: item.deadline)
        self._call: IDelayedCall | None = None
        self._call_at = float("inf")
        self._patient_until = float("-inf")

    def begin(self, item: Underway, deadline: float) -> None:
        """It is told when its deadline comes, unless :meth:`over` was called before."""
        self.underway.add(item)
        self._deadlines.add(deadline, item)
        if deadline < self._call_at:
            self._arm(deadline)

    def over(self, item: Underway) -> None:
        """Idempotent."""
        self.underway.discard(item)

    def exhausted(self, what: str) -> None:
        """This host has run out of something: nothing is begun for a second.  Said once in that time."""
        now = self.seconds()
        if now >= self.exhausted_until:
            self.log.warn(
                "{event}: No file descriptors left for checks; raise LimitNOFILE ({what})",
                event="probe-exhausted",
                what=what,
            )
        self.exhausted_until = now + _PAUSE

    def stop(self) -> None:
        """Everything ends without a word.  Idempotent."""
        if self._call is not None:
            self._call.cancel()
            self._call, self._call_at = None, float("inf")
        for item in list(self.underway):
            item.cancel()
        self.underway.clear()
        self._deadlines = Deadlines(lambda item: item.deadline)

    def _arm(self, deadline: float) -> None:
        delay = max(GRAIN, deadline - self.seconds())
        if self._call is None:
            self._call = self.reactor.callLater(delay, self._look)
        else:
            self._call.reset(delay)
        self._call_at = self._call.getTime()

    def _is_held_up(self, planned: float, now: float) -> bool:
        """
        Whether it is this process that is late: it was stopped, or busy with something else.

        What targets said meanwhile is waiting to be read, so they get as long again as we were away.  A second time
        they do not: whoever is late always would never find out about anybody.
        """
        late = now - planned
        if late > _HELD_UP and now > self._patient_until + late:
            self._patient_until = now + min(late, _MOST_HELD_UP)
        return now < self._patient_until

    def _look(self) -> None:
        planned, now = self._call_at, self.seconds()
        self._call, self._call_at = None, float("inf")
        if self._is_held_up(planned, now):
            self._arm(self._patient_until)
            return
        for item in self._deadlines.due(now, limit=_LOOKED_AT):
            try:
                item.expire()
            except Exception:
                self.log.failure("{event}: the end of a check failed", event="probe-failed")
                self.over(item)
        following = self._deadlines.next()
        if following is not None and following < self._call_at:
            self._arm(following)
