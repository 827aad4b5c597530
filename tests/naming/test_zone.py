"""Zones that are replaced, and zones that cannot be answered from."""

from __future__ import annotations

import dns.rcode
import dns.rdatatype
import dns.zone
from twisted.trial.unittest import SynchronousTestCase

from appliance.naming import (
    Answer,
    ExtendedError,
    NeedsChoice,
    NeedsLease,
    Question,
    SiteNames,
    Zone,
    Zones,
    answer,
    from_text,
    lacks,
)
from appliance.naming.zone import NAMES_A_SLICE

HEAD = "@ 60 SOA ns1 h {serial} 7200 3600 1209600 60\n@ 60 NS ns1\nns1 60 A 192.0.2.{serial}\nsite 60 TXT x\n"
SITES = [SiteNames(site=f"site.{apex}", names=(from_text(f"site.{apex}"),)) for apex in ("a.test", "b.test")]
LATE = ExtendedError(14, "later")


def source(apex: str, serial: int = 1, more: str = "") -> dns.zone.Zone:
    return dns.zone.from_text(HEAD.format(serial=serial) + more, apex, relativize=False)


def ask(zones: Zones, name: str, rdtype: str = "A") -> Answer | NeedsLease | NeedsChoice:
    return answer(zones, Question(from_text(name), dns.rdatatype.from_text(rdtype)))


def data(zones: Zones, name: str) -> list[str]:
    found = ask(zones, name)
    assert isinstance(found, Answer)
    return [str(rdata) for rrset in found.answer for rdata in rrset.rdatas]


SIGNED = "".join(
    f"site {60 + number} RRSIG {covered} 8 3 60 20300101000000 20200101000000 {number} a.test. AAAA\n"
    for number, covered in enumerate(("A", "TXT", "TXT", "NSEC"))
)


class SignatureTests(SynchronousTestCase):
    """Signatures are a set for each type that they cover (RFC 4034 s3), and none is lost."""

    def test_all_are_kept(self) -> None:
        found = ask(Zones([source("a.test", more=SIGNED)]), "site.a.test", "RRSIG")
        assert isinstance(found, Answer)
        self.assertEqual(
            sorted((rrset.ttl, len(rrset.rdatas)) for rrset in found.answer),
            [(60, 1), (61, 2), (63, 1)],
        )

    def test_a_site_has_none_of_its_address(self) -> None:
        zones = Zones([source("a.test", more=SIGNED + "site 60 A 192.0.2.1\n")], SITES)
        found = ask(zones, "site.a.test", "RRSIG")
        assert isinstance(found, Answer)
        covered = {dns.rdatatype.to_text(rdata.covers()) for rrset in found.answer for rdata in rrset.rdatas}
        self.assertEqual(covered, {"TXT", "NSEC"})

    def test_a_name_without(self) -> None:
        found = ask(Zones([source("a.test", more=SIGNED)]), "ns1.a.test", "RRSIG")
        assert isinstance(found, Answer)
        self.assertEqual((found.answer, len(found.authority)), ((), 1))


class ReplaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.zones = Zones([source("a.test"), source("b.test")], SITES)

    def test_one_zone(self) -> None:
        """The others, and whoever still reads the old one, notice nothing."""
        changed = self.zones.with_zone(Zone.of(source("a.test", 2)))
        self.assertEqual((data(changed, "ns1.a.test"), data(changed, "ns1.b.test")), (["192.0.2.2"], ["192.0.2.1"]))
        self.assertEqual(data(self.zones, "ns1.a.test"), ["192.0.2.1"])
        apexes = changed.apexes()
        self.assertIs(apexes[from_text("b.test")], self.zones.apexes()[from_text("b.test")])
        self.assertEqual([apexes[from_text(apex)].serial for apex in ("a.test", "b.test")], [2, 1])

    def test_its_sites_are_laid_over_it(self) -> None:
        """Also the second time, and also where the new records have an address there."""
        changed = self.zones
        for serial in (2, 3):
            changed = changed.with_zone(Zone.of(source("a.test", serial, "site 60 A 192.0.2.99\n")))
            self.assertIsInstance(ask(changed, "site.a.test"), NeedsLease)
        self.assertNotIn(from_text("site.b.test"), changed.apexes()[from_text("a.test")].nodes)

    def test_customers_names_are_laid_over_it(self) -> None:
        """As sites are, each time; also where the new records have a CNAME there."""
        name = from_text("page.a.test")
        changed = Zones([source("a.test")], SITES, [name, from_text("page.elsewhere.test")])
        for serial in (2, 3):
            changed = changed.with_zone(Zone.of(source("a.test", serial, "page 60 CNAME ns1\n")))
            for rdtype, family in (("A", 4), ("AAAA", 6)):
                found = ask(changed, "page.a.test", rdtype)
                assert isinstance(found, NeedsChoice)
                self.assertEqual((found.owner, found.family), (name, family))
            found = ask(changed, "page.a.test", "CNAME")
            self.assertEqual(isinstance(found, Answer) and found.answer, ())
            self.assertIsInstance(ask(changed, "site.a.test"), NeedsLease)

    def test_a_delegation_that_comes_in_wins(self) -> None:
        """What lies below it is somebody else's."""
        changed = Zones([source("a.test")], (), [from_text("www.page.a.test")])
        self.assertIsInstance(ask(changed, "www.page.a.test"), NeedsChoice)
        changed = changed.with_zone(Zone.of(source("a.test", 2, "page 60 NS ns.page\n")))
        found = ask(changed, "www.page.a.test")
        assert isinstance(found, Answer)
        self.assertEqual((found.authoritative, found.answer, len(found.authority)), (False, (), 1))

    def test_slowly(self) -> None:
        """In slices, with the same result."""
        many = source("a.test", 2, "".join(f"h{number} 60 A 192.0.2.1\n" for number in range(3 * NAMES_A_SLICE)))
        making = Zone.slowly(many)
        slices = 0
        while True:
            try:
                next(making)
            except StopIteration as made:
                zone = made.value
                break
            slices += 1
        self.assertEqual((slices, zone.nodes), (3, Zone.of(many).nodes))


class UnservedTests(SynchronousTestCase):
    def setUp(self) -> None:
        alias = source("a.test", 1, "alias 60 CNAME ns1.b.test.\n")
        self.zones = Zones([alias, Zone(from_text("b.test"), LATE)], SITES)

    def test_servfail(self) -> None:
        """For all names and types, sites included; with the reason."""
        for name in ("b.test", "ns1.b.test", "site.b.test"):
            for rdtype in ("A", "SOA", "ANY", "DS"):
                found = ask(self.zones, name, rdtype)
                assert isinstance(found, Answer)
                self.assertEqual((found.rcode, found.error, found.authoritative), (dns.rcode.SERVFAIL, LATE, False))

    def test_nobody_knows_what_it_lacks(self) -> None:
        """So that nothing is taken for NXDOMAIN."""
        self.assertIsNone(lacks(self.zones, from_text("x.b.test"), dns.rdatatype.A))
        self.assertEqual(lacks(self.zones, from_text("x.a.test"), dns.rdatatype.A), from_text("a.test"))

    def test_a_chain_ends_there(self) -> None:
        """As at a zone of somebody else's: the resolver asks for the rest and hears why."""
        found = ask(self.zones, "alias.a.test")
        assert isinstance(found, Answer)
        self.assertEqual((found.rcode, len(found.answer)), (dns.rcode.NOERROR, 1))

    def test_it_comes(self) -> None:
        changed = self.zones.with_zone(Zone.of(source("b.test")))
        self.assertEqual(data(changed, "ns1.b.test"), ["192.0.2.1"])
        self.assertIsInstance(ask(changed, "site.b.test"), NeedsLease)
        self.assertIsNone(self.zones.apexes()[from_text("b.test")].serial)
