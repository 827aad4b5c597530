"""What the disk knows: grants that wait for it, and promises that do not outrun it."""

from __future__ import annotations

import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import LeaseDraining, LeaseExtended, LeaseGranted, LeaseRecord
from appliance.leasing import Promise
from appliance.model import Exhausted
from appliance.naming import Answer, NeedsLease, Question, answer, from_text
from appliance.shared import Refusal
from appliance.shared.outcome import refused
from tests import fakes
from tests.test_shared import Setting

NAME = "a.example.test"
[FIRST] = fakes.addresses(1)


class HorizonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Setting([fakes.pool(2)], NAME, "b.example.test")

    def ttl(self) -> int | None:
        promise = self.setting.state.lease(NAME, fakes.ASKER)
        return promise.ttl if isinstance(promise, Promise) else None

    def recorded(self) -> LeaseRecord:
        """What a start would find."""
        return next(entry for entry in self.setting.journal.recovered().entries if isinstance(entry, LeaseRecord))

    def use(self) -> None:
        self.setting.state.connection_opened(FIRST, NAME)

    @given(st.lists(st.floats(min_value=0.1, max_value=15), max_size=40))
    def test_no_promise_outruns_the_disk(self, pauses: list[float]) -> None:
        """Whatever was answered, a crash at that moment finds a lease that lasts as long."""
        self.setUp()
        self.ttl()
        self.use()
        for pause in pauses:
            self.setting.clock.advance(pause)
            self.setting.state.reclaim(limit=9)
            ttl = self.ttl()
            assert ttl is not None
            self.assertGreaterEqual(self.recorded().promised_until, self.setting.clock.seconds() + ttl)

    def test_a_busy_site_costs_no_record_a_query(self) -> None:
        """One every three periods or so."""
        self.ttl()
        self.use()
        before = len(self.setting.journal.events)
        for _ in range(1000):
            self.setting.clock.advance(0.5)
            self.setting.state.reclaim(limit=9)
            self.ttl()
        seconds_a_record = 500 / (len(self.setting.journal.events) - before)
        self.assertGreater(seconds_a_record, 20)

    @given(st.lists(st.integers(min_value=0, max_value=9), max_size=40))
    def test_the_disk_knows_of_the_longest_promise(self, connections: list[int]) -> None:
        """Cooling after a crash is never shorter than any TTL that was answered."""
        self.setUp()
        longest = self.ttl() or 0
        for count in connections:
            for _ in range(count):
                self.use()
            longest = max(longest, self.ttl() or 0)
            self.assertGreaterEqual(self.recorded().longest, longest)
            self.assertLessEqual(self.recorded().longest, fakes.PERIODS.maximum)
            self.setting.clock.advance(1)
        self.setting.state.finish()
        [row] = [entry for entry in self.setting.state.entries() if isinstance(entry, LeaseRecord)]
        self.assertEqual(row.longest, longest)

    def test_a_slow_disk_shortens_answers(self) -> None:
        """They count down to what is there, but not below the minimum, and are whole again when it has written."""
        self.assertEqual(self.ttl(), 10)
        self.use()
        horizon = self.recorded().promised_until
        self.setting.journal.slow = True
        last = 10
        while self.setting.clock.seconds() < horizon - 2:
            self.setting.clock.advance(1)
            ttl = self.ttl()
            assert ttl is not None
            self.assertLessEqual(ttl, max(horizon - self.setting.clock.seconds(), fakes.PERIODS.minimum))
            last = ttl
        self.assertEqual(last, fakes.PERIODS.minimum)
        self.setting.journal.slow = False
        self.setting.journal.write()
        self.assertGreaterEqual(self.ttl() or 0, 10)

    def test_a_site_that_nobody_asks_for_while_it_is_used(self) -> None:
        """Its resets move the horizon too, so the first question after a long silence is answered in full."""
        self.ttl()
        self.use()
        for _ in range(300):
            self.setting.clock.advance(1)
            self.setting.state.reclaim(limit=9)
        self.assertEqual(self.ttl(), 10)

    def test_a_countdown_does_not_outrun_the_disk_either(self) -> None:
        """A reset goes on while the disk fails; what it adds is nobody's promise until the disk knows of it."""
        self.ttl()
        self.use()
        self.setting.journal.failure = "no space left on device"
        [lease] = self.setting.state.tables()["public"].leases_of(NAME)
        for _ in range(100):
            self.setting.clock.advance(1)
            self.setting.state.reclaim(limit=9)
        for _ in range(30):
            self.use()
        now = before = self.setting.clock.seconds()
        while lease.promised_until < now + 3 * fakes.PERIODS.minimum:
            self.assertLess(now, before + fakes.PERIODS.maximum)
            self.setting.clock.advance(1)
            self.setting.state.reclaim(limit=9)
            now = self.setting.clock.seconds()
        for _ in range(31):
            self.setting.state.connection_closed(FIRST, NAME)
        lease.unused, lease.counted_at = fakes.PERIODS.unused_renewals, 0.0
        told = self.setting.state.tables()["public"].explain(NAME, now)
        self.assertEqual((self.ttl(), told.ttl), (fakes.PERIODS.minimum, fakes.PERIODS.minimum))
        self.assertIsNone(self.setting.state.renew(NAME, None, ahead=0.5))

    def test_nobody_is_refused_after_a_failure(self) -> None:
        """The disk works again; what it does not know yet is promised for the minimum."""
        self.ttl()
        self.use()
        self.setting.journal.failure = "no space left on device"
        for _ in range(100):
            self.setting.clock.advance(1)
            self.setting.state.reclaim(limit=9)
        self.setting.journal.slow = True
        self.setting.journal.heal(self.setting.state.entries())
        self.assertEqual(self.ttl(), fakes.PERIODS.minimum)
        self.setting.journal.write()
        self.assertEqual(self.ttl(), 10)

    def test_an_extension_that_is_lost_is_tried_again(self) -> None:
        self.ttl()
        self.use()
        self.setting.journal.slow = True
        self.setting.clock.advance(25)
        self.ttl()
        tried = len(self.setting.heard_of(LeaseExtended))
        self.setting.journal.lose()
        self.ttl()
        self.assertEqual(len(self.setting.heard_of(LeaseExtended)), tried + 1)

    def test_a_growing_promise_is_known_before_it_is_made(self) -> None:
        """With each connection the next promise grows; the first question after them gets all of it."""
        self.ttl()
        for _ in range(4):
            self.use()
        self.assertEqual(self.ttl(), 50)

    def test_while_the_disk_fails_existing_leases_go_on(self) -> None:
        """For the minimum at a time; a newcomer is refused."""
        self.ttl()
        self.use()
        self.setting.journal.failure = "no space left on device"
        for _ in range(300):
            self.setting.clock.advance(1)
            self.setting.state.reclaim(limit=9)
            ttl = self.ttl()
            assert ttl is not None
        self.assertEqual(ttl, fakes.PERIODS.minimum)
        answer = self.setting.ask("b.example.test")
        assert answer is not None and answer.error is not None
        self.assertEqual((answer.rcode, answer.error.code), (dns.rcode.SERVFAIL, 14))


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Setting([fakes.pool(2)], NAME, "b.example.test")
        self.setting.journal.slow = True

    def ask(self, name: str = NAME) -> Deferred[Answer | None]:
        answer = self.setting.state.answer(Question(from_text(name), dns.rdatatype.A), fakes.ASKER)
        assert isinstance(answer, Deferred)
        return answer

    def test_an_answer_waits_and_others_join(self) -> None:
        """One record for all who ask for the site; another site's grant has its own."""
        waiting = [self.ask(), self.ask(), self.ask("b.example.test")]
        self.assertEqual(len(self.setting.journal.on_their_way), 2)
        for each in waiting:
            self.assertNoResult(each)
        self.assertEqual(self.setting.heard_of(LeaseGranted), [], "nobody is told before")
        self.setting.clock.advance(0.5)
        self.setting.journal.write()
        answers = [self.successResultOf(each) for each in waiting]
        self.assertEqual([answer and answer.answer[0].ttl for answer in answers], [10, 10, 10])
        self.assertEqual(len(self.setting.heard_of(LeaseGranted)), 2)

    def test_what_is_lost_is_undone(self) -> None:
        """All who waited are refused, and the address is free."""
        waiting = [self.ask(), self.ask()]
        self.setting.journal.lose()
        for each in waiting:
            answer = self.successResultOf(each)
            assert answer is not None
            self.assertEqual(answer.rcode, dns.rcode.SERVFAIL)
        self.assertEqual(self.setting.path.open_paths, {})
        self.assertEqual(self.setting.state.tables()["public"].counts(0.0).free, 2)

    def test_a_site_that_leaves_meanwhile(self) -> None:
        """Its lease runs out; who waited is answered, for it was promised."""
        waiting = self.ask()
        self.setting.configure([fakes.pool(2)], "b.example.test")
        self.setting.journal.write()
        answer = self.successResultOf(waiting)
        assert answer is not None
        self.assertEqual(len(answer.answer), 1)
        self.assertEqual(len(self.setting.heard_of(LeaseDraining)), 1)


class RefusalTests(SynchronousTestCase):
    def test_each_is_answered_in_its_way(self) -> None:
        """TC=1 where proof would do, whatever ``when_exhausted`` says; else as it says, with a reason."""
        setting = Setting([fakes.pool(1)], NAME)
        needs = answer(setting.state.zones, Question(from_text(NAME), dns.rdatatype.A))
        assert isinstance(needs, NeedsLease)
        for refusal in Refusal:
            for how in Exhausted:
                said = refused(needs, refusal, how)
                if refusal in (Refusal.COOKIE, Refusal.STREAM):
                    assert said is not None
                    self.assertTrue(said.truncated and not said.answer)
                elif how is Exhausted.DROP:
                    self.assertIsNone(said)
                else:
                    assert said is not None and said.error is not None
                    self.assertFalse(said.truncated)
                    expected = dns.rcode.SERVFAIL if how is Exhausted.SERVFAIL else dns.rcode.NOERROR
                    self.assertEqual(said.rcode, expected)
