"""What is answered when everything is down, and how long an answer lives."""

from __future__ import annotations

import math
from random import Random
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Choice, Chooser, OriginFigures, PopFigures, Why
from appliance.model import AllDown
from tests.delivery.figures import answered, delivery, names, origin, pop, static, weights

BACKUP = ("192.0.2.200", "2001:db8::99")
ONE_ADDRESS = ["192.0.2.200"]


def pages(chooser: Chooser, family: int = 4) -> Choice:
    return chooser.pages(family, Random(1))


class PageTests(SynchronousTestCase):
    GOOD = (origin("a", connections=5), origin("b", connections=1))
    DOWN = (origin("a", up=False), origin("b", up=False))

    def run_down(self, all_down: AllDown, *, before: tuple[OriginFigures, ...] = ()) -> Choice:
        chooser = Chooser(delivery(all_down=all_down, backup=BACKUP))
        if before:
            chooser.refresh(before, (), 0)
        self.assertTrue(chooser.refresh(self.DOWN, (), 1))
        self.assertFalse(chooser.refresh(self.DOWN, (), 2))
        choice = pages(chooser)
        self.assertFalse(choice.depends_on_client)
        self.assertTrue(chooser.refresh(self.GOOD, (), 60))
        self.assertEqual((names(pages(chooser)), pages(chooser).why), (["b"], Why.BEST))
        return choice

    def test_table(self) -> None:
        for rule, why, answer in (
            (AllDown.ALL, Why.ALL, ["a", "b"]),
            (AllDown.LAST_GOOD, Why.LAST_GOOD, ["b"]),
            (AllDown.EMPTY, Why.EMPTY, []),
            (AllDown.BACKUP, Why.BACKUP, ONE_ADDRESS),
        ):
            choice = self.run_down(rule, before=self.GOOD)
            self.assertEqual((choice.why, names(choice)), (why, answer))

    def test_nothing_was_ever_good(self) -> None:
        """Then it is as with ``all``, and says so."""
        choice = self.run_down(AllDown.LAST_GOOD)
        self.assertEqual((choice.why, names(choice)), (Why.ALL, ["a", "b"]))

    def test_the_last_good_one_is_gone(self) -> None:
        """What is no more configured is not answered."""
        chooser = Chooser(delivery(all_down=AllDown.LAST_GOOD))
        chooser.refresh([origin("a")], (), 0)
        chooser.refresh([origin("b", up=False)], (), 1)
        self.assertEqual((pages(chooser).why, names(pages(chooser))), (Why.ALL, ["b"]))

    def test_families(self) -> None:
        """Down in one family only: no address of it, so that clients use the other."""
        for rule in AllDown:
            chooser = Chooser(delivery(all_down=rule, backup=BACKUP))
            chooser.refresh([origin("a"), origin("b", v6=True, up=False)], (), 0)
            self.assertEqual((pages(chooser, 6).why, names(pages(chooser, 6))), (Why.ABSENT, []))
            self.assertEqual(names(pages(chooser, 4)), ["a"])
            chooser.refresh([origin("a", up=False), origin("b", v6=True, up=False)], (), 1)
            self.assertNotEqual(pages(chooser, 6).why, Why.ABSENT)

    def test_backup_of_a_family_without_servers(self) -> None:
        chooser = Chooser(delivery(all_down=AllDown.BACKUP, backup=BACKUP))
        chooser.refresh(self.DOWN, (), 0)
        self.assertEqual(names(pages(chooser, 6)), ["2001:db8::99"])

    def test_who_takes_nobody(self) -> None:
        """A weight of 0 is a person's word: not even when all else is down."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", up=False), origin("b", weight=0)], (), 0)
        self.assertEqual((pages(chooser).why, names(pages(chooser))), (Why.ALL, ["a"]))
        chooser.refresh([origin("b", weight=0)], (), 1)
        self.assertEqual((pages(chooser).why, names(pages(chooser))), (Why.ABSENT, []))


class StaticTests(SynchronousTestCase):
    RULE: ClassVar[dict[str, Any]] = {"pops": weights(latency=1.0)}
    GOOD = (pop("a", latency=0.1), pop("b", latency=0.1), pop("c", latency=0.5))
    DOWN = (pop("a", up=False), pop("b", up=False), pop("c", up=False))

    def test_table(self) -> None:
        for rule, why, answer in (
            (AllDown.ALL, Why.ALL, {"a", "b", "c"}),
            (AllDown.LAST_GOOD, Why.LAST_GOOD, {"a", "b"}),
            (AllDown.EMPTY, Why.EMPTY, set()),
            (AllDown.BACKUP, Why.BACKUP, set(ONE_ADDRESS)),
        ):
            chooser = Chooser(delivery(all_down=rule, backup=BACKUP, **self.RULE))
            chooser.refresh((), self.GOOD, 0)
            before = names(static(chooser, b"x"))
            self.assertTrue(chooser.refresh((), self.DOWN, 1))
            self.assertEqual((static(chooser).why, answered(chooser)), (why, answer))
            self.assertFalse(chooser.refresh((), self.DOWN, 2))
            if rule is AllDown.LAST_GOOD:
                self.assertEqual(names(static(chooser, b"x")), before)
                self.assertTrue(chooser.refresh((), self.DOWN[:1], 3))
                self.assertEqual(answered(chooser), {"a"})
                self.assertTrue(chooser.refresh((), [pop("d", up=False)], 4))
                self.assertEqual((static(chooser).why, answered(chooser)), (Why.ALL, {"d"}))
            self.assertTrue(chooser.refresh((), self.GOOD, 5))
            self.assertEqual((static(chooser).why, answered(chooser)), (Why.BEST, {"a", "b"}))

    def test_full_before_down(self) -> None:
        """All that are up are full: the least of them, and people see it."""
        figures: list[PopFigures] = [pop("a", cpu=0.99), pop("b", cpu=0.96), pop("c", up=False)]
        chooser = Chooser(delivery())
        chooser.refresh((), figures, 0)
        self.assertEqual((static(chooser).why, answered(chooser)), (Why.FULL, {"b"}))

    def test_without_pops(self) -> None:
        chooser = Chooser(delivery())
        self.assertFalse(static(chooser).candidates)
        self.assertEqual(static(chooser).lifetime(0.0), 1)
        chooser.refresh((), (), 0)
        self.assertEqual((static(chooser).why, static(chooser).candidates), (Why.ABSENT, ()))


class LifetimeTests(SynchronousTestCase):
    def test_table(self) -> None:
        """The least of the rule's and the time until something can change; never 0."""
        for ttl, until, now, expected in (
            (10.0, math.inf, 100.0, 10),
            (10.0, 107.9, 100.0, 7),
            (10.0, 200.0, 100.0, 10),
            (10.0, 100.5, 100.0, 1),
            (10.0, 90.0, 100.0, 1),
            (0.0, math.inf, 100.0, 1),
        ):
            chooser = Chooser(delivery(ttl=ttl))
            chooser.refresh([origin("a", until=until), origin("b", until=500.0)], [pop("p", until=until)], now)
            self.assertEqual(pages(chooser).lifetime(now), expected)
            self.assertEqual(static(chooser).lifetime(now), expected)

    def test_jitter(self) -> None:
        """Downwards only, by a fifth at most."""
        chooser = Chooser(delivery(ttl=100.0))
        chooser.refresh([origin("a")], (), 0)
        rng = Random(1)
        found = {pages(chooser).lifetime(0.0, rng) for _ in range(1000)}
        self.assertGreaterEqual(min(found), 80)
        self.assertLessEqual(max(found), 100)
        self.assertGreater(len(found), 15)

    def test_everybody_counts(self) -> None:
        """Also one that is down, or of the other family: when it comes up there may be a better answer."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", until=50.0), origin("b", up=False, until=9.0, v6=True)], (), 0)
        self.assertEqual(pages(chooser).ttl_until, 9.0)

    def test_it_follows_each_refresh(self) -> None:
        """Though nothing else changed."""
        chooser = Chooser(delivery())
        chooser.refresh([origin("a", until=8.0)], [pop("p", until=8.0), pop("q")], 0)
        self.assertEqual((pages(chooser).ttl_until, static(chooser).ttl_until), (8.0, 8.0))
        self.assertFalse(chooser.refresh([origin("a", until=13.0)], [pop("p", until=13.0), pop("q")], 5))
        self.assertEqual((pages(chooser).ttl_until, static(chooser).ttl_until), (13.0, 13.0))
