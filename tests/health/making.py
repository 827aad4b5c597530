"""Checks, results and chance for the tests of the room."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from appliance.health import Board, SubjectEvent
from appliance.health.board import Chance
from appliance.model import Cause, Check, Layer, Load, Probe, ProbeType, Result


class Even:
    """Chance that is always in the middle: intervals are as they were configured."""

    def random(self) -> float:
        return 0.5


def check(number: int = 1, name: str = "web", *, kind: ProbeType = ProbeType.TCP, **more: Any) -> Check:
    return Check(Probe(name=name, type=kind, **more), IPv4Address("10.0.0.0") + number, 80)


def passed(latency: float | None = 0.01, connect: float | None = None, load: Load | None = None) -> Result:
    return Result(layer=Layer.APPLICATION, cause=Cause.OK, latency=latency, connect=connect, load=load)


def failed(detail: str = "") -> Result:
    return Result(layer=Layer.CONNECT, cause=Cause.REFUSED, detail=detail)


class Driver:
    """
    A board with a clock, and targets that answer at once.

    :ivar broken: the numbers of targets that fail.
    :ivar begun: when each check was begun, by number.
    """

    def __init__(self, *, most: int = 512, rng: Chance | None = None) -> None:
        self.board = Board(most=most)
        self.now = 1000.0
        self.rng = rng or Even()
        self.broken: set[int] = set()
        self.begun: dict[int, list[float]] = {}
        self.events: list[SubjectEvent] = []

    def configure(self, **subjects: list[Check]) -> list[Check]:
        return self.board.configure(subjects, self.now)

    def result(self, check: Check) -> Result:
        return failed() if number_of(check) in self.broken else passed()

    def run(self, seconds: float, *wanted: str) -> None:
        """Do what comes due in that time; ``wanted`` are asked for every two seconds."""
        end, asked_at = self.now + seconds, self.now
        while True:
            due = self.board.next_deadline()
            at = min(end, due if due is not None else end, asked_at if wanted else end)
            self.now = max(self.now, at)
            if wanted and self.now >= asked_at:
                asked_at = self.now + 2.0
                for subject in wanted:
                    self.board.wanted(subject, self.now)
            for check in self.board.due(self.now, self.rng):
                self.begun.setdefault(number_of(check), []).append(self.now)
                self.board.heard(check, self.result(check), self.now)
            self.collect()
            if self.now >= end:
                return

    def collect(self) -> list[SubjectEvent]:
        new = [event for event in self.board.happened() if isinstance(event, SubjectEvent)]
        self.events += new
        return new


def number_of(check: Check) -> int:
    return int(check.address) & 0xFFFFFF
