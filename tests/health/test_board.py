"""When checks are done, and that they are done once, in order, and not too many at a time."""

from __future__ import annotations

import itertools

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Board, Condition
from appliance.health.watch import IDLE_AFTER
from appliance.model import Load
from tests.health.making import Driver, Even, check, failed, passed


class ScheduleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver()

    def gaps(self, number: int = 1) -> list[float]:
        begun = self.driver.begun[number]
        return [round(after - before, 6) for before, after in itertools.pairwise(begun)]

    def test_interval_while_wanted(self) -> None:
        self.driver.configure(a=[check()])
        self.driver.run(60.0, "a")
        self.assertEqual(set(self.gaps()[1:]), {5.0})

    def test_jitter(self) -> None:
        """A tenth, to either side; chance says where."""
        for chance, gap in ((0.0, 4.5), (0.25, 4.75), (1.0, 5.5)):
            self.driver = Driver()
            self.driver.configure(a=[check()])
            self.driver.run(20.0, "a")
            self.driver.rng = type("Fixed", (), {"random": lambda self, chance=chance: chance})()
            self.driver.run(60.0, "a")
            self.assertIn(gap, self.gaps()[-3:])

    def test_idle_without_demand(self) -> None:
        self.driver.configure(a=[check()])
        self.driver.run(600.0)
        self.assertEqual(set(self.gaps()), {60.0})

    def test_idle_after_the_last_demand(self) -> None:
        self.driver.configure(a=[check()])
        self.driver.run(20.0, "a")
        self.driver.run(IDLE_AFTER + 300.0)
        gaps = self.gaps()
        self.assertEqual(gaps[-2:], [60.0, 60.0])
        # The last demand was at most two seconds before its end.
        awake = sum(gap for gap in gaps if gap < 60.0)
        self.assertTrue(IDLE_AFTER + 10.0 < awake < IDLE_AFTER + 30.0, awake)

    def test_demand_brings_forward(self) -> None:
        """At once, once, and the interval after it is drawn from all of it, for many are brought forward together."""
        self.driver.configure(a=[check()])
        self.driver.run(100.0)
        self.assertGreater(self.driver.board.next_deadline() or 0.0, self.driver.now + 10.0)
        self.driver.board.wanted("a", self.driver.now)
        self.assertEqual(self.driver.board.next_deadline(), self.driver.now)
        self.driver.run(0.0)
        self.assertEqual(self.driver.board.next_deadline(), self.driver.now + 0.5 * 5.0)
        self.driver.board.wanted("a", self.driver.now + 1.5)
        self.assertEqual(self.driver.board.next_deadline(), self.driver.now + 0.5 * 5.0)

    def test_demand_before_the_first(self) -> None:
        """What was never looked at is, when somebody asks for it."""
        self.driver.configure(a=[check()], b=[check(2)])
        self.driver.board.wanted("b", self.driver.now)
        self.assertEqual(self.driver.board.due(self.driver.now, Even()), [check(2)])

    def test_demand_after_a_configuration(self) -> None:
        """Is told at once, for there may be new checks."""
        self.driver.configure(a=[])
        self.driver.board.wanted("a", self.driver.now)
        self.driver.configure(a=[check()])
        self.driver.board.wanted("a", self.driver.now)
        self.assertEqual(self.driver.board.next_deadline(), self.driver.now)

    def test_demand_while_it_is_under_way(self) -> None:
        """Does not begin it beside itself, new or idle."""
        for seconds in (10.0, 100.0):
            self.driver.configure(a=[])
            self.driver.configure(a=[check()])
            if seconds > 60.0:
                self.driver.run(10.0)
            self.driver.now += seconds
            self.assertEqual(self.driver.board.due(self.driver.now, Even()), [check()])
            self.driver.board.wanted("a", self.driver.now)
            self.assertEqual(self.driver.board.due(self.driver.now, Even()), [])

    def test_demand_of_nobody(self) -> None:
        self.driver.board.wanted("nobody", self.driver.now)
        self.assertIsNone(self.driver.board.next_deadline())

    def test_one_user_that_is_wanted_is_enough(self) -> None:
        self.driver.configure(a=[check()], b=[check()])
        self.driver.run(900.0, "b")
        self.assertEqual(set(self.gaps()[1:]), {5.0})

    def test_new_check_of_a_wanted_subject_is_awake(self) -> None:
        self.driver.configure(a=[check()])
        self.driver.run(10.0, "a")
        self.driver.configure(a=[check(), check(2)])
        self.driver.run(20.0)
        self.assertEqual(set(self.gaps(2)), {5.0})

    def test_fast_in_doubt(self) -> None:
        """A second, until enough of either; idle or not."""
        for wanted in ((), ("a",)):
            self.driver = Driver()
            self.driver.configure(a=[check(rise=4)])
            self.driver.run(130.0, *wanted)
            self.driver.broken = {1}
            self.driver.run(130.0, *wanted)
            slow = 5.0 if wanted else 60.0
            gaps = self.gaps()
            first = gaps.index(1.0)
            self.assertEqual(gaps[first : first + 3], [1.0, 1.0, slow])
            self.driver.broken = set()
            self.driver.run(130.0, *wanted)
            self.assertEqual(self.gaps().count(1.0), 2 + 3)

    def test_phases_are_spread(self) -> None:
        """However many: no twentieth of the interval has more than its share and a few."""
        self.driver.configure(a=[check(number) for number in range(1000)])
        counts = [0] * 20
        for part in range(20):
            counts[part] = len(self.driver.board.due(self.driver.now + (part + 1) * 0.25, Even()))
            for each in list(self.driver.board._watches):
                self.driver.board.heard(each, passed(), self.driver.now + (part + 1) * 0.25)
        self.assertEqual(sum(counts), 1000)
        self.assertLessEqual(max(counts), 53)

    def test_slow_answer(self) -> None:
        """Intervals lie between beginnings; one that took longer is done again at once, never beside itself."""
        board, now = Board(), 100.0
        board.configure({"a": [check()]}, 90.0)
        board.wanted("a", now)
        self.assertEqual(board.due(now, Even()), [check()])
        self.assertEqual(board.due(now + 50.0, Even()), [])
        self.assertIsNone(board.next_deadline())
        board.heard(check(), passed(), now + 50.0)
        self.assertEqual(board.next_deadline(), now + 50.0)
        self.assertEqual(board.due(now + 50.0, Even()), [check()])
        board.heard(check(), passed(), now + 50.5)
        self.assertEqual(board.next_deadline(), now + 55.0)


class PlacesTests(SynchronousTestCase):
    """At most so many at once."""

    def setUp(self) -> None:
        self.board = Board(most=2)
        self.checks = [check(number) for number in range(5)]
        self.board.configure({"a": self.checks}, 0.0)

    def test_the_rest_waits_in_order(self) -> None:
        order: list[object] = []
        while len(order) < 5:
            due = self.board.due(10.0, Even())
            self.assertLessEqual(self.board.under_way, 2)
            self.assertIsNone(self.board.next_deadline() if len(order) + len(due) < 5 else None)
            order += due
            self.board.heard(due[0], passed(), 10.0)
        planned = [number * 0.6180339887 % 1.0 for number in range(1, 6)]
        self.assertEqual(order, [each for _, each in sorted(zip(planned, self.checks, strict=True))])

    def test_a_place_becomes_free(self) -> None:
        first, _ = self.board.due(10.0, Even())
        self.assertEqual(self.board.due(10.0, Even()), [])
        self.board.heard(first, failed(), 11.0)
        deadline = self.board.next_deadline()
        assert deadline is not None and deadline <= 10.0
        self.assertEqual(len(self.board.due(11.0, Even())), 1)

    def test_those_who_left_free_their_places(self) -> None:
        under_way = self.board.due(10.0, Even())
        stay = [each for each in self.checks if each not in under_way][:2]
        self.assertEqual(set(self.board.configure({"a": stay}, 10.0)), set(under_way))
        self.assertEqual(self.board.under_way, 0)
        self.assertEqual(set(self.board.due(10.0, Even())), set(stay))

    def test_waiting_ones_may_leave(self) -> None:
        under_way = self.board.due(10.0, Even())
        self.assertEqual(self.board.configure({"a": under_way}, 10.0), [])
        for each in under_way:
            self.board.heard(each, passed(), 10.0)
        self.assertGreater(self.board.next_deadline() or 0.0, 10.0)
        self.assertEqual(self.board.due(10.0, Even()), [])

    def test_result_of_one_that_left(self) -> None:
        gone, other = self.board.due(10.0, Even())
        self.board.configure({"a": [other]}, 10.0)
        self.board.heard(gone, failed(), 10.0)
        self.assertEqual(self.board.under_way, 1)
        self.assertEqual(self.board.happened(), [])

    def test_result_that_nobody_waits_for(self) -> None:
        self.board.heard(self.checks[0], failed(), 0.0)
        self.assertEqual(self.board.under_way, 0)
        self.assertTrue(self.board.is_up("a"))


class ConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver()
        self.board = self.driver.board

    def test_shared_check_is_done_once(self) -> None:
        self.driver.configure(a=[check(), check(2)], b=[check(), check()])
        self.driver.broken = {1}
        self.driver.run(5.0)
        self.assertEqual({number: len(begun) for number, begun in self.driver.begun.items()}, {1: 1, 2: 1})
        self.assertEqual((self.board.is_up("a"), self.board.is_up("b")), (False, False))

    def test_ends_with_its_last_subject(self) -> None:
        self.driver.configure(a=[check()], b=[check()])
        self.driver.run(10.0)
        self.driver.configure(b=[check()])
        self.assertIsNotNone(self.board.next_deadline())
        self.driver.configure(b=[])
        self.assertIsNone(self.board.next_deadline())
        self.assertEqual(self.board.checks("b", self.driver.now), [])

    def test_known_things_stay(self) -> None:
        self.driver.broken = {1}
        self.driver.configure(a=[check()], b=[check(2)])
        self.driver.run(10.0)
        self.driver.collect()
        before = self.board.checks("a", self.driver.now), self.board.next_deadline()
        self.driver.configure(b=[check(2)], c=[check()], a=[check()])
        self.assertEqual((self.board.checks("a", self.driver.now), self.board.next_deadline()), before)
        self.assertEqual((self.board.is_up("a"), self.board.is_up("c")), (False, False))
        self.assertEqual(
            [(type(event).__name__, event.subject) for event in self.driver.collect()], [("SubjectDown", "c")]
        )

    def test_successor(self) -> None:
        """A reload that changes how a target is looked at does not bring it back; it is looked at at once."""
        self.driver.broken = {1}
        self.driver.configure(a=[check()])
        self.driver.run(10.0)
        self.driver.collect()
        self.driver.configure(a=[check(interval=7.0)])
        self.assertFalse(self.board.is_up("a"))
        self.assertEqual(self.driver.collect(), [])
        self.assertEqual(self.board.due(self.driver.now, Even()), [check(interval=7.0)])
        row = self.board.checks("a", self.driver.now)[0]
        self.assertEqual((row.check, row.condition), (check(interval=7.0), Condition.DOWN))

    def test_successor_of_one_under_way(self) -> None:
        self.driver.configure(a=[check()])
        self.board.wanted("a", self.driver.now)
        self.board.due(self.driver.now, Even())
        self.assertEqual(self.driver.configure(a=[check(fall=9)]), [check()])
        self.assertEqual(self.board.checks("a", self.driver.now)[0].next_at, self.driver.now)
        self.board.heard(check(fall=9), failed(), self.driver.now)
        self.assertTrue(self.board.is_up("a"))
        self.assertEqual(self.board.due(self.driver.now, Even()), [check(fall=9)])
        self.board.heard(check(), failed(), self.driver.now)
        self.assertEqual(self.board.under_way, 1)

    def test_successor_of_one_that_waits(self) -> None:
        """It is not begun twice, for its old place in the queue and its new one."""
        board = Board(most=2)
        board.configure({"a": [check(), check(2), check(3)]}, 0.0)
        self.assertEqual(len(under_way := board.due(10.0, Even())), 2)
        waiting = next(each for each in (check(), check(2), check(3)) if each not in under_way)
        other = attrs.evolve(waiting, probe=attrs.evolve(waiting.probe, fall=9))
        board.configure({"a": [other]}, 10.0)
        self.assertEqual(board.due(10.0, Even()), [other])

    def test_no_successor(self) -> None:
        """Another name, address or port is another thing."""
        others = (check(2), check(name="other"), attrs.evolve(check(), port=81))
        for other in others:
            self.driver = Driver()
            self.driver.broken = {1, 2}
            self.driver.configure(a=[check()])
            self.driver.run(10.0)
            self.driver.configure(a=[other])
            self.assertTrue(self.driver.board.is_up("a"))

    def test_load_expires(self) -> None:
        """After three of the intervals, however often it is looked at by then."""
        busy = Load(cpu=0.5)
        self.driver.configure(a=[check(), check(2)])
        self.board.wanted("a", self.driver.now)
        due = self.board.due(self.driver.now, Even())
        self.board.heard(due[0], passed(load=busy), self.driver.now)
        self.board.heard(due[1], passed(), self.driver.now)
        self.assertEqual(self.board.health("a", self.driver.now + 15.0).load, busy)
        self.assertIsNone(self.board.health("a", self.driver.now + 15.1).load)
