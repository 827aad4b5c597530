"""Names of the POP network's customers, from question to answer (3.1, 3.2); who is chosen comes in as addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.rcode
import dns.rdatatype
import dns.zone
from twisted.trial.unittest import SynchronousTestCase

from appliance.naming import (
    Answer,
    NeedsChoice,
    NeedsLease,
    Question,
    SiteNames,
    Zones,
    answer,
    chosen,
    from_text,
    lacks,
    to_text,
    unchosen,
)
from tests.naming.test_answer import shown

ZONE = """
@        3600 SOA   ns1 hostmaster 1 7200 3600 1209600 60
@        3600 NS    ns1
@        3600 MX    10 page
ns1      3600 A     192.0.2.53
page     3600 A     192.0.2.1
page     3600 AAAA  2001:db8::bad
page     3600 TXT   "beside the choice"
page     3600 RRSIG A 8 3 60 20300101000000 20200101000000 1 example.test. AAAA
alias    3600 CNAME page
far      3600 CNAME alias
old      3600 DNAME deep.er
*.deep.er 3600 TXT  "star"
*.wild   3600 A     192.0.2.2
"""
PAGES = [
    "page.example.test",
    "example.test",
    "img.deep.er.example.test",
    "in.wild.example.test",
    "only.new.example.test",
]
ZONES = Zones(
    [dns.zone.from_text(ZONE, origin="example.test", relativize=False)],
    [SiteNames(site="site.example.test", names=(from_text("site.example.test"),))],
    map(from_text, PAGES),
)
FOUR = [IPv4Address(f"198.51.100.{last}") for last in (9, 1, 5)]
SIX = [IPv6Address("2001:db8::9"), IPv6Address("2001:db8::1")]


def ask(name: str, rdtype: str = "A") -> Answer | NeedsLease | NeedsChoice:
    return answer(ZONES, Question(from_text(name), dns.rdatatype.from_text(rdtype)))


def needs(name: str, rdtype: str = "A") -> NeedsChoice:
    found = ask(name, rdtype)
    assert isinstance(found, NeedsChoice), found
    return found


class QuestionTests(SynchronousTestCase):
    def test_addresses_need_a_choice(self) -> None:
        """At an apex, beside a wildcard, where the zone has nothing; and at the end of CNAME and DNAME."""
        for name, owner in (
            *((page, page) for page in PAGES),
            ("alias.example.test", "page.example.test"),
            ("far.example.test", "page.example.test"),
            ("img.old.example.test", "img.deep.er.example.test"),
        ):
            for rdtype, family in (("A", 4), ("AAAA", 6)):
                found = needs(name, rdtype)
                self.assertEqual((to_text(found.owner), found.family), (owner, family), name)

    def test_everything_else_comes_from_the_zone(self) -> None:
        """And its own addresses do not come, as targets of others neither, nor their signatures."""
        for name, rdtype, lines in (
            ("page.example.test", "TXT", ['page.example.test 3600 TXT "beside the choice"']),
            ("page.example.test", "RRSIG", []),
            ("page.example.test", "CNAME", []),
            ("only.new.example.test", "TXT", []),
            ("example.test", "MX", ["example.test 3600 MX 10 page.example.test."]),
        ):
            found = ask(name, rdtype)
            assert isinstance(found, Answer)
            self.assertEqual((shown(found.answer), found.additional), (lines, ()), (name, rdtype))

    def test_any(self) -> None:
        """RFC 8482, also where the zone has nothing; nobody is chosen."""
        for name in ("page.example.test", "only.new.example.test"):
            found = ask(name, "ANY")
            assert isinstance(found, Answer)
            self.assertEqual(shown(found.answer), [f'{name} 3789 HINFO "RFC8482" ""'])
            self.assertIsNone(found.customer)

    def test_names_around_it(self) -> None:
        """It exists, and so does what lies above it: no wildcard stands for either."""
        found = ask("new.example.test")
        assert isinstance(found, Answer)
        self.assertEqual((found.rcode, found.answer), (dns.rcode.NOERROR, ()))
        for name, apex in (
            ("only.new", None),
            ("new", None),
            ("x.only.new", "example.test"),
            ("x.in.wild", "example.test"),
        ):
            gone = lacks(ZONES, from_text(f"{name}.example.test"), dns.rdatatype.A)
            self.assertEqual(gone, apex and from_text(apex), name)


class AnswerTests(SynchronousTestCase):
    def test_chosen(self) -> None:
        """The chain, then all addresses in their order, which the best leads."""
        done = chosen(needs("alias.example.test"), FOUR, 7, customer="shop", for_all=True, scope=0)
        chain = "alias.example.test 3600 CNAME page.example.test."
        self.assertEqual(shown(done.answer), [chain, *(f"page.example.test 7 A {address}" for address in FOUR)])
        self.assertEqual((done.customer, done.site, done.for_all, done.scope), ("shop", None, True, 0))
        done = chosen(needs("page.example.test", "AAAA"), SIX, 7, customer="shop", for_all=False, scope=0)
        self.assertEqual(shown(done.answer), [f"page.example.test 7 AAAA {address}" for address in SIX])
        self.assertFalse(done.for_all)

    def test_an_address_that_comes_twice(self) -> None:
        """RFC 2181 s5: two servers behind one address are one record."""
        done = chosen(needs("page.example.test"), [*FOUR, FOUR[0]], 7, customer="shop", for_all=True, scope=0)
        self.assertEqual(len(done.answer[0].rdatas), 3)

    def test_unchosen(self) -> None:
        """No data, not to be remembered for long."""
        done = unchosen(needs("alias.example.test", "AAAA"), customer="shop", for_all=True, scope=0)
        self.assertEqual(shown(done.answer), ["alias.example.test 3600 CNAME page.example.test."])
        [soa] = done.authority
        self.assertEqual((soa.rdtype, soa.ttl), (dns.rdatatype.SOA, 5))
        self.assertEqual((done.rcode, done.customer, done.for_all), (dns.rcode.NOERROR, "shop", True))
        self.assertFalse(unchosen(needs("page.example.test")).for_all, "nobody would tell when that changes")

    def test_what_depends_on_the_network_is_not_for_all(self) -> None:
        """RFC 7871: whatever the one who chose says of it."""
        found = needs("page.example.test")
        for done in (
            chosen(found, FOUR, 7, customer="shop", for_all=True, scope=24),
            unchosen(found, customer="shop", for_all=True, scope=24),
        ):
            self.assertEqual((done.for_all, done.scope), (False, 24))

    def test_whose_names_are_without_number(self) -> None:
        """Behind a DNAME the rate limiter counts all as one."""
        found = needs("img.old.example.test")
        origin = from_text("old.example.test")
        self.assertEqual(found.origin, origin)
        self.assertEqual(chosen(found, FOUR, 7, customer="shop", for_all=True, scope=0).origin, origin)
        self.assertEqual(unchosen(found, customer="shop", for_all=True, scope=0).origin, origin)
