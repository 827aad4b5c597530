"""What a figure costs."""

from __future__ import annotations

import math

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import PopFigures, Standing
from appliance.delivery.costs import FULL_FROM, MEASURES, busiest, queueing, rate_pops
from appliance.delivery.values import Rated
from appliance.model import Load, PopWeights
from tests.delivery.figures import pop, weights

ALL = PopWeights(latency=1.0, cpu=1.0, memory=1.0, connections=1.0, http=1.0, ftp=1.0)
TERMS = tuple(measure.name for measure in MEASURES)
PARTS = st.none() | st.floats(0, 1.2)
TIMES = st.none() | st.floats(0, 3)


@st.composite
def figures(draw: st.DrawFn, name: str) -> PopFigures:
    said = Load(
        cpu=draw(PARTS),
        memory=draw(PARTS),
        connections=draw(st.none() | st.floats(0, 600)),
        capacity=draw(st.sampled_from([None, 0.0, 100.0, 500.0])),
    )
    return attrs.evolve(
        pop(name, capacity=draw(st.sampled_from([0.0, 250.0])), up=draw(st.booleans())),
        latency=draw(TIMES),
        http=draw(TIMES),
        ftp=draw(TIMES),
        load=draw(st.sampled_from([None, said])),
    )


@st.composite
def rows(draw: st.DrawFn) -> list[PopFigures]:
    return [draw(figures(name)) for name in "abcdef"[: draw(st.integers(1, 6))]]


RULES = st.builds(PopWeights, **dict.fromkeys(TERMS, st.sampled_from([0.0, 0.2, 1.0, 3.0])))


def rated(found: list[PopFigures], by: PopWeights) -> list[Rated]:
    return rate_pops(found, by, [1.0] * len(found))


def only(one: PopFigures, by: PopWeights = ALL) -> Rated:
    return rated([one], by)[0]


class QueueTests(SynchronousTestCase):
    def test_table(self) -> None:
        """u/(1-u), and from 0.95 its tangent."""
        for used, cost in ((0, 0), (0.5, 1), (0.75, 3), (0.9, 9), (0.95, 19), (0.96, 23), (1, 39), (2, 439)):
            self.assertAlmostEqual(queueing(used), cost, msg=str(used))

    def test_it_grows_without_a_step(self) -> None:
        found = [queueing(number / 1000) for number in range(2000)]
        self.assertEqual(found, sorted(found))
        self.assertLess(queueing(FULL_FROM) - queueing(FULL_FROM - 1e-6), 0.001)

    def test_the_busiest(self) -> None:
        """Of a machine's parts."""
        for load, expected in (
            (None, None),
            (Load(), None),
            (Load(cpu=0.3), 0.3),
            (Load(cpu=0.3, memory=0.7), 0.3),
            (Load(cpu=0.3, memory=0.9), 0.5),
            (Load(memory=0.5), 0.0),
            (Load(cpu=0.3, lag=0.04), 0.4),
            (Load(cpu=0.3, connections=60, capacity=100), 0.6),
            (Load(connections=60), None),
            (Load(connections=60, capacity=0), None),
            (Load(cpu=math.nan, lag=0.01), 0.1),
            (Load(cpu=-1.0), None),
            (Load(cpu=math.inf), None),
        ):
            found = busiest(load)
            if found is None or expected is None:
                self.assertEqual(found, expected, load)
            else:
                self.assertAlmostEqual(found, expected, msg=str(load))


class PopTests(SynchronousTestCase):
    def test_terms(self) -> None:
        """Each alone, with a weight of 2."""
        for name, figure, cost in (
            ("latency", {"latency": 0.1}, 4.0),
            ("http", {"http": 0.025}, 1.0),
            ("ftp", {"ftp": 0.2}, 8.0),
            ("cpu", {"cpu": 0.5}, 2.0),
            ("memory", {"memory": 0.5}, 0.0),
            ("memory", {"memory": 0.8}, 0.0),
            ("memory", {"memory": 0.9}, 2.0),
            ("connections", {"used": 0.75}, 6.0),
            ("connections", {"used": 0.75, "capacity": 150.0}, 2.0),
        ):
            found = only(pop("a", **figure), weights(**{name: 2.0}))
            self.assertAlmostEqual(found.cost, cost, msg=str(figure))
            self.assertEqual(found.standing, Standing.GOOD)

    def test_the_sum(self) -> None:
        """Nothing is left out, nothing counted twice."""
        one = pop("a", latency=0.05, http=0.1, ftp=0.2, cpu=0.5, memory=0.9, used=0.75)
        self.assertAlmostEqual(only(one, PopWeights()).cost, 1 + 1 + 0.2 + 3 + 0.5 * 2)
        self.assertAlmostEqual(only(one).cost, 1 + 1 + 1 + 3 + 2 + 4)

    def test_missing_ones_are_neutral(self) -> None:
        """At the median of those that are up; 0 where nobody has it."""
        found = rated(
            [
                pop("a", latency=0.1),
                pop("b", latency=0.2),
                pop("c", latency=0.4),
                pop("d"),
                pop("e", latency=9.0, up=False),
            ],
            weights(latency=1.0, cpu=1.0),
        )
        self.assertEqual([round(one.cost, 6) for one in found], [2, 4, 8, 4, 180])

    def test_full(self) -> None:
        """From 0.95 of anything that counts; who is down is no more than down."""
        for figure, standing in (
            ({"cpu": 0.949}, Standing.GOOD),
            ({"cpu": 0.95}, Standing.FULL),
            ({"memory": 0.98}, Standing.GOOD),
            ({"memory": 0.995}, Standing.FULL),
            ({"used": 0.95}, Standing.FULL),
            ({"used": 0.95, "capacity": 200.0}, Standing.GOOD),
            ({"latency": 100.0}, Standing.GOOD),
            ({"cpu": 0.95, "up": False}, Standing.DOWN),
        ):
            self.assertEqual(only(pop("a", **figure)).standing, standing, figure)

    def test_a_median_makes_nobody_full(self) -> None:
        found = rated([pop("a", cpu=0.99), pop("b", cpu=0.99), pop("c")], ALL)
        self.assertEqual([one.standing for one in found], [Standing.FULL, Standing.FULL, Standing.GOOD])

    @given(found=rows(), rule=RULES, term=st.sampled_from(TERMS), more=st.floats(0.001, 1))
    @settings(max_examples=150, derandomize=True, deadline=None)
    def test_monotone(self, found: list[PopFigures], rule: PopWeights, term: str, more: float) -> None:
        """A larger figure never makes a POP cheaper or a better standing, and with a weight it is dearer."""
        one = found[0]
        worse = _with_more(one, term, more)
        if worse is None:
            return
        before, after = rated(found, rule)[0], rated([worse, *found[1:]], rule)[0]
        self.assertGreaterEqual((after.standing, after.cost), (before.standing, before.cost))
        if getattr(rule, term) and term != "memory":
            self.assertGreater(after.cost, before.cost)

    @given(found=rows(), others=rows(), rule=RULES, term=st.sampled_from(TERMS))
    @settings(max_examples=100, derandomize=True, deadline=None)
    def test_a_weight_of_nothing(
        self, found: list[PopFigures], others: list[PopFigures], rule: PopWeights, term: str
    ) -> None:
        """Ignores its term: the figure can be any, and missing."""
        rule = attrs.evolve(rule, **{term: 0.0})
        changed = [_with_figure_of(one, others[number % len(others)], term) for number, one in enumerate(found)]
        self.assertEqual(rated(found, rule), rated(changed, rule))


def _with_more(one: PopFigures, term: str, more: float) -> PopFigures | None:
    """None: it has no such figure."""
    if term in ("latency", "http", "ftp"):
        figure = getattr(one, term)
        return None if figure is None else attrs.evolve(one, **{term: figure + more})
    figure = None if one.load is None else getattr(one.load, term)
    if figure is None or one.load is None or (term == "connections" and not (one.pop.capacity or one.load.capacity)):
        return None
    step = more * 100 if term == "connections" else more
    return attrs.evolve(one, load=attrs.evolve(one.load, **{term: figure + step}))


def _with_figure_of(one: PopFigures, other: PopFigures, term: str) -> PopFigures:
    if term in ("latency", "http", "ftp"):
        return attrs.evolve(one, **{term: getattr(other, term)})
    load, said = one.load or Load(), other.load or Load()
    return attrs.evolve(one, load=attrs.evolve(load, **{term: getattr(said, term)}))
