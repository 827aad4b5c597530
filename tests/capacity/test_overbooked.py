"""What is out there beyond all capacities, beside a list of all that was ever given."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity.overbooked import Overbooked

GIVEN = st.tuples(
    st.sampled_from([0.0, 0.3, 1.0, 7.0, 40.0]), st.integers(1, 5), st.integers(1, 8), st.floats(1.0, 30.0)
)
"""Seconds later, a resolver, a weight, and the life of its answer."""


class OverbookedTests(SynchronousTestCase):
    @given(st.lists(GIVEN, max_size=40))
    def test_naive(self, given: list[tuple[float, int, int, float]]) -> None:
        book, newest, now = Overbooked(5.0, 100), {}, 0.0
        for later, resolver, weight, life in given:
            now += later
            book.take(resolver, float(weight), now + life, now)
            newest[resolver] = weight, math.ceil(now + life)
            for at in (now, now + 0.5, now + 3.0):
                self.assertEqual(book.sum(at), sum(weight for weight, end in newest.values() if end > at))
                for each in range(1, 6):
                    self.assertEqual(book.knows(each, at), each in newest and newest[each][1] + 5.0 > at)
            now += 3.0

    def test_bounded(self) -> None:
        """No more than so many at once; those that are over make room for others."""
        book = Overbooked(5.0, 2)
        for resolver in (1, 2, 3, 2):
            book.take(resolver, 1.0, 10.0, 0.0)
        self.assertEqual((book.sum(0.0), book.knows(3, 0.0), len(book)), (2.0, False, 2))
        book.take(3, 1.0, 30.0, 15.0)
        self.assertEqual((book.sum(15.0), book.knows(3, 15.0), len(book)), (1.0, True, 1))
