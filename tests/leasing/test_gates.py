"""What a new grant has to pass (1.9), and how an asker's name is made (blame by outcome)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.leasing import Verdict, prefix_of
from appliance.leasing.gates import Gates
from appliance.leasing.reputation import HALF_LIFE, MOST_PREFIXES, Reputation
from appliance.model import Asker, Proof, Quota, Tiers
from tests import fakes
from tests.leasing.driver import Driver

SOURCE = IPv4Address("198.51.100.7")


def asker(proof: Proof) -> Asker:
    return Asker(SOURCE, proof)


class TierTests(SynchronousTestCase):
    def verdicts(self, used: float, tiers: Tiers | None = None) -> list[Verdict]:
        gates = Gates(attrs.evolve(fakes.pool(1), tiers=tiers or Tiers()))
        return [gates.judge(asker(proof), 0, used, 0.0) for proof in Proof]

    def test_each_tier_asks_for_more(self) -> None:
        """Nothing, a cookie, TCP; from exactly the fraction on."""
        self.assertEqual(self.verdicts(0.49), [Verdict.OPEN] * 3)
        self.assertEqual(self.verdicts(0.5), [Verdict.COOKIE, Verdict.OPEN, Verdict.OPEN])
        self.assertEqual(self.verdicts(0.8), [Verdict.STREAM, Verdict.STREAM, Verdict.OPEN])
        self.assertEqual(self.verdicts(1.0, fakes.NO_TIERS), [Verdict.OPEN] * 3)

    def test_an_ill_reputation_counts_under_pressure_only(self) -> None:
        """Whoever let its offers go unused waits until the pool is less used."""
        gates = Gates(attrs.evolve(fakes.pool(1), tiers=Tiers()))
        prefix = prefix_of(SOURCE, Quota())
        for _ in range(3):
            gates.offered(prefix)
            gates.settled(prefix, 0.0, proven=True, used=False)
        self.assertEqual(gates.judge(asker(Proof.STREAM), 0, 0.95, 0.0), Verdict.REPUTATION)
        self.assertEqual(gates.judge(asker(Proof.STREAM), 0, 0.85, 0.0), Verdict.OPEN)
        self.assertEqual(gates.judge(asker(Proof.STREAM), 0, 0.95, 4 * HALF_LIFE), Verdict.OPEN)

    def test_who_is_not_proven_is_not_blamed(self) -> None:
        """A forged source would ruin the name of the network it was taken from."""
        gates = Gates(fakes.pool(1))
        prefix = prefix_of(SOURCE, Quota())
        for _ in range(9):
            gates.offered(prefix)
            gates.settled(prefix, 0.0, proven=False, used=False)
        self.assertEqual(gates.reputation.score(prefix, 0.0), 0.5)


class QuotaTests(SynchronousTestCase):
    def test_per_source_prefix(self) -> None:
        """Offers that wait for a connection; who uses them, or lets them end, may have others."""
        driver = Driver(9, quota=Quota(per_source=2, per_site=9))
        prefix = prefix_of(SOURCE, Quota())
        for name in "ab":
            driver.grant(name, 0.0, asked_by=prefix)
        self.assertEqual(driver.table.gates.judge(asker(Proof.STREAM), 0, 0.0, 0.0), Verdict.SOURCE_QUOTA)
        other = Asker(IPv4Address("198.51.101.7"), Proof.NONE)
        self.assertEqual(driver.table.gates.judge(other, 0, 0.0, 0.0), Verdict.OPEN)
        driver.connect("a", 1.0)
        self.assertEqual(driver.table.gates.judge(asker(Proof.NONE), 0, 0.0, 1.0), Verdict.OPEN)
        driver.reclaim(11.0)
        self.assertEqual(driver.table.gates.offers(prefix), 0)

    def test_per_site(self) -> None:
        """However many networks ask."""
        gates = Gates(attrs.evolve(fakes.pool(1), quota=Quota(per_site=2)))
        self.assertEqual(gates.judge(asker(Proof.STREAM), 1, 0.0, 0.0), Verdict.OPEN)
        self.assertEqual(gates.judge(asker(Proof.STREAM), 2, 0.0, 0.0), Verdict.SITE_QUOTA)

    def test_prefixes(self) -> None:
        """Of the configured lengths; an IPv4 address in IPv6 clothes is itself; the families never meet."""
        quota = Quota(ipv4_prefix=24, ipv6_prefix=56)

        def prefix(text: str) -> int:
            return prefix_of(IPv6Address(text) if ":" in text else IPv4Address(text), quota)

        self.assertEqual(prefix("198.51.100.1"), prefix("198.51.100.255"))
        self.assertNotEqual(prefix("198.51.100.1"), prefix("198.51.101.1"))
        self.assertEqual(prefix("::ffff:198.51.100.1"), prefix("198.51.100.1"))
        self.assertEqual(prefix("2001:db8:0:ab00::1"), prefix("2001:db8:0:abff::1"))
        self.assertNotEqual(prefix("2001:db8:0:ab00::1"), prefix("2001:db8:0:ac00::1"))
        self.assertNotEqual(prefix("0.0.0.1"), prefix("::"))
        self.assertNotEqual(prefix_of(IPv4Address("0.0.0.0"), Quota(ipv4_prefix=0)), 0)


class ReputationTests(SynchronousTestCase):
    def test_volume_outweighs_a_few(self) -> None:
        """A big resolver whose users are mostly real is not punished for the rest."""
        reputation = Reputation()
        for number in range(1000):
            reputation.judge(1, 0.0, used=number % 2 == 0)
        self.assertAlmostEqual(reputation.score(1, 0.0), 0.5, places=2)

    def test_it_ages_to_the_middle(self) -> None:
        """Good and bad alike."""
        reputation = Reputation()
        for _ in range(10):
            reputation.judge(1, 0.0, used=True)
            reputation.judge(2, 0.0, used=False)
        before = reputation.score(1, 0.0), reputation.score(2, 0.0)
        after = reputation.score(1, 5 * HALF_LIFE), reputation.score(2, 5 * HALF_LIFE)
        self.assertTrue(before[0] > 0.8 > 0.6 > after[0] > 0.5, (before, after))
        self.assertTrue(before[1] < 0.2 < 0.4 < after[1] < 0.5, (before, after))

    def test_memory_is_bounded(self) -> None:
        """The one that was judged longest ago goes."""
        reputation = Reputation()
        for prefix in range(MOST_PREFIXES + 100):
            reputation.judge(prefix, 0.0, used=False)
        self.assertEqual(len(reputation), MOST_PREFIXES)
        self.assertEqual(reputation.score(0, 0.0), 0.5)
        self.assertLess(reputation.score(MOST_PREFIXES, 0.0), 0.5)
