"""What a question is answered from a zone; the RFC that says so stands with each test."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.rcode
import dns.rdatatype
import dns.zone
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.naming import (
    Answer,
    NeedsChoice,
    NeedsLease,
    Question,
    RRset,
    SiteNames,
    Zones,
    answer,
    exhausted,
    from_text,
    leased,
    to_text,
)

PARENT = """
@          3600 SOA  ns1 hostmaster 1 7200 3600 1209600 60
@          3600 NS   ns1
@          3600 MX   10 mail
ns1        3600 A    192.0.2.53
mail       3600 A    192.0.2.25
a.b.c      3600 TXT  "deep"
*.wild     3600 TXT  "star"
named.wild 3600 A    192.0.2.1
www        3600 TXT  "beside the site"
alias      3600 CNAME www
loop1      3600 CNAME loop2
loop2      3600 CNAME loop1
out        3600 CNAME elsewhere.test.
gone       3600 CNAME nothing
old        3600 DNAME c
self       3600 DNAME x.self
cut        3600 NS   ns.cut
cut        3600 DS   1 8 2 aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899
ns.cut     3600 A    192.0.2.99
child      3600 NS   ns1
child      3600 DS   1 8 2 aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899
"""
CHILD = """
@ 3600 SOA ns1.example.test. hostmaster 1 7200 3600 1209600 900
@ 60   NS  ns1.example.test.
"""
SITES = [
    SiteNames(
        site="www.example.test",
        names=(from_text("www.example.test"), from_text("example.test")),
        ipv6=(IPv6Address("2001:db8::1"),),
        ipv6_ttl=77,
    )
]


def zones() -> Zones:
    return Zones(
        [
            dns.zone.from_text(PARENT, origin="example.test", relativize=False),
            dns.zone.from_text(CHILD, origin="child.example.test", relativize=False),
        ],
        SITES,
    )


ZONES = zones()


def ask(name: str, rdtype: str = "A") -> Answer | NeedsLease | NeedsChoice:
    return answer(ZONES, Question(from_text(name), dns.rdatatype.from_text(rdtype)))


def shown(rrsets: tuple[RRset, ...]) -> list[str]:
    """RRsets as lines, for comparing."""
    return [
        f"{to_text(rrset.owner)} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in rrsets
        for rdata in rrset.rdatas
    ]


class DataTests(SynchronousTestCase):
    def check(self, name: str, rdtype: str, rcode: str, *lines: str, authoritative: bool = True) -> Answer:
        found = ask(name, rdtype)
        assert isinstance(found, Answer)
        self.assertEqual(dns.rcode.to_text(found.rcode), rcode)
        self.assertEqual(shown(found.answer), list(lines))
        self.assertEqual(found.authoritative, authoritative)
        return found

    def check_negative(self, found: Answer) -> None:
        """RFC 2308 s3: the SOA, for as long as it says that negative answers live."""
        [soa] = shown(found.authority)
        self.assertTrue(soa.startswith("example.test 60 SOA "), soa)

    def test_data(self) -> None:
        """RFC 1034 s4.3.2 step 3a; with the address of the name that it points to."""
        found = self.check("example.test", "MX", "NOERROR", "example.test 3600 MX 10 mail.example.test.")
        self.assertEqual(shown(found.additional), ["mail.example.test 3600 A 192.0.2.25"])

    def test_nodata_and_empty_non_terminal(self) -> None:
        """RFC 2308 s2.2, RFC 4592 s2.2.2: a name that only has names below it exists."""
        self.check_negative(self.check("mail.example.test", "TXT", "NOERROR"))
        self.check_negative(self.check("b.c.example.test", "A", "NOERROR"))

    def test_nxdomain(self) -> None:
        """RFC 2308 s2.1."""
        self.check_negative(self.check("nothing.example.test", "A", "NXDOMAIN"))
        self.check_negative(self.check("x.mail.example.test", "A", "NXDOMAIN"))

    def test_outside(self) -> None:
        """We are no open resolver, and say so."""
        found = self.check("example.org", "A", "REFUSED", authoritative=False)
        self.assertEqual(found.authority, ())
        self.check("xexample.test", "A", "REFUSED", authoritative=False)

    def test_wildcard(self) -> None:
        """RFC 4592: under the name asked for; not where the name or one between exists."""
        self.check("any.wild.example.test", "TXT", "NOERROR", 'any.wild.example.test 3600 TXT "star"')
        self.check("two.levels.wild.example.test", "TXT", "NOERROR", 'two.levels.wild.example.test 3600 TXT "star"')
        self.check_negative(self.check("any.wild.example.test", "A", "NOERROR"))
        self.check_negative(self.check("named.wild.example.test", "TXT", "NOERROR"))
        self.check_negative(self.check("below.named.wild.example.test", "TXT", "NXDOMAIN"))

    def test_cname(self) -> None:
        """RFC 1034 s3.6.2: followed inside our zones, shown as far as they go outside, and never for ever."""
        self.check("alias.example.test", "CNAME", "NOERROR", "alias.example.test 3600 CNAME www.example.test.")
        self.check("out.example.test", "A", "NOERROR", "out.example.test 3600 CNAME elsewhere.test.")
        loop = (
            "loop1.example.test 3600 CNAME loop2.example.test.",
            "loop2.example.test 3600 CNAME loop1.example.test.",
        )
        self.check("loop1.example.test", "A", "NOERROR", *loop)
        gone = self.check("gone.example.test", "A", "NXDOMAIN", "gone.example.test 3600 CNAME nothing.example.test.")
        self.check_negative(gone)

    def test_dname(self) -> None:
        """RFC 6672: the subtree has moved; the name itself has not; too long is YXDOMAIN."""
        self.check(
            "a.b.old.example.test",
            "TXT",
            "NOERROR",
            "old.example.test 3600 DNAME c.example.test.",
            "a.b.old.example.test 3600 CNAME a.b.c.example.test.",
            'a.b.c.example.test 3600 TXT "deep"',
        )
        self.check("old.example.test", "DNAME", "NOERROR", "old.example.test 3600 DNAME c.example.test.")
        self.check_negative(self.check("old.example.test", "A", "NOERROR"))
        found = ask(".".join(["l" * 60] * 3 + ["l" * 51, "self.example.test"]))
        assert isinstance(found, Answer)
        self.assertEqual(found.rcode, dns.rcode.YXDOMAIN)

    def test_referral(self) -> None:
        """RFC 1034 s4.3.2 step 3b: no authority, the servers below, and their addresses."""
        for name in ("cut.example.test", "x.cut.example.test", "ns.cut.example.test"):
            found = self.check(name, "A", "NOERROR", authoritative=False)
            self.assertEqual(shown(found.authority), ["cut.example.test 3600 NS ns.cut.example.test."])
            self.assertEqual(shown(found.additional), ["ns.cut.example.test 3600 A 192.0.2.99"])

    def test_ds_lives_at_the_parent(self) -> None:
        """RFC 4035 s3.1.4.1, also where we serve the child too."""
        for name in ("cut.example.test", "child.example.test"):
            found = self.check(name, "DS", "NOERROR", shown_ds(name))
            self.assertEqual(found.authority, ())

    def test_a_child_zone_answers_for_itself(self) -> None:
        """The nearest zone is asked."""
        found = self.check("child.example.test", "NS", "NOERROR", "child.example.test 60 NS ns1.example.test.")
        self.assertEqual(found.additional, ())
        [soa] = shown(self.check("x.child.example.test", "A", "NXDOMAIN").authority)
        self.assertTrue(soa.startswith("child.example.test 900 SOA"), soa)

    def test_any_is_minimal(self) -> None:
        """RFC 8482 s4.2: one small answer, for a name that exists."""
        self.check("example.test", "ANY", "NOERROR", 'example.test 3789 HINFO "RFC8482" ""')
        self.check("www.example.test", "ANY", "NOERROR", 'www.example.test 3789 HINFO "RFC8482" ""')
        self.check_negative(self.check("nothing.example.test", "ANY", "NXDOMAIN"))


def shown_ds(name: str) -> str:
    return f"{name} 3600 DS 1 8 2 aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899"


class SiteTests(SynchronousTestCase):
    def test_a_needs_a_lease(self) -> None:
        """1.1: under its name, an alias (even at an apex), and at the end of a CNAME."""
        for name, owner in (
            ("www.example.test", "www.example.test"),
            ("example.test", "example.test"),
            ("alias.example.test", "www.example.test"),
        ):
            found = ask(name)
            assert isinstance(found, NeedsLease)
            self.assertEqual((found.site, to_text(found.owner)), ("www.example.test", owner))

    def test_completed(self) -> None:
        """The chain, then the address with the lease's TTL; or nothing, not to be remembered for long."""
        found = ask("alias.example.test")
        assert isinstance(found, NeedsLease)
        chain = "alias.example.test 3600 CNAME www.example.test."
        done = leased(found, IPv4Address("192.0.2.7"), 12)
        self.assertEqual(shown(done.answer), [chain, "www.example.test 12 A 192.0.2.7"])
        none = exhausted(found)
        self.assertEqual(shown(none.answer), [chain])
        self.assertEqual([rrset.ttl for rrset in none.authority], [5])

    def test_aaaa_is_fixed(self) -> None:
        """And never leases."""
        found = ask("example.test", "AAAA")
        assert isinstance(found, Answer)
        self.assertEqual(shown(found.answer), ["example.test 77 AAAA 2001:db8::1"])

    def test_everything_else_comes_from_the_zone(self) -> None:
        """LEASES, "What never leases"."""
        found = ask("www.example.test", "TXT")
        assert isinstance(found, Answer)
        self.assertEqual(shown(found.answer), ['www.example.test 3600 TXT "beside the site"'])


LABELS = st.sampled_from(
    ["a", "b", "c", "*", "old", "self", "cut", "wild", "www", "example", "test", "child", "x" * 63]
)


class RobustnessTests(SynchronousTestCase):
    @given(labels=st.lists(LABELS, max_size=3), rdtype=st.integers(min_value=0, max_value=65535))
    def test_every_question_has_an_answer(self, labels: list[str], rdtype: int) -> None:
        """Of bounded length, with a SOA where there is no data, and never an exception."""
        name = ".".join([*labels, "example.test"])
        found = answer(ZONES, Question(from_text(name), dns.rdatatype.RdataType.make(rdtype)))
        assert not isinstance(found, NeedsChoice)
        if isinstance(found, NeedsLease):
            self.assertEqual(rdtype, dns.rdatatype.A)
            return
        self.assertLessEqual(len(found.answer), 40)
        if found.authoritative and (not found.answer or found.rcode == dns.rcode.NXDOMAIN):
            self.assertEqual([rrset.rdtype for rrset in found.authority], [dns.rdatatype.SOA])
        self.assertEqual(len(set(map(id, found.answer))), len(found.answer))
