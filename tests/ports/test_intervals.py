"""The interval list beside sets of integers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run
from twisted.trial.unittest import SynchronousTestCase

from appliance.ports import Interval, Intervals

RUNS = [(10, 29), (40, 40), (50, 79)]
ALL = {index for first, last in RUNS for index in range(first, last + 1)}

Run = tuple[int, int]


class Machine(RuleBasedStateMachine):
    """The model knows which indexes are free, and who has the others."""

    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.intervals = Intervals[str](RUNS)
        self.free = set(ALL)
        self.taker_of: dict[int, str] = {}
        self.serial = 0

    def note(self, interval: Interval[str], taker: str) -> Run:
        indexes = range(interval.first, interval.last + 1)
        assert self.free.issuperset(indexes), "taken twice"
        self.free.difference_update(indexes)
        self.taker_of.update(dict.fromkeys(indexes, taker))
        return interval.first, interval.last

    def runs_of_free(self) -> list[Run]:
        runs: list[Run] = []
        for index in sorted(self.free):
            if runs and runs[-1][1] == index - 1:
                runs[-1] = runs[-1][0], index
            else:
                runs.append((index, index))
        return runs

    @rule(target=taken, count=st.integers(1, 12))
    def take(self, count: int) -> Run | object:
        """The smallest that is large enough, the lowest of these; else the largest."""
        self.serial += 1
        runs = self.runs_of_free()
        fitting = sorted((last - first, first) for first, last in runs if last - first + 1 >= count)
        largest = sorted((first - last, first) for first, last in runs)
        interval = self.intervals.take(count, f"taker {self.serial}")
        if interval is None:
            assert not runs
            return multiple()
        first = fitting[0][1] if fitting else largest[0][1]
        size = count if fitting else 1 - largest[0][0]
        assert (interval.first, interval.count) == (first, size)
        return self.note(interval, f"taker {self.serial}")

    @rule(target=taken, first=st.integers(0, 90), count=st.integers(1, 12))
    def reserve(self, first: int, count: int) -> Run | object:
        """Some that are free, and in one run."""
        if not self.free.issuperset(range(first, first + count)):
            return multiple()
        self.serial += 1
        interval = self.intervals.reserve(first, first + count - 1, f"taker {self.serial}")
        assert (interval.first, interval.count) == (first, count)
        return self.note(interval, f"taker {self.serial}")

    @rule(target=taken, run=consumes(taken), part=st.tuples(st.integers(0, 11), st.integers(0, 11)))
    def give_back(self, run: Run, part: Run) -> object:
        """All of it, or some from its middle."""
        first, last = run
        low, high = min(last, first + min(part)), min(last, first + max(part))
        interval = self.intervals.give_back(low, high)
        for index in range(low, high + 1):
            del self.taker_of[index]
            self.free.add(index)
        assert interval.taker is None and interval.first <= low and high <= interval.last
        return multiple(*(run for run in ((first, low - 1), (high + 1, last)) if run[0] <= run[1]))

    @invariant()
    def they_cover_the_line(self) -> None:
        """In order, linked both ways, and no two free ones touch."""
        intervals = list(self.intervals)
        assert len(intervals) == len(self.intervals)
        assert {x for each in intervals for x in range(each.first, each.last + 1)} == ALL
        assert sum(each.count for each in intervals) == len(ALL)
        for left, right in pairwise(intervals):
            assert left.last < right.first
            assert left.after is right and right.before is left
        assert intervals[0].before is None and intervals[-1].after is None
        free = [(each.first, each.last) for each in intervals if each.taker is None]
        assert free == self.runs_of_free()
        assert self.intervals.free_count == len(self.free)

    @invariant()
    def each_index_is_found(self) -> None:
        """With who took it."""
        for index in range(8, 82):
            interval = self.intervals.find(index)
            assert (interval is not None) == (index in ALL)
            if interval is not None:
                assert interval.first <= index <= interval.last
                assert interval.taker == self.taker_of.get(index)


class IntervalTests(SynchronousTestCase):
    def test_beside_a_set(self) -> None:
        """4.2."""
        run(Machine)

    def test_a_gap_is_filled_before_a_larger_one_is_cut(self) -> None:
        intervals = Intervals[int]([(0, 99)])
        taken = [intervals.take(10, number) for number in range(4)]
        assert taken[1] is not None
        intervals.give_back(taken[1].first, taken[1].last)
        again = intervals.take(10, 9)
        assert again is not None
        self.assertEqual((again.first, again.last), (10, 19))
        self.assertEqual(len(intervals), 5)

    def test_nothing_at_all(self) -> None:
        """A range of which everything is skipped."""
        intervals = Intervals[int]([])
        self.assertIsNone(intervals.take(1, 1))
        self.assertIsNone(intervals.find(0))
        self.assertEqual((list(intervals), len(intervals)), ([], 0))
