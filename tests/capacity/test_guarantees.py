"""What the ledger is for, seen from the target: its load (G2), who is there (G3, G4), who does not obey (G5)."""

from __future__ import annotations

import random

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import Ledger

TTL = 20.0
GRACE = 10.0
BOUNDED = settings(max_examples=max(60, settings().max_examples))


@attrs.define
class Resolver:
    """
    A cache with clients.

    :param rate: sessions a second, which the ledger is told as they are.
    :param idle: most seconds between the end of its copy and its next question.
    :param kept: seconds that it keeps an answer, whatever the TTL says.
    """

    number: int
    rate: float
    idle: float
    kept: float = TTL
    is_ours: bool = False
    has_copy_until: float = -1.0
    asks_at: float = 0.0


class World:
    """Resolvers that ask one ledger, question by question."""

    def __init__(self, ledger: Ledger, resolvers: list[Resolver], seed: int) -> None:
        self.ledger = ledger
        self.resolvers = resolvers
        self.rng = random.Random(seed)
        self.now = 0.0
        for resolver in resolvers:
            resolver.asks_at = self.rng.uniform(0.0, TTL)

    def step(self) -> tuple[Resolver, bool]:
        """The next question; :return: whose it was, and what its last answer was."""
        resolver = min(self.resolvers, key=lambda one: one.asks_at)
        self.now = resolver.asks_at
        was_ours = resolver.is_ours
        resolver.is_ours = self.ledger.admit(resolver.number, resolver.rate, self.now, TTL)
        resolver.has_copy_until = self.now + resolver.kept
        resolver.asks_at = resolver.has_copy_until + self.rng.uniform(0.0, resolver.idle)
        return resolver, was_ours

    def load(self, now: float) -> float:
        """Mean sessions a second that come to the target."""
        return sum(one.rate for one in self.resolvers if one.is_ours and now < one.has_copy_until)


RATES = st.lists(st.floats(0.01, 30.0), min_size=1, max_size=25)
SEEDS = st.integers(0, 1 << 16)


def ledger(capacity: float = 100.0) -> Ledger:
    return Ledger("pop", capacity=capacity, ttl=TTL, grace=GRACE, needs_reports=False)


class GuaranteeTests(SynchronousTestCase):
    @BOUNDED
    @given(rates=RATES, seed=SEEDS, left=st.floats(0.0, 0.9))
    def test_load_is_safe(self, rates: list[float], seed: int, left: float) -> None:
        """G2: never above the capacity; when that falls, never above it again from one TTL later on."""
        world = World(ledger(), [Resolver(n, rate, 30.0) for n, rate in enumerate(rates)], seed)
        while world.now < 150.0:
            world.step()
            self.assertLessEqual(world.load(world.now), 90.0 + 1e-6)
        fell_at = world.now
        world.ledger.capacity = 100.0 * left
        while world.now < fell_at + 150.0:
            world.step()
            self.assertLessEqual(world.load(world.now), (90.0 if world.now < fell_at + TTL else 90.0 * left) + 1e-6)
        self.assertLessEqual(world.load(fell_at + TTL), 90.0)

    @BOUNDED
    @given(rates=RATES, seed=SEEDS)
    def test_who_is_there_stays(self, rates: list[float], seed: int) -> None:
        """G3, G4: while nothing changes, those who come back in time are all renewed, and more come till it is full."""
        world = World(ledger(), [Resolver(n, rate, GRACE - 0.001) for n, rate in enumerate(rates)], seed)
        while world.now < 150.0:
            resolver, was_ours = world.step()
            self.assertGreaterEqual(resolver.is_ours, was_ours)
        there = sum(resolver.rate for resolver in world.resolvers if resolver.is_ours)
        for resolver in world.resolvers:
            self.assertTrue(resolver.is_ours or there + resolver.rate > 90.0 - 0.01)

    @BOUNDED
    @given(rates=RATES, seed=SEEDS, load=st.floats(0.0, 120.0))
    def test_measured_load_bounds_admissions(self, rates: list[float], seed: int, load: float) -> None:
        """G5: no stranger is admitted for whom there is no room beside what is measured, whoever brought it."""
        book = ledger()
        book.measured(load, 0.0)
        for number, rate in enumerate(rates):
            if book.admit(number, rate, 1.0, TTL):
                self.assertLessEqual(load + rate, 90.0)

    @BOUNDED
    @given(seed=SEEDS, stubborn=st.integers(0, 12))
    def test_who_does_not_obey(self, seed: int, stubborn: int) -> None:
        """
        G5: what those bring who keep answers for ever is taken from the others.

        40 resolvers with 5 each, of which up to 12 never ask again: at most 60 of the 90 that may come.
        """
        resolvers = [Resolver(n, 5.0, 2.0, kept=1e6 if n < stubborn else TTL) for n in range(40)]
        world = World(ledger(), resolvers, seed)
        reported_at = 0.0
        while world.now < 400.0:
            world.step()
            if world.now >= reported_at:
                world.ledger.measured(world.load(world.now), world.now)
                reported_at = world.now + 5.0
            if world.now > 200.0:
                self.assertLessEqual(world.load(world.now), 100.0)
        kept = sum(one.rate for one in resolvers if one.is_ours and one.kept > TTL)
        self.assertLessEqual(world.ledger.promised(world.now) + kept, 100.0)
        self.assertGreaterEqual(world.load(world.now), 45.0, "and no more than that")

    def test_own_traffic_goes_first(self) -> None:
        """2.8: what the target has from elsewhere grows; what answers bring gives way, and comes back."""
        resolvers = [Resolver(n, 3.0, 2.0) for n in range(40)]
        world = World(ledger(), resolvers, 1)
        reported_at = 0.0
        totals: dict[float, float] = {}
        while world.now < 1200.0:
            world.step()
            own = 60.0 if 400.0 < world.now < 800.0 else 0.0
            totals[world.now] = own + world.load(world.now)
            if world.now >= reported_at:
                world.ledger.measured(totals[world.now], world.now)
                reported_at = world.now + 5.0
        before = [total for at, total in totals.items() if 100 < at < 400]
        beside = [total for at, total in totals.items() if 450 < at < 800]
        after = [total for at, total in totals.items() if at > 1100]
        self.assertGreater(min(before), 60.0)
        self.assertLess(max(beside), 100.0)
        self.assertGreater(min(beside), 60.0)
        self.assertGreater(min(after), 60.0)
