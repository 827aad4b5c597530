"""What the candidates of one family are in, and what is answered when all of them are down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from appliance.delivery.values import Candidate, Choice, Rated, Standing, Why
from appliance.model import AllDown, Delivery


@attrs.frozen(kw_only=True)
class Situation:
    """
    What the candidates of one family are in.

    :param rated: those of this family, in the order of their names.
    :param elsewhere: somebody of another family is up.
    :param until: the earliest instant at which anybody, of any family, could come up or go down.
    """

    delivery: Delivery
    family: int
    rated: tuple[Rated, ...]
    elsewhere: bool
    until: float

    def best(self) -> list[Rated]:
        """Those of the best standing there is, the cheapest first; empty where all are down."""
        standing = min((one.standing for one in self.rated), default=Standing.DOWN)
        if standing is Standing.DOWN:
            return []
        return sorted((one for one in self.rated if one.standing is standing), key=_by_cost)

    def full_ones(self, best: Sequence[Rated]) -> list[Rated]:
        """Those who are the last resort beside ``best``."""
        if not best or best[0].standing is Standing.FULL:
            return []
        return sorted((one for one in self.rated if one.standing is Standing.FULL), key=_by_cost)

    def choice(
        self, why: Why, candidates: Iterable[Candidate] = (), count: int | None = None, *, depends: bool = False
    ) -> Choice:
        """:param count: None: all of them are answered."""
        found = tuple(candidates)
        return Choice(
            candidates=found,
            count=len(found) if count is None else min(count, len(found)),
            ttl=self.delivery.ttl,
            ttl_until=self.until,
            depends_on_client=depends,
            why=why,
        )


def _by_cost(one: Rated) -> tuple[float, str]:
    return one.cost, one.candidate.name


def in_order(rated: Iterable[Rated]) -> tuple[Candidate, ...]:
    return tuple(one.candidate for one in rated)


def when_all_down(situation: Situation) -> Choice | None:
    """
    What is answered when nobody of the family is up, by the customer's rule.

    Where another family has somebody who is up the answer is empty instead: clients then use that one.

    :return: None: what was answered last is to be, and only who answers knows that.
    """
    rule = situation.delivery.rule.all_down
    if situation.elsewhere or (not situation.rated and rule is not AllDown.BACKUP):
        return situation.choice(Why.ABSENT)
    if rule is AllDown.LAST_GOOD:
        return None
    if rule is AllDown.EMPTY:
        return situation.choice(Why.EMPTY)
    if rule is AllDown.BACKUP:
        family = (address for address in situation.delivery.backup if address.version == situation.family)
        return situation.choice(Why.BACKUP, (Candidate(str(address), address) for address in family))
    return everybody(situation)


def everybody(situation: Situation) -> Choice:
    """All of them, more than ``answers`` if need be: who knows which of them works after all."""
    return situation.choice(Why.ALL, in_order(situation.rated))


def why_of(best: Sequence[Rated]) -> Why:
    return Why.FULL if best[0].standing is Standing.FULL else Why.BEST
