"""When a primary is asked, and how long what is held may be served."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.transfers.schedule import (
    EARLIEST,
    FIRST_RETRY,
    LEAST_INTERVAL,
    LONGEST_FIRST_RETRY,
    LONGEST_REFRESH,
    NOTIFY_INTERVAL,
    Schedule,
    Timers,
    ZoneState,
    is_newer,
)

TIMERS = Timers(100.0, 20.0, 500.0)
SERIALS = st.integers(0, 2**32 - 1)


class Latest:
    """Chance that always takes the whole interval."""

    def uniform(self, a: float, b: float) -> float:
        assert (a, b) == (EARLIEST, 1.0)
        return b


class Earliest(Latest):
    def uniform(self, a: float, b: float) -> float:
        return a


class SerialTests(SynchronousTestCase):
    def test_examples(self) -> None:
        """RFC 1982 s5.1, scaled, and the ends of the circle."""
        for serial, than, newer in (
            (1, 0, True),
            (0, 1, False),
            (7, 7, False),
            (0, 2**32 - 1, True),
            (2**31 - 1, 0, True),
            (2**31, 0, False),
            (0, 2**31, False),
            (2**31 + 1, 0, False),
        ):
            self.assertEqual(is_newer(serial, than), newer, (serial, than))

    @given(SERIALS, SERIALS)
    def test_at_most_one_is_newer(self, a: int, b: int) -> None:
        self.assertFalse(is_newer(a, b) and is_newer(b, a))

    @given(SERIALS, st.integers(1, 2**31 - 1))
    def test_what_is_added_is_newer(self, a: int, added: int) -> None:
        self.assertTrue(is_newer((a + added) % 2**32, a))
        self.assertFalse(is_newer(a, (a + added) % 2**32))


class ScheduleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.schedule = Schedule(1000.0, Latest())

    def refreshed(self, at: float) -> None:
        self.assertTrue(self.schedule.look(at))
        self.schedule.began(at)
        self.schedule.succeeded(TIMERS, at)

    def refused(self, at: float) -> None:
        self.assertTrue(self.schedule.look(at))
        self.schedule.began(at)
        self.schedule.failed(at)

    def test_at_once(self) -> None:
        """And nothing else while it is asked."""
        self.assertTrue(self.schedule.look(1000.0))
        self.schedule.began(1000.0)
        self.assertFalse(self.schedule.look(5000.0))
        self.assertIsNone(self.schedule.deadline())

    def test_refresh(self) -> None:
        self.refreshed(1000.0)
        self.assertEqual(self.schedule.state, ZoneState.CURRENT)
        self.assertFalse(self.schedule.look(1099.0))
        self.assertTrue(self.schedule.look(1100.0))

    def test_a_little_early_by_chance(self) -> None:
        """Never late."""
        self.schedule = Schedule(1000.0, Earliest())
        self.refreshed(1000.0)
        self.assertEqual(self.schedule.next_at, 1090.0)

    def test_retry_until_it_expires(self) -> None:
        self.refreshed(1000.0)
        self.refused(1100.0)
        self.assertEqual((self.schedule.state, self.schedule.next_at), (ZoneState.STALE, 1120.0))
        self.refused(1120.0)
        self.schedule.look(1499.9)
        self.assertEqual(self.schedule.state, ZoneState.STALE)
        self.refused(1500.0)
        self.assertEqual((self.schedule.state, self.schedule.next_at), (ZoneState.EXPIRED, 1520.0))
        self.refreshed(1520.0)
        self.assertEqual(self.schedule.state, ZoneState.CURRENT)

    def test_it_expires_while_it_is_asked(self) -> None:
        """A primary that keeps silent does not keep a zone alive."""
        self.refreshed(1000.0)
        self.assertTrue(self.schedule.look(1100.0))
        self.schedule.began(1100.0)
        self.assertEqual(self.schedule.deadline(), 1500.0)
        self.assertFalse(self.schedule.look(1500.0))
        self.assertEqual(self.schedule.state, ZoneState.EXPIRED)
        self.schedule.failed(1501.0)
        self.assertEqual(self.schedule.state, ZoneState.EXPIRED)

    def test_the_first_time(self) -> None:
        """More and more patiently, since no SOA says how often."""
        delays = []
        now = 1000.0
        for _ in range(9):
            self.refused(now)
            assert self.schedule.next_at is not None
            delays.append(self.schedule.next_at - now)
            now = self.schedule.next_at
        self.assertEqual(delays[:3], [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY])
        self.assertEqual(delays[-1], LONGEST_FIRST_RETRY)
        self.assertEqual(self.schedule.state, ZoneState.WAITING)

    def test_held_from_before(self) -> None:
        """Served at once, asked at once, and as old as it is."""
        self.schedule.held(TIMERS, 600.0, 1000.0)
        self.assertTrue(self.schedule.look(1000.0))
        self.assertEqual(self.schedule.state, ZoneState.CURRENT)
        self.schedule.look(1100.0)
        self.assertEqual(self.schedule.state, ZoneState.EXPIRED)

    def test_notified(self) -> None:
        """At once, then at most so often."""
        self.refreshed(1000.0)
        self.schedule.notified(1050.0)
        self.refreshed(1050.0)
        for _ in range(5):
            self.schedule.notified(1050.1)
        self.assertEqual(self.schedule.next_at, 1050.0 + NOTIFY_INTERVAL)

    def test_notified_while_it_is_asked(self) -> None:
        """Asked once more, for the answer may be from before."""
        self.schedule.began(1000.0)
        self.schedule.notified(1000.5)
        self.schedule.notified(1000.6)
        self.schedule.succeeded(TIMERS, 1003.0)
        self.assertEqual(self.schedule.next_at, 1003.0)
        self.schedule.began(1003.0)
        self.schedule.succeeded(TIMERS, 1003.1)
        self.assertEqual(self.schedule.next_at, 1103.1)

    def test_odd_timers(self) -> None:
        """Neither a flood nor for ever."""
        for wrong, refresh in ((Timers(0, 0, 0), LEAST_INTERVAL), (Timers(2.0**31, 1, 2.0**31), LONGEST_REFRESH)):
            schedule = Schedule(1000.0, Latest())
            schedule.began(1000.0)
            schedule.succeeded(wrong, 1000.0)
            self.assertEqual(schedule.next_at, 1000.0 + refresh)

    def test_abandoned(self) -> None:
        """Another primary is asked at once."""
        self.schedule.began(1000.0)
        self.schedule.notified(1000.0)
        self.schedule.abandoned(1000.2)
        self.assertTrue(self.schedule.look(1000.2))


class Machine(RuleBasedStateMachine):
    """A primary that answers or not, whenever; the model knows only what RFC 1034 promises."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule = Schedule(self.now, Earliest())
        self.asking = False
        self.confirmed_at: float | None = None
        self.failed = False

    @rule(seconds=st.sampled_from([0.01, 1.0, 19.0, 60.0, 100.0, 501.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    def look(self) -> None:
        due = self.schedule.look(self.now)
        assert not (due and self.asking)
        if due:
            self.schedule.began(self.now)
            self.asking = True

    @precondition(lambda self: self.asking)
    @rule()
    def succeed(self) -> None:
        self.schedule.succeeded(TIMERS, self.now)
        self.asking, self.failed, self.confirmed_at = False, False, self.now

    @precondition(lambda self: self.asking)
    @rule()
    def fail(self) -> None:
        self.schedule.failed(self.now)
        self.asking, self.failed = False, True

    @rule()
    def notify(self) -> None:
        self.schedule.notified(self.now)

    @invariant()
    def nothing_is_served_beyond_its_expiry(self) -> None:
        self.look()
        at = self.confirmed_at
        served = self.schedule.state in (ZoneState.CURRENT, ZoneState.STALE)
        assert served == (at is not None and self.now < at + TIMERS.expire)
        if served:
            assert (self.schedule.state is ZoneState.STALE) == self.failed

    @invariant()
    def it_is_asked_again(self) -> None:
        """Never forgotten, and within the refresh interval."""
        if not self.asking:
            assert self.schedule.next_at is not None
            assert self.now <= self.schedule.next_at <= self.now + LONGEST_FIRST_RETRY
            if self.schedule.state is not ZoneState.WAITING:
                assert self.schedule.next_at <= self.now + TIMERS.refresh


class MachineTests(SynchronousTestCase):
    def test_any_history(self) -> None:
        run_state_machine_as_test(Machine)
