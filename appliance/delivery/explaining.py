"""Why a name is answered as it is: every number behind a choice, for people.  Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from appliance.delivery.costs import MEASURES, TIME_REFERENCE, Measure
from appliance.delivery.origins import Loads, OriginCost
from appliance.delivery.pages import DIGITS
from appliance.delivery.plan import in_order
from appliance.delivery.statics import Statics, within
from appliance.delivery.values import Choice, PopFigures, Rated, Standing, Why
from appliance.model import OriginBy, PopWeights, Rule

SPREAD = (Why.BEST, Why.FULL, Why.LAST_GOOD)
"""When static names are spread by hash."""


@attrs.frozen(kw_only=True)
class Term:
    """
    A part of a cost.

    :param figure: as it was measured, or the median of the others where ``neutral``; None: nobody has it.
    :param reference: figure that costs 1 before its weight; None: it costs u/(1-u).
    :param scaled: what it costs before its weight; ``product``: after it.
    """

    name: str
    figure: float | None
    neutral: bool = False
    reference: float | None
    scaled: float
    weight: float

    @property
    def product(self) -> float:
        return self.weight * self.scaled


@attrs.frozen(kw_only=True)
class Reason:
    """
    What is known of one candidate.

    :param until: the earliest instant at which it could come up or go down.
    :param cost: the sum of its terms' products; :class:`Rated` has the same.
    :param place: among the choice's candidates, from 0; None: it is none of them.
    :param within: it is as good as the best now.
    :param member: POPs: it is spread by hash; origins: it is answered.
    :param dwell_until: POPs: when that is to change, if everything stays as it is; None: it is not.
    :param share: its weight in hash and chance.
    :param hash_rank: POPs: its place (from 0) for this name and client, and what it drew.
    """

    name: str
    address: str
    standing: Standing
    until: float
    terms: tuple[Term, ...]
    cost: float
    place: int | None
    within: bool
    member: bool
    dwell_until: float | None = None
    share: float
    hash_rank: tuple[int, float] | None = None

    def as_rows(self) -> list[dict[str, object]]:
        """A row a term, and one for the sum; all with the same keys."""
        rows: list[dict[str, object]] = [
            {
                "candidate": self.name,
                "term": term.name,
                "value": term.figure,
                "neutral": term.neutral,
                "reference": term.reference,
                "scaled": term.scaled,
                "weight": term.weight,
                "product": term.product,
            }
            for term in self.terms
        ]
        keys = ("value", "neutral", "reference", "scaled", "weight")
        return [*rows, {"candidate": self.name, "term": "sum", **dict.fromkeys(keys), "product": self.cost}]


@attrs.frozen(kw_only=True)
class Explanation:
    """:param reasons: in the order of the candidates' names."""

    choice: Choice
    reasons: tuple[Reason, ...]


def explain_pops(
    choice: Choice,
    rule: Rule,
    figures: Sequence[PopFigures],
    rated: Sequence[Rated],
    statics: Statics,
    patience: float,
    question: tuple[bytes, bytes, int],
) -> Explanation:
    """:param question: name, client prefix and family."""
    name, client_prefix, family = question
    neutral = {measure.name: measure.neutral(figures) for measure in MEASURES}
    mine = [(one, cost) for one, cost in zip(figures, rated, strict=True) if one.pop.address.version == family]
    standing = min((cost.standing for _, cost in mine), default=Standing.DOWN)
    spread, members = choice.why in SPREAD, in_order(statics.members)
    near = within([cost for _, cost in mine if cost.standing is standing], rule.tolerance)
    reasons = [
        Reason(
            name=one.pop.name,
            address=str(one.pop.address),
            standing=cost.standing,
            until=one.until,
            terms=tuple(_term(measure, one, neutral[measure.name], rule.pops) for measure in MEASURES),
            cost=cost.cost,
            place=_place(choice, cost),
            within=one.pop.name in near and cost.standing is not Standing.DOWN,
            member=spread and cost.candidate in members,
            dwell_until=statics.dwell.due_at(one.pop.name, patience),
            share=cost.share,
            hash_rank=statics.rank_of(cost.candidate, name, client_prefix),
        )
        for one, cost in mine
    ]
    return Explanation(choice=choice, reasons=tuple(reasons))


def explain_origins(choice: Choice, rule: Rule, costs: Sequence[OriginCost], loads: Loads, family: int) -> Explanation:
    mine = [cost for cost in costs if cost.figures.server.address.version == family]
    up = [cost for cost in mine if cost.standing is not Standing.DOWN]
    best = min(((cost.standing, round(cost.cost, DIGITS)) for cost in up), default=None)
    reasons = [
        Reason(
            name=cost.figures.server.name,
            address=str(cost.figures.server.address),
            standing=cost.standing,
            until=cost.figures.health.until,
            terms=_origin_terms(cost, rule.origins, loads),
            cost=cost.cost,
            place=_place(choice, cost.rated()),
            within=(cost.standing, round(cost.cost, DIGITS)) == best,
            member=cost.rated().candidate in choice.answer,
            share=cost.rated().share,
        )
        for cost in mine
    ]
    return Explanation(choice=choice, reasons=tuple(reasons))


def _place(choice: Choice, rated: Rated) -> int | None:
    return choice.candidates.index(rated.candidate) if rated.candidate in choice.candidates else None


def _term(measure: Measure, one: PopFigures, neutral: float | None, weights: PopWeights) -> Term:
    own = measure.read(one)
    figure = own if own is not None else neutral
    return Term(
        name=measure.name,
        figure=figure,
        neutral=own is None,
        reference=TIME_REFERENCE if measure.used is None else None,
        scaled=measure.scaled(figure) if figure is not None else 0.0,
        weight=getattr(weights, measure.name),
    )


def _origin_terms(cost: OriginCost, by: OriginBy, loads: Loads) -> tuple[Term, ...]:
    decayed = loads[cost.figures.server.name]
    return (
        Term(
            name="used" if cost.reported else "connections",
            figure=decayed.used if cost.reported else decayed.connections,
            reference=None if cost.reported else cost.load_reference,
            scaled=cost.load / cost.load_reference,
            weight=float(by is not OriginBy.LATENCY),
        ),
        Term(
            name="latency",
            figure=cost.latency,
            neutral=cost.neutral,
            reference=TIME_REFERENCE,
            scaled=(cost.latency or 0.0) / TIME_REFERENCE,
            weight=float(by is not OriginBy.LOAD),
        ),
    )
