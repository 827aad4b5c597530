"""Names of pages: the rules of 3.1, case by case."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Chooser, OriginFigures, Why
from appliance.model import Choices, Load, OriginBy
from tests.delivery.figures import delivery, drawn, names, origin, ranking

LOAD, LATENCY, BOTH = OriginBy.LOAD, OriginBy.LATENCY, OriginBy.BOTH


def busy(cpu: float) -> Load:
    return Load(cpu=cpu)


class RuleTests(SynchronousTestCase):
    def best(self, by: OriginBy, *figures: OriginFigures) -> list[str]:
        """All that could be answered, the first one first; no chance in it."""
        chooser = Chooser(delivery(origins=by))
        chooser.refresh(figures, (), 0)
        choice = chooser.pages(4, Random(1))
        self.assertFalse(choice.depends_on_client)
        self.assertEqual(len(choice.answer), 1)
        return ranking(choice)

    def test_connections(self) -> None:
        """The fewest for their weight, the one to come included."""
        for figures, expected in (
            ([origin("a", connections=5), origin("b", connections=4)], "ba"),
            ([origin("a", connections=5, weight=2), origin("b", connections=4)], "ab"),
            ([origin("a", weight=1), origin("b", weight=2)], "ba"),
            ([origin("a"), origin("b", connections=9), origin("c", connections=3)], "acb"),
            ([origin("a", up=False), origin("b", connections=9)], "b"),
            ([origin("a", weight=0), origin("b", connections=9)], "b"),
            ([origin("a", connections=1, latency=0.9), origin("b", connections=2, latency=0.1)], "ab"),
        ):
            self.assertEqual(self.best(LOAD, *figures), list(expected), figures)

    def test_loads_that_they_say(self) -> None:
        """The busiest part per weight; connections that we count do not matter then."""
        for figures, expected in (
            ([origin("a", load=busy(0.5)), origin("b", load=busy(0.4), connections=99)], "ba"),
            ([origin("a", load=busy(0.5), weight=2), origin("b", load=busy(0.4))], "ab"),
            ([origin("a", load=Load(cpu=0.1, memory=0.95)), origin("b", load=busy(0.4))], "ba"),
            ([origin("a", load=Load(connections=50, capacity=100)), origin("b", load=busy(0.4))], "ba"),
            ([origin("a", load=Load(cpu=0.1, lag=0.05)), origin("b", load=busy(0.4))], "ba"),
        ):
            self.assertEqual(self.best(LOAD, *figures), list(expected), figures)

    def test_kinds_are_not_mixed(self) -> None:
        """Where one that is up says nothing, connections count for all; one that is down does not matter."""
        silent = origin("a", connections=1)
        saying = origin("b", connections=2, load=busy(0.1))
        other = origin("c", connections=3, load=busy(0.05))
        self.assertEqual(self.best(LOAD, silent, saying, other), ["a", "b", "c"])
        self.assertEqual(self.best(LOAD, origin("a", up=False), saying, other), ["c", "b"])

    def test_full_ones_are_the_last_resort(self) -> None:
        """By what they say, whatever counts."""
        for by in OriginBy:
            full = origin("a", load=busy(0.95), latency=0.01)
            self.assertEqual(self.best(by, full, origin("b", connections=50, latency=0.9)), ["b", "a"])
            self.assertEqual(self.best(by, full, origin("b", up=False)), ["a"])
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", load=busy(0.95)), origin("b", up=False)], (), 0)
        self.assertEqual(chooser.pages(4, Random(1)).why, Why.FULL)

    def test_latency(self) -> None:
        """The least, whatever the load; who was never measured is in the middle."""
        for figures, expected in (
            ([origin("a", latency=0.05), origin("b", latency=0.04, connections=99)], "ba"),
            ([origin("a", latency=0.05), origin("b", latency=0.04, weight=1), origin("c", latency=0.01)], "cba"),
            ([origin("a"), origin("b", latency=0.4), origin("c", latency=0.1), origin("d", latency=0.2)], "cadb"),
        ):
            found = self.best(LATENCY, *figures)
            self.assertEqual(found, list(expected), figures)

    def test_both(self) -> None:
        """50 ms are as bad as being half in use, or as the mean of the connections."""
        for figures, expected in (
            ([origin("a", load=busy(0.5), latency=0.0), origin("b", load=busy(0.0), latency=0.04)], "ba"),
            ([origin("a", load=busy(0.5), latency=0.0), origin("b", load=busy(0.0), latency=0.06)], "ab"),
            ([origin("a", connections=299, latency=0.0), origin("b", connections=99, latency=0.04)], "ba"),
            ([origin("a", connections=299, latency=0.0), origin("b", connections=99, latency=0.06)], "ab"),
        ):
            self.assertEqual(self.best(BOTH, *figures), list(expected), figures)

    def test_it_moves(self) -> None:
        """3.1: raising one's connections, then the other's latency, moves the answer as its rule says."""
        by_load, by_latency = Chooser(delivery(origins=LOAD)), Chooser(delivery(origins=LATENCY))
        for now, figures, first, second in (
            (0, [origin("a", latency=0.01), origin("b", connections=2, latency=0.02)], "a", "a"),
            (20, [origin("a", connections=9, latency=0.01), origin("b", connections=2, latency=0.02)], "b", "a"),
            (40, [origin("a", connections=9, latency=0.09), origin("b", connections=2, latency=0.02)], "b", "b"),
        ):
            for chooser, expected in ((by_load, first), (by_latency, second)):
                before = names(chooser.pages(4, Random(1)))
                told = chooser.refresh(figures, (), now)
                found = names(chooser.pages(4, Random(1)))
                self.assertEqual(found, [expected], now)
                self.assertEqual(told, found != before)

    def test_one_sample_does_not_swing(self) -> None:
        """One sample in a row of others leaves the answer; two do not."""
        chooser = Chooser(delivery())
        calm = [origin("a", connections=10), origin("b", connections=15)]
        storm = [origin("a", connections=18), origin("b", connections=15)]
        chooser.refresh(calm, (), 0)
        self.assertFalse(chooser.refresh(storm, (), 5))
        self.assertFalse(chooser.refresh(calm, (), 10))
        self.assertFalse(chooser.refresh(storm, (), 15))
        self.assertTrue(chooser.refresh(storm, (), 20))

    def test_samples_at_one_instant(self) -> None:
        """Do not count twice."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", connections=10), origin("b", connections=15)], (), 0)
        for _ in range(5):
            self.assertFalse(chooser.refresh([origin("a", connections=90), origin("b", connections=15)], (), 0))

    def test_a_server_that_was_away(self) -> None:
        """Begins with its next sample."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", connections=500), origin("b", connections=5)], (), 0)
        chooser.refresh([origin("b", connections=5)], (), 1)
        chooser.refresh([origin("a"), origin("b", connections=5)], (), 2)
        self.assertEqual(names(chooser.pages(4, Random(1))), ["a"])


class ChanceTests(SynchronousTestCase):
    def test_equals_take_turns(self) -> None:
        """By chance, with their weights; and a cache is told that it may not keep the answer."""
        chooser = Chooser(delivery(origins=LATENCY))
        chooser.refresh([origin("a", weight=3), origin("b"), origin("c", weight=0)], (), 0)
        self.assertTrue(chooser.pages(4, Random(1)).depends_on_client)
        found = drawn(chooser)
        self.assertEqual(set(found), {"a", "b"})
        self.assertLess(abs(found["a"] - 0.75), 0.06)

    def test_what_was_long_ago_is_forgotten(self) -> None:
        """A decayed load never is what it comes near to, and yet they are equals again."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", connections=5), origin("b")], (), 0)
        for now in range(5, 200, 5):
            chooser.refresh([origin("a"), origin("b")], (), now)
        self.assertEqual(set(drawn(chooser)), {"a", "b"})

    def test_two_random_ones(self) -> None:
        """The dearest of four is never answered, the cheapest in half of the cases; both in no order of their names."""
        figures = [origin(name, connections=count) for name, count in (("a", 9), ("b", 1), ("c", 5), ("d", 3))]
        chooser = Chooser(delivery(choices=Choices.TWO))
        chooser.refresh(figures, (), 0)
        found = drawn(chooser, 1200)
        for name, part in (("b", 3 / 6), ("d", 2 / 6), ("c", 1 / 6)):
            self.assertLess(abs(found.pop(name) - part), 0.04)
        self.assertEqual(found, {})
        self.assertEqual(sorted(ranking(chooser.pages(4, Random(1)))), list("abcd"))

    def test_two_by_weight(self) -> None:
        """Weights are probabilities: {heavy, one light} is drawn 0.8 + 0.2 * 8/9 of the time, then load decides."""
        figures = [origin("a", weight=8, latency=0.1), origin("b", latency=0.2), origin("c", latency=0.3)]
        chooser = Chooser(delivery(choices=Choices.TWO, origins=LATENCY))
        chooser.refresh(figures, (), 0)
        found = drawn(chooser, 2000)
        self.assertLess(abs(found["a"] - 0.8 - 0.2 * 8 / 9), 0.02)
        self.assertNotIn("c", found)

    def test_two_of_two_are_all(self) -> None:
        """Then the best is answered always; so is all there are where that many are asked for."""
        for answers, expected in ((1, "a"), (2, "ab")):
            chooser = Chooser(delivery(choices=Choices.TWO, answers=answers))
            chooser.refresh([origin("a"), origin("b", connections=3)], (), 0)
            for seed in range(20):
                self.assertEqual(names(chooser.pages(4, Random(seed))), list(expected))

    def test_several_answers(self) -> None:
        """The best n, each once, of those in the best standing only."""
        figures = [origin(name, connections=count) for name, count in (("a", 9), ("b", 1), ("c", 5), ("d", 3))]
        for answers, expected in ((1, "b"), (2, "bd"), (3, "bdc"), (9, "bdca")):
            chooser = Chooser(delivery(answers=answers))
            chooser.refresh(figures, (), 0)
            self.assertEqual(names(chooser.pages(4, Random(1))), list(expected))
            two = Chooser(delivery(answers=answers, choices=Choices.TWO))
            two.refresh(figures, (), 0)
            for seed in range(50):
                found = names(two.pages(4, Random(seed)))
                self.assertEqual(len(set(found)), min(answers, 4))
                self.assertTrue(answers >= 4 or "a" not in found[:1])
        chooser = Chooser(delivery(answers=2))
        full = [origin("a", load=busy(0.97)), origin("b", load=busy(0.1)), origin("c", up=False)]
        chooser.refresh(full, (), 0)
        self.assertEqual(names(chooser.pages(4, Random(1))), ["b"])

    def test_equals_at_the_edge(self) -> None:
        """Two of four with three equals for the second place: the best always, the second by chance."""
        figures = [origin(name, latency=latency) for name, latency in (("a", 1), ("b", 1), ("c", 0.1), ("d", 1))]
        chooser = Chooser(delivery(answers=2, origins=LATENCY))
        chooser.refresh(figures, (), 0)
        found = {tuple(names(chooser.pages(4, Random(seed)))) for seed in range(60)}
        self.assertEqual(found, {("c", "a"), ("c", "b"), ("c", "d")})


class ToldTests(SynchronousTestCase):
    """When the refresh is True."""

    def told(self, *steps: tuple[bool, list[OriginFigures]], **rule: Any) -> None:
        chooser = Chooser(delivery(**rule))
        for now, (expected, figures) in enumerate(steps):
            self.assertEqual(chooser.refresh(figures, (), now * 100), expected, now)

    def test_changes_that_do_not_matter(self) -> None:
        """The other's load, its health, a deadline: everybody gets the same as before."""
        best = origin("a")
        self.told(
            (True, [best, origin("b", connections=3)]),
            (False, [best, origin("b", connections=30)]),
            (False, [best, origin("b", connections=30, up=False)]),
            (False, [best]),
            (False, [origin("a", until=700.0)]),
            (True, [best, origin("b")]),
            (False, [best, origin("b")]),
        )

    def test_chance(self) -> None:
        """With two random ones each change of their order matters, and of their weights."""
        a, b, c = origin("a"), origin("b", connections=3), origin("c", connections=6)
        self.told(
            (True, [a, b, c]),
            (False, [a, origin("b", connections=4), c]),
            (True, [a, origin("b", connections=9), c]),
            (True, [a, b, c]),
            (True, [a, origin("b"), c]),
            (True, [a, origin("b", connections=9), c]),
            (True, [origin("a", weight=2), origin("b", connections=9), c]),
            (True, [origin("a", weight=2), origin("b", connections=9, up=False), c]),
            choices=Choices.TWO,
        )

    def test_equals_that_are_not_answered(self) -> None:
        """Who comes after those that are drawn does not matter."""
        a, b = origin("a", latency=0.1), origin("b", latency=0.1)
        self.told(
            (True, [a, b, origin("c", latency=0.2)]),
            (False, [a, b, origin("c", latency=0.3)]),
            (True, [a, b, origin("c", latency=0.1)]),
            (True, [a, b, origin("c", latency=0.2), origin("d", latency=0.3)]),
            (False, [a, b, origin("c", latency=0.3), origin("d", latency=0.2)]),
            origins=LATENCY,
        )

    def test_another_address(self) -> None:
        self.told((True, [origin("a")]), (True, [origin("a", v6=True)]), (False, [origin("a", v6=True)]))
