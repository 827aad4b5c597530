"""The fast path says what the plain path says, and promises no more than a lease can keep."""

from __future__ import annotations

import random
import struct
from collections import Counter
from ipaddress import IPv4Address
from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import RateLimit
from appliance.errors import RequestError
from appliance.model import Pool
from appliance.nameserver import Cookies, Responder
from appliance.nameserver.forms import form_of
from appliance.nameserver.identity import Identity
from appliance.nameserver.ratelimit import RateLimiter
from appliance.nameserver.wirecache import TICK, WireCache
from appliance.naming import SiteNames, Zones, from_text
from tests import fakes
from tests.nameserver.asking import CLIENT_COOKIE, SECRET
from tests.test_shared import Setting

ZONE = """
@        3600 SOA  ns1 hostmaster {serial} 7200 3600 1209600 60
@        3600 NS   ns1
ns1      3600 A    192.0.2.53
*.wild   60   TXT  "star {serial}"
alias    300  CNAME a
big      300  TXT  {big}
cut      300  NS   ns.elsewhere.test.
old      300  DNAME wild
"""
NAMES = ["a", "b", "c", "d"]
SITES = [f"{name}.example.test" for name in NAMES]
ASKED = [*NAMES, "alias", "ns1", "x.wild", "y.old", "big", "x.cut", "nothing", "other", "@"]
SOURCES = [IPv4Address("198.51.100.7"), IPv4Address("203.0.113.9")]
BIG = " ".join(f'"{letter * 200}"' for letter in "abcdefgh")


def zones(serial: int, sites: list[str]) -> Zones:
    source = dns.zone.from_text(ZONE.format(serial=serial, big=BIG), origin="example.test", relativize=False)
    aliased = {SITES[0]: (from_text("other.example.test"),)}
    return Zones([source], [SiteNames(site=name, names=(from_text(name), *aliased.get(name, ()))) for name in sites])


@attrs.frozen
class Asked:
    """A question in one of its many forms."""

    name: str
    rdtype: str = "A"
    spelling: int = 0
    edns: int | None = None
    do: bool = False
    cookie: str = ""
    rd: bool = False
    stream: bool = False
    source: int = 0

    def query(self, made: bytes = b"") -> bytes:
        """:param made: the server cookie that the asker has."""
        full = "example.test" if self.name == "@" else f"{self.name}.example.test"
        rng = random.Random(self.spelling)
        if self.spelling:
            full = "".join(rng.choice((letter.lower(), letter.upper())) for letter in full)
        options: list[dns.edns.Option] = []
        if self.cookie:
            value = CLIENT_COOKIE + {"client": b"", "good": made, "bad": b"?" * 16}[self.cookie]
            options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, value))
        message = dns.message.make_query(
            full, self.rdtype, flags=dns.flags.RD if self.rd else 0, id=rng.randrange(65536)
        )
        if self.edns is not None or self.cookie:
            message.use_edns(0, dns.flags.DO if self.do else 0, payload=self.edns or 1232, options=options)
        return bytes(message.to_wire())


QUESTIONS = st.builds(
    Asked,
    name=st.sampled_from(ASKED),
    rdtype=st.sampled_from(["A", "A", "A", "AAAA", "TXT", "ANY", "HTTPS", "SOA"]),
    spelling=st.integers(0, 3),
    edns=st.sampled_from([None, None, 512, 1232, 4096]),
    do=st.booleans(),
    cookie=st.sampled_from(["", "", "client", "good", "bad"]),
    rd=st.booleans(),
    stream=st.booleans(),
    source=st.integers(0, len(SOURCES) - 1),
)


class World:
    """A SharedState, a Responder with wire caches, and one without that says what is right."""

    def __init__(self, limit: RateLimit | None = None, pool: Pool | None = None) -> None:
        self.setting = Setting([pool or fakes.pool(3)], *SITES)
        self.clock = self.setting.clock
        self.cookies = Cookies(SECRET, None, lambda: 1e9 + self.clock.seconds())
        self.limiter = RateLimiter(limit) if limit is not None else None
        self.responder, self.plain = (self._responder(limiter) for limiter in (self.limiter, None))
        self.caches = [self._cache(stream=stream) for stream in (False, True)]
        self.responder.datagrams, self.responder.streams = self.caches
        for cache in self.caches:
            self.setting.state.subscribe(cache.follow)

    def _responder(self, limiter: RateLimiter | None) -> Responder:
        return Responder(
            self.setting.state.answer,
            udp_payload=1232,
            cookies=self.cookies,
            limiter=limiter,
            seconds=self.clock.seconds,
            identity=Identity(nsid="test"),
        )

    def _cache(self, *, stream: bool) -> WireCache:
        return WireCache(
            self.setting.state,
            stream=stream,
            seconds=self.clock.seconds,
            happened=self.responder.happened,
            cookies=self.cookies,
            limiter=self.limiter,
        )

    def query(self, asked: Asked) -> bytes:
        """With a cookie that is ten seconds old."""
        before = Cookies(SECRET, None, lambda: 1e9 - 10 + self.clock.seconds())
        return asked.query(before.make(CLIENT_COOKIE, SOURCES[asked.source].packed))

    def hit(self, asked: Asked) -> bytes | None:
        return self.caches[asked.stream].answer(self.query(asked), SOURCES[asked.source])

    def miss(self, asked: Asked, responder: Responder | None = None) -> bytes | None:
        response = (responder or self.responder).respond(
            self.query(asked), stream=asked.stream, source=SOURCES[asked.source]
        )
        return None if isinstance(response, Deferred) else response

    def ask(self, asked: Asked) -> bytes | None:
        """As the shells do; None where the answer has to wait."""
        response = self.hit(asked)
        return self.miss(asked) if response is None else response or None


def without_lease(data: bytes) -> tuple[Any, ...]:
    """All that a response says, but for how long."""
    message = dns.message.from_wire(data)
    sections = (message.question, message.answer, message.authority, message.additional)
    texts = tuple(tuple((str(each.name), each.rdtype, *map(str, each)) for each in section) for section in sections)
    return message.id, message.flags, message.rcode(), message.edns, message.ednsflags, message.options, texts


class Differential(RuleBasedStateMachine):
    """Questions of all forms while leases come and go, the disk fails and zones change."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.setting = self.world.setting
        self.serial, self.sites, self.hits = 1, SITES, Counter[str]()
        self.reload(SITES)

    @rule(asked=QUESTIONS)
    def ask(self, asked: Asked) -> None:
        world, state = self.world, self.setting.state
        hit = world.hit(asked)
        if hit is None:
            world.miss(asked)
            return
        now = self.setting.clock.seconds()
        said = dns.message.from_wire(hit)
        site = {"alias": SITES[0], "other": SITES[0]}.get(asked.name, f"{asked.name}.example.test")
        if asked.rdtype == "A" and site in self.sites and asked.name != "ns1":
            [record] = said.answer[-1]
            address, ttl = IPv4Address(record.address), said.answer[-1].ttl
            pin = state.pins.of(site)
            if pin is None or pin.address != address:
                [lease] = [one for one in state.tables()["public"].holders(address) if one.site == site]
                assert lease.is_answered(), "an answer from a lease that is over"
                assert 1 <= ttl and now + ttl <= lease.promised_until, "promised for longer than the lease (1.1)"
            assert site in self.setting.path.sites_at(address), "answered before its data path stood (1.4)"
            right = world.miss(asked, world.plain)
            if right is not None and dns.message.from_wire(right).answer:
                assert without_lease(hit) == without_lease(right)
        else:
            assert hit == world.miss(asked, world.plain)

    @rule(
        asked=QUESTIONS.filter(lambda asked: asked.name in NAMES and asked.rdtype == "A"),
        waits=st.lists(st.sampled_from([0.0, 0.1, TICK, 4.0, 12.0]), min_size=1, max_size=5),
    )
    def insist(self, asked: Asked, waits: list[float]) -> None:
        """The same again, in the same tick and in later ones."""
        for seconds in waits:
            self.ask(asked)
            self.wait(seconds)

    @rule(seconds=st.sampled_from([0.01, 0.1, TICK, 1.0, 5.0, 11.0, 30.0]))
    def wait(self, seconds: float) -> None:
        end = self.setting.clock.seconds() + seconds
        while (due := self.setting.state.next_deadline()) is not None and due <= end:
            self.setting.clock.advance(max(0.0, due - self.setting.clock.seconds()))
            self.setting.state.reclaim(limit=9)
        self.setting.clock.advance(end - self.setting.clock.seconds())

    @rule(address=st.sampled_from(fakes.addresses(3)), lasts=st.booleans())
    def connect(self, address: IPv4Address, lasts: bool) -> None:
        for site in self.setting.path.sites_at(address):
            self.setting.state.connection_opened(address, site)
            if not lasts:
                self.setting.state.connection_closed(address, site)

    # One rule for all that seldom happens, for hypothesis picks rules with even chances.
    @rule(
        trouble=st.one_of(
            st.tuples(st.just("pin"), st.sampled_from(SITES), st.sampled_from(fakes.addresses(3))),
            st.tuples(st.just("unpin"), st.sampled_from(SITES)),
            st.tuples(st.just("release"), st.sampled_from(fakes.addresses(3))),
            st.tuples(st.just("reload"), st.sampled_from([SITES, SITES[:2], SITES[2:]])),
            st.tuples(st.just("disk"), st.sampled_from(["slow", "lost"])),
        )
    )
    def trouble(self, trouble: tuple[Any, ...]) -> None:
        """Somebody changes something, or the disk is in trouble, which the next trouble ends."""
        state, journal = self.setting.state, self.setting.journal
        journal.slow = False
        if journal.failure is not None:
            journal.heal(state.entries())
        journal.write()
        try:
            match trouble:
                case "pin", site, address:
                    state.by_hand.pin(site, address)
                case "unpin", site:
                    state.by_hand.unpin(site)
                case "release", address:
                    state.by_hand.release(address, at_once=False)
                case "reload", sites:
                    self.reload(sites)
                case "disk", "slow":
                    journal.slow = True
                case "disk", "lost":
                    journal.failure = "no space left on device"
                    journal.lose()
        except RequestError:
            pass

    def reload(self, sites: list[str]) -> None:
        self.serial, self.sites = self.serial + 1, sites
        pool = fakes.pool(3)
        configured = {name: fakes.site(name) for name in sites}
        self.setting.state.configure({pool.name: pool}, configured, zones(self.serial, sites))

    @invariant()
    def counted(self) -> None:
        """Everything that was kept is found in each of the tables."""
        for cache in self.world.caches:
            assert len(cache.exact) <= len(cache)


class DifferentialTests(SynchronousTestCase):
    def test_the_two_paths_agree(self) -> None:
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(Differential, settings=settings(stateful_step_count=60, suppress_health_check=checks))


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
        self.assertEqual({entry.tally.kind for entry in cache.exact.values()} - set(cache._tallies), set())
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
