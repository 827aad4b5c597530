"""
Two customers with different rules over the same servers and POPs, beside a naive re-computation: in no order of
figures, failures, configurations and time may a choice differ from it, somebody who is down be answered while anybody
is up, or an answer change without the refresh saying so.
"""

from __future__ import annotations

from random import Random

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Chooser, OriginFigures, PopFigures, Why
from appliance.model import AllDown, Choices, Delivery, Load, OriginBy, PopWeights, Rule
from tests.delivery.figures import NAME, PREFIXES, delivery, names, origin, pop
from tests.delivery.naive import NaivePages, NaiveStatics

FAMILIES = (4, 6)
ORIGINS = [origin("a"), origin("b", weight=2), origin("c"), origin("d", weight=0), origin("e", v6=True)]
POPS = [pop("p"), pop("q", capacity=200.0), pop("r"), pop("s", interval=2.0), pop("t", v6=True)]
CLIENTS = [b"", *PREFIXES[:12]]

TIMES = st.none() | st.sampled_from([0.0, 0.01, 0.05, 0.052, 0.2])
PARTS = st.none() | st.sampled_from([0.0, 0.1, 0.5, 0.52, 0.9, 0.97])
LOADS = st.none() | st.builds(
    Load, cpu=PARTS, memory=PARTS, connections=st.sampled_from([None, 0.0, 50.0, 99.0]), capacity=st.just(100.0)
)
WEIGHTS = st.builds(
    PopWeights,
    latency=st.sampled_from([0.0, 1.0, 3.0]),
    cpu=st.sampled_from([0.0, 1.0]),
    memory=st.sampled_from([0.0, 0.2]),
    connections=st.sampled_from([0.0, 1.0]),
    http=st.sampled_from([0.0, 0.5]),
    ftp=st.sampled_from([0.0, 0.5]),
)
DELIVERIES = st.builds(
    delivery,
    answers=st.sampled_from([1, 1, 2, 5]),
    backup=st.just(["192.0.2.200"]),
    origins=st.sampled_from(OriginBy),
    choices=st.sampled_from(Choices),
    all_down=st.sampled_from(AllDown),
    pops=WEIGHTS,
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
)


class Beside:
    """A customer's chooser and the naive ones."""

    def __init__(self, configured: Delivery) -> None:
        self.chooser = Chooser(configured)
        self.begin(configured.rule)
        self.order: list[tuple[int, float, str]] = []
        self.members: dict[int, frozenset[str]] = {}

    def begin(self, by: Rule) -> None:
        self.statics = {family: NaiveStatics(by) for family in FAMILIES}

    def answers(self) -> list[object]:
        """All that anybody is answered, where no chance is in it; else that there is."""
        found: list[object] = []
        for family in FAMILIES:
            page = self.chooser.pages(family, Random(1))
            found.append("chance" if page.depends_on_client else (page.why, page.answer))
            for client in CLIENTS:
                choice = self.chooser.static(NAME, client, family)
                found.append((choice.why, choice.answer))
        return found


class Model(RuleBasedStateMachine):
    """:ivar pages: the naive ones of each customer, which a changed rule does not begin anew."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.origins = {one.server.name: one for one in ORIGINS}
        self.pops = {one.pop.name: one for one in POPS}
        self.rng = Random(1)

    @initialize(one=DELIVERIES, other=DELIVERIES)
    def begin(self, one: Delivery, other: Delivery) -> None:
        self.customers = [Beside(one), Beside(other)]
        self.pages = [NaivePages(one.rule), NaivePages(other.rule)]
        self.refresh(0.0)

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from("abcde"), latency=TIMES, load=LOADS, connections=st.sampled_from([0, 1, 7, 8, 90]))
    def origin_is_measured(self, name: str, latency: float | None, load: Load | None, connections: int) -> None:
        one = self.origins[name]
        health = attrs.evolve(one.health, latency=latency, load=load)
        self.origins[name] = attrs.evolve(one, health=health, connections=connections)
        self.refresh(1.0)

    @rule(name=st.sampled_from("abcde"), up=st.booleans(), after=st.sampled_from([0.5, 4.0, 60.0]))
    def origin_changes(self, name: str, up: bool, after: float) -> None:
        one = self.origins[name]
        self.origins[name] = attrs.evolve(one, health=attrs.evolve(one.health, up=up, until=self.now + after))
        self.refresh(0.0)

    @rule(name=st.sampled_from("pqrst"), latency=TIMES, http=TIMES, ftp=TIMES, load=LOADS)
    def pop_is_measured(
        self, name: str, latency: float | None, http: float | None, ftp: float | None, load: Load | None
    ) -> None:
        self.pops[name] = attrs.evolve(self.pops[name], latency=latency, http=http, ftp=ftp, load=load)
        self.refresh(1.0)

    @rule(name=st.sampled_from("pqrst"), up=st.booleans(), after=st.sampled_from([0.5, 4.0, 60.0]))
    def pop_changes(self, name: str, up: bool, after: float) -> None:
        self.pops[name] = attrs.evolve(self.pops[name], up=up, until=self.now + after)
        self.refresh(0.0)

    @rule(up=st.booleans())
    def all_change(self, up: bool) -> None:
        for name, one in self.pops.items():
            self.pops[name] = attrs.evolve(one, up=up)
        for name, server in self.origins.items():
            self.origins[name] = attrs.evolve(server, health=attrs.evolve(server.health, up=up))
        self.refresh(0.0)

    @rule(step=st.sampled_from([0.0, 1.0, 5.0, 14.0, 15.0, 29.0, 31.0]))
    def time_passes(self, step: float) -> None:
        self.refresh(step)

    @rule()
    def deadline_passes(self) -> None:
        """As the shell does it."""
        at = min(beside.chooser.deadline() for beside in self.customers)
        if self.now < at < self.now + 100.0:
            self.refresh(at - self.now)

    @rule(number=st.integers(0, 1), new=DELIVERIES)
    def configuration_changes(self, number: int, new: Delivery) -> None:
        beside = self.customers[number]
        if new.rule != beside.chooser.delivery.rule:
            beside.begin(new.rule)
            self.pages[number].rule = new.rule
        beside.chooser.configure(new)
        self.refresh(0.0)

    def refresh(self, step: float) -> None:
        self.now += step
        origins, pops = list(self.origins.values()), list(self.pops.values())
        for beside, pages in zip(self.customers, self.pages, strict=True):
            before = beside.answers()
            told = beside.chooser.refresh(origins, pops, self.now)
            assert told or beside.answers() == before, "changed, and did not say so"
            assert not beside.chooser.refresh(origins, pops, self.now), "nothing has changed since"
            beside.order = pages.refresh(origins, self.now)
            for family in FAMILIES:
                beside.members[family] = beside.statics[family].refresh(pops, family, self.now)

    # -- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def pages_are_right(self) -> None:
        up = {name for name, one in self.origins.items() if one.health.up and one.server.weight}
        for beside in self.customers:
            for family in FAMILIES:
                choice = beside.chooser.pages(family, self.rng)
                order = [one for one in beside.order if family_of(self.origins[one[2]]) == family]
                assert (choice.why in (Why.BEST, Why.FULL)) == bool(order)
                assert choice.ttl_until == min(one.health.until for one in candidates_of(self.origins))
                if not order:
                    assert choice.why is not Why.ABSENT or not choice.candidates
                    assert not up or not choice.candidates, "another family has somebody"
                    continue
                assert {one.name for one in choice.candidates} == {name for _, _, name in order}
                best = [one for one in order if one[0] == order[0][0]]
                costs = {name: cost for _, cost, name in best}
                answers = min(beside.chooser.delivery.answers, len(best))
                found = names(choice)
                assert len(found) == answers and set(found) <= set(costs)
                if beside.chooser.delivery.rule.choices is Choices.ALL or answers == len(best):
                    assert sorted(costs.values())[:answers] == [costs[name] for name in found]
                elif len(best) > 1 and len(set(costs.values())) == len(costs):
                    assert found[0] != max(costs, key=costs.__getitem__), "the worst of all was not the worse of two"

    @invariant()
    def statics_are_right(self) -> None:
        up = {name for name, one in self.pops.items() if one.up}
        for beside in self.customers:
            for family in FAMILIES:
                members = beside.members[family]
                for client in CLIENTS:
                    choice = beside.chooser.static(NAME, client, family)
                    assert choice.ttl_until == min(one.until for one in self.pops.values())
                    if not members:
                        assert not up or not choice.candidates, "another family has somebody"
                        continue
                    first = [one.name for one in choice.candidates[: len(members)]]
                    assert set(first) == members
                    assert {one.name for one in choice.candidates} <= up
                    assert len(choice.answer) == min(beside.chooser.delivery.answers, len(members))
                    assert choice.depends_on_client == (len(members) > 1)

    @invariant()
    def explanations_add_up(self) -> None:
        """And they say of everybody what was decided."""
        for beside in self.customers:
            told = beside.chooser.explain_static(NAME, CLIENTS[1], 4)
            assert told.choice == beside.chooser.static(NAME, CLIENTS[1], 4)
            page = beside.chooser.explain_pages(4, Random(1))
            for reason in (*told.reasons, *page.reasons):
                assert abs(sum(term.product for term in reason.terms) - reason.cost) < 1e-6
            if beside.members[4]:
                assert {reason.name for reason in told.reasons if reason.member} == beside.members[4]
                ranked = sorted((reason.hash_rank[0], reason.name) for reason in told.reasons if reason.hash_rank)
                assert [name for _, name in ranked] == [one.name for one in told.choice.candidates][: len(ranked)]


def family_of(one: OriginFigures | PopFigures) -> int:
    return one.server.address.version if isinstance(one, OriginFigures) else one.pop.address.version


def candidates_of(found: dict[str, OriginFigures]) -> list[OriginFigures]:
    return [one for one in found.values() if one.server.weight]


class ModelTests(SynchronousTestCase):
    def test_choices(self) -> None:
        wanted = settings(max_examples=60, stateful_step_count=40, derandomize=True, deadline=None)
        run_state_machine_as_test(Model, settings=wanted)
