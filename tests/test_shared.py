"""SharedState: transactions with ports that refuse, configuration changes, and a model that must never disagree."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import dns.rcode
import dns.rdatatype
import dns.zone
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import AddressDeclined, Event, LeaseGranted, PoolExhausted, State
from appliance.leasing import Promise
from appliance.model import Asker, Exhausted, Pool, Quota
from appliance.naming import Answer, Question, SiteNames, Zones, from_text
from appliance.shared import SharedState
from tests import fakes

ZONE = "@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ 3600 NS ns1\nns1 A 127.0.0.1\n"
A = dns.rdatatype.A


def zones(*names: str) -> Zones:
    source = dns.zone.from_text(ZONE, origin="example.test", relativize=False)
    return Zones([source], [SiteNames(site=name, names=(from_text(name),)) for name in names])


class Setting:
    """A SharedState with fakes around it."""

    def __init__(self, pools: list[Pool], *names: str, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.path = fakes.FakeDataPath()
        self.journal = fakes.FakeJournal()
        self.state = SharedState(seconds=self.clock.seconds, journal=self.journal, data_path=lambda state: self.path)
        self.heard: list[Event] = []
        self.state.subscribe(self.heard.append)
        self.configure(pools, *names)

    def configure(self, pools: list[Pool], *names: str, pool: str = "public", server: str = "10.0.0.1") -> None:
        sites = {name: fakes.site(name, pool=pool, server=server) for name in names}
        self.state.configure({pool.name: pool for pool in pools}, sites, zones(*names))

    def ask(self, name: str, asker: Asker | None = fakes.ASKER) -> Answer | None:
        """One that does not have to wait for the disk."""
        answer = self.state.answer(Question(from_text(name), A), asker)
        assert not isinstance(answer, Deferred)
        return answer

    def heard_of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


class ChoiceTests(SynchronousTestCase):
    def test_who_chooses_is_asked(self) -> None:
        """With who asks, for A and AAAA of a customer's name, also behind a CNAME; and nothing is leased."""
        setting = Setting([fakes.pool(1)])
        source = dns.zone.from_text(ZONE + "alias CNAME shop\n", origin="example.test", relativize=False)
        setting.state.configure({}, {}, Zones([source], (), [from_text("shop.example.test")]))
        setting.state.delivering = choosing = fakes.FakeChoosing()
        for name in ("shop.example.test", "alias.example.test"):
            for rdtype, address in ((A, "198.51.100.1"), (dns.rdatatype.AAAA, "2001:db8::1")):
                found = setting.state.answer(Question(from_text(name), rdtype), fakes.ASKER)
                assert isinstance(found, Answer)
                self.assertEqual(([str(each) for each in found.answer[-1].rdatas], found.customer), ([address], "shop"))
        self.assertEqual([asker for _, asker in choosing.asked], [fakes.ASKER] * 4)
        self.assertIsInstance(setting.state.answer(Question(from_text("ns1.example.test"), A)), Answer)
        self.assertEqual(len(choosing.asked), 4)


class GrantTests(SynchronousTestCase):
    def test_exhaustion_is_said_again_after_a_grant(self) -> None:
        """An alarm for each time that it happens, not for each query."""
        names = ("a.example.test", "b.example.test")
        setting = Setting([fakes.pool(1)], *names)
        for name in (*names, "b.example.test"):
            setting.ask(name)
        setting.clock.advance(11)
        setting.state.reclaim(limit=9)
        setting.clock.advance(20)
        for name in ("b.example.test", "a.example.test", "a.example.test"):
            setting.ask(name)
        self.assertEqual(
            [event.site for event in setting.heard_of(PoolExhausted)], ["b.example.test", "a.example.test"]
        )

    def test_a_site_whose_own_address_breaks_gets_another(self) -> None:
        """What could not be opened again is not its own any more."""
        setting = Setting([fakes.pool(2)], "a.example.test")
        setting.ask("a.example.test")
        setting.clock.advance(11)
        setting.state.reclaim(limit=9)
        setting.path.broken.add(IPv4Address("192.0.2.1"))
        for _ in range(2):
            answer = setting.ask("a.example.test")
            assert answer is not None
            self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.2")

    def setUp(self) -> None:
        self.setting = Setting([fakes.pool(2)], "a.example.test", "b.example.test", "c.example.test")

    def test_the_answer_carries_the_lease(self) -> None:
        """1.1, 1.4: an A record with the lease's TTL, and its data path stands before the answer is there."""
        answer = self.setting.ask("a.example.test")
        assert answer is not None
        [rrset] = answer.answer
        self.assertEqual((rrset.ttl, str(rrset.rdatas[0])), (10, "192.0.2.1"))
        self.assertEqual(self.setting.path.sites_at(IPv4Address("192.0.2.1")), ["a.example.test"])

    def test_other_types_never_lease(self) -> None:
        """AAAA, TXT and ANY of a site are answered without an address."""
        for rdtype in (dns.rdatatype.AAAA, dns.rdatatype.TXT, dns.rdatatype.ANY):
            self.setting.state.answer(Question(from_text("a.example.test"), rdtype))
        self.assertEqual(self.setting.heard, [])

    def test_a_broken_address_is_declined_and_the_next_one_tried(self) -> None:
        """With an alarm that says why."""
        self.setting.path.broken.add(IPv4Address("192.0.2.1"))
        answer = self.setting.ask("a.example.test")
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.2")
        [declined] = self.setting.heard_of(AddressDeclined)
        self.assertIn("address not on this host", declined.reason)

    def test_a_port_that_is_taken_is_one_sites_trouble(self) -> None:
        """The site leaves the address alone; others have it."""
        setting = Setting([fakes.pool(4)], "a.example.test", "b.example.test")
        setting.path.taken = {(address, "a.example.test") for address in fakes.addresses(3)}
        self.assertEqual(setting.ask("a.example.test").rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        self.assertEqual([event.by_all for event in setting.heard_of(AddressDeclined)], [False] * 3)
        answer = setting.ask("a.example.test")
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.4")
        answer = setting.ask("b.example.test")
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.1")
        self.assertEqual(len(setting.heard_of(AddressDeclined)), 3)

    def test_a_port_that_is_taken_everywhere(self) -> None:
        """Is tried on no more than 64 addresses in ten minutes, whoever asks how often; and then again."""
        setting = Setting([fakes.pool(100)], "a.example.test", "b.example.test")
        setting.path.taken = {(address, "a.example.test") for address in fakes.addresses(100)}
        for _ in range(100):
            setting.ask("a.example.test")
        self.assertEqual(len(setting.heard_of(AddressDeclined)), 64)
        self.assertEqual(len(setting.ask("b.example.test").answer), 1)  # type: ignore[union-attr]
        setting.path.taken.clear()
        setting.clock.advance(600)
        self.assertEqual(len(setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]

    def test_without_descriptors_nobody_is_to_blame(self) -> None:
        """The grant is refused, no address is declined, and the next one may succeed."""
        setting = Setting([fakes.pool(2)], "a.example.test")
        setting.path.exhausted = True
        self.assertEqual(setting.ask("a.example.test").rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        setting.path.exhausted = False
        self.assertEqual(len(setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]
        self.assertEqual(setting.heard_of(AddressDeclined), [])

    def test_three_tries_a_grant(self) -> None:
        """Then the pool counts as exhausted, although more addresses are free."""
        setting = Setting([fakes.pool(5)], "a.example.test")
        setting.path.broken.update(fakes.addresses(5))
        self.assertEqual(setting.ask("a.example.test").rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        self.assertEqual(len(setting.heard_of(AddressDeclined)), 3)

    def test_a_grant_that_cannot_be_recorded_is_undone(self) -> None:
        """No answer, no data path, and the address is free for when the journal works again."""
        self.setting.journal.failure = "no space left on device"
        self.assertEqual(self.setting.ask("a.example.test").rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        self.assertEqual(self.setting.path.open_paths, {})
        self.setting.journal.failure = None
        self.assertEqual(len(self.setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]

    def test_when_exhausted(self) -> None:
        """servfail, nodata with a SOA of 5 s at most, or silence; and it is said once."""
        names = ("a.example.test", "b.example.test")
        answers = {}
        for how in Exhausted:
            setting = Setting([fakes.pool(1, when_exhausted=how)], *names)
            setting.ask("a.example.test")
            setting.ask("b.example.test")
            answers[how] = setting.ask("b.example.test")
            self.assertEqual(len(setting.heard_of(PoolExhausted)), 1)
        self.assertEqual(answers[Exhausted.SERVFAIL].rcode, dns.rcode.SERVFAIL)  # type: ignore[union-attr]
        nodata = answers[Exhausted.NODATA]
        assert nodata is not None
        self.assertEqual((nodata.rcode, nodata.answer, nodata.authority[0].ttl), (dns.rcode.NOERROR, (), 5))
        self.assertIsNone(answers[Exhausted.DROP])

    def test_a_late_reaper_is_no_reason_to_refuse(self) -> None:
        """What is due is taken back when a grant needs it."""
        self.setting.ask("a.example.test")
        self.setting.ask("b.example.test")
        self.setting.clock.advance(11)
        self.setting.state.reclaim(limit=9)
        self.setting.clock.advance(20)
        self.assertEqual(len(self.setting.ask("c.example.test").answer), 1)  # type: ignore[union-attr]

    def test_an_offer_at_its_end_is_not_in_its_own_way(self) -> None:
        """Quotas do not count the offer that the new grant takes the place of."""
        for quota in (Quota(per_site=1), Quota(per_source=1)):
            setting = Setting([fakes.pool(2, quota=quota)], "a.example.test", "b.example.test")
            for _ in range(9):
                self.assertIsInstance(setting.state.lease("a.example.test", fakes.ASKER), Promise)
                setting.clock.advance(5)
            setting.clock.advance(-0.5)
            [lease] = setting.state.tables()["public"].answered("a.example.test")
            self.assertLess(lease.promised_until - setting.clock.seconds(), 1.0)
            self.assertIsInstance(setting.state.lease("a.example.test", fakes.ASKER), Promise)
            [lease] = setting.state.tables()["public"].answered("a.example.test")
            self.assertEqual((lease.granted_at, lease.state), (setting.clock.seconds(), State.OFFERED))

    def test_a_subscriber_that_raises_is_skipped(self) -> None:
        """The others hear of it, and the answer leaves."""

        def fail(event: Event) -> None:
            raise ZeroDivisionError

        self.setting.state.subscribe(fail)
        later: list[Event] = []
        self.setting.state.subscribe(later.append)
        self.assertEqual(len(self.setting.ask("a.example.test").answer), 1)  # type: ignore[union-attr]
        self.assertEqual(len(later), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_subscriber_that_calls_back_in_is_heard_after(self) -> None:
        """Everybody hears of everything in the same order."""

        def grant_another(event: Event) -> None:
            if isinstance(event, LeaseGranted) and event.site == "a.example.test":
                self.setting.ask("b.example.test")

        self.setting.state._telling._subscribers.insert(0, grant_another)
        self.setting.ask("a.example.test")
        self.assertEqual(
            [event.site for event in self.setting.heard_of(LeaseGranted)], ["a.example.test", "b.example.test"]
        )
