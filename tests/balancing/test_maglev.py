"""The table from which source-hash picks."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing.maglev import LARGE, MOST_IN_SMALL, SMALL, place_of, table


def servers(count: int) -> list[tuple[str, float]]:
    return [(f"server {number}", 1.0) for number in range(count)]


def names(members: list[tuple[str, float]]) -> list[str]:
    return [members[index][0] for index in table(members)]


class TableTests(SynchronousTestCase):
    def test_sizes_are_prime(self) -> None:
        """Else a server's order would not reach every place."""
        for size in (SMALL, LARGE):
            self.assertTrue(all(size % divisor for divisor in range(2, 300)), size)
        self.assertEqual(len(table(servers(MOST_IN_SMALL))), SMALL)
        self.assertEqual(len(table(servers(MOST_IN_SMALL + 1))), LARGE)

    def test_shares_are_equal(self) -> None:
        """Within a hundredth of each other."""
        for count in (1, 2, 7, 100):
            counts = Counter(table(servers(count)))
            self.assertEqual(len(counts), count)
            self.assertGreater(min(counts.values()), 0.98 * max(counts.values()))

    def test_shares_follow_weights(self) -> None:
        """One that weighs ten times as much gets ten times as many places."""
        counts = Counter(table([("light", 1.0), ("heavy", 10.0), ("middle", 5.0)]))
        for index, weight in enumerate((1.0, 10.0, 5.0)):
            self.assertAlmostEqual(counts[index] / SMALL, weight / 16.0, places=2)

    def test_few_move(self) -> None:
        """When one of ten leaves, its places move, and few others; the order of the rest does not matter."""
        before, after = names(servers(10)), names(servers(9)[::-1])
        moved = sum(one != other for one, other in zip(before, after, strict=True) if one != "server 9")
        self.assertLess(moved / SMALL, 0.03)

    def test_it_is_the_same_everywhere(self) -> None:
        """A restart, or another appliance, sends clients to the same servers."""
        self.assertEqual([table(servers(5))[place] for place in range(8)], [4, 1, 0, 2, 1, 1, 2, 4])


class PlaceTests(SynchronousTestCase):
    def test_neighbours_are_spread(self) -> None:
        """The clients of one network share no server by their nearness."""
        first = int(IPv4Address("192.0.2.0"))
        members = table(servers(4))
        counts = Counter(members[place_of(first + number) % SMALL] for number in range(256))
        self.assertGreater(min(counts.values()), 40)

    def test_another_attempt_looks_elsewhere(self) -> None:
        """Those who share a server are spread over the others when it has no room."""
        places = [place_of(7, attempt) for attempt in range(100)]
        self.assertEqual(len(set(places)), 100)
        self.assertTrue(all(0 <= place < 1 << 32 for place in places))
