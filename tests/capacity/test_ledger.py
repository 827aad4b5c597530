"""The law of admission, number by number."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import Ledger, Verdict
from appliance.capacity.places import RANKS

TTL = 20.0


def ledger(capacity: float = 100.0, **more: object) -> Ledger:
    """Of a target that says nothing, unless the test does; its limit is 90."""
    return Ledger("pop", capacity=capacity, ttl=TTL, **{"needs_reports": False, **more})  # type: ignore[arg-type]


def ranked(book: Ledger, count: int) -> list[int]:
    """Resolvers of different ranks, the first one first."""
    by_rank = {book._places._rank(resolver): resolver for resolver in range(20 * RANKS)}
    return [by_rank[rank] for rank in sorted(by_rank)][:: len(by_rank) // count][:count]


class AdmissionTests(SynchronousTestCase):
    def test_until_the_limit(self) -> None:
        """Nine of ten, to the last unit."""
        book = ledger()
        self.assertTrue(book.admit(1, 60.0, 0.0, TTL))
        self.assertIs(book.judge(2, 30.1, 0.0), Verdict.FULL)
        self.assertTrue(book.admit(2, 30.0, 0.0, TTL))
        self.assertIs(book.judge(3, 0.001, 0.0), Verdict.FULL)
        self.assertEqual(book.promised(0.0), 90.0)

    def test_over_with_the_answer(self) -> None:
        """A weight counts until its TTL is over; a place is held a while longer, and then is a stranger's."""
        book = ledger()
        book.admit(1, 90.0, 0.0, TTL)
        self.assertTrue(book.is_there(1, 19.9))
        self.assertEqual(book.promised(19.9), 90.0)
        self.assertEqual(book.next_deadline(), TTL)
        self.assertEqual(book.promised(20.0), 0.0)
        self.assertFalse(book.is_there(1, 20.0))
        self.assertEqual(book.standing(20.0).held, 90.0)
        self.assertIs(book.judge(2, 1.0, 29.9), Verdict.FULL)
        self.assertIs(book.judge(1, 90.0, 29.9), Verdict.RENEWED)
        self.assertIs(book.judge(2, 90.0, 30.0), Verdict.ADMITTED)
        self.assertEqual(len(book), 0)
        self.assertIsNone(book.next_deadline())

    def test_held_ends_with_the_new_answer(self) -> None:
        """Who came back has one place, and a shorter answer ends when it says."""
        book = ledger()
        book.admit(1, 50.0, 0.0, TTL)
        self.assertTrue(book.admit(1, 40.0, 21.0, 5.0))
        self.assertEqual((book.promised(21.0), book.standing(21.0).held, len(book)), (40.0, 0.0, 1))
        self.assertEqual(book.promised(25.9), 40.0)
        self.assertEqual(book.promised(26.0), 0.0)

    def test_end_is_never_brought_forward(self) -> None:
        """The first copy lives on when a second one lives shorter."""
        book = ledger()
        book.admit(1, 50.0, 0.0, TTL)
        book.admit(1, 50.0, 1.0, 5.0)
        self.assertTrue(book.is_there(1, 19.0))

    def test_others(self) -> None:
        """What other observers promised to the same target is not promised again."""
        book = ledger()
        book.others = 70.0
        self.assertTrue(book.admit(1, 20.0, 0.0, TTL))
        self.assertIs(book.judge(2, 1.0, 0.0), Verdict.FULL)
        book.others = 60.0
        self.assertIs(book.judge(2, 10.0, 0.0), Verdict.ADMITTED)

    def test_measured_load_counts(self) -> None:
        """Load that nobody promised leaves less room, although the promises would fit."""
        book = ledger()
        book.measured(80.0, 0.0)
        self.assertIs(book.judge(1, 10.5, 0.0), Verdict.LOADED)
        self.assertTrue(book.admit(1, 10.0, 0.0, TTL))
        self.assertIs(book.judge(1, 20.5, 0.0), Verdict.SHED)
        self.assertIs(book.judge(1, 20.0, 0.0), Verdict.RENEWED)

    def test_nothing_configured(self) -> None:
        book = ledger(capacity=0.0)
        self.assertIs(book.judge(1, 0.0, 0.0), Verdict.NO_CAPACITY)
        self.assertFalse(book.admit(1, 1.0, 0.0, TTL))

    def test_bounded(self) -> None:
        """No more places than that; those who have one are renewed."""
        book = ledger(most=2)
        self.assertEqual([book.admit(resolver, 1.0, 0.0, TTL) for resolver in (1, 2, 3)], [True, True, False])
        self.assertTrue(book.admit(1, 1.0, 1.0, TTL))

    def test_many_ends_at_once(self) -> None:
        """A question sees to 256; what is left counts as if it lived, and the next ones see to it."""
        book = ledger(capacity=1e6)
        for resolver in range(600):
            book.admit(resolver, 1.0, 0.0, TTL)
        self.assertEqual(book.promised(TTL), 344.0)
        self.assertEqual(book.promised(TTL), 88.0)
        self.assertEqual(book.promised(TTL), 0.0)

    def test_short_life_for_the_heavy(self) -> None:
        """Above a quarter of the capacity, in proportion, never below 5 s."""
        book = ledger()
        said = [book.ttl_for(weight, TTL, 0.0) for weight in (1.0, 25.0, 50.0, 1000.0)]
        self.assertEqual(said, [20.0, 20.0, 10.0, 5.0])
        self.assertEqual(book.ttl_for(1000.0, 3.0, 0.0), 3.0)

    def test_judging_changes_nothing(self) -> None:
        book = ledger()
        book.admit(1, 80.0, 0.0, TTL)
        book.capacity = 10.0
        before = book.standing(1.0)
        for resolver in (1, 2):
            self.assertIn(book.judge(resolver, 50.0, 1.0), (Verdict.SHED, Verdict.FULL))
        self.assertEqual(book.standing(1.0), before)

    def test_standing(self) -> None:
        """Every number, for people."""
        book = ledger(needs_reports=True)
        book.measured(30.0, 1.0)
        book.admit(1, 20.0, 2.0, TTL)
        standing = book.standing(3.0)
        self.assertEqual((standing.capacity, standing.limit, standing.load, standing.age), (100.0, 90.0, 30.0, 2.0))
        self.assertEqual((standing.promised, standing.others, standing.kappa, standing.resolvers), (20.0, 0.0, 1.0, 1))


class SheddingTests(SynchronousTestCase):
    def filled(self) -> tuple[Ledger, list[int]]:
        """Nine resolvers with ten each."""
        book = ledger()
        resolvers = ranked(book, 9)
        for resolver in resolvers:
            self.assertTrue(book.admit(resolver, 10.0, 0.0, TTL))
        return book, resolvers

    def test_by_rank(self) -> None:
        """When half of the capacity goes, those who rank first stay, whoever asks first."""
        for first in (1, -1):
            book, resolvers = self.filled()
            book.capacity = 50.0
            kept = [resolver for resolver in resolvers[::first] if book.admit(resolver, 10.0, 19.0, TTL)]
            self.assertEqual(sorted(kept, key=resolvers.index), resolvers[:4])
            self.assertEqual(book.promised(19.0), 90.0)
            self.assertEqual(book.promised(20.0), 40.0)

    def test_whoever_goes_is_a_stranger(self) -> None:
        """Its place is not held; it comes back when there is room for strangers."""
        book, resolvers = self.filled()
        book.capacity = 50.0
        book.promised(TTL)
        verdicts = [book.judge(resolver, 10.0, 21.0) for resolver in resolvers]
        self.assertEqual(verdicts, [Verdict.KEPT] * 4 + [Verdict.SHED] * 5)
        for resolver in reversed(resolvers):
            book.admit(resolver, 10.0, 21.0, TTL)
        self.assertEqual((book.promised(21.0), book.standing(21.0).held, len(book)), (40.0, 0.0, 4))
        book.capacity = 60.0
        self.assertIs(book.judge(resolvers[-1], 10.0, 22.0), Verdict.ADMITTED)

    def test_live_promises_come_first(self) -> None:
        """Who ranks first is refused, too, while the others' answers live and it would be beyond the limit."""
        book = ledger()
        first, second = ranked(book, 2)
        book.admit(first, 45.0, 0.0, 5.0)
        book.admit(second, 45.0, 1.0, TTL)
        book.promised(5.0)
        self.assertIs(book.judge(first, 45.0, 6.0), Verdict.RENEWED)
        self.assertIs(book.judge(first, 46.0, 6.0), Verdict.SHED)

    def test_measured(self) -> None:
        """Twice as much comes as was promised: half of them go, and it is the half that ranks last."""
        book, resolvers = self.filled()
        book.measured(180.0, 1.0)
        kept = [resolver for resolver in reversed(resolvers) if book.admit(resolver, 10.0, 2.0, TTL)]
        self.assertEqual(sorted(kept, key=resolvers.index), resolvers[:4])

    def test_others_share(self) -> None:
        """Two observers with the same promises each keep half of what is left."""
        book, resolvers = self.filled()
        book.others = 90.0
        self.assertEqual([r for r in resolvers if book.admit(r, 10.0, 1.0, TTL)], resolvers[:4])

    def test_ranks_are_secret(self) -> None:
        """Another key or target, another order."""
        orders = [
            [Ledger(target, capacity=1.0, ttl=TTL, key=key)._places._rank(number) for number in range(50)]
            for target, key in (("pop", b""), ("pop", b"secret"), ("other", b""))
        ]
        self.assertEqual(len({tuple(order) for order in orders}), 3)


class ReportTests(SynchronousTestCase):
    def test_no_report_no_capacity(self) -> None:
        book = ledger(needs_reports=True)
        self.assertIs(book.judge(1, 1.0, 0.0), Verdict.NO_CAPACITY)
        book.measured(0.0, 0.0)
        self.assertIs(book.judge(1, 1.0, 0.0), Verdict.ADMITTED)

    def test_stale(self) -> None:
        """In full for three periods, then halved every TTL; nothing after three minutes."""
        book = ledger(needs_reports=True)
        book.measured(0.0, 0.0)
        said = [book.standing(now).capacity for now in (15.0, 35.0, 55.0, 180.0, 180.1)]
        self.assertEqual(said[:3], [100.0, 50.0, 25.0])
        self.assertGreater(said[3], 0.0)
        self.assertEqual(said[4], 0.0)

    def test_not_needed(self) -> None:
        """A target that falls silent counts with what was configured: its last load is not believed for ever."""
        book = ledger()
        book.measured(90.0, 0.0)
        self.assertIs(book.judge(1, 1.0, 15.0), Verdict.LOADED)
        self.assertIs(book.judge(1, 1.0, 15.1), Verdict.ADMITTED)
        self.assertEqual(book.standing(1000.0).capacity, 100.0)

    def test_overbooked(self) -> None:
        """It is no promise and no place, lives as its answers do, and a resolver has one; reports do not end it."""
        book = ledger()
        book.overbook(1, 50.0, 0.0, TTL)
        book.overbook(1, 40.0, 1.0, TTL)
        book.overbook(2, 20.0, 5.0, TTL)
        book.measured(30.0, 6.0)
        self.assertEqual((book.standing(6.0).overbooked, book.promised(6.0), len(book)), (60.0, 0.0, 0))
        self.assertEqual([book.is_overbooked(resolver, 6.0) for resolver in (1, 2, 3)], [True, True, False])
        self.assertEqual(book.overbooked(21.0), 20.0)
        self.assertTrue(book.is_overbooked(1, 30.9), "it is about to ask again")
        self.assertFalse(book.is_overbooked(1, 31.0))
        self.assertEqual(book.overbooked(25.0), 0.0)

    def test_another_unit(self) -> None:
        """Loads, and what others promised, are worth more or less than before; our own promises are what they were."""
        book, now = self.measured_ten_times()
        self.assertAlmostEqual(book.kappa(now), 0.55)
        book.others = 4.0
        book.rescale(0.5)
        said = book.standing(now)
        self.assertEqual((said.load, said.others, said.promised), (22.5, 2.0, 90.0))
        self.assertAlmostEqual(said.kappa, 0.275)

    def measured_ten_times(self) -> tuple[Ledger, float]:
        book = ledger()
        for report in range(10):
            book.admit(1, 90.0, report * 5.0, TTL)
            book.measured(45.0, report * 5.0)
        return book, 45.0


class KappaTests(SynchronousTestCase):
    def measured(self, loads: list[float], period: float = 5.0) -> tuple[Ledger, float]:
        """One resolver with 90 in all, and what comes of it; 1 before eight reports."""
        book = ledger(period=period)
        book.admit(1, 90.0, 0.0, 1e6)
        now = 0.0
        for number, load in enumerate(loads):
            now += period
            book.measured(load, now)
            self.assertTrue(number >= 7 or book.kappa(now) == 1.0)
        return book, now

    def test_highest_of_a_minute(self) -> None:
        """And a tenth more."""
        book, now = self.measured([45.0] * 4 + [54.0] + [36.0] * 4)
        self.assertAlmostEqual(book.kappa(now), 1.1 * 54.0 / 90.0)
        for _ in range(12):
            now += 5.0
            book.measured(36.0, now)
        self.assertAlmostEqual(book.kappa(now), 1.1 * 36.0 / 90.0)

    def test_makes_room(self) -> None:
        book, now = self.measured([36.0] * 8)
        self.assertTrue(book.admit(2, 90.0, now, TTL))

    def test_bounds(self) -> None:
        for load, kappa in ((1.0, 0.25), (85.0, 1.0), (1000.0, 1.0)):
            book, now = self.measured([load] * 8)
            self.assertEqual(book.kappa(now), kappa)

    def test_forgotten(self) -> None:
        """Without reports for as long as a window it is 1 again."""
        book, now = self.measured([45.0] * 8)
        self.assertLess(book.kappa(now + 60.0), 1.0)
        self.assertEqual(book.kappa(now + 60.1), 1.0)

    def test_slow_reports(self) -> None:
        """The window has twelve of them at least, or kappa would stay at 1."""
        book, now = self.measured([45.0] * 12, period=10.0)
        self.assertAlmostEqual(book.kappa(now), 0.55)

    def test_many_reports(self) -> None:
        """More than two a period are one sample."""
        book = ledger()
        book.admit(1, 90.0, 0.0, 1e6)
        for number in range(1000):
            book.measured(45.0, number / 100)
        self.assertLessEqual(len(book._ratio._samples), 5)
        self.assertEqual(book.kappa(10.0), 1.0)

    def test_little_promised(self) -> None:
        """The load beside next to no promises says nothing of promises."""
        book = ledger()
        book.admit(1, 4.0, 0.0, 1e6)
        for number in range(20):
            book.measured(1.0, number * 5.0)
        self.assertEqual(book.kappa(95.0), 1.0)
