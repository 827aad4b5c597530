"""What is learned of the load behind resolvers."""

from __future__ import annotations

import random
import tracemalloc
from ipaddress import IPv4Address, IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import ResolverBook, prefix_of

TTL = 20.0


def live(book: ResolverBook, rates: list[float], rng: random.Random, until: float) -> list[float]:
    """Caches of one resolver, each with clients of its own; :return: the estimates of the second half."""
    asks_at = [rng.expovariate(rate) for rate in rates]
    said = []
    while (now := min(asks_at)) < until:
        cache = asks_at.index(now)
        estimate = book.asked("names", 1, now)
        book.told("names", 1, TTL, now)
        asks_at[cache] = now + TTL + rng.expovariate(rates[cache])
        if now > until / 2:
            said.append(estimate)
    return said


class ResolverTests(SynchronousTestCase):
    def test_upper_estimate_of_one_cache(self) -> None:
        """It is above the true rate nearly always, and not by much more than the few questions that count allow."""
        for rate in (0.02, 0.2, 2.0, 20.0):
            said = live(ResolverBook(), [rate], random.Random(7), 40_000.0)
            self.assertGreater(sum(estimate > rate for estimate in said) / len(said), 0.95, rate)
            self.assertLess(sorted(said)[len(said) // 2], 3.5 * rate, rate)

    def test_several_caches(self) -> None:
        """The load behind all caches of a prefix is seen, and they are not taken for one that never rests."""
        for count in (2, 4):
            rates = [2.0 / count] * count
            said = sorted(live(ResolverBook(), rates, random.Random(7), 20_000.0))
            self.assertGreater(said[len(said) // 20], 2.0 * 0.8, count)
            self.assertLess(said[len(said) // 2], 2.0 * 5.0, count)

    def test_lost_answer(self) -> None:
        """Who asks again at once, for the answer was lost, counts as two copies for two TTLs, and then as before."""
        book = ResolverBook()
        rng = random.Random(1)
        before = live(book, [1.0], rng, 2000.0)[-1]
        now = 2100.0
        for wait in (0.0, 2.0):
            book.asked("names", 1, now + wait)
            book.told("names", 1, TTL, now + wait)
        for _ in range(12):
            now += TTL + 3.0
            estimate = book.asked("names", 1, now)
            book.told("names", 1, TTL, now)
        self.assertLess(estimate, max(before, 1.2))
        self.assertGreater(estimate, 1.0 / 3.0, "idle times of 3 s: the lost copy does not count as one that rests")
        self.assertEqual(len(book._known["names", 1].ends), 1)

    def test_a_long_rest_tells_something(self) -> None:
        """One idle time does not tell a rate; but if it was long, the rate is not the prior's."""
        book = ResolverBook(prior=2.0)
        self.assertEqual(book.asked("names", 1, 0.0), 2.0)
        book.told("names", 1, TTL, 0.0)
        self.assertEqual(book.asked("names", 1, 20.1), 2.0)
        book.told("names", 1, TTL, 20.1)
        book.asked("names", 2, 0.0)
        book.told("names", 2, TTL, 0.0)
        self.assertAlmostEqual(book.asked("names", 2, 420.0), 4.0 / 400.0)

    def test_strangers_are_like_others(self) -> None:
        """Twice the mean of the group once eight are known; another group has its own."""
        book = ResolverBook(prior=5.0)
        for resolver in range(8):
            self.assertEqual(book.rate("names", 99), 5.0)
            book.asked("names", resolver, 0.0)
            book.told("names", resolver, TTL, 0.0)
            book.asked("names", resolver, TTL + 10.0)
        self.assertAlmostEqual(book.rate("names", 99), 2.0 * 0.1)
        self.assertEqual(book.rate("others", 99), 5.0)
        self.assertEqual(book.rate("others", 1), 5.0)

    def test_highest(self) -> None:
        book = ResolverBook(prior=100.0, highest=60.0)
        for number in range(20):
            self.assertLessEqual(book.asked("names", 1, number * 20.0), 60.0)
            book.told("names", 1, TTL, number * 20.0)
        self.assertEqual(book.rate("names", 1), 60.0)

    def test_bounded(self) -> None:
        """Who has been silent longest is forgotten, with what it counted in its group."""
        book = ResolverBook(most=3)
        for resolver in (1, 2, 3):
            book.asked("names", resolver, 0.0)
            book.told("names", resolver, TTL, 0.0)
        book.asked("names", 1, TTL + 100.0)
        low = book.rate("names", 1)
        book.asked("other", 4, 130.0)
        self.assertEqual(len(book), 3)
        self.assertEqual(book.rate("names", 1), low)
        for resolver in (5, 6):
            book.asked("other", resolver, 131.0)
        self.assertEqual(book.rate("names", 1), book.prior)
        self.assertEqual(set(book._groups), {"other"})
        for now, resolver in ((200.0, 5), (201.0, 6), (202.0, 7), (203.0, 8)):
            book.told("other", resolver, TTL, 150.0)
            book.asked("other", resolver, now)
        self.assertEqual((book._groups["other"].known, len(book)), (1, 3))
        self.assertAlmostEqual(book._groups["other"].rate, 1.0 / 31.0)
        self.assertEqual(book._groups["other"].resolvers, 3)

    def test_told_by_nobody_known(self) -> None:
        """An answer to who was forgotten meanwhile is nothing."""
        book = ResolverBook()
        book.told("names", 1, TTL, 0.0)
        self.assertEqual(len(book), 0)

    def test_copies_are_bounded(self) -> None:
        """A client that has no cache, or a flood in a resolver's name, is no memory."""
        book = ResolverBook()
        for number in range(1000):
            book.asked("names", 1, number / 10)
            book.told("names", 1, TTL, number / 10)
        self.assertEqual(len(book._known["names", 1].ends), 8)
        self.assertLessEqual(book.rate("names", 1), book.highest)

    def test_memory(self) -> None:
        """docs/capacity.rst says how much a resolver is."""
        tracemalloc.start()
        try:
            book = ResolverBook()
            for resolver in range(5000):
                book.asked("names", resolver, 0.0)
                book.told("names", resolver, TTL, 0.0)
            used = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        self.assertLess(used / 5000, 600)


class PrefixTests(SynchronousTestCase):
    def test_prefixes(self) -> None:
        """Addresses of one prefix are one resolver; lengths and families are not mixed up."""
        one, other = IPv4Address("198.51.100.7"), IPv4Address("198.51.100.200")
        self.assertEqual(prefix_of(one, 24), prefix_of(other, 24))
        self.assertNotEqual(prefix_of(one, 25), prefix_of(other, 25))
        six = IPv6Address("2001:db8::1")
        zeros = [prefix_of(IPv4Address(0), length) for length in range(33)]
        zeros += [prefix_of(IPv6Address(0), length) for length in range(129)]
        self.assertEqual(len(set(zeros)), 33 + 129)
        self.assertLess(prefix_of(IPv6Address(2**128 - 1), 128), 1 << 160)
        self.assertEqual(prefix_of(six, 56), prefix_of(IPv6Address("2001:db8:0:ff::1"), 56))
