"""What is told of the machine and the process, on a clock that the test moves."""

from __future__ import annotations

import resource
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Load
from appliance.peering import load_json, parse_load
from appliance.vitals import ThisMachine, Vitals
from appliance.vitals.machine import Times


@attrs.define
class FakeMachine:
    """
    :param processors: of the machine.
    :param share: of each that is busy; ``own``: of one of them, that this process uses.
    :param broken: nothing can be read.
    """

    clock: Clock
    processors: int = 4
    share: float = 0.0
    own: float = 0.0
    used_memory: float = 0.25
    broken: bool = False
    looked: int = 0
    busy_so_far: float = 0.0
    own_so_far: float = 0.0
    seen_at: float = 0.0

    def times(self) -> Times:
        self.looked += 1
        if self.broken:
            raise OSError("no file descriptors")
        seconds = self.clock.seconds() - self.seen_at
        self.seen_at += seconds
        self.busy_so_far += seconds * self.processors * self.share
        self.own_so_far += seconds * self.own
        return Times(busy=self.busy_so_far, all=self.seen_at * self.processors, process=self.own_so_far)

    def memory(self) -> float:
        return self.used_memory

    def resident_bytes(self) -> int:
        return 1 << 20

    def open_files(self) -> int:
        if self.broken:
            raise OSError("no file descriptors")
        return 17

    def most_files(self) -> int | None:
        return 100


class Setting(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.machine = FakeMachine(self.clock)
        self.connections, self.sent, self.capacity = 0, 0, 0.0
        self.vitals = Vitals(
            self.clock,
            self.machine,
            connections=lambda: self.connections,
            sent_bytes=lambda: self.sent,
            capacity=lambda: self.capacity,
            monotonic=self.clock.seconds,
        )
        self.vitals.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        self.vitals.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def stall(self, seconds: float) -> None:
        """Nothing has its turn meanwhile."""
        self.clock.rightNow += seconds
        self.clock.advance(0)


class LoadTests(Setting):
    def test_before_the_first_second(self) -> None:
        """What is not known is not said."""
        self.assertEqual(self.vitals.load(), Load(memory=0.25, connections=0.0, capacity=0.0))
        self.assertEqual(self.vitals.lag(), {"p50": None, "p99": None, "worst": None})

    def test_what_is_given(self) -> None:
        self.connections, self.capacity, self.machine.used_memory = 12, 500.0, 0.5
        self.run_for(6)
        load = self.vitals.load()
        self.assertEqual((load.connections, load.capacity, load.memory), (12.0, 500.0, 0.5))
        self.assertEqual(parse_load(load_json(load)), load)

    def test_one_reactor_has_one_processor(self) -> None:
        """The busier of the two counts: this process on its processor, or the machine."""
        self.machine.share, self.machine.own = 0.25, 1.0
        self.run_for(10)
        self.assertAlmostEqual(self.vitals.load().cpu or 0.0, 1.0)
        self.assertAlmostEqual(self.vitals.figures()["machine_cpu"] or 0.0, 0.25)
        self.machine.share, self.machine.own = 0.9, 0.1
        self.run_for(60)
        self.assertAlmostEqual(self.vitals.load().cpu or 0.0, 0.9, places=3)
        self.assertAlmostEqual(self.vitals.figures()["process_cpu"] or 0.0, 0.1, places=3)

    def test_threads_are_no_queue(self) -> None:
        self.machine.own = 2.5
        self.run_for(5)
        self.assertEqual(self.vitals.load().cpu, 1.0)

    def test_a_change_comes_through_in_some_seconds(self) -> None:
        self.run_for(5)
        self.machine.share = 1.0
        self.run_for(5)
        self.assertTrue(0.55 < (self.vitals.load().cpu or 0.0) < 0.7, self.vitals.load())

    def test_egress(self) -> None:
        for _ in range(600):
            self.sent += 100
            self.run_for(0.1)
        self.assertTrue(990 < (self.vitals.load().egress or 0.0) < 1010, self.vitals.load())
        self.run_for(60)
        self.assertLess(self.vitals.load().egress or 0.0, 1.0)

    def test_one_look_a_second(self) -> None:
        self.run_for(30)
        self.assertTrue(29 <= self.machine.looked <= 31, self.machine.looked)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_machine_that_cannot_be_read(self) -> None:
        """The last values stay, it is said once, and again after it could be read."""
        self.machine.share = 0.5
        self.run_for(10)
        self.machine.broken = True
        self.run_for(10)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertAlmostEqual(self.vitals.load().cpu or 0.0, 0.5)
        figures = self.vitals.figures()
        self.assertEqual((figures["open_files"], figures["most_files"]), (None, 100))
        self.machine.broken, self.machine.share = False, 0.5
        self.run_for(10)
        self.assertAlmostEqual(self.vitals.load().cpu or 0.0, 0.5)
        self.assertEqual(self.vitals.figures()["open_files"], 17)
        self.machine.broken = True
        self.run_for(10)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class LagTests(Setting):
    def test_a_reactor_in_time(self) -> None:
        self.run_for(10)
        self.assertLess(self.vitals.load().lag or 0.0, 0.011)

    def test_a_stall_shows(self) -> None:
        self.run_for(10)
        self.stall(2.0)
        lag = self.vitals.lag()
        self.assertTrue(1.9 < (lag["worst"] or 0.0) <= 2.0, lag)
        self.assertGreater(self.vitals.load().lag or 0.0, 1.8)

    def test_an_alarm_for_what_lasts(self) -> None:
        """One stall is none; the same every five seconds for more than a minute is one, said once, and its end."""
        self.run_for(10)
        with capturedLogs() as logs:
            self.stall(2.0)
            for _ in range(90):
                self.run_for(1)
                self.assertEqual(self.vitals.troubles(), [])
            self.assertEqual(self.events(logs), [])
            for _ in range(30):
                self.stall(0.5)
                self.run_for(5)
            [trouble] = self.vitals.troubles()
            self.assertRegex(trouble, r"^the reactor is late: 1 % .* more than \d+ ms$")
            self.assertEqual(self.events(logs), [("reactor-late", LogLevel.warn)])
            self.run_for(70)
            self.assertEqual(self.vitals.troubles(), [])
            self.assertEqual(self.events(logs), [("reactor-late", LogLevel.warn), ("reactor-in-time", LogLevel.info)])

    def events(self, logs: Any) -> list[tuple[str, object]]:
        return [(event["event"], event["log_level"]) for event in logs if "event" in event]


class ThisMachineTests(SynchronousTestCase):
    def test_it_can_be_read(self) -> None:
        machine = ThisMachine()
        times = machine.times()
        self.assertTrue(times.process > 0 and 0 < times.busy < times.all, times)
        self.assertTrue(0.0 < machine.memory() < 1.0)
        self.assertGreater(machine.resident_bytes(), 1 << 20)

    def test_files(self) -> None:
        """One more is one more; the limit is the one that counts."""
        machine = ThisMachine()
        before = machine.open_files()
        with open("/dev/null", "rb"):
            self.assertEqual(machine.open_files(), before + 1)
        self.assertEqual(machine.most_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
