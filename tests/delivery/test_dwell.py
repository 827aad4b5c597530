"""Answers stay for a while."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Chooser
from appliance.delivery.dwell import RESIDENCE, Dwell, patience_of
from tests.delivery.figures import answered, delivery, latencies, pop, weights

LATENCY: dict[str, Any] = {"pops": weights(latency=1.0)}
FLAPS = st.lists(
    st.tuples(st.floats(0.1, 8), st.frozensets(st.sampled_from("abcd"), max_size=4), st.integers(0, 15)), max_size=40
)


class DwellTests(SynchronousTestCase):
    def settle(self, dwell: Dwell, now: float, wanted: str, able: str = "abc", patience: float = 15.0) -> str:
        dwell.settle(set(able), frozenset(wanted), patience, now)
        return "".join(sorted(dwell.members))

    def test_patience(self) -> None:
        for interval, patience in ((0.0, 0), (1.0, 3), (5.0, 15), (10.0, 30), (60.0, 30)):
            self.assertEqual(patience_of(interval), patience)

    def test_table(self) -> None:
        """(now, who should be, who can be, who is), from the beginning."""
        for case in (
            # who is better for 15 s displaces, and not earlier
            [(0, "a", "ab", "a"), (5, "b", "ab", "a"), (19.9, "b", "ab", "a"), (20, "b", "ab", "b")],
            # a break begins anew
            [
                (0, "a", "ab", "a"),
                (5, "b", "ab", "a"),
                (15, "a", "ab", "a"),
                (20, "b", "ab", "a"),
                (35, "b", "ab", "b"),
            ],
            # the next change waits for 30 s after the last
            [
                (0, "a", "ab", "a"),
                (5, "b", "ab", "a"),
                (20, "b", "ab", "b"),
                (25, "a", "ab", "b"),
                (49, "a", "ab", "b"),
            ],
            [
                (0, "a", "ab", "a"),
                (5, "b", "ab", "a"),
                (20, "b", "ab", "b"),
                (25, "a", "ab", "b"),
                (50, "a", "ab", "a"),
            ],
            # who joins the best comes beside them, who falls behind goes
            [
                (0, "a", "ab", "a"),
                (5, "ab", "ab", "a"),
                (20, "ab", "ab", "ab"),
                (21, "b", "ab", "ab"),
                (50, "b", "ab", "b"),
            ],
            # who cannot be answered goes at once, and comes back like others
            [
                (0, "ab", "ab", "ab"),
                (1, "a", "a", "a"),
                (2, "ab", "ab", "a"),
                (30, "ab", "ab", "a"),
                (31, "ab", "ab", "ab"),
            ],
            [
                (0, "a", "ab", "a"),
                (1, "b", "b", "b"),
                (2, "a", "ab", "b"),
                (30.9, "a", "ab", "b"),
                (31, "a", "ab", "a"),
            ],
            # nobody is left: those who should be
            [(0, "a", "abc", "a"), (1, "bc", "bc", "bc"), (2, "", "", ""), (3, "c", "c", "c")],
            # two that take turns to be better displace together, for the present one has been worse all the time
            [(0, "a", "abc", "a"), (5, "b", "abc", "a"), (10, "c", "abc", "a"), (20, "b", "abc", "b")],
        ):
            dwell = Dwell()
            for now, wanted, able, expected in case:
                self.assertEqual(self.settle(dwell, now, wanted, able), expected, (case, now))

    def test_deadline(self) -> None:
        """When something changes if nothing else does."""
        dwell = Dwell()
        self.settle(dwell, 0, "a")
        self.assertEqual(dwell.deadline(15), math.inf)
        self.assertEqual(dwell.due_at("b", 15), None)
        self.settle(dwell, 7, "b")
        self.assertEqual((dwell.deadline(15), dwell.due_at("b", 15), dwell.due_at("a", 15)), (22, 22, 22))
        self.assertEqual(self.settle(dwell, 22, "b"), "b")
        self.settle(dwell, 23, "c")
        self.assertEqual((dwell.deadline(15), dwell.due_at("c", 15)), (22 + RESIDENCE, 22 + RESIDENCE))

    @given(flaps=FLAPS)
    @settings(max_examples=150, derandomize=True, deadline=None)
    def test_promises(self, flaps: list[tuple[float, frozenset[str], int]]) -> None:
        """Whatever happens: who is answered can be; nobody only where nobody can be; changes are rare."""
        dwell, now, changed_at = Dwell(), 0.0, -math.inf
        steady: dict[str, tuple[bool, float]] = {}
        for step, able, bits in flaps:
            now += step
            wanted = frozenset(name for number, name in enumerate("abcd") if bits >> number & 1) & able
            wanted = wanted or frozenset(sorted(able)[:1])
            before = dwell.members
            for name in "abcd":
                if steady.get(name, (None, 0))[0] != (name in wanted):
                    steady[name] = name in wanted, now
            dwell.settle(able, wanted, 15.0, now)
            after = dwell.members
            self.assertLessEqual(after, able)
            self.assertEqual(bool(after), bool(able))
            if after != before:
                need = not before <= able
                if before and not need:
                    self.assertGreaterEqual(now, changed_at + RESIDENCE)
                    for name in before - after:
                        self.assertGreaterEqual(now, steady[name][1] + 15.0, "gone too early")
                    if after & before:
                        for name in after - before:
                            self.assertGreaterEqual(now, steady[name][1] + 15.0, "come too early")
                if before:
                    changed_at = now


class NoiseTests(SynchronousTestCase):
    """Through the chooser."""

    def changes(self, tolerance: float, noise: float, seed: int) -> list[float]:
        """The instants at which somebody else was answered, in 20 minutes of noise around a tie of three."""
        rng, chooser = Random(seed), Chooser(delivery(tolerance=tolerance, **LATENCY))
        found, before = [], None
        for now in range(0, 1200, 2):
            figures = latencies({name: 0.05 * (1 + rng.uniform(-noise, noise)) for name in "abc"})
            told = chooser.refresh((), figures, float(now))
            after = answered(chooser)
            self.assertEqual(told, after != before)
            if before is not None and after != before:
                found.append(float(now))
            before = after
        return found

    def test_noise_around_a_tie(self) -> None:
        """At most one change in 30 s, with any tolerance; with a tolerance above the noise none at all."""
        for tolerance, noise in ((0.0, 0.3), (0.1, 0.3), (0.1, 0.08), (0.5, 0.1)):
            for seed in range(2):
                found = self.changes(tolerance, noise, seed)
                gaps = [after - before for before, after in pairwise(found)]
                self.assertGreaterEqual(min(gaps, default=RESIDENCE), RESIDENCE, (tolerance, noise))
        self.assertEqual(self.changes(0.5, 0.1, 1), [])

    def test_better_within_the_tolerance_is_no_reason(self) -> None:
        """One that is better by less joins; by more it displaces."""
        for better, expected in ((0.048, {"a", "b"}), (0.02, {"b"})):
            chooser = Chooser(delivery(tolerance=0.1, **LATENCY))
            chooser.refresh((), latencies({"a": 0.05, "b": 0.09}), 0)
            self.assertEqual(answered(chooser), {"a"})
            for now in (1, 15):
                self.assertFalse(chooser.refresh((), latencies({"a": 0.05, "b": better}), now))
            self.assertEqual(chooser.deadline(), 16)
            self.assertTrue(chooser.refresh((), latencies({"a": 0.05, "b": better}), 16))
            self.assertEqual(answered(chooser), expected)

    def test_down_and_full_leave_at_once(self) -> None:
        rule: dict[str, Any] = {"pops": weights(latency=1.0, cpu=1.0)}
        for gone in ({"up": False}, {"cpu": 0.95}):
            chooser = Chooser(delivery(tolerance=0.1, **rule))
            chooser.refresh((), [pop("a", latency=0.01), pop("b", latency=0.09)], 0)
            self.assertEqual(answered(chooser), {"a"})
            self.assertTrue(chooser.refresh((), [pop("a", latency=0.01, **gone), pop("b", latency=0.09)], 1))
            self.assertEqual(answered(chooser), {"b"})

    def test_slow_checks_take_longer(self) -> None:
        """Three intervals of the slowest, but no more than 30 s."""
        for interval, after in ((1.0, 3.0), (5.0, 15.0), (60.0, 30.0)):
            chooser = Chooser(delivery(**LATENCY))
            chooser.refresh((), [pop("a", latency=0.01, interval=interval), pop("b", latency=0.02)], 0)
            chooser.refresh((), [pop("a", latency=0.04, interval=interval), pop("b", latency=0.02)], 100)
            self.assertEqual(chooser.deadline(), 100 + max(after, 15.0))
