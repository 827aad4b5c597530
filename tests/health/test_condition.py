"""The state of one check: pair by pair, and beside gdnsd's counters."""

from __future__ import annotations

import copy
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.health.condition import NEXT, Condition, Step, Tally
from appliance.model import Probe, ProbeType

U, UP, DOUBTED, DOWN, RISING = Condition
PASSED, ENOUGH, FAILED, TOO_MANY = Step


def probe(rise: int = 2, fall: int = 3, ok: int = 1) -> Probe:
    return Probe(name="web", type=ProbeType.TCP, rise=rise, fall=fall, ok=ok)


def after(results: str, which: Probe) -> Tally:
    """``+`` passed, ``-`` failed."""
    tally = Tally()
    for result in results:
        tally.hear(which, ok=result == "+")
    return tally


def is_down(results: str, which: Probe) -> list[bool]:
    """gdnsd's ``gdnsd_mon_state_updater``, written down once more, with its two counters and no states."""
    down, failures, successes, told = False, 0, 0, []
    for index, result in enumerate(results):
        if index == 0:
            down = result == "-"
        elif down and result == "+":
            successes += 1
            if successes == which.rise:
                down, failures, successes = False, 0, 0
        elif down:
            successes = 0
        elif result == "-":
            successes, failures = 0, failures + 1
            if failures == which.fall:
                down, failures = True, 0
        elif failures:
            successes += 1
            if successes == which.ok:
                failures, successes = 0, 0
        told.append(down)
    return told


class TableTests(SynchronousTestCase):
    def test_pairs(self) -> None:
        """Each of the twenty, by hand."""
        expected = {
            (U, ENOUGH): UP,
            (U, TOO_MANY): DOWN,
            (UP, PASSED): UP,
            (UP, FAILED): DOUBTED,
            (UP, TOO_MANY): DOWN,
            (DOUBTED, PASSED): DOUBTED,
            (DOUBTED, ENOUGH): UP,
            (DOUBTED, FAILED): DOUBTED,
            (DOUBTED, TOO_MANY): DOWN,
            (DOWN, PASSED): RISING,
            (DOWN, ENOUGH): UP,
            (DOWN, FAILED): DOWN,
            (RISING, PASSED): RISING,
            (RISING, ENOUGH): UP,
            (RISING, FAILED): DOWN,
        }
        for pair in product(Condition, Step):
            self.assertEqual(NEXT.get(pair), expected.get(pair), pair)

    def test_reached(self) -> None:
        """Each listed pair, by results that lead there."""
        easy = probe(rise=1, fall=1)
        slow = probe(rise=3, fall=3, ok=2)
        for results, which, condition in (
            ("", slow, U),
            ("+", slow, UP),
            ("-", slow, DOWN),
            ("++", slow, UP),
            ("+-", slow, DOUBTED),
            ("+-", easy, DOWN),
            ("+-+", slow, DOUBTED),
            ("+-++", slow, UP),
            ("+--", slow, DOUBTED),
            ("+---", slow, DOWN),
            ("-+", slow, RISING),
            ("-+", easy, UP),
            ("--", slow, DOWN),
            ("-++", slow, RISING),
            ("-+++", slow, UP),
            ("-++-", slow, DOWN),
        ):
            tally = after(results, which)
            self.assertIs(tally.condition, condition, results)
            self.assertEqual(tally.is_down, condition in (DOWN, RISING))
            self.assertEqual(tally.is_in_doubt, condition in (DOUBTED, RISING))

    def test_failures_count_on_until_ok(self) -> None:
        """The half-way threshold: one success between failures is not enough where two are asked for."""
        which = probe(fall=3, ok=2)
        self.assertIs(after("+-+-+-", which).condition, DOWN)
        self.assertIs(after("+-+-++-", which).condition, DOUBTED)
        self.assertIs(after("+-+-+-", probe(fall=3, ok=1)).condition, DOUBTED)

    def test_counters_begin_anew(self) -> None:
        for results in ("+---", "+-+", "-++", "-"):
            tally = after(results, probe())
            self.assertEqual((tally.failures, tally.successes), (0, 0), results)

    def test_other_thresholds(self) -> None:
        """A reload has lowered ``fall`` below what has been counted: the next failure is enough, a success saves it."""
        for result, condition in (("-", DOWN), ("+", UP)):
            tally = after("+---", probe(fall=5))
            self.assertEqual(tally.wanting(probe(fall=2)), 1)
            tally.hear(probe(fall=2), ok=result == "+")
            self.assertIs(tally.condition, condition)


THRESHOLDS = st.builds(probe, rise=st.integers(1, 4), fall=st.integers(1, 4), ok=st.integers(1, 3))
RESULTS = st.text("+-", max_size=30)


class CounterTests(SynchronousTestCase):
    @given(RESULTS, THRESHOLDS)
    def test_as_gdnsd(self, results: str, which: Probe) -> None:
        told = [after(results[: end + 1], which).is_down for end in range(len(results))]
        self.assertEqual(told, is_down(results, which))

    @given(RESULTS, THRESHOLDS)
    def test_wanting_is_the_earliest_change(self, results: str, which: Probe) -> None:
        """No run of results changes it sooner, and one does then."""
        tally = after(results, which)
        wanting = tally.wanting(which)
        changes = set()
        for future in product((True, False), repeat=wanting):
            trial = copy.copy(tally)
            for count, ok in enumerate(future, 1):
                trial.hear(which, ok=ok)
                if trial.is_down is not tally.is_down or tally.condition is U:
                    changes.add(count)
                    break
        self.assertEqual(min(changes), wanting)
