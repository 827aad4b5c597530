"""Figures in which the past counts less."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.health.decay import Count, Mean


class MeanTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        self.assertEqual((Mean().value, Mean().deviation, Mean().variance), (None, None, None))

    def test_first(self) -> None:
        mean = Mean()
        mean.add(0.25, 100.0)
        self.assertEqual((mean.value, mean.deviation), (0.25, 0.0))

    def test_by_time_not_by_number(self) -> None:
        """A new level counts as much after a period, whether it was measured once a second or ten times."""
        for step in (0.1, 1.0, 10.0):
            mean = Mean(30.0)
            mean.add(1.0, 0.0)
            for number in range(1, round(30.0 / step) + 1):
                mean.add(2.0, number * step)
            assert mean.value is not None
            self.assertAlmostEqual(mean.value, 2.0 - math.exp(-1.0))

    def test_same_instant(self) -> None:
        """Has no weight, for it stands for no time."""
        mean = Mean()
        mean.add(1.0, 5.0)
        mean.add(9.0, 5.0)
        self.assertEqual(mean.value, 1.0)

    @given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.001, 10.0)), min_size=1, max_size=20))
    def test_naive(self, samples: list[tuple[float, float]]) -> None:
        """Beside the weights written out: each sample's own, times what all later ones have left of it."""
        mean, now, weights = Mean(30.0), 0.0, [1.0]
        for index, (after, sample) in enumerate(samples):
            now += after
            mean.add(sample, now)
            if index:
                left = math.exp(-after / 30.0)
                weights = [weight * left for weight in weights] + [1.0 - left]
        values = [sample for _, sample in samples]
        expected = sum(weight * value for weight, value in zip(weights, values, strict=True))
        variance = sum(weight * (value - expected) ** 2 for weight, value in zip(weights, values, strict=True))
        assert mean.value is not None and mean.variance is not None
        self.assertTrue(math.isclose(mean.value, expected, rel_tol=1e-9), (mean.value, expected))
        self.assertTrue(math.isclose(mean.variance, variance, rel_tol=1e-6, abs_tol=1e-9), (mean.variance, variance))


class CountTests(SynchronousTestCase):
    def test_decays(self) -> None:
        count = Count(600.0)
        self.assertEqual(count.at(50.0), 0.0)
        count.add(100.0)
        self.assertAlmostEqual(count.at(100.0), 1.0)
        self.assertAlmostEqual(count.at(700.0), math.exp(-1.0))
        count.add(700.0)
        self.assertAlmostEqual(count.at(700.0), 1.0 + math.exp(-1.0))
