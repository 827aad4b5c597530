"""
The names of pages: a customer's web servers, the cheapest first (3.1).

Equals, and with ``choices: two`` all, are drawn by chance with their weights as probabilities.
"""

from __future__ import annotations

import random
from collections.abc import Hashable

from appliance.delivery.plan import Situation, everybody, in_order, when_all_down, why_of
from appliance.delivery.values import Candidate, Choice, Rated, Why
from appliance.model import Choices

DIGITS = 3
"""Costs that differ by less than a thousandth are equal: a decayed load never reaches the one it comes near to."""


class Pages:
    """One family of one customer."""

    __slots__ = ("_best", "_drawn", "_fixed", "_kept", "_last", "_rest", "_seen", "_shares", "_situation")

    def __init__(self) -> None:
        self._fixed: Choice | None = None
        self._situation: Situation | None = None
        self._best: list[tuple[float, Rated]] = []
        self._rest: tuple[Candidate, ...] = ()
        self._shares: list[float] = []
        self._drawn = range(0)
        self._kept: dict[tuple[int, ...], Choice] = {}
        self._last: tuple[Candidate, ...] = ()
        self._seen: Hashable = None

    def refresh(self, situation: Situation) -> bool:
        """
        Choose among these from now on.

        :return: something else is answered than before; O(n log n).
        """
        self._situation = situation
        self._kept.clear()
        best = situation.best()
        count = min(situation.delivery.answers, len(best))
        self._best = sorted(((round(one.cost, DIGITS), one) for one in best), key=_by_cost)
        self._rest = in_order(situation.full_ones(best))
        self._shares = [one.share for _, one in self._best]
        self._drawn = self._places_that_are_drawn(count)
        seen: Hashable
        if not best:
            self._fixed = when_all_down(situation) or self._last_good(situation)
            seen = self._fixed.why, self._fixed.answer
        elif self._drawn:
            self._fixed = None
            seen = why_of(best), situation.delivery.rule.choices, count, self._odds()
        else:
            candidates = (*in_order(one for _, one in self._best), *self._rest)
            self._fixed = situation.choice(why_of(best), candidates, count)
            seen = self._fixed.why, self._fixed.answer
        if best:
            self._last = in_order(one for _, one in self._best)
        changed, self._seen = seen != self._seen, seen
        return changed

    def choose(self, rng: random.Random) -> Choice | None:
        """:return: None before the first refresh; O(servers) at most."""
        if self._fixed is not None or self._situation is None:
            return self._fixed
        if self._situation.delivery.rule.choices is Choices.TWO:
            picked = self._two_at_a_time(rng)
        else:
            picked = self._any_of_equals(rng)
        choice = self._kept.get(picked)
        if choice is None:
            choice = self._kept[picked] = self._choice_of(picked)
        return choice

    def _places_that_are_drawn(self, count: int) -> range:
        """The places in the order of costs among which chance decides; empty where it does not."""
        best = self._best
        if self._situation is not None and self._situation.delivery.rule.choices is Choices.TWO:
            return range(len(best) if len(best) > count else 0)
        if not 0 < count < len(best) or best[count - 1][0] != best[count][0]:
            return range(0)
        equal = [place for place, (cost, _) in enumerate(best) if cost == best[count][0]]
        return range(equal[0], equal[-1] + 1)

    def _odds(self) -> Hashable:
        """All that the draw depends on."""
        ranks = [cost for cost, _ in self._best]
        drawn = self._best[: self._drawn.stop]
        return tuple((one.candidate, one.share, ranks.index(cost)) for cost, one in drawn)

    def _last_good(self, situation: Situation) -> Choice:
        there = {one.candidate for one in situation.rated}
        last = [candidate for candidate in self._last if candidate in there]
        if not last:
            return everybody(situation)
        return situation.choice(Why.LAST_GOOD, last, situation.delivery.answers)

    def _two_at_a_time(self, rng: random.Random) -> tuple[int, ...]:
        """
        Two are drawn, the cheaper one is answered, and the other is drawn from again.

        Mitzenmacher, "The Power of Two Choices": nearly as even as comparing all, and nobody is run over.
        """
        assert self._situation is not None
        places = list(self._drawn)
        picked: list[int] = []
        best = self._best
        while len(picked) < self._situation.delivery.answers:
            place = self._draw(places, rng)
            if places:
                other = self._draw(places, rng)
                if best[other][0] < best[place][0]:
                    place, other = other, place
                places.append(other)
            picked.append(place)
        return tuple(picked)

    def _any_of_equals(self, rng: random.Random) -> tuple[int, ...]:
        assert self._situation is not None
        places = list(self._drawn)
        picked = list(range(self._drawn.start))
        while len(picked) < self._situation.delivery.answers:
            picked.append(self._draw(places, rng))
        return tuple(picked)

    def _draw(self, places: list[int], rng: random.Random) -> int:
        """One of ``places``, which it leaves, with its share as its probability."""
        shares = self._shares
        at = rng.random() * sum([shares[place] for place in places])
        for index, place in enumerate(places):
            at -= shares[place]
            if at < 0:
                return places.pop(index)
        return places.pop()

    def _choice_of(self, picked: tuple[int, ...]) -> Choice:
        assert self._situation is not None
        first = [self._best[place][1] for place in picked]
        others = [one for place, (_, one) in enumerate(self._best) if place not in picked]
        candidates = (*in_order(first), *in_order(others), *self._rest)
        return self._situation.choice(why_of(first), candidates, len(first), depends=True)


def _by_cost(one: tuple[float, Rated]) -> tuple[float, str]:
    return one[0], one[1].candidate.name
