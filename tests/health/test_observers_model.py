"""What is believed of the POPs, beside a model that keeps all rows that ever came."""

from __future__ import annotations

import math
import statistics

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Observers, Standing
from appliance.model import Row, Rows
from tests.health.test_observers import POPS


class Naive:
    """All rows that ever came, and the rules said over them."""

    def __init__(self) -> None:
        self.all: list[tuple[float, Rows]] = []

    def newest(self, now: float) -> dict[str, Rows]:
        return {name: each for name, (_, each) in self.held(now).items()}

    def heard_since(self, observers: tuple[str, ...], at: float, now: float) -> int:
        """So many of these; our own network cannot be away from us."""
        held = self.held(now)
        return sum(name == "ams" or held[name][0] - 15.0 > at for name in observers if name in held)

    def held(self, now: float) -> dict[str, tuple[float, Rows]]:
        """In the order of their coming: what is held is replaced by newer ones, or when it has expired."""
        held: dict[str, tuple[float, Rows]] = {}
        for came_at, each in self.all:
            ends_at = math.inf if each.observer == "ams" else came_at - each.age + 15.0
            before = held.get(each.observer)
            if ends_at <= came_at:
                continue
            key = (each.epoch, each.version)
            if before is None or before[0] <= came_at or key > (before[1].epoch, before[1].version):
                held[each.observer] = ends_at, each
        return {name: (ends_at, each) for name, (ends_at, each) in held.items() if ends_at > now}

    def up(self, pop: str, now: float) -> bool | None:
        """None: we are alone."""
        heard = self.newest(now)
        votes, believable = {}, set()
        for name, each in heard.items():
            others = [row for row in each.rows if row.pop != name]
            if len(others) < 2 or sum(not row.up for row in others) <= len(others) / 2:
                believable.add(name)
        if not believable and "ams" in heard:
            return None
        for name in believable - {pop}:
            for row in heard[name].rows:
                if row.pop == pop:
                    votes[name] = row.up
        weight = sum(1 if up else -1 for up in votes.values())
        return weight > 0 if weight else votes.get("ams", True)

    def http(self, pop: str, now: float, believed: tuple[str, ...]) -> float | None:
        heard = self.newest(now)
        figures = [row.http for name in believed if name != pop for row in heard[name].rows if row.pop == pop]
        return statistics.median(known) if (known := [figure for figure in figures if figure is not None]) else None


Candidate = tuple[float, dict[str, bool], tuple[str, ...]]


@attrs.define
class Past:
    """Since when we are alone; what was good last, by whom and when; what may be, when and by whom."""

    alone_at: float | None = None
    good: dict[str, bool] = attrs.Factory(lambda: dict.fromkeys(POPS, True))
    by: tuple[str, ...] = ()
    good_at: float = -math.inf
    candidate: Candidate | None = None


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    observer = draw(st.sampled_from(POPS))
    return Rows(
        observer=observer,
        epoch=draw(st.integers(1, 2)),
        version=draw(st.integers(1, 4)),
        age=draw(st.sampled_from([0.0, 0.0, 3.0, 20.0])),
        rows=tuple(
            Row(pop=pop, up=draw(st.booleans()), http=draw(st.one_of(st.none(), st.floats(0.0, 9.0))))
            for pop in draw(st.lists(st.sampled_from(POPS), unique=True))
        ),
    )


@st.composite
def rounds(draw: st.DrawFn) -> list[tuple[float, Rows]]:
    """Some POPs are heard, and agree; now and then this one sees others down, alone when nobody else is heard."""
    steps = []
    for version in range(draw(st.integers(2, 12))):
        down = draw(st.sampled_from(["", "", "nyc", "gru"]))
        for observer in draw(st.lists(st.sampled_from(POPS[1:]), max_size=3, unique=True)):
            seen = tuple(Row(pop=pop, up=pop != down) for pop in POPS)
            steps.append((0.0, Rows(observer=observer, epoch=1, version=version, age=0.0, rows=seen)))
        own = draw(st.sampled_from(["", down, down, "fra nyc", "fra nyc sin gru"]))
        about = tuple(Row(pop=pop, up=pop not in own.split()) for pop in POPS)
        after = draw(st.sampled_from([1.0, 5.0, 5.0, 16.0, 41.0]))
        steps.append((after, Rows(observer="ams", epoch=1, version=version, age=0.0, rows=about)))
    return steps


class ModelTests(SynchronousTestCase):
    @given(rounds())
    def test_rounds(self, steps: list[tuple[float, Rows]]) -> None:
        self.follow(steps)

    @given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 6.0, 30.0]), some_rows()), max_size=20))
    def test_naive(self, steps: list[tuple[float, Rows]]) -> None:
        self.follow(steps)

    def follow(self, steps: list[tuple[float, Rows]]) -> None:
        """Asked after every step, and just before and at every instant that it says something may change."""
        observers, naive, now = Observers("ams"), Naive(), 0.0
        observers.configure(dict.fromkeys(POPS, 5.0), now)
        past = Past()
        for after, each in steps:
            end = now + after
            while (deadline := observers.next_deadline()) is not None and deadline <= end:
                self.assertGreater(deadline, now)
                now = deadline
                self.look(observers, naive, now, past)
            now = end
            self.look(observers, naive, now, past)
            observers.observe(each, now)
            naive.all.append((now, each))
            self.look(observers, naive, now, past)

    def look(self, observers: Observers, naive: Naive, now: float, past: Past) -> None:
        believed = observers.believe(now)
        ups = {pop: row.up for pop, row in believed.rows.items()}
        expected = {pop: naive.up(pop, now) for pop in POPS}
        if past.candidate is not None and self.is_confirmed(naive, now, past.candidate):
            past.good, past.by, past.good_at = past.candidate[1], past.candidate[2], now
            past.candidate = None
        if None in expected.values():
            past.candidate = None
            past.alone_at = now if past.alone_at is None else past.alone_at
            kept = now < past.alone_at + 60.0
            self.assertIs(believed.standing, Standing.ALONE_KEPT if kept else Standing.ALONE_ALL)
            self.assertEqual(ups, past.good if kept else dict.fromkeys(POPS, True))
            return
        self.assertIs(believed.standing, Standing.AGREED)
        self.assertEqual(ups, expected)
        for pop, row in believed.rows.items():
            self.assertEqual(row.http, naive.http(pop, now, believed.observers))
        past.alone_at = None
        self.agree(naive, ups, believed.observers, now, past)

    def agree(self, naive: Naive, ups: dict[str, bool], observers: tuple[str, ...], now: float, past: Past) -> None:
        if now < past.good_at + 40.0:
            by = past.candidate[2] if past.candidate is not None else ()
            if len(naive.held(now).keys() & set(by)) > len(by) / 2:
                return
            past.candidate = None
            if past.by and len(observers) <= len(past.by) / 2:
                return
        past.candidate = now, ups, observers
        if now >= past.good_at + 40.0 or self.is_confirmed(naive, now, past.candidate):
            past.good, past.by, past.good_at = ups, observers, now

    def is_confirmed(self, naive: Naive, now: float, candidate: Candidate) -> bool:
        at, _, by = candidate
        return set(by) <= {"ams"} or naive.heard_since(by, at, now) > len(by) / 2

    @given(st.lists(some_rows(), max_size=8, unique_by=lambda each: (each.observer, each.epoch, each.version)))
    def test_order_does_not_matter(self, all_rows: list[Rows]) -> None:
        """Rows that come at one instant, in any order and more than once, make the same table."""
        tables = []
        for order in (all_rows, all_rows[::-1], all_rows + all_rows):
            observers = Observers("ams")
            observers.configure(dict.fromkeys(POPS, 5.0), 0.0)
            for each in order:
                observers.observe(each, 0.0)
            tables.append(observers.believe(0.0))
        self.assertEqual(tables[0], tables[1])
        self.assertEqual(tables[0], tables[2])
