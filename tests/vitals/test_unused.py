"""
The POP's own load through days, restarts and clocks that are set, on a disk that fails now and then.

A second of the reactor is a minute on the wall, so that a day is 1440 samples.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Capacity
from appliance.vitals import Unused
from appliance.vitals.loadfile import BEFORE, NAME

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BEGIN = 20_000 * DAY
"""A midnight."""

CAPACITY = Capacity(servers=("one", "two"), hard=500.0, reserve=0.2)


class Disk(Clock):
    """
    A reactor whose threads work at once.

    :ivar held: not before :meth:`let_go`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.jobs: list[Callable[[], None]] = []
        self.written = 0

    def getThreadPool(self) -> Disk:
        return self

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], do: Callable[..., Any], *words: Any) -> None:
        def work() -> None:
            try:
                result = do(*words)
            except OSError as error:
                done(False, error)
            else:
                done(True, result)

        self.written += 1
        self.jobs.append(work)
        if not self.held:
            self.let_go()

    def let_go(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()

    def callFromThread(self, do: Callable[..., None], *words: Any) -> None:
        do(*words)


class Setting(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Disk()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.begin = BEGIN
        self.loads: Callable[[float], float] = lambda wall: 0.0
        self.asked: list[tuple[str, ...]] = []
        self.unused = self.started()

    def wall(self) -> float:
        return self.begin + self.reactor.seconds() * MINUTE

    def load(self, servers: tuple[str, ...]) -> float:
        self.asked.append(servers)
        return self.loads(self.wall())

    def started(self, capacity: Capacity | None = CAPACITY, folder: Path | None = None) -> Unused:
        unused = Unused(self.reactor, folder or self.folder, load=self.load, wall=self.wall)
        unused.configure(capacity)
        unused.startService()
        self.addCleanup(unused.stopService)
        return unused

    def restart(self) -> None:
        self.successResultOf(self.unused.stopService())
        self.unused = self.started()

    def run_for(self, seconds: float) -> None:
        self.reactor.pump([1.0] * round(seconds / MINUTE))

    def row(self, unused: Unused | None = None) -> dict[str, Any]:
        row = (unused or self.unused).row(coming=True)
        assert row is not None
        return row

    def at_hour(self, hour: int, unused: Unused | None = None) -> tuple[float, float, int]:
        """(expected, unused, days) in the hour of the day."""
        [found] = [each for each in self.row(unused)["coming"] if each["from"] % DAY == hour * HOUR]
        return found["expected"], found["unused"], found["days"]

    def business_hours(self, load: float) -> None:
        """So much from nine to ten, and 20 else."""
        self.loads = lambda wall: load if wall % DAY // HOUR == 9 else 20.0


class ForetoldTests(Setting):
    def test_now(self) -> None:
        """What the servers carry at this moment counts at once, and what is left is told."""
        self.loads = lambda wall: 150.0
        self.run_for(MINUTE)
        row = self.row()
        self.assertEqual((row["load"], row["unused"]), (150.0, 250.0))
        self.assertEqual(set(self.asked), {("one", "two")})
        self.assertEqual(
            {key: row[key] for key in ("unit", "servers", "hard", "reserve", "stated", "forecast", "slot")},
            {
                "unit": "connections",
                "servers": ["one", "two"],
                "hard": 500.0,
                "reserve": 0.2,
                "stated": 0.0,
                "forecast": 0.95,
                "slot": 900.0,
            },
        )
        self.loads = lambda wall: 450.0
        self.run_for(MINUTE)
        self.assertEqual(self.row()["unused"], 0.0)

    def test_coming_hours(self) -> None:
        """A day from the hour that is, without a gap; each by the same hour of past days."""
        self.business_hours(300.0)
        self.run_for(DAY)
        self.business_hours(350.0)
        self.run_for(DAY + 100 * MINUTE)
        coming = self.row()["coming"]
        self.assertEqual([each["from"] for each in coming], [BEGIN + 2 * DAY + HOUR * hour for hour in range(1, 25)])
        self.assertEqual([each["until"] - each["from"] for each in coming], [HOUR] * 24)
        self.assertEqual((self.at_hour(9), self.at_hour(10)), ((350.0, 50.0, 2), (20.0, 380.0, 2)))
        self.assertEqual(self.unused.row(coming=False), {k: v for k, v in self.row().items() if k != "coming"})

    def test_no_past(self) -> None:
        """As the load is now, and it is said that this is a guess."""
        self.loads = lambda wall: 100.0
        self.run_for(HOUR)
        expected, unused, days = self.at_hour(9)
        self.assertEqual((round(expected), round(unused), days), (100, 300, 0))

    def test_nothing_to_watch(self) -> None:
        unused = Unused(self.reactor, self.folder, load=lambda servers: self.fail("nobody asked"), wall=self.wall)
        unused.configure(None)
        unused.startService()
        self.run_for(HOUR)
        self.assertEqual((unused.row(coming=True), unused.troubles()), (None, []))
        self.successResultOf(unused.stopService())

    def test_a_bug_is_told_once_and_does_not_end_it(self) -> None:
        """After three minutes without a sample nothing counts as unused."""
        self.loads = lambda wall: 100.0
        self.run_for(MINUTE)
        self.loads = lambda wall: 1 / 0
        with capturedLogs() as logs:
            self.run_for(10 * MINUTE)
        self.assertEqual(
            [each["event"] for each in logs if each["log_level"] == LogLevel.critical], ["load-unmeasured"]
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.row()["load"], self.row()["unused"]), (None, 0.0))
        self.loads = lambda wall: 100.0
        self.run_for(MINUTE)
        self.assertEqual(self.row()["unused"], 300.0)


class ReloadTests(Setting):
    def test_other_numbers(self) -> None:
        """What was measured stays."""
        self.business_hours(300.0)
        self.run_for(DAY)
        self.unused.configure(Capacity(servers=("two", "one"), hard=400.0, reserve=0.0, forecast=0.5))
        self.assertEqual((self.row()["hard"], self.row()["unused"], self.at_hour(9)), (400.0, 380.0, (300.0, 100.0, 1)))
        self.unused.configure(Capacity(servers=("one", "two"), hard=400.0, stated=70.0))
        self.assertEqual((self.row()["unused"], self.at_hour(9)), (70.0, (300.0, 70.0, 1)))

    def test_other_servers(self) -> None:
        """What was seen at some foretells nothing of others; the file is kept beside, and the log says so."""
        self.business_hours(300.0)
        self.run_for(DAY)
        with capturedLogs() as logs:
            self.unused.configure(Capacity(servers=("one", "two", "three"), hard=500.0))
        [said] = [each for each in logs if each.get("event") == "load-begun-anew"]
        self.assertIn("it is about connections of one two", said["reason"])
        self.assertEqual((self.at_hour(9)[2], (self.folder / BEFORE).exists()), (0, True))
        self.assertEqual(self.asked[-1], ("one", "two", "three"))
        self.run_for(DAY)
        self.assertEqual(self.at_hour(9), (300.0, 100.0, 1))

    def test_taken_away_and_given_back(self) -> None:
        """The file has what was known."""
        self.business_hours(300.0)
        self.run_for(DAY)
        self.unused.configure(None)
        self.run_for(HOUR)
        self.assertEqual(self.unused.row(coming=True), None)
        self.unused.configure(CAPACITY)
        self.assertEqual(self.at_hour(9), (300.0, 100.0, 1))


class RestartTests(Setting):
    def test_days_outlast_a_restart(self) -> None:
        self.business_hours(300.0)
        self.run_for(DAY)
        self.business_hours(320.0)
        self.run_for(DAY)
        self.restart()
        self.assertEqual(self.at_hour(9), (320.0, 80.0, 2))
        self.assertFalse((self.folder / BEFORE).exists())
        self.assertEqual((self.folder / NAME).stat().st_mode & 0o777, 0o600)

    def test_a_crash_costs_the_slot_under_way(self) -> None:
        """The others are in the file, which is written at each slot's end."""
        self.business_hours(300.0)
        self.run_for(DAY + 10 * MINUTE)
        self.assertEqual(self.reactor.written, 96)
        other = self.started()
        self.assertEqual(self.at_hour(9, other), (300.0, 100.0, 1))
        self.assertEqual(self.at_hour(0, other)[2], 1)

    def test_the_slot_under_way_goes_on(self) -> None:
        """A peak before a restart is not forgotten by it."""
        self.loads = lambda wall: 300.0
        self.run_for(5 * MINUTE)
        self.loads = lambda wall: 10.0
        self.restart()
        self.run_for(DAY)
        self.assertEqual((self.at_hour(0)[0], self.at_hour(1)[0]), (300.0, 10.0))

    def test_a_file_that_cannot_be_used(self) -> None:
        """The start goes on without it; the file is kept, and the log says why."""
        self.business_hours(300.0)
        self.run_for(DAY)
        self.successResultOf(self.unused.stopService())
        good = (self.folder / NAME).read_text()
        newer = good.replace('"format": 1', '"format": 2')
        for text, why in ((newer, "it has format 2, and this"), (good[: len(good) // 2], "it is damaged"), ("", "dam")):
            (self.folder / NAME).write_text(text)
            with capturedLogs() as logs:
                unused = self.started()
            [said] = [each for each in logs if each.get("event") == "load-begun-anew"]
            self.assertIn(why, said["reason"])
            self.assertEqual(self.at_hour(9, unused)[2], 0)
            self.assertEqual((self.folder / BEFORE).read_text(), text)
            self.successResultOf(unused.stopService())
        (self.folder / NAME).write_text(good)
        self.assertEqual(self.at_hour(9, self.started()), (300.0, 100.0, 1))

    def test_without_a_folder(self) -> None:
        unused = Unused(self.reactor, None, load=self.load, wall=self.wall)
        unused.configure(CAPACITY)
        unused.startService()
        self.business_hours(300.0)
        self.run_for(DAY)
        self.assertEqual(self.at_hour(9, unused), (300.0, 100.0, 1))
        self.successResultOf(unused.stopService())


class ClockTests(Setting):
    def test_set_back_an_hour_each_day(self) -> None:
        """What is known stays, it goes on being measured, and no load is where it was not."""
        self.business_hours(300.0)
        for _ in range(3):
            self.run_for(DAY)
            self.begin -= HOUR
            self.run_for(5 * MINUTE)
            self.assertEqual(self.row()["unused"], 380.0)
        self.run_for(DAY)
        self.assertEqual((self.at_hour(9)[0], self.at_hour(8)[0], self.at_hour(10)[0]), (300.0, 20.0, 20.0))

    def test_a_year_ahead(self) -> None:
        """Without a clock of its own a machine may begin anywhere; it does not wait for that year to come."""
        self.successResultOf(self.unused.stopService())
        self.begin += 365 * DAY
        self.unused = self.started()
        self.run_for(20 * MINUTE)
        self.begin -= 365 * DAY
        self.business_hours(300.0)
        self.run_for(DAY)
        self.assertEqual(self.at_hour(9), (300.0, 100.0, 1))
        self.restart()
        self.run_for(DAY)
        self.assertEqual(self.at_hour(9), (300.0, 100.0, 2))

    def test_set_forward(self) -> None:
        """A sample later the load is known again."""
        self.loads = lambda wall: 100.0
        self.run_for(HOUR)
        self.begin += 40 * DAY
        self.assertEqual(self.row()["load"], None)
        self.run_for(MINUTE)
        self.assertEqual((self.row()["load"], self.row()["unused"]), (100.0, 300.0))


class DiskTests(Setting):
    def test_a_disk_that_fails(self) -> None:
        """Said once, an alarm as long as it lasts, and all is there afterwards."""
        self.business_hours(300.0)
        gone = self.folder.with_name("gone")
        os.rename(self.folder, gone)
        with capturedLogs() as logs:
            self.run_for(DAY / 2)
            [alarm] = self.unused.troubles()
            self.assertIn("load.yaml: No such file or directory", alarm)
            os.rename(gone, self.folder)
            self.run_for(HOUR)
        self.assertEqual([each["event"] for each in logs], ["load-unsaved", "load-saved"])
        self.assertEqual(self.unused.troubles(), [])
        self.restart()
        self.assertEqual(self.at_hour(9)[:2], (300.0, 100.0))

    def test_a_disk_that_hangs(self) -> None:
        """One write is under way and one waits, however long it takes; a stop waits for the last."""
        self.business_hours(300.0)
        self.reactor.held = True
        self.run_for(DAY)
        self.assertEqual(self.reactor.written, 1)
        stopped: Deferred[None] = self.unused.stopService()
        self.assertNoResult(stopped)
        for _ in range(3):
            self.reactor.let_go()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.written, 3)
        self.reactor.held = False
        self.assertEqual(self.at_hour(9, self.started()), (300.0, 100.0, 1))
