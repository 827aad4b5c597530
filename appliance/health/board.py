"""
Who is checked when, and what follows.

Whoever carries the checks out asks for those that are :meth:`Board.due`, begins them, and says what was :meth:`heard
<Board.heard>` of each, once, within its timeout; it asks again at the :meth:`deadline <Board.next_deadline>`, after
whatever was heard, and after a demand or a configuration.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.events import Event
from appliance.health.condition import Condition
from appliance.health.events import SubjectDown, SubjectFlapping, SubjectForced, SubjectUp
from appliance.health.subject import Subject
from appliance.health.watch import CheckRow, Watch
from appliance.model import Check, Forced, Health, Result

MOST = 512
"""Checks that are under way at once by default; each has a socket, and may hang until its timeout."""
FLAPPING = 5.0
"""Changes, decayed, from which on a subject is said to flap; again after they have been less than half of it."""
DEMAND_INTERVAL = 1.0
"""Seconds for which a subject's checks remember a demand, and are not told of another."""
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
"""Its multiples' fractions lie evenly in 0 to 1, however many they are: the phases of new checks."""


class Chance(Protocol):
    def random(self) -> float: ...


class Board:
    """
    All subjects and checks.

    :param most: checks that are under way at once; others wait, in the order in which they were due.
    """

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._subjects: dict[str, Subject] = {}
        self._watches: dict[Check, Watch] = {}
        self._schedule: list[tuple[float, int, Watch]] = []
        self._queue: deque[Watch] = deque()
        self._serial = 0
        self._phase = 0
        self._under_way = 0
        self._events: list[Event] = []

    # -- what there is ---------------------------------------------------------------------------------------------

    def configure(self, subjects: Mapping[str, Sequence[Check]], now: float) -> list[Check]:
        """
        Check these from now on.

        What is known of subjects and checks that stay is kept.  A check that leaves while a new one has its address,
        port and name of a probe hands on what it knows.  New ones begin within their interval, evenly spread.

        :return: checks that are under way and of no use: end them; their places are free.
        """
        wanted = dict.fromkeys(check for checks in subjects.values() for check in checks)
        leaving = {_target(check): watch for check, watch in self._watches.items() if check not in wanted}
        useless = [check for check, watch in self._watches.items() if check not in wanted and watch.under_way]
        self._under_way -= len(useless)
        former, self._watches = self._watches, {}
        for check in wanted:
            watch = former.get(check)
            if watch is None:
                watch = leaving.pop(_target(check), None)
                if watch is None:
                    watch = Watch(check, now + self._next_phase() * check.probe.interval)
                else:
                    watch.succeed(check, now)
                self._put(watch)
            watch.users = []
            self._watches[check] = watch
        for watch in former.values():
            if self._watches.get(watch.check) is not watch:
                watch.queued, watch.serial = False, 0
        self._subjects = {name: self._subjects.get(name) or Subject(name) for name in subjects}
        for name, checks in subjects.items():
            self._equip(self._subjects[name], [self._watches[check] for check in dict.fromkeys(checks)], now)
        return useless

    def force(self, subject: str, forced: Forced | None, now: float) -> None:
        """
        A person says what it is; None: what is measured counts.

        :raises KeyError: there is no such subject.
        """
        found = self._subjects[subject]
        if found.forced is not forced:
            found.forced = forced
            self._events.append(SubjectForced(at=now, subject=subject, forced=forced, up=found.is_up))

    # -- the checks ------------------------------------------------------------------------------------------------

    def wanted(self, subject: str, now: float) -> None:
        """
        Somebody asks for what it serves; O(1) but for once a second.

        Its checks are brought forward where they were idle or have never been done: ask for the deadline anew.  Without
        effect where there is no such subject.
        """
        found = self._subjects.get(subject)
        if found is not None and now >= found.tell_at:
            found.wanted_at, found.tell_at = now, now + DEMAND_INTERVAL
            for watch in found.watches:
                watch.wanted_at = now
                if (watch.dozing or watch.tally.condition is Condition.UNKNOWN) and watch.next_at > now:
                    watch.next_at, watch.dozing, watch.hurried = now, False, True
                    self._put(watch)

    def due(self, now: float, rng: Chance) -> list[Check]:
        """Begin these: earliest first, none that is under way; O(log n) each."""
        schedule, queue = self._schedule, self._queue
        while schedule and schedule[0][0] <= now:
            _, serial, watch = heapq.heappop(schedule)
            if watch.serial == serial:
                watch.serial, watch.queued = 0, True
                queue.append(watch)
        begun = []
        while queue and self._under_way < self._most:
            watch = queue.popleft()
            if watch.queued:
                watch.begin(now, rng.random())
                self._under_way += 1
                begun.append(watch.check)
        return begun

    def heard(self, check: Check, result: Result, now: float) -> None:
        """
        What a check has found; O(log n), and where that changes a state O(its subjects and their checks).

        Nothing comes of it where the check is not under way, or has left.
        """
        watch = self._watches.get(check)
        if watch is None or not watch.under_way:
            return
        self._under_way -= 1
        changed = watch.hear(result, now)
        self._put(watch)
        if changed:
            for subject in watch.users:
                self._judge(subject, watch.check, f"{watch.check}: {result}", now)

    def passed_over(self, check: Check, result: Result, now: float) -> None:
        """
        A check could not be done here, for want of files, a program, a way: its target is as it was.

        It is tried again as if it were in doubt.
        """
        watch = self._watches.get(check)
        if watch is not None and watch.under_way:
            self._under_way -= 1
            watch.pass_over(result, now)
            self._put(watch)

    def next_deadline(self) -> float | None:
        """
        When :meth:`due` is worth asking; it may have passed.

        None: not before something is heard, wanted or configured.
        """
        if self._under_way >= self._most:
            return None
        while self._queue and not self._queue[0].queued:
            self._queue.popleft()
        if self._queue:
            return self._queue[0].next_at
        schedule = self._schedule
        while schedule and schedule[0][2].serial != schedule[0][1]:
            heapq.heappop(schedule)
        return schedule[0][0] if schedule else None

    # -- what is known ---------------------------------------------------------------------------------------------

    def is_up(self, subject: str) -> bool:
        """What counts, as of the last result; one that is not configured is up."""
        found = self._subjects.get(subject)
        return found is None or found.is_up

    def until(self, subject: str, now: float) -> float:
        """Of :meth:`health` that alone: the earliest instant at which :meth:`is_up` could say something else."""
        found = self._subjects.get(subject)
        return math.inf if found is None else found.until(now)

    def health(self, subject: str, now: float) -> Health:
        """
        All that is known; O(its checks).

        One that is not configured is as one without checks: up, and never changes by itself.
        """
        return (self._subjects.get(subject) or Subject(subject)).health(now)

    def checks(self, subject: str, now: float) -> list[CheckRow]:
        """Its checks for people, in the order of the configuration."""
        found = self._subjects.get(subject)
        return [watch.row(now) for watch in found.watches] if found is not None else []

    def subjects(self) -> list[str]:
        return list(self._subjects)

    @property
    def under_way(self) -> int:
        """Checks that were begun and not heard of."""
        return self._under_way

    def happened(self) -> list[Event]:
        """What has happened since this was last asked."""
        events, self._events = self._events, []
        return events

    # -- within ----------------------------------------------------------------------------------------------------

    def _put(self, watch: Watch) -> None:
        """It has another ``next_at``; where it stood before does not count."""
        self._serial += 1
        watch.serial = self._serial
        heapq.heappush(self._schedule, (watch.next_at, self._serial, watch))

    def _next_phase(self) -> float:
        self._phase += 1
        return self._phase * _GOLDEN % 1.0

    def _equip(self, subject: Subject, watches: list[Watch], now: float) -> None:
        subject.watches = tuple(watches)
        subject.tell_at = -math.inf
        for watch in watches:
            watch.users.append(subject)
            watch.wanted_at = max(watch.wanted_at, subject.wanted_at)
        self._judge(subject, None, subject.reason() or "it is checked in another way", now)

    def _judge(self, subject: Subject, check: Check | None, reason: str, now: float) -> None:
        """A condition is another: see what that makes of the subject."""
        former, subject.measured = subject.measured, subject.measure()
        was_down, is_down = former is False, subject.measured is False
        if was_down is is_down:
            return
        event: Event
        if is_down:
            subject.down_at = now
            event = SubjectDown(at=now, subject=subject.name, check=check, reason=reason, forced=subject.forced)
        else:
            after = now - subject.down_at
            event = SubjectUp(
                at=now, subject=subject.name, check=check, reason=reason, after=after, forced=subject.forced
            )
        self._events.append(event)
        if former is None or check is None:
            return
        subject.told_flapping = subject.told_flapping and subject.flaps.at(now) >= FLAPPING / 2.0
        subject.flaps.add(now)
        flaps = subject.flaps.at(now)
        if flaps >= FLAPPING and not subject.told_flapping:
            subject.told_flapping = True
            self._events.append(SubjectFlapping(at=now, subject=subject.name, flaps=flaps))


def _target(check: Check) -> tuple[object, ...]:
    """What of two checks is alike when one is the other's successor."""
    return check.address, check.port, check.probe.name, check.probe.type
