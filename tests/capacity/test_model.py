"""A ledger beside a plain list of promises: the law holds after each admission, whatever came before (G1, G4)."""

from __future__ import annotations

import math

import attrs
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import Ledger, Verdict
from appliance.capacity.places import whole

TTL = 20.0
GRACE = 10.0
HEADROOM = 0.1
RESOLVERS = 12
YES = (Verdict.ADMITTED, Verdict.RENEWED, Verdict.KEPT)


@attrs.define
class Promise:
    """
    As the model keeps it.

    :param leaves: its place is not held when the answer is over.
    """

    weight: float
    ends_at: float
    leaves: bool = False

    def is_live(self, now: float) -> bool:
        return now < self.ends_at

    def has_place(self, now: float) -> bool:
        return self.is_live(now) or (not self.leaves and now < self.ends_at + GRACE)


class Machine(RuleBasedStateMachine):
    """
    Sums are made anew each time.  Of the ledger it only asks a resolver's rank, and kappa, which has its own tests.

    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.promises: dict[int, Promise] = {}
        self.load = 0.0
        self.load_at = -math.inf
        self.fresh = 0.0

    @initialize(needs_reports=st.booleans())
    def begin(self, needs_reports: bool) -> None:
        self.needs_reports = needs_reports
        self.ledger = Ledger(
            "pop", capacity=100.0, ttl=TTL, period=5.0, headroom=HEADROOM, grace=GRACE, needs_reports=needs_reports
        )
        if needs_reports:
            self.report(0.0)
        self.was_lawful = True
        self.seen = self.circumstances()

    # -- the model ---------------------------------------------------------------------------------------------------

    def limit(self) -> float:
        age = self.now - self.load_at
        belief = 1.0
        if self.needs_reports and age > 15.0:
            belief = 0.0 if age > 180.0 else 0.5 ** ((age - 15.0) / TTL)
        return (1.0 - HEADROOM) * (self.ledger.capacity * belief)

    def knows_load(self) -> bool:
        return self.needs_reports or self.now - self.load_at <= 15.0

    def believed_load(self) -> float:
        return self.load if self.knows_load() else 0.0

    def sum(self, resolvers: list[int]) -> float:
        return math.fsum(self.promises[resolver].weight for resolver in resolvers)

    def live(self) -> float:
        return self.sum([resolver for resolver, promise in self.promises.items() if promise.is_live(self.now)])

    def placed(self) -> list[int]:
        return [resolver for resolver, promise in self.promises.items() if promise.has_place(self.now)]

    def is_lawful(self) -> bool:
        return self.ledger.kappa(self.now) * (self.live() + self.ledger.others) <= self.limit()

    def circumstances(self) -> tuple[float, float, float]:
        return self.ledger.kappa(self.now), self.limit(), self.ledger.others

    def expected(self, resolver: int, weight: float) -> Verdict:
        """The law once more, in the words of its docstring."""
        limit, kappa, load, others = self.limit(), self.ledger.kappa(self.now), self.believed_load(), self.ledger.others
        if limit <= 0.0:
            return Verdict.NO_CAPACITY
        placed = self.placed()
        own = self.promises[resolver].weight if resolver in placed else 0.0
        fit = kappa * (self.sum(placed) - own + weight + others) <= limit
        if resolver not in placed:
            coming = self.sum(placed) - self.live() + self.fresh if self.knows_load() else 0.0
            loaded = load + kappa * (coming + weight) > limit
            return Verdict.FULL if not fit else Verdict.LOADED if loaded else Verdict.ADMITTED
        brought = load + kappa * max(0.0, weight - own)
        if fit and brought <= limit:
            return Verdict.RENEWED
        live = self.live()
        after = live + weight - (own if self.promises[resolver].is_live(self.now) else 0.0)
        if (self.is_lawful() and kappa * (after + others) > limit) or (load <= limit < brought):
            return Verdict.SHED
        ratio = max(kappa, self.ledger._ratio.latest) if load > limit else kappa
        rank = self.rank(resolver)
        before = self.sum([other for other in placed if self.rank(other) <= rank]) - own + weight
        share = self.sum(placed) / (self.sum(placed) + others) if others else 1.0
        return Verdict.KEPT if ratio * before <= limit * share + 1e-9 else Verdict.SHED

    def rank(self, resolver: int) -> int:
        return self.ledger._places._rank(resolver)

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(
        asked=st.lists(
            st.tuples(
                st.integers(1, RESOLVERS),
                st.sampled_from([0.1, 3.3, 10.0, 25.0, 40.0]),
                st.sampled_from([TTL, TTL, TTL, 5.0]),
                st.sampled_from([0.0, 0.5, 4.0]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    def ask(self, asked: list[tuple[int, float, float, float]]) -> None:
        for resolver, weight, ttl, wait in asked:
            self.wait(wait)
            self.question(resolver, weight, ttl)

    def question(self, resolver: int, weight: float, ttl: float) -> None:
        weight = whole(weight)
        was_lawful = self.is_lawful()
        verdict = self.expected(resolver, weight)
        assert self.ledger.judge(resolver, weight, self.now) is verdict
        assert self.ledger.admit(resolver, weight, self.now, ttl) == (verdict in YES)
        promise = self.promises.get(resolver)
        if verdict is Verdict.SHED:
            assert promise is not None
            promise.leaves = True
            return
        if verdict not in YES:
            return
        self.fresh += weight - (promise.weight if promise is not None and promise.is_live(self.now) else 0.0)
        if promise is None or not promise.is_live(self.now):
            self.promises[resolver] = Promise(weight, self.now + ttl)
        else:
            self.promises[resolver] = Promise(weight, max(promise.ends_at, self.now + ttl))
        # G1: right after each admission; who stays while there is too much already is no admission.
        assert self.is_lawful() or (verdict is Verdict.KEPT and not was_lawful)

    @rule(seconds=st.sampled_from([0.1, 5.0, 9.9, 10.0, 20.0, 29.9, 30.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for resolver, promise in list(self.promises.items()):
            if not promise.has_place(self.now):
                del self.promises[resolver]

    # One rule for all that changes the law, for hypothesis picks rules with even chances.
    @rule(
        change=st.one_of(
            st.tuples(st.just("capacity"), st.sampled_from([0.0, 20.0, 60.0, 100.0, 100.0])),
            st.tuples(st.just("others"), st.sampled_from([0.0, 0.0, 7.0, 50.0])),
            st.tuples(st.just("reports"), st.sampled_from([0.0, 0.4, 0.8, 1.0, 1.5])),
        )
    )
    def change(self, change: tuple[str, float]) -> None:
        match change:
            case "capacity", capacity:
                self.ledger.capacity = capacity
            case "others", others:
                self.ledger.others = others
            case "reports", ratio:
                for _ in range(9):
                    self.wait(2.6)
                    self.report(ratio * self.live())

    def report(self, load: float) -> None:
        self.load, self.load_at, self.fresh = load, self.now, 0.0
        self.ledger.measured(load, self.now)

    # -- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def sums_agree(self) -> None:
        """To the last bit, in whatever order they were made."""
        assert self.ledger.promised(self.now) == self.live()
        assert self.ledger.promised(self.now) + self.ledger.standing(self.now).held == self.sum(self.placed())
        assert len(self.ledger) == len(self.placed())
        by_rank = [0.0] * 256
        for resolver in self.placed():
            by_rank[self.rank(resolver)] += self.promises[resolver].weight
        assert self.ledger._places._by_rank == by_rank

    @invariant()
    def the_law_holds_on(self) -> None:
        """G1: with constant kappa, A and O it holds at every instant after one at which it did."""
        circumstances = self.circumstances()
        if circumstances == self.seen and self.was_lawful:
            assert self.is_lawful()
        self.seen, self.was_lawful = circumstances, self.is_lawful()

    @invariant()
    def the_timer_is_in_time(self) -> None:
        deadline = self.ledger.next_deadline()
        ends = [p.ends_at if p.is_live(self.now) else p.ends_at + GRACE for p in self.promises.values()]
        assert (deadline is None) == (not ends) or deadline is not None
        assert not ends or (deadline is not None and deadline <= min(ends))


PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SETTINGS = settings(max_examples=max(120, settings().max_examples), stateful_step_count=30, phases=PHASES)


class ModelTests(SynchronousTestCase):
    def test_the_law_in_any_order(self) -> None:
        """G1, G4: nobody is refused or sent away but by the law."""
        run_state_machine_as_test(Machine, settings=SETTINGS)
