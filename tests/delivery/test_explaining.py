"""Every number behind a choice."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Chooser, Reason, Standing, Why
from appliance.model import Load, OriginBy
from tests.delivery.figures import NAME, delivery, origin, pop, static, weights


def terms(reason: Reason) -> dict[str, tuple[float | None, bool, float | None, float, float]]:
    """What each says, to a millionth."""
    return {
        term.name: (term.figure, term.neutral, term.reference, round(term.scaled, 6), round(term.product, 6))
        for term in reason.terms
    }


class StaticTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """Those of measured, of missing and of weightless terms."""
        chooser = Chooser(delivery(pops=weights(latency=1.0, cpu=0.5, http=2.0)))
        near = pop("a", latency=0.1, cpu=0.5, until=8.0)
        chooser.refresh((), [near, pop("b", latency=0.2, http=0.1), pop("c", up=False), pop("v", v6=True)], 0)
        told = chooser.explain_static(NAME, b"x", 4)
        self.assertEqual(told.choice, static(chooser, b"x"))
        self.assertEqual([reason.name for reason in told.reasons], ["a", "b", "c"])
        first, second, third = told.reasons
        self.assertEqual(
            terms(first),
            {
                "latency": (0.1, False, 0.05, 2.0, 2.0),
                "cpu": (0.5, False, None, 1.0, 0.5),
                "memory": (None, True, None, 0.0, 0.0),
                "connections": (None, True, None, 0.0, 0.0),
                "http": (0.1, True, 0.05, 2.0, 4.0),
                "ftp": (None, True, 0.05, 0.0, 0.0),
            },
        )
        self.assertEqual((first.cost, first.until, first.place, first.standing), (6.5, 8.0, 0, Standing.GOOD))
        self.assertEqual((first.within, first.member, first.dwell_until, first.share), (True, True, None, 1.0))
        self.assertEqual((second.cost, second.place, second.within, second.member), (8.5, 1, False, False))
        self.assertEqual(
            (third.standing, third.place, third.within, third.until), (Standing.DOWN, None, False, math.inf)
        )
        rows = first.as_rows()
        self.assertEqual(
            [row["term"] for row in rows], ["latency", "cpu", "memory", "connections", "http", "ftp", "sum"]
        )
        self.assertEqual({tuple(row) for row in rows}, {tuple(rows[0])})
        self.assertEqual(sum(float(str(row["product"])) for row in rows[:-1]), rows[-1]["product"])

    def test_dwell_and_hash(self) -> None:
        """Whose dwell runs and until when; who drew what."""
        chooser = Chooser(delivery(pops=weights(latency=1.0)))
        figures = [pop("a", latency=0.1), pop("b", latency=0.1, capacity=300.0), pop("c", latency=0.2)]
        chooser.refresh((), figures, 0)
        chooser.refresh((), [*figures[:2], pop("c", latency=0.1)], 4)
        told = chooser.explain_static(NAME, b"x", 4)
        found = {reason.name: reason for reason in told.reasons}
        self.assertEqual([found[name].dwell_until for name in "abc"], [None, None, 19.0])
        self.assertEqual(
            [(found[name].within, found[name].member) for name in "abc"], [(True, True), (True, True), (True, False)]
        )
        self.assertEqual([found[name].share for name in "abc"], [300.0, 300.0, 300.0])
        ranks = {name: found[name].hash_rank for name in "ab"}
        self.assertEqual(found["c"].hash_rank, None)
        drew = sorted((rank for rank in ranks.values() if rank is not None), key=lambda rank: rank[0])
        self.assertEqual([place for place, _ in drew], [0, 1])
        self.assertGreater(drew[0][1], drew[1][1])
        first = told.choice.candidates[0].name
        self.assertEqual(found[first].hash_rank, drew[0])

    def test_all_down(self) -> None:
        """Nobody is near the best, and nobody is spread, though the last good ones are known."""
        chooser = Chooser(delivery())
        chooser.refresh((), [pop("a")], 0)
        chooser.refresh((), [pop("a", up=False)], 1)
        told = chooser.explain_static(NAME, b"", 4)
        reason = told.reasons[0]
        self.assertEqual((told.choice.why, reason.place, reason.within, reason.member), (Why.ALL, 0, False, False))

    def test_it_changes_nothing(self) -> None:
        chooser = Chooser(delivery())
        figures = [pop("a", latency=0.1), pop("b", latency=0.1)]
        chooser.refresh((), figures, 0)
        before = static(chooser, b"x")
        self.assertEqual(chooser.explain_static(NAME, b"x", 4), chooser.explain_static(NAME, b"x", 4))
        self.assertFalse(chooser.refresh((), figures, 0))
        self.assertEqual(static(chooser, b"x"), before)


class PageTests(SynchronousTestCase):
    def test_counted(self) -> None:
        """Connections per weight, in parts of the mean of those that are up."""
        chooser = Chooser(delivery(origins=OriginBy.BOTH))
        chooser.refresh([origin("a", connections=9, weight=2, latency=0.1), origin("b", connections=14)], (), 0)
        told = chooser.explain_pages(4, Random(1))
        self.assertEqual(
            [terms(reason) for reason in told.reasons],
            [
                {"connections": (9.0, False, 10.0, 0.5, 0.5), "latency": (0.1, False, 0.05, 2.0, 2.0)},
                {"connections": (14.0, False, 10.0, 1.5, 1.5), "latency": (0.1, True, 0.05, 2.0, 2.0)},
            ],
        )
        self.assertEqual([reason.cost for reason in told.reasons], [2.5, 3.5])
        self.assertEqual([reason.share for reason in told.reasons], [2.0, 1.0])
        self.assertEqual([(reason.within, reason.member) for reason in told.reasons], [(True, True), (False, False)])

    def test_reported(self) -> None:
        chooser = Chooser(delivery(origins=OriginBy.LOAD))
        chooser.refresh([origin("a", load=Load(cpu=0.75), weight=2, latency=0.1)], (), 0)
        told = chooser.explain_pages(4, Random(1))
        self.assertEqual(
            terms(told.reasons[0]),
            {"used": (0.75, False, None, 1.5, 1.5), "latency": (0.1, False, 0.05, 2.0, 0.0)},
        )
