"""The queue of deadlines against a plain search, and the reaper that sleeps by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.deadlines import Deadlines
from appliance.events import AddressFreed, LeaseReclaimed, LeaseReset
from appliance.reaper import CYCLE_LIMIT, Reaper
from tests import fakes
from tests.test_shared import Setting

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "postpone", "forget", "due"]), st.integers(0, 9), st.integers(0, 20)), max_size=60
)


class DeadlineTests(SynchronousTestCase):
    @given(STEPS)
    def test_against_a_plain_search(self, steps: list[tuple[str, int, int]]) -> None:
        """Whatever was added comes up once, when its deadline by then has come, and never before ``next()``."""
        deadlines: dict[int, float] = {}
        queue: Deadlines[int] = Deadlines(deadlines.get)
        now = 0.0
        for what, item, seconds in steps:
            if what == "add" and item not in deadlines:
                deadlines[item] = now + seconds
                queue.add(deadlines[item], item)
            elif what == "postpone" and item in deadlines:
                deadlines[item] += seconds
            elif what == "forget":
                deadlines.pop(item, None)
            elif what == "due":
                now += seconds
                expected = {each for each, at in deadlines.items() if at <= now}
                first = queue.next()
                self.assertTrue(not expected or (first is not None and first <= now))
                self.assertEqual(set(queue.due(now, limit=100)), expected)
                for each in expected:
                    del deadlines[each]


class ReaperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Setting([fakes.pool(300)], *(f"s{number}.example.test" for number in range(300)))
        self.reaper = Reaper(self.setting.clock, self.setting.state)
        self.reaper.startService()

    def test_it_sleeps_until_something_is_due(self) -> None:
        """1.6: the lease ends by itself, cools and is free, and nothing is called in between."""
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])
        self.setting.ask("s1.example.test")
        self.setting.clock.advance(10.9)
        self.assertEqual(self.setting.heard_of(LeaseReclaimed), [])
        self.setting.clock.advance(0.1)
        self.assertEqual(len(self.setting.heard_of(LeaseReclaimed)), 1)
        self.setting.clock.advance(20)
        self.assertEqual(len(self.setting.heard_of(AddressFreed)), 1)
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    def test_a_renewed_lease_is_left_alone(self) -> None:
        """It ends by its last promise, not by its first."""
        self.setting.ask("s1.example.test")
        self.setting.clock.advance(9)
        self.setting.ask("s1.example.test")
        self.setting.clock.advance(9)
        self.assertEqual(self.setting.heard_of(LeaseReclaimed), [])
        self.setting.clock.advance(2)
        self.assertEqual(len(self.setting.heard_of(LeaseReclaimed)), 1)

    def test_a_used_lease_is_reset(self) -> None:
        """As often as it takes."""
        self.setting.ask("s1.example.test")
        self.setting.state.connection_opened(fakes.addresses(1)[0], "s1.example.test")
        for _ in range(60):
            self.setting.clock.advance(1)
        self.assertGreater(len(self.setting.heard_of(LeaseReset)), 2)
        self.assertEqual(self.setting.heard_of(LeaseReclaimed), [])

    def test_cycles_are_bounded(self) -> None:
        """Many leases that end in one moment are taken back in cycles, with the reactor's turn between them."""
        cycles: list[int] = []
        reclaim = self.setting.state.reclaim

        def counted(*, limit: int) -> None:
            before = len(self.setting.heard)
            reclaim(limit=limit)
            cycles.append(len(self.setting.heard) - before)

        self.setting.state.reclaim = counted  # type: ignore[method-assign]
        for number in range(300):
            self.setting.ask(f"s{number}.example.test")
        self.setting.clock.advance(11)
        self.assertEqual(cycles, [CYCLE_LIMIT] * 3)

    def test_a_nearer_deadline_wakes_it_earlier(self) -> None:
        """A lease in a pool with shorter periods is not kept waiting by one that ends later."""
        self.setting.ask("s1.example.test")
        self.setting.clock.advance(11)  # s1 cools for 20 s now
        self.setting.ask("s2.example.test")
        self.setting.clock.advance(11)
        self.assertEqual(len(self.setting.heard_of(LeaseReclaimed)), 2)

    def test_our_own_bug_does_not_stop_it(self) -> None:
        """It is logged, and the next cycle comes a second later."""
        self.setting.ask("s1.example.test")
        broken = self.setting.state.reclaim
        self.setting.state.reclaim = None  # type: ignore[assignment,method-assign]
        self.setting.clock.advance(11)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.setting.state.reclaim = broken  # type: ignore[method-assign]
        self.setting.clock.advance(1)
        self.assertEqual(len(self.setting.heard_of(LeaseReclaimed)), 1)

    def test_it_stops(self) -> None:
        """And leaves no timer."""
        self.setting.ask("s1.example.test")
        self.reaper.stopService()
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    def test_a_drained_lease_is_not_waited_for(self) -> None:
        """Its last connection ends without an event, and the reaper looks again all the same."""
        state = self.setting.state
        self.setting.ask("s1.example.test")
        [address] = fakes.addresses(1)
        state.connection_opened(address, "s1.example.test")
        state.by_hand.release(address, at_once=False)
        self.setting.clock.advance(30)
        self.assertEqual(self.setting.heard_of(LeaseReclaimed), [])
        state.connection_closed(address, "s1.example.test")
        self.setting.clock.advance(0.1)
        self.assertEqual(len(self.setting.heard_of(LeaseReclaimed)), 1)
