"""What the wire cache knows, keeps and forgets; what it says beyond the rate; which queries it reads."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import RateLimit
from appliance.nameserver.forms import form_of
from appliance.nameserver.wirecache import TICK
from appliance.naming import Zones
from tests import fakes
from tests.nameserver.asking import CLIENT_COOKIE
from tests.nameserver.world import QUESTIONS, SITES, SOURCES, Asked, World, zones


class HitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.asked = Asked("a")

    def test_one_renewal_a_tick(self) -> None:
        """However many ask, and in whatever form; the next tick renews again."""
        world, happened = self.world, self.world.setting.state.happened
        world.ask(self.asked)
        world.ask(Asked("a", cookie="client"))
        before = happened["LeaseRenewed"]
        for _ in range(10):
            for asked in (self.asked, Asked("a", spelling=5), Asked("a", cookie="client"), Asked("a", cookie="good")):
                self.assertIsNotNone(world.hit(asked))
        # The two forms are kept apart, and each asked once.
        self.assertEqual(happened["LeaseRenewed"] - before, 2)
        world.clock.advance(TICK)
        world.hit(self.asked)
        self.assertEqual(happened["LeaseRenewed"] - before, 3)

    def test_case_is_echoed(self) -> None:
        """0x20: found for any spelling, which comes back."""
        self.world.ask(self.asked)
        query = Asked("a", spelling=5).query()
        response = self.world.hit(Asked("a", spelling=5))
        assert response is not None
        end = 12 + len("a.example.test") + 2
        self.assertEqual(response[12:end], query[12:end])
        self.assertNotEqual(query[12:end], query[12:end].lower())

    def test_what_is_for_one_asker_is_not_kept(self) -> None:
        """A refusal is asked for anew each time, and so is an answer that waits."""
        world = World(pool=fakes.pool(1))
        world.ask(Asked("a"))
        for _ in range(2):
            self.assertIsNone(world.hit(Asked("b")))
            response = world.ask(Asked("b"))
            assert response is not None
            self.assertEqual(dns.message.from_wire(response).rcode(), dns.rcode.SERVFAIL)

    def test_names_that_are_not_there(self) -> None:
        """Those of a zone share a response, and so do those out of our zones: a flood of them is answered quickly."""
        world = self.world
        for first, others in (("n0", ("nothing", "a.b.c.d", "x" * 63)), ("elsewhere.", (".", "x.elsewhere.", "test."))):
            world.ask(Asked(first))
            kept = len(world.caches[0])
            for other in others:
                hit = world.hit(Asked(other, "TXT", spelling=2))
                self.assertEqual(hit, world.miss(Asked(other, "TXT", spelling=2), world.plain), other)
            self.assertEqual(len(world.caches[0]), kept)
        for something in ("a", "x.wild", "y.old", "x.cut", "wild"):
            self.assertIsNone(world.hit(Asked(something)))
        for rdtype in ("AXFR", "TYPE250"):
            self.assertIsNone(world.hit(Asked("nothing", rdtype)))

    def test_a_shared_response_that_does_not_fit(self) -> None:
        """Learnt for a short name, and with a long one more than 512 bytes: the plain path cuts it."""
        world, long = self.world, ".".join(["x" * 60] * 3)
        text = f"@ 60 SOA ns1.{long}.elsewhere. host.{long}.other. 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
        source = dns.zone.from_text(text, origin="example.test", relativize=False)
        pool = fakes.pool(1)
        world.setting.state.configure({pool.name: pool}, {}, Zones([source]))
        for edns, limit in ((None, 512), (512, 512), (1232, 1232)):
            world.ask(Asked("short", edns=edns))
            self.assertIsNotNone(world.hit(Asked("shorter", edns=edns)))
            response = world.ask(Asked(long, edns=edns))
            assert response is not None
            self.assertLessEqual(len(response), limit)
            self.assertEqual(response[2] >> 1 & 1, limit == 512)

    def test_cookies_that_are_off(self) -> None:
        """A query with one is answered without, and kept like any other."""
        for responder in (self.world.responder, self.world.plain):
            responder._cookies = None
        self.world.caches[0]._cookies = None
        asked = Asked("ns1", cookie="client")
        self.assertEqual(self.world.miss(asked), self.world.hit(asked))

    def test_what_was_decided_before_a_reload_is_not_kept(self) -> None:
        """A grant waits for the disk while its name leaves the zone: kept neither for it nor for all that lack."""
        world, journal = self.world, self.world.setting.journal
        journal.slow = True
        waiting = [
            world.responder.respond(world.query(Asked(name)), stream=False, source=SOURCES[0])
            for name in ("alias", "other")
        ]
        pool = fakes.pool(3)
        world.setting.state.configure({pool.name: pool}, {}, zones(2, []))
        world.ask(Asked("ns1"))
        journal.write()
        self.assertEqual([type(one) for one in waiting], [Deferred, Deferred])
        for name in ("alias", "other", "nothing"):
            for _ in range(2):
                self.assertEqual(world.ask(Asked(name)), world.miss(Asked(name), world.plain), name)
        self.assertIsNone(world.setting.state.renew(SITES[0]))

    def test_other_options_go_the_plain_path(self) -> None:
        self.world.ask(self.asked)
        query = dns.message.make_query("a.example.test", "A", options=[dns.edns.NSIDOption(b"")])
        self.assertIsNone(self.world.caches[0].answer(query.to_wire(), SOURCES[0]))

    def test_an_event_of_a_site_expires_its_answers(self) -> None:
        """Also in the middle of a tick."""
        world = self.world
        world.ask(self.asked)
        hit = world.hit(self.asked)
        assert hit is not None
        address = dns.message.from_wire(hit).answer[0][0].address
        world.setting.state.by_hand.release(IPv4Address(address), at_once=False)
        self.assertIsNone(world.hit(self.asked))

    def test_sites_behind_one_dname(self) -> None:
        """The limiter counts them as one kind, but each is answered with its own address."""
        world, names = self.world, ["a.wild.example.test", "b.wild.example.test"]
        pool = fakes.pool(3)
        world.setting.state.configure({pool.name: pool}, {name: fakes.site(name) for name in names}, zones(2, names))
        for name in ("a.old", "b.old"):
            first = world.ask(Asked(name))
            for _ in range(2):
                self.assertEqual(world.hit(Asked(name)), first, name)

    def test_counters(self) -> None:
        """A hit counts as a query, and as what it was answered."""
        world = self.world
        for _ in range(5):
            world.ask(self.asked)
        world.caches[0].settle()
        happened = world.responder.happened
        self.assertEqual((happened["queries"], happened["NOERROR"], happened["cached"]), (5, 5, 4))

    def test_bounded(self) -> None:
        """Different questions push out the oldest; the tables stay in step."""
        cache = self.world.caches[0]
        self.patch(__import__("appliance.nameserver.wirecache", fromlist=["x"]), "MOST_BYTES", 50_000)
        for number in range(300):
            self.world.ask(Asked("a", edns=512 + number))
            self.world.ask(Asked(f"n{number}"))
        self.assertLess(len(cache), 60)
        self.assertLessEqual(len(cache.exact), len(cache))
        self.assertEqual({entry.tally.key for entry in cache.exact.values()} - set(cache._tallies), set())
        self.assertLess(len(cache._tallies), 60)
        self.assertIsNotNone(self.world.ask(self.asked))
        cache.clear()
        self.assertEqual((len(cache), len(cache.exact), len(cache._tallies), len(cache._sites)), (0, 0, 0, 0))


class LimitTests(SynchronousTestCase):
    """Beyond the rate both paths say the same."""

    def setUp(self) -> None:
        self.world = World(RateLimit(responses_per_second=8, slip=2))

    def flood(self, asked: Asked, count: int) -> list[bytes | None]:
        return [self.world.ask(asked) for _ in range(count)]

    def test_drop_and_slip(self) -> None:
        """A burst is answered; then one of two is told to come over TCP, byte for byte as the plain path says it."""
        for asked in (Asked("ns1"), Asked("a", edns=1232, do=True), Asked("ns1", "TXT", cookie="client", rd=True)):
            self.setUp()
            responses = self.flood(asked, 60)
            kept = [response for response in responses if response is not None]
            whole = [response for response in kept if len(response) == len(kept[0])]
            # Two of each tick go unseen before the limiter looks.
            self.assertTrue(8 <= len(whole) <= 11, len(whole))
            slips = set(kept) - set(whole)
            self.assertTrue(23 <= len(kept) - len(whole) <= 27)
            plain = World(RateLimit(responses_per_second=1, slip=1))
            for cache in plain.caches:
                cache.learn = lambda *words: None  # type: ignore[method-assign]
            said = [plain.ask(asked) for _ in range(4)]
            self.assertEqual(slips, {said[-1]})

    def test_cookies_and_streams_are_not_limited(self) -> None:
        for asked in (Asked("ns1", cookie="good"), Asked("ns1", stream=True)):
            self.assertNotIn(None, self.flood(asked, 100))

    def test_bad_cookie_instead_of_tcp(self) -> None:
        """Who sent a client cookie is told to come again with the good one that comes along."""
        last = [response for response in self.flood(Asked("ns1", cookie="client"), 60) if response][-1]
        message = dns.message.from_wire(last)
        self.assertEqual((message.rcode(), message.answer), (dns.rcode.BADCOOKIE, []))
        [cookie] = message.options
        self.assertEqual(cookie.to_wire(), CLIENT_COOKIE + self.world.cookies.make(CLIENT_COOKIE, SOURCES[0].packed))

    def test_another_network_is_not_limited(self) -> None:
        self.flood(Asked("ns1"), 100)
        self.assertIsNotNone(self.world.ask(Asked("ns1", source=1)))

    def test_it_ends(self) -> None:
        """When the flood is over and its debt is paid."""
        self.flood(Asked("ns1"), 100)
        self.world.clock.advance(7)
        self.assertEqual(self.flood(Asked("ns1"), 8).count(None), 0)


class FormTests(SynchronousTestCase):
    @given(st.binary(max_size=80))
    def test_any_bytes(self, data: bytes) -> None:
        """Nothing raises."""
        form_of(data)

    @given(QUESTIONS, st.data())
    def test_damaged(self, asked: Asked, data: st.DataObject) -> None:
        """A query with other bytes in it, or cut: no form, or one that dnspython reads as the same question."""
        query = bytearray(asked.query(b"s" * 16))
        for _ in range(data.draw(st.integers(0, 3))):
            query[data.draw(st.integers(2, len(query) - 1))] = data.draw(st.integers(0, 255))
        query = query[: data.draw(st.integers(0, len(query)))]
        form = form_of(bytes(query))
        if form is not None:
            self.assertEqual(struct.unpack_from("!H", query, 4), (1,))
            self.assertLessEqual(form.end, len(query))
            self.assertEqual(query[10:12] == b"\0\1", form.opt)

    def test_keys(self) -> None:
        """Spelling and cookie do not count; everything else does."""
        base = Asked("a", edns=1232)
        same = (attrs.evolve(base, spelling=3), attrs.evolve(base, source=1))
        self.assertEqual(len({form_of(asked.query()).key for asked in (base, *same)}), 1)  # type: ignore[union-attr]
        others = (
            attrs.evolve(base, name="b"),
            attrs.evolve(base, rdtype="TYPE97"),
            attrs.evolve(base, rdtype="TYPE65"),
            attrs.evolve(base, edns=1233),
            attrs.evolve(base, do=True),
            attrs.evolve(base, rd=True),
            attrs.evolve(base, cookie="client"),
            Asked("a"),
        )
        keys = [form_of(asked.query()).key for asked in (base, *others)]  # type: ignore[union-attr]
        self.assertEqual(len(set(keys)), len(keys))
        cookies = {form_of(Asked("a", cookie=cookie).query(b"s" * 16)).key for cookie in ("client", "good", "bad")}  # type: ignore[union-attr]
        self.assertEqual(len(cookies), 1)
