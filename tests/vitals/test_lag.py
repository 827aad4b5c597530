"""Lateness against a naive model: every instant of the grid, and when the reactor came round after it."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.vitals.lag import Lag, Lateness

QUICK = settings(derandomize=True, max_examples=100, deadline=None, database=None)


def naive(turns: list[float]) -> Lateness | None:
    """Of the last 600 instants at tenths of a second that were followed by a turn."""
    late, number = [], 1
    for turn in turns:
        while number / 10 <= turn:
            late.append(turn - number / 10)
            number += 1
    late = sorted(late[-600:])
    if not late:
        return None
    return Lateness(p50=late[math.ceil(0.5 * len(late)) - 1], p99=late[math.ceil(0.99 * len(late)) - 1], worst=late[-1])


class LagTests(SynchronousTestCase):
    def near(self, found: Lateness | None, expected: Lateness | None) -> None:
        if found is None or expected is None:
            self.assertEqual(found, expected)
            return
        for one, other in ((found.p50, expected.p50), (found.p99, expected.p99), (found.worst, expected.worst)):
            self.assertAlmostEqual(one, other, places=6)

    @QUICK
    @given(st.lists(st.floats(min_value=0.001, max_value=90.0), max_size=40))
    def test_as_the_naive_model(self, gaps: list[float]) -> None:
        lag, now, turns = Lag(0.0), 0.0, []
        for gap in gaps:
            now += gap
            turns.append(now)
            delay = lag.turn(now)
            self.assertTrue(-1e-6 < delay <= 0.1 + 1e-6, delay)
        self.near(lag.lateness(), naive(turns))

    def test_in_time(self) -> None:
        lag, now = Lag(5.0), 5.1
        for _ in range(100):
            now += lag.turn(now)
        self.near(lag.lateness(), Lateness(p50=0.0, p99=0.0, worst=0.0))

    def test_nothing_was_due(self) -> None:
        lag = Lag(5.0)
        self.assertAlmostEqual(lag.turn(5.05), 0.05)
        self.assertIsNone(lag.lateness())

    def test_a_stall_counts_for_all_that_was_due_meanwhile(self) -> None:
        lag, now = Lag(0.0), 0.1
        for _ in range(590):
            now += lag.turn(now)
        lag.turn(now + 0.95)
        found = lag.lateness()
        assert found is not None
        self.assertAlmostEqual(found.worst, 0.95)
        self.assertAlmostEqual(found.p99, 0.35)
        self.assertAlmostEqual(found.p50, 0.0)

    def test_it_is_forgotten_after_a_minute(self) -> None:
        lag = Lag(0.0)
        lag.turn(3.0)
        for number in range(31, 601):
            lag.turn(number / 10)
        before = lag.lateness()
        assert before is not None
        self.assertAlmostEqual(before.worst, 2.9)
        for number in range(601, 630):
            lag.turn(number / 10)
        self.near(lag.lateness(), Lateness(p50=0.0, p99=0.0, worst=0.0))

    def test_a_very_long_stall_is_bounded(self) -> None:
        lag = Lag(0.0)
        delay = lag.turn(1e9)
        found = lag.lateness()
        assert found is not None
        self.assertTrue(-1e-6 < delay < 0.1 + 1e-6)
        self.assertLess(found.worst, 60.2)
        self.assertGreater(found.p50, 29.0)
