"""How many responses of one kind one network gets."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import RateLimit
from appliance.nameserver.ratelimit import RateLimiter, Verdict, error_kind, kind_of
from appliance.naming import Answer, Question, from_text
from tests.nameserver.asking import rrset

KIND = error_kind(dns.rcode.REFUSED)


def packed(text: str) -> bytes:
    return ip_address(text).packed


HERE = packed("198.51.100.7")


class RateTests(SynchronousTestCase):
    @given(
        rate=st.integers(1, 100),
        window=st.floats(1, 10),
        gaps=st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.3, 2.0]), min_size=50, max_size=400),
    )
    def test_never_more_than_the_rate(self, rate: int, window: float, gaps: list[float]) -> None:
        """In any second at most a burst and a second's worth; and who stays below the rate is never limited."""
        limiter = RateLimiter(RateLimit(responses_per_second=rate, window=window, slip=0))
        now, sent, asked = 1000.0, [], []
        for gap in gaps:
            now += gap
            asked.append(now)
            if limiter.judge(KIND, HERE, now) is Verdict.SEND:
                sent.append(now)
        for begin in sent:
            self.assertLessEqual(sum(begin <= at < begin + 1 for at in sent), 2 * rate)
            self.assertLessEqual(sum(begin <= at < begin + 10 for at in sent), 11 * rate)
        if all(sum(begin <= at < begin + 1 for at in asked) <= rate for begin in asked):
            self.assertEqual(len(sent), len(asked))

    def test_a_flood_stays_limited(self) -> None:
        """Until it has been over for the window; at exactly the rate a former flood is answered again."""
        limiter = RateLimiter(RateLimit(responses_per_second=10, window=5.0))
        for number in range(1000):
            limiter.judge(KIND, HERE, number / 1000)
        self.assertIs(limiter.judge(KIND, HERE, 3.0), Verdict.DROP)
        self.assertIs(limiter.judge(KIND, HERE, 7.0), Verdict.SEND)

    def test_slip(self) -> None:
        """Every so manieth that is dropped; 0: none, 1: all."""
        for slip, expected in ((0, 0), (1, 90), (2, 45), (3, 30)):
            limiter = RateLimiter(RateLimit(responses_per_second=10, slip=slip))
            verdicts = [limiter.judge(KIND, HERE, 5.0) for _ in range(100)]
            self.assertEqual(verdicts[:10], [Verdict.SEND] * 10)
            self.assertEqual(verdicts.count(Verdict.SLIP), expected)

    def test_off(self) -> None:
        limiter = RateLimiter(RateLimit(responses_per_second=0))
        self.assertEqual({limiter.judge(KIND, HERE, 5.0) for _ in range(1000)}, {Verdict.SEND})
        self.assertEqual(len(limiter), 0)

    def test_networks(self) -> None:
        """One account for a network, however many of it ask; IPv4 and IPv6 never share one."""
        limiter = RateLimiter(RateLimit(responses_per_second=1, ipv4_prefix=24, ipv6_prefix=56))
        for sources, accounts in (
            (("192.0.2.1", "192.0.2.255"), 1),
            (("192.0.3.1",), 2),
            (("2001:db8::1", "2001:db8:0:ff::1"), 3),
            (("2001:db8:0:100::1",), 4),
            (("::c0:2", "::"), 5),
        ):
            for source in sources:
                limiter.judge(KIND, packed(source), 0.0)
            self.assertEqual(len(limiter), accounts)

    def test_exempt(self) -> None:
        exempt = (ip_network("198.51.100.0/25"), ip_network("2001:db8::/32"))
        limiter = RateLimiter(RateLimit(responses_per_second=1, exempt=exempt))
        for source, limited in (("198.51.100.127", 0), ("198.51.100.128", 9), ("2001:db8::1", 0), ("2001:db9::1", 9)):
            verdicts = [limiter.judge(KIND, packed(source), 0.0) for _ in range(10)]
            self.assertEqual(10 - verdicts.count(Verdict.SEND), limited, source)

    def test_bounded(self) -> None:
        """Many networks do not fill the memory, and who floods is not forgotten for those who do not."""
        limiter = RateLimiter(RateLimit(responses_per_second=1, ipv4_prefix=32), places=64)
        for _ in range(50):
            limiter.judge(KIND, HERE, 0.0)
        for number in range(1000):
            limiter.judge(KIND, number.to_bytes(4, "big"), 0.0)
        self.assertLessEqual(len(limiter), 64)
        self.assertIsNot(limiter.judge(KIND, HERE, 0.0), Verdict.SEND)

    def test_kinds(self) -> None:
        """The same question; any name of a zone that does not exist; any error of one code."""
        names = [from_text(f"{label}.example.test") for label in ("a", "b")]
        questions = [Question(name, rdtype) for name in names for rdtype in (dns.rdatatype.A, dns.rdatatype.TXT)]
        soa = rrset(from_text("example.test"))
        for answer, kinds in (
            (Answer(answer=(soa,)), 4),
            (Answer(answer=(soa,), origin=from_text("*.example.test")), 2),
            (Answer(), 2),
            (Answer(origin=from_text("cut.example.test")), 1),
            (Answer(rcode=dns.rcode.NXDOMAIN, authority=(soa,)), 1),
            (Answer(rcode=dns.rcode.SERVFAIL), 1),
        ):
            self.assertEqual(len({kind_of(question, answer) for question in questions}), kinds)
