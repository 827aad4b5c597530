"""Prefixes beside a look at each of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing.prefixes import Filter, Prefixes, filter_of

CORNERS = [0, 1, 2**31, 2**32 - 1, int(IPv4Address("192.0.2.0")), int(IPv4Address("192.0.2.128"))]


_OWNER = st.one_of(st.none(), st.integers(0, 9))


@st.composite
def prefixes(draw: st.DrawFn) -> IPv4Network:
    """Of every length, and often inside, beside or equal to one another."""
    length = draw(st.sampled_from([0, 1, 8, 23, 24, 25, 30, 31, 32]))
    address = draw(st.sampled_from(CORNERS)) ^ draw(st.sampled_from([0, 0, 1, 64, 256]))
    return IPv4Network((address >> 32 - length << 32 - length if length else 0, length))


def naive(owned: list[tuple[IPv4Network, int]], client: int) -> tuple[int, int] | None:
    """The longest of all that match; of equal ones the last."""
    best: tuple[int, int] | None = None
    for prefix, owner in owned:
        if IPv4Address(client) in prefix and (best is None or prefix.prefixlen >= best[1]):
            best = owner, prefix.prefixlen
    return best


class PrefixTests(SynchronousTestCase):
    @settings(max_examples=200)
    @given(st.lists(st.tuples(prefixes(), st.integers(0, 9)), max_size=12), st.integers(0, 2**32 - 1))
    def test_the_longest_wins(self, owned: list[tuple[IPv4Network, int]], anywhere: int) -> None:
        """5.4: whatever prefixes there are, at their edges and elsewhere."""
        found = Prefixes(owned)
        edges = {int(prefix.network_address) for prefix, _ in owned} | {int(p.broadcast_address) for p, _ in owned}
        for client in {anywhere, *edges, *CORNERS, *(max(0, edge - 1) for edge in edges)}:
            self.assertEqual(found.find(client), naive(owned, client), IPv4Address(client))
        self.assertEqual(bool(found), bool(owned))

    @settings(max_examples=200)
    @given(st.lists(st.tuples(prefixes(), st.integers(0, 9)), max_size=6), st.lists(st.tuples(prefixes(), _OWNER)))
    def test_changes(self, owned: list[tuple[IPv4Network, int]], changes: list[tuple[IPv4Network, int | None]]) -> None:
        """Put and dropped one at a time, they are as if they had been laid out so, with no run too many."""
        found = Prefixes(owned)
        kept = dict(owned)
        for prefix, owner in changes:
            kept.pop(prefix, None)
            if owner is None:
                found.drop(prefix)
            else:
                kept[prefix] = owner
                found.put(prefix, owner)
            edges = {int(each.network_address) for each in (*kept, prefix)}
            edges |= {int(each.broadcast_address) for each in (*kept, prefix)}
            for client in {*edges, *CORNERS, *(max(0, edge - 1) for edge in edges)}:
                self.assertEqual(found.find(client), naive(list(kept.items()), client), IPv4Address(client))
            self.assertLessEqual(len(found.starts), 2 * len(kept) + 1)
            self.assertEqual((found.starts, bool(found)), (sorted(set(found.starts)), bool(kept)))

    def test_runs_are_disjoint_and_in_order(self) -> None:
        """A prefix within a prefix makes three runs."""
        outer, inner = IPv4Network("192.0.2.0/24"), IPv4Network("192.0.2.64/26")
        found = Prefixes([(inner, "inner"), (outer, "outer")])
        first = int(outer.network_address)
        self.assertEqual(found.starts, [0, first, first + 64, first + 128, first + 256])
        self.assertEqual([owner and owner[0] for owner in found.owners], [None, "outer", "inner", "outer", None])


class FilterTests(SynchronousTestCase):
    def test_allow_and_deny(self) -> None:
        """5.13: deny wins, an empty list of the allowed allows all."""
        inside, outside = int(IPv4Address("192.0.2.1")), int(IPv4Address("198.51.100.1"))
        net, host = IPv4Network("192.0.2.0/24"), IPv4Network("192.0.2.1/32")
        for allow, deny, expected in (
            ([net], [], (True, False)),
            ([], [net], (False, True)),
            ([net], [host], (False, False)),
            ([host], [net], (False, False)),
        ):
            with self.subTest(allow=allow, deny=deny):
                made = Filter(allow, deny)
                self.assertEqual((made.admits(inside), made.admits(outside)), expected)

    def test_no_lists_no_filter(self) -> None:
        """So that most services pay nothing."""
        self.assertIsNone(filter_of((), ()))
