"""What a subject's checks make of it, and what is said of that."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Board, SubjectDown, SubjectEvent, SubjectFlapping, SubjectForced, SubjectUp
from appliance.model import Check, Forced, Health, ProbeType, Result
from tests.health.making import Driver, Even, check, failed, passed


class StateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.board, self.now = Board(), 0.0
        self.first, self.second = check(), check(2)
        self.board.configure({"a": [self.first, self.second]}, 0.0)
        self.board.wanted("a", 0.0)
        self.board.due(0.0, Even())

    def hear(self, which: Check, *results: Result) -> Health:
        """One after the other, when their time has come."""
        for result in results:
            self.board.heard(which, result, self.now)
            self.now += 100.0
            self.board.due(self.now, Even())
        return self.board.health("a", self.now)

    def test_unknown_is_up(self) -> None:
        health = self.board.health("a", 0.0)
        self.assertEqual((health.up, health.measured, health.reason), (True, None, ""))

    def test_first_round_is_whole(self) -> None:
        self.assertIsNone(self.hear(self.first, passed()).measured)
        self.assertIs(self.hear(self.second, passed()).measured, True)

    def test_first_failure_decides(self) -> None:
        """Though the round is not whole."""
        health = self.hear(self.first, failed("no route"))
        self.assertEqual((health.up, health.measured), (False, False))
        self.assertEqual(health.reason, "web of 10.0.0.1:80: connect refused: no route")

    def test_all_have_to_pass(self) -> None:
        self.hear(self.first, passed())
        self.hear(self.second, failed())
        self.assertFalse(self.board.is_up("a"))
        self.assertFalse(self.hear(self.second, passed()).up)
        self.assertTrue(self.hear(self.second, passed()).up)

    def test_reason(self) -> None:
        """Of what is down, or else in doubt; the newest failure, though a success came after it."""
        self.hear(self.first, passed(), failed("one"))
        self.assertEqual(self.hear(self.second, passed()).reason, "web of 10.0.0.1:80: connect refused: one")
        self.hear(self.second, *[failed("two")] * 3, passed())
        self.hear(self.first, failed("three"))
        self.assertEqual(self.board.health("a", self.now).reason, "web of 10.0.0.2:80: connect refused: two")

    def test_without_checks(self) -> None:
        """It is up for ever; as is one that is not known."""
        self.board.configure({"b": []}, 0.0)
        for name in ("b", "nobody"):
            health = self.board.health(name, 7.0)
            self.assertEqual((health.up, health.measured, health.until), (True, None, math.inf))
            self.assertTrue(self.board.is_up(name))

    def test_forced_beside_measured(self) -> None:
        self.hear(self.first, failed())
        self.board.force("a", Forced.UP, 1.0)
        health = self.board.health("a", 1.0)
        self.assertEqual((health.up, health.measured, health.forced), (True, False, Forced.UP))
        self.assertEqual(health.until, math.inf)
        self.board.force("a", Forced.DOWN, 1.0)
        self.assertFalse(self.board.is_up("a"))
        self.hear(self.first, passed(), passed())
        self.hear(self.second, passed())
        self.assertEqual((self.board.is_up("a"), self.board.health("a", 1.0).measured), (False, True))
        self.board.force("a", None, 1.0)
        self.assertTrue(self.board.is_up("a"))

    def test_forced_stays_with_its_subject(self) -> None:
        self.board.force("a", Forced.DOWN, 1.0)
        self.board.configure({"a": []}, 2.0)
        self.assertFalse(self.board.is_up("a"))
        self.board.configure({}, 3.0)
        self.assertTrue(self.board.is_up("a"))
        self.assertRaises(KeyError, self.board.force, "a", Forced.UP, 4.0)

    def test_latencies(self) -> None:
        """Each check's mean counts alike; those of HTTP and FTP stand apart too."""
        web, ftp = check(3, kind=ProbeType.HTTPS), check(4, kind=ProbeType.FTP)
        self.board.configure({"a": [web, ftp, self.first]}, 0.0)
        self.board.due(100.0, Even())
        self.board.heard(web, passed(0.4, connect=0.02), 100.0)
        self.board.heard(ftp, passed(0.2, connect=0.04), 100.0)
        health = self.board.health("a", 100.0)
        for found, expected in (
            (health.latency, 0.3),
            (health.connect, 0.03),
            (health.http, 0.4),
            (health.ftp, 0.2),
            (health.deviation, 0.0),
        ):
            assert found is not None
            self.assertAlmostEqual(found, expected)

    def test_failures_have_no_latency(self) -> None:
        self.hear(self.first, Result(layer=failed().layer, cause=failed().cause, latency=9.0))
        self.assertIsNone(self.board.health("a", 0.0).latency)

    def test_rows(self) -> None:
        self.hear(self.first, passed(0.5), failed("x"))
        row = self.board.checks("a", self.now)[0]
        self.assertEqual((row.check, row.result, row.heard_at, row.failures), (self.first, failed("x"), 100.0, 1))
        self.assertEqual((row.began_at, row.next_at, row.idle), (200.0, None, False))
        self.board.heard(self.first, passed(), 200.5)
        row = self.board.checks("a", 200.5)[0]
        self.assertEqual(row.flaps, 0.0)
        self.assertEqual((row.began_at, row.next_at, row.failures), (200.0, 205.0, 0))
        self.assertEqual(self.board.subjects(), ["a"])


class UntilTests(SynchronousTestCase):
    """The longest that an answer may be kept (gdnsd's rule, by the schedule)."""

    def setUp(self) -> None:
        self.driver = Driver()
        self.driver.configure(a=[check()])

    def until(self, subject: str = "a") -> float:
        return round(self.driver.board.health(subject, self.driver.now).until - self.driver.now, 6)

    def settle(self) -> float:
        """Run until a check was just done; the seconds until the next."""
        self.driver.run(20.0, "a")
        deadline = self.driver.board.next_deadline()
        assert deadline is not None
        self.driver.run(deadline - self.driver.now)
        return 5.0

    def test_unknown(self) -> None:
        self.assertEqual(self.until(), 0.0)

    def test_up(self) -> None:
        """The next check, and two more as early as jitter allows."""
        self.assertEqual(self.settle() + 2 * 0.9, self.until())

    def test_counts_down(self) -> None:
        self.settle()
        self.driver.broken = {1}
        self.driver.run(5.0)
        self.assertEqual(self.until(), 1.0 + 0.9)
        self.driver.run(1.0)
        self.assertEqual(self.until(), 1.0)
        self.driver.run(1.0)
        self.assertFalse(self.driver.board.is_up("a"))
        self.assertEqual(self.until(), 5.0 + 0.9)
        self.driver.broken = set()
        self.driver.run(5.0)
        self.assertEqual(self.until(), 1.0)

    def test_under_way(self) -> None:
        """Its result may come now."""
        self.settle()
        self.driver.now += 5.0
        self.driver.board.due(self.driver.now, Even())
        self.assertEqual(self.until(), 2 * 0.9)
        self.driver.now += 1.5
        self.assertEqual(self.until(), 0.3)

    def test_asleep(self) -> None:
        """Somebody may wake it."""
        self.driver.run(30.0)
        self.assertEqual(self.until(), 2 * 0.9)

    def test_several(self) -> None:
        """The first that may fail takes it down; the last that may pass brings it back."""
        self.driver = Driver(rng=Random(1))
        self.driver.configure(a=[check(), check(2)])
        self.driver.run(20.0, "a")
        first, second = (row.next_at or 0.0 for row in self.driver.board.checks("a", self.driver.now))
        self.assertNotEqual(first, second)
        self.assertAlmostEqual(self.until(), min(first, second) + 1.8 - self.driver.now, 5)
        self.driver.broken = {1, 2}
        self.driver.run(20.0, "a")
        first, second = (row.next_at or 0.0 for row in self.driver.board.checks("a", self.driver.now))
        self.assertAlmostEqual(self.until(), max(first, second) + 0.9 - self.driver.now, 5)


class EventTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver()
        self.driver.configure(a=[check(), check(2)])

    def said(self) -> list[SubjectEvent]:
        self.driver.collect()
        events, self.driver.events = self.driver.events, []
        return events

    def test_coming_up_at_first_is_nothing(self) -> None:
        self.driver.run(100.0)
        self.assertEqual(self.said(), [])

    def test_down_and_up_are_said_once(self) -> None:
        self.driver.run(20.0, "a")
        self.driver.broken = {1, 2}
        self.driver.run(60.0, "a")
        self.driver.broken = set()
        self.driver.run(60.0, "a")
        down, up = self.said()
        assert isinstance(down, SubjectDown) and isinstance(up, SubjectUp)
        assert down.check is not None
        self.assertEqual((down.subject, down.reason), ("a", f"{down.check}: connect refused"))
        self.assertEqual(up.after, up.at - down.at)
        self.assertGreater(up.after, 60.0 - 5.0 - 2.0)
        self.assertEqual((up.reason, up.forced), (f"{up.check}: application ok", None))

    def test_forced(self) -> None:
        board, now = self.driver.board, self.driver.now
        for forced in (Forced.DOWN, Forced.DOWN, None, None):
            board.force("a", forced, now)
        self.assertEqual(
            self.said(),
            [
                SubjectForced(at=now, subject="a", forced=Forced.DOWN, up=False),
                SubjectForced(at=now, subject="a", forced=None, up=True),
            ],
        )
        board.force("a", Forced.UP, now)
        self.driver.broken = {1}
        self.driver.run(10.0)
        self.assertEqual([getattr(event, "forced", None) for event in self.said()], [Forced.UP, Forced.UP])

    def test_configuration_brings_it_back(self) -> None:
        self.driver.broken = {1}
        self.driver.run(10.0)
        self.said()
        self.driver.configure(a=[check(2)])
        (up,) = self.said()
        assert isinstance(up, SubjectUp)
        self.assertIsNone(up.check)
        self.assertEqual(self.driver.board.health("a", self.driver.now).flaps, 0.0)

    def test_flaps(self) -> None:
        """Of the check and the subject; the first round is none."""
        self.driver.broken = {1}
        self.driver.configure(a=[check()])
        self.driver.run(10.0, "a")
        self.assertEqual(self.driver.board.health("a", self.driver.now).flaps, 0.0)
        self.driver.broken = set()
        self.driver.run(10.0, "a")
        for flaps in (
            self.driver.board.health("a", self.driver.now).flaps,
            self.driver.board.checks("a", self.driver.now)[0].flaps,
        ):
            self.assertAlmostEqual(flaps, 1.0, 1)

    def test_flapping_is_said_once_until_it_rests(self) -> None:
        self.driver.run(10.0, "a")
        for _ in range(10):
            self.swing()
        kinds = [type(event) for event in self.said()]
        self.assertEqual(kinds.count(SubjectFlapping), 1)
        self.assertGreaterEqual(self.driver.board.health("a", self.driver.now).flaps, 5.0)
        self.driver.run(3600.0, "a")
        self.assertLess(self.driver.board.health("a", self.driver.now).flaps, 0.1)
        for _ in range(10):
            self.swing()
        self.assertEqual([type(event) for event in self.said()].count(SubjectFlapping), 1)

    def swing(self) -> None:
        self.driver.broken = {1}
        self.driver.run(12.0, "a")
        self.driver.broken = set()
        self.driver.run(12.0, "a")


class HoursTests(SynchronousTestCase):
    def test_hours_of_flapping(self) -> None:
        """Six hours of three targets that come and go: what is said follows what was so, and the table stays small."""
        chance = Random(6)
        self.driver = Driver(rng=Random(7))
        names = ["a", "b", "c"]
        self.driver.configure(a=[check()], b=[check(2), check(3)], c=[check(3)])
        self.driver.run(10.0, *names)
        up = dict.fromkeys(names, True)
        # Down: the rest of an interval, two more at a second; up: the rest of an interval, one more.  With all jitter.
        settled = 5.0 * 1.1 + 2 * 1.1
        changed_at = self.driver.now
        for _ in range(700):
            self.driver.broken = {number for number in (1, 2, 3) if chance.random() < 0.3}
            stays = chance.choice([0.5, 2.0, 8.0, 20.0, 100.0])
            self.driver.run(stays, *chance.sample(names, chance.randint(1, 3)))
            for event in self.driver.events:
                if not isinstance(event, SubjectFlapping):
                    self.assertIs(up[event.subject], isinstance(event, SubjectDown), event)
                    up[event.subject] = isinstance(event, SubjectUp)
            self.driver.events.clear()
            for name, numbers in (("a", {1}), ("b", {2, 3}), ("c", {3})):
                self.assertIs(self.driver.board.is_up(name), up[name])
                if stays > settled:
                    self.assertIs(up[name], not numbers & self.driver.broken)
        self.assertGreater(self.driver.now - changed_at, 4 * 3600.0)
        self.assertLess(len(self.driver.board._schedule), 20)
        self.assertEqual(len(self.driver.board._queue), 0)
