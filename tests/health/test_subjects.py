"""What a subject's checks make of it, and for how long."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Board
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
            self.assertEqual(self.board.until(name, 7.0), math.inf)

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
