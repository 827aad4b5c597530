"""The prober: when it looks, how much it begins at once, and that one fault is one fault.  No sockets."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause, Check, Layer, Probe, ProbeType, Result
from appliance.probe import Prober
from appliance.probe.ground import GRAIN
from appliance.probe.prober import CYCLE_LIMIT, PAUSE_AFTER_FAILURE

LOCALHOST = IPv4Address("127.0.0.1")


def check(number: int = 1, **more: Any) -> Check:
    """One that ends before it has a socket: its path would be two commands."""
    keys = {"type": ProbeType.HTTP, "path": "/\r\n", **more}
    return Check(Probe(name=f"check {number}", **keys), LOCALHOST, number)


class FakeWatch:
    """Gives out what stands in ``plan`` at its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.plan: list[tuple[float, Check]] = []
        self.heard_of: list[tuple[Check, Result]] = []
        self.looks = 0
        self.broken: set[str] = set()
        self.nearer: Callable[[], None] = lambda: None

    def due(self) -> list[Check]:
        self.looks += 1
        if "due" in self.broken:
            raise RuntimeError("broken")
        now = self._clock.seconds()
        found = [check for at, check in self.plan if at <= now]
        self.plan = [(at, check) for at, check in self.plan if at > now]
        return found

    def heard(self, check: Check, result: Result) -> None:
        self.heard_of.append((check, result))
        if "heard" in self.broken:
            raise RuntimeError("broken")

    def next_deadline(self) -> float | None:
        return min((at for at, _ in self.plan), default=None)

    def call_when_nearer(self, callback: Callable[[], None]) -> None:
        self.nearer = callback

    def call_when_useless(self, callback: Callable[[Collection[Check]], None]) -> None:
        self.useless = callback


class ProberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.watch = FakeWatch(self.clock)
        self.prober = Prober(self.clock, self.watch)  # type: ignore[arg-type]

    def start(self) -> None:
        self.prober.startService()
        self.addCleanup(self.prober.stopService)

    def plan(self, at: float, number: int = 1) -> None:
        self.watch.plan.append((at, check(number)))

    def numbers(self) -> list[int]:
        return [check.port for check, _ in self.watch.heard_of]

    def test_nothing_before_the_start_and_after_the_stop(self) -> None:
        self.plan(0)
        self.watch.nearer()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [])
        self.prober.startService()
        self.plan(5)
        self.clock.advance(0)
        self.prober.stopService()
        self.clock.advance(10)
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each_at_its_time(self) -> None:
        self.plan(1, 1)
        self.plan(2, 2)
        self.start()
        for at, expected in ((0.99, []), (1.0, [1]), (1.99, [1]), (2.0, [1, 2])):
            self.clock.advance(at - self.clock.seconds())
            self.assertEqual(self.numbers(), expected)

    def test_told_that_it_came_nearer(self) -> None:
        self.plan(100, 1)
        self.start()
        self.clock.advance(1)
        self.plan(2, 2)
        self.watch.nearer()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [2])

    def test_out_of_idleness(self) -> None:
        self.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.plan(0)
        self.watch.nearer()
        self.clock.advance(0)
        self.assertEqual(self.numbers(), [1])

    def test_many_within_a_grain_are_one_look(self) -> None:
        for number in range(100):
            self.plan(1 + number * GRAIN / 100, number)
        self.start()
        self.clock.advance(1)
        self.assertEqual((self.watch.looks, len(self.numbers())), (1, 1))
        self.clock.pump([GRAIN / 10] * 10)
        self.clock.advance(GRAIN / 100)
        self.assertEqual((self.watch.looks, len(self.numbers())), (2, 100))

    def test_a_crowd_is_begun_in_portions(self) -> None:
        for number in range(2 * CYCLE_LIMIT + 1):
            self.plan(1, number)
        self.start()
        begun: list[int] = []

        def another_turn() -> None:
            begun.append(len(self.numbers()))
            if len(begun) < 3:
                self.clock.callLater(0, another_turn)

        self.clock.callLater(1, another_turn)
        self.clock.advance(1)
        self.assertEqual(begun, [CYCLE_LIMIT, 2 * CYCLE_LIMIT, 2 * CYCLE_LIMIT + 1])
        self.assertEqual(self.numbers(), list(range(2 * CYCLE_LIMIT + 1)))

    def test_useless_before_they_have_begun(self) -> None:
        """Of a crowd those that wait for their turn; one that is over already, or was never due, is no matter."""
        for number in range(2 * CYCLE_LIMIT):
            self.plan(1, number)
        self.start()

        def reload() -> None:
            self.watch.useless([check(0), check(CYCLE_LIMIT), check(CYCLE_LIMIT + 1), check(9999)])

        self.clock.callLater(1, reload)
        self.clock.pump([1.0, 0.0, 0.0])
        expected = [number for number in range(2 * CYCLE_LIMIT) if number not in (CYCLE_LIMIT, CYCLE_LIMIT + 1)]
        self.assertEqual(self.numbers(), expected)

    def test_what_cannot_be_carried_out_is_local(self) -> None:
        self.watch.plan = [
            (0.0, check(1)),
            (0.0, check(2, type=ProbeType.DNS, qname="a..b")),
            (0.0, check(3, type=ProbeType.FTP, user="me", password="/nonexistent/password", path="")),
            (0.0, check(4, type=ProbeType.HTTPS, path="/", ca="/nonexistent/ca")),
            (0.0, check(5, type=ProbeType.EXEC, command=("/nonexistent/program",))),
        ]
        self.start()
        self.clock.advance(0)
        found = [(result.layer, result.cause) for _, result in self.watch.heard_of]
        self.assertEqual((self.numbers(), found), ([1, 2, 3, 4, 5], [(Layer.LOCAL, Cause.ERROR)] * 5))
        self.assertIn("end of a line", self.watch.heard_of[0][1].detail)
        self.assertEqual(self.prober.checking, 0)

    def test_a_fault_in_one_check_is_local_and_said(self) -> None:
        self.watch.plan = [(0.0, check(1, path=5)), (0.0, check(2))]
        self.start()
        self.clock.advance(0)
        self.assertEqual(self.numbers(), [1, 2])
        self.assertIs(self.watch.heard_of[0][1].layer, Layer.LOCAL)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_watch_that_raises_is_asked_again_later(self) -> None:
        self.watch.broken = {"due"}
        self.plan(0)
        self.start()
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.watch.broken = set()
        self.clock.advance(PAUSE_AFTER_FAILURE / 2)
        self.assertEqual(self.numbers(), [])
        self.clock.advance(PAUSE_AFTER_FAILURE / 2)
        self.assertEqual(self.numbers(), [1])

    def test_a_watch_that_does_not_take_a_result(self) -> None:
        self.watch.broken = {"heard"}
        self.plan(0, 1)
        self.plan(0, 2)
        self.start()
        self.clock.advance(0)
        self.assertEqual(self.numbers(), [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_no_descriptors_is_no_fault_of_the_target(self) -> None:
        """One check hears of it, the others wait until there may be some again."""
        self.prober._ground.ceiling = 0
        for number in range(3):
            self.watch.plan.append((0.0, check(number, type=ProbeType.TCP)))
        self.start()
        self.clock.advance(0)
        self.assertEqual([str(result) for _, result in self.watch.heard_of], [f"local error: {os.strerror(24)}"])
        self.clock.advance(0.9)
        self.assertEqual(self.numbers(), [0])
        self.prober._ground.ceiling = 10_000
        self.clock.advance(0.1)
        self.assertEqual(self.numbers(), [0, 1, 2])
        self.assertEqual([result.cause for _, result in self.watch.heard_of[1:]], [Cause.REFUSED] * 2)
