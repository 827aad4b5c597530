"""Deadlines of checks, when the process itself comes late."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.probe.ground import Ground


class Reactor(Clock):
    """One with nothing to read."""

    def addReader(self, reader: object) -> None: ...
    def removeReader(self, reader: object) -> None: ...
    def addWriter(self, writer: object) -> None: ...
    def removeWriter(self, writer: object) -> None: ...


class Item:
    """:ivar expired_at: when it was told so."""

    def __init__(self, clock: Clock, ground: Ground, timeout: float) -> None:
        self._clock = clock
        self.deadline: float | None = clock.seconds() + timeout
        self.expired_at: float | None = None
        ground.begin(self, self.deadline)

    def expire(self) -> None:
        self.deadline, self.expired_at = None, self._clock.seconds()

    def cancel(self) -> None:
        self.deadline = None


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Reactor()
        self.ground = Ground(self.clock)

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def test_in_time(self) -> None:
        item = Item(self.clock, self.ground, 1.0)
        self.run_for(0.98)
        self.assertIsNone(item.expired_at)
        self.run_for(0.04)
        self.assertIsNotNone(item.expired_at)

    def test_held_up(self) -> None:
        """What was to be heard while the process stood still is heard first, and new ones have their own time."""
        old = Item(self.clock, self.ground, 1.0)
        self.run_for(0.5)
        self.clock.advance(1.0)
        self.assertIsNone(old.expired_at)
        new = Item(self.clock, self.ground, 0.2)
        self.run_for(0.3)
        self.assertIsNone(old.expired_at)
        self.run_for(0.3)
        assert old.expired_at is not None
        self.assertIsNotNone(new.expired_at)

    def test_no_longer_than_that(self) -> None:
        """After a long halt it is 2 s, and who is late always comes to an end with everybody."""
        item = Item(self.clock, self.ground, 1.0)
        self.clock.advance(600.0)
        self.run_for(1.9)
        self.assertIsNone(item.expired_at)
        self.run_for(0.2)
        self.assertIsNotNone(item.expired_at)
        late = Item(self.clock, self.ground, 1.0)
        for _ in range(4):
            self.clock.advance(1.0)
        self.assertIsNotNone(late.expired_at)
