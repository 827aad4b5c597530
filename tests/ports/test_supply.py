"""How much is left, with marks that lie apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.ports import Level
from appliance.ports.supply import Supply


def supply(low_water: int, capacity: int) -> Supply:
    made = Supply(0.0)
    made.configure(low_water, capacity)
    made.judge(capacity, 0.0)
    return made


class SupplyTests(SynchronousTestCase):
    def levels(self, supply: Supply, *left: int) -> list[Level]:
        levels = []
        for number, each in enumerate(left):
            supply.judge(each, float(number))
            levels.append(supply.level)
        return levels

    def test_to_and_fro_at_a_mark(self) -> None:
        """It changes once."""
        made = supply(64, 65536)
        self.assertEqual(self.levels(made, 65, 64, 65, 64, 129), [Level.OK] + [Level.LOW] * 4)
        self.assertEqual(made.since, 1.0)
        self.assertEqual(self.levels(made, 130, 65, 64), [Level.OK, Level.OK, Level.LOW])

    def test_exhausted_by_a_refusal_only(self) -> None:
        """And until half the mark is there again."""
        made = supply(64, 65536)
        self.assertEqual(self.levels(made, 0), [Level.LOW])
        made.refuse(5.0)
        self.assertEqual((made.level, made.since), (Level.EXHAUSTED, 5.0))
        made.refuse(6.0)
        self.assertEqual((made.since, made.refusals), (5.0, 2))
        self.assertEqual(self.levels(made, 1, 31, 32, 31), [Level.EXHAUSTED] * 2 + [Level.LOW] * 2)
        made.refuse(7.0)
        self.assertEqual(self.levels(made, 130), [Level.OK])

    def test_small_pools_are_not_always_low(self) -> None:
        """Whatever ``low_water`` is."""
        self.assertEqual(self.levels(supply(64, 8), 8, 2, 1, 3, 4), [Level.OK] * 2 + [Level.LOW] * 2 + [Level.OK])
        self.assertEqual(self.levels(supply(64, 1), 1, 0, 1), [Level.OK, Level.LOW, Level.OK])

    def test_an_empty_range(self) -> None:
        """Is never well."""
        made = supply(64, 0)
        self.assertEqual(made.level, Level.LOW)
        made.refuse(1.0)
        self.assertEqual(self.levels(made, 0, 0), [Level.EXHAUSTED] * 2)

    @given(st.integers(0, 100), st.integers(1, 500), st.lists(st.integers(0, 500)))
    def test_full_is_always_well(self, low_water: int, capacity: int, left: list[int]) -> None:
        made = supply(low_water, capacity)
        for each in left:
            made.judge(min(each, capacity), 1.0)
            if not each:
                made.refuse(1.0)
        made.judge(capacity, 2.0)
        self.assertEqual(made.level, Level.OK)
        made.judge(0, 3.0)
        self.assertEqual(made.level, Level.LOW)
