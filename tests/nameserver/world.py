"""Questions in all forms, and a name server with wire caches that is asked them."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
from hypothesis import strategies as st

from appliance.config import RateLimit
from appliance.events import ChoiceChanged
from appliance.model import Pool
from appliance.nameserver import Cookies, Responder
from appliance.nameserver.identity import Identity
from appliance.nameserver.ratelimit import RateLimiter
from appliance.nameserver.wirecache import WireCache
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
catalog  300  CNAME page
big      300  TXT  {big}
cut      300  NS   ns.elsewhere.test.
old      300  DNAME wild
"""
NAMES = ["a", "b", "c", "d"]
SITES = [f"{name}.example.test" for name in NAMES]
CUSTOMERS = {"page": "shop", "img": "shop", "in.wild": "shop", "pics": "gallery", "pics.wild": "gallery"}
"""Whose the names are that are chosen."""
CHOSEN = {**CUSTOMERS, "catalog": "shop", "in.old": "shop", "pics.old": "gallery"}
"""And those that lead there."""
ASKED = [*NAMES, *CHOSEN, "alias", "ns1", "x.wild", "y.old", "big", "x.cut", "other", "@"]
MISSING = ["nothing", "deep.er.nothing", "n0", "hostmaster", "x.hostmaster", "elsewhere.", "."]
SOURCES = [IPv4Address("198.51.100.7"), IPv4Address("203.0.113.9")]
BIG = " ".join(f'"{letter * 200}"' for letter in "abcdefgh")


def zones(serial: int, sites: list[str]) -> Zones:
    source = dns.zone.from_text(ZONE.format(serial=serial, big=BIG), origin="example.test", relativize=False)
    aliased = {SITES[0]: (from_text("other.example.test"),)}
    laid = [SiteNames(site=name, names=(from_text(name), *aliased.get(name, ()))) for name in sites]
    return Zones([source], laid, [from_text(f"{name}.example.test") for name in CUSTOMERS])


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
        if self.name.endswith("."):
            full = self.name
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
    name=st.sampled_from([*ASKED, *MISSING]),
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
        pool = pool or fakes.pool(3)
        self.setting = Setting([pool])
        self.setting.state.configure({pool.name: pool}, {name: fakes.site(name) for name in SITES}, zones(1, SITES))
        self.setting.state.delivering = self.choosing = fakes.FakeChoosing()
        self.choosing.customers = {f"{name}.example.test": customer for name, customer in CUSTOMERS.items()}
        self.choosing.addresses["gallery"] = [IPv4Address("198.51.100.2"), IPv4Address("198.51.100.3")]
        self.clock = self.setting.clock
        self.cookies = Cookies([SECRET], lambda: 1e9 + self.clock.seconds())
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
        before = Cookies([SECRET], lambda: 1e9 - 10 + self.clock.seconds())
        return asked.query(before.make(CLIENT_COOKIE, SOURCES[asked.source].packed))

    def hit(self, asked: Asked) -> bytes | None:
        return self.caches[asked.stream].answer(self.query(asked), SOURCES[asked.source])

    def miss(self, asked: Asked, responder: Responder | None = None) -> bytes | None:
        response = (responder or self.responder).respond(
            self.query(asked), stream=asked.stream, source=SOURCES[asked.source]
        )
        return response if isinstance(response, bytes) else None

    def choose(self, customer: str) -> None:
        """Tell that the choice of a customer is another one."""
        for cache in self.caches:
            cache.follow(ChoiceChanged(at=self.clock.seconds(), customer=customer))

    def ask(self, asked: Asked) -> bytes | None:
        """As the shells do; None where the answer has to wait."""
        response = self.hit(asked)
        return self.miss(asked) if response is None else response or None


def without_lease(data: bytes) -> tuple[Any, ...]:
    """All that a response says, but for how long."""
    message = dns.message.from_wire(data)
    sections = (message.question, message.answer, message.authority, message.additional)
    texts = tuple(tuple((str(each.name), each.rdtype, *map(str, each)) for each in section) for section in sections)
    options = tuple((option.otype, option.to_wire()) for option in message.options)
    return message.id, message.flags, message.rcode(), message.edns, message.ednsflags, options, texts
