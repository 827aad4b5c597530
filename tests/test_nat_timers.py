"""The one delayed call behind all waiting of the NAT proxy, and its rate-limited log lines."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from appliance.nat.fabric import Complaint
from appliance.nat.timers import Timers


class Item:
    """Ends at ``at``, and notes when it was told."""

    def __init__(self, clock: Clock, at: float | None) -> None:
        self.clock = clock
        self.at = at
        self.told_at: list[float] = []

    def deadline(self) -> float | None:
        return self.at

    def expired(self) -> None:
        self.at = None
        self.told_at.append(self.clock.seconds())


class TimersTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)  # type: ignore[arg-type]

    def item(self, at: float) -> Item:
        item = Item(self.clock, at)
        self.timers.add(at, item)
        return item

    def test_in_order_and_behind_one_call(self) -> None:
        items = [self.item(at) for at in (5.0, 3.0, 4.0)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0] * 6)
        self.assertEqual([item.told_at for item in items], [[5.0], [3.0], [4.0]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_postponed(self) -> None:
        item = self.item(3.0)
        item.at = 10.0
        self.clock.pump([1.0] * 9)
        self.assertEqual(item.told_at, [])
        self.clock.advance(1.0)
        self.assertEqual(item.told_at, [10.0])

    def test_nearer(self) -> None:
        item = self.item(25.0)
        item.at = 2.0
        self.timers.add(2.0, item)
        self.clock.advance(2.0)
        self.clock.advance(40.0)
        self.assertEqual(item.told_at, [2.0])

    def test_far_off(self) -> None:
        item = self.item(7200.0)
        self.clock.pump([10.0] * 719)
        self.assertEqual(item.told_at, [])
        self.clock.advance(10.0)
        self.assertEqual(item.told_at, [7200.0])

    def test_gone_ones_do_not_stay(self) -> None:
        item = self.item(7200.0)
        self.clock.advance(31.0)
        item.at = None
        self.clock.advance(31.0)
        self.assertEqual((len(self.timers), self.clock.getDelayedCalls()), (0, []))

    def test_one_that_takes_itself_out(self) -> None:
        item, other = Item(self.clock, 3.0), self.item(3.0)
        bucket = self.timers.add(3.0, item)
        del bucket[item]
        self.assertEqual(len(self.timers), 1)
        self.clock.advance(3.0)
        self.assertEqual((item.told_at, other.told_at), ([], [3.0]))

    def test_never_before_and_soon_after(self) -> None:
        item = self.item(1.1)
        self.clock.pump([0.05] * 40)
        [told_at] = item.told_at
        self.assertTrue(1.1 <= told_at <= 1.1 + 0.25 + 0.05, told_at)

    def test_more_than_one_wake_up_handles(self) -> None:
        items = [self.item(1.0) for _ in range(1200)]
        self.clock.advance(1.0)
        self.clock.pump([0.0] * 3)
        self.assertTrue(all(item.told_at == [1.0] for item in items))

    def test_one_that_raises_stops_nothing(self) -> None:
        bad, good = self.item(1.0), self.item(1.0)
        bad.expired = lambda: 1 / 0  # type: ignore[assignment, method-assign]
        self.clock.advance(1.0)
        self.assertEqual(good.told_at, [1.0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        self.item(1.0)
        self.timers.stop()
        self.timers.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ComplaintTest(SynchronousTestCase):
    def test_once_a_minute(self) -> None:
        seen: list[LogEvent] = []
        observer = cast(ILogObserver, seen.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        clock = Clock()
        complaint = Complaint(clock.seconds, "nat-test", "Bad")
        for _ in range(3):
            complaint("first")
        clock.advance(60)
        complaint("second")
        mine = [(event["what"], event["kept_back"]) for event in seen if event.get("event") == "nat-test"]
        self.assertEqual(mine, [("first", 0), ("second", 2)])
