"""What is said of subjects, and that it is said once; hours of it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from appliance.health import SubjectDown, SubjectEvent, SubjectFlapping, SubjectForced, SubjectUp
from appliance.model import Forced
from tests.health.making import Driver, check


class EventTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver()
        self.driver.configure(a=[check(), check(2)])

    def said(self) -> list[SubjectEvent]:
        self.driver.collect()
        events, self.driver.events = self.driver.events, []
        return events

    def test_coming_up_at_first_is_nothing(self) -> None:
        self.driver.run(100.0)
        self.assertEqual(self.said(), [])

    def test_down_and_up_are_said_once(self) -> None:
        self.driver.run(20.0, "a")
        self.driver.broken = {1, 2}
        self.driver.run(60.0, "a")
        self.driver.broken = set()
        self.driver.run(60.0, "a")
        down, up = self.said()
        assert isinstance(down, SubjectDown) and isinstance(up, SubjectUp)
        assert down.check is not None
        self.assertEqual((down.subject, down.reason), ("a", f"{down.check}: connect refused"))
        self.assertEqual(up.after, up.at - down.at)
        self.assertGreater(up.after, 60.0 - 5.0 - 2.0)
        self.assertEqual((up.reason, up.forced), (f"{up.check}: application ok", None))

    def test_forced(self) -> None:
        board, now = self.driver.board, self.driver.now
        for forced in (Forced.DOWN, Forced.DOWN, None, None):
            board.force("a", forced, now)
        self.assertEqual(
            self.said(),
            [
                SubjectForced(at=now, subject="a", forced=Forced.DOWN, up=False),
                SubjectForced(at=now, subject="a", forced=None, up=True),
            ],
        )
        board.force("a", Forced.UP, now)
        self.driver.broken = {1}
        self.driver.run(10.0)
        self.assertEqual([getattr(event, "forced", None) for event in self.said()], [Forced.UP, Forced.UP])

    def test_configuration_brings_it_back(self) -> None:
        self.driver.broken = {1}
        self.driver.run(10.0)
        self.said()
        self.driver.configure(a=[check(2)])
        (up,) = self.said()
        assert isinstance(up, SubjectUp)
        self.assertIsNone(up.check)
        self.assertEqual(self.driver.board.health("a", self.driver.now).flaps, 0.0)

    def test_flaps(self) -> None:
        """Of the check and the subject; the first round is none."""
        self.driver.broken = {1}
        self.driver.configure(a=[check()])
        self.driver.run(10.0, "a")
        self.assertEqual(self.driver.board.health("a", self.driver.now).flaps, 0.0)
        self.driver.broken = set()
        self.driver.run(10.0, "a")
        for flaps in (
            self.driver.board.health("a", self.driver.now).flaps,
            self.driver.board.checks("a", self.driver.now)[0].flaps,
        ):
            self.assertAlmostEqual(flaps, 1.0, 1)

    def test_flapping_is_said_once_until_it_rests(self) -> None:
        self.driver.run(10.0, "a")
        for _ in range(10):
            self.swing()
        kinds = [type(event) for event in self.said()]
        self.assertEqual(kinds.count(SubjectFlapping), 1)
        self.assertGreaterEqual(self.driver.board.health("a", self.driver.now).flaps, 5.0)
        self.driver.run(3600.0, "a")
        self.assertLess(self.driver.board.health("a", self.driver.now).flaps, 0.1)
        for _ in range(10):
            self.swing()
        self.assertEqual([type(event) for event in self.said()].count(SubjectFlapping), 1)

    def swing(self) -> None:
        self.driver.broken = {1}
        self.driver.run(12.0, "a")
        self.driver.broken = set()
        self.driver.run(12.0, "a")


class HoursTests(SynchronousTestCase):
    def test_hours_of_flapping(self) -> None:
        """Six hours of three targets that come and go: what is said follows what was so, and the table stays small."""
        chance = Random(6)
        self.driver = Driver(rng=Random(7))
        names = ["a", "b", "c"]
        self.driver.configure(a=[check()], b=[check(2), check(3)], c=[check(3)])
        self.driver.run(10.0, *names)
        up = dict.fromkeys(names, True)
        # Down: the rest of an interval, two more at a second; up: the rest of an interval, one more.  With all jitter.
        settled = 5.0 * 1.1 + 2 * 1.1
        changed_at = self.driver.now
        for _ in range(700):
            self.driver.broken = {number for number in (1, 2, 3) if chance.random() < 0.3}
            stays = chance.choice([0.5, 2.0, 8.0, 20.0, 100.0])
            self.driver.run(stays, *chance.sample(names, chance.randint(1, 3)))
            for event in self.driver.events:
                if not isinstance(event, SubjectFlapping):
                    self.assertIs(up[event.subject], isinstance(event, SubjectDown), event)
                    up[event.subject] = isinstance(event, SubjectUp)
            self.driver.events.clear()
            for name, numbers in (("a", {1}), ("b", {2, 3}), ("c", {3})):
                self.assertIs(self.driver.board.is_up(name), up[name])
                if stays > settled:
                    self.assertIs(up[name], not numbers & self.driver.broken)
        self.assertGreater(self.driver.now - changed_at, 4 * 3600.0)
        self.assertLess(len(self.driver.board._schedule), 20)
        self.assertEqual(len(self.driver.board._queue), 0)
