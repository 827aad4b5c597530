"""
The names of static content: a POP near the best, always the same one for the same name and client (3.2).

Those within ``tolerance`` of the best are equal, and a hash decides among them, so that a POP's cache sees the same
names again; who they are changes slowly (:mod:`appliance.delivery.dwell`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

from appliance.delivery.dwell import Dwell
from appliance.delivery.plan import Situation, everybody, in_order, when_all_down, why_of
from appliance.delivery.rendezvous import bucket_of, ordered, score
from appliance.delivery.values import Candidate, Choice, Rated, Why

SHARE_STEP = 1.25
"""A part of the whole that is larger or smaller by less than this factor is the same."""


def within(best: Collection[Rated], tolerance: float) -> frozenset[str]:
    """The names of those whose cost is within so large a part of the least, which is among them."""
    most = min((one.cost for one in best), default=0.0) * (1.0 + tolerance)
    return frozenset(one.candidate.name for one in best if one.cost <= most)


def _have_other_shares(some: Sequence[Rated], others: Sequence[Rated]) -> bool:
    """Has anybody's part of the whole grown or shrunk by more than :data:`SHARE_STEP`?"""
    all_some, all_others = sum(one.share for one in some), sum(one.share for one in others)
    ratios = (one.share * all_others / (other.share * all_some) for one, other in zip(some, others, strict=True))
    return any(not 1.0 / SHARE_STEP <= ratio <= SHARE_STEP for ratio in ratios)


class Statics:
    """
    One family of one customer.

    :ivar members: who is spread by hash, and with which shares; those that change little stay as they were, for
        clients move with them.  While all are down: the last ones.
    """

    __slots__ = (
        "_by_order",
        "_choices",
        "_fixed",
        "_orders",
        "_rest",
        "_seen",
        "_situation",
        "_why",
        "dwell",
        "members",
    )

    def __init__(self) -> None:
        self.dwell = Dwell()
        self.members: tuple[Rated, ...] = ()
        self._fixed: Choice | None = None
        self._situation: Situation | None = None
        self._why = Why.ABSENT
        self._rest: list[Rated] = []
        self._orders: dict[int, tuple[Candidate, ...]] = {}
        self._choices: dict[int, Choice] = {}
        self._by_order: dict[tuple[Candidate, ...], Choice] = {}
        self._seen: Hashable = None

    def refresh(self, situation: Situation, patience: float, now: float) -> bool:
        """
        Choose among these from now on.

        :param patience: seconds for which somebody has to be better.
        :return: somebody is answered something else than before; O(n log n).
        """
        self._situation = situation
        self._choices.clear()
        self._by_order.clear()
        best = situation.best()
        able = {one.candidate.name for one in best}
        self.dwell.settle(able, within(best, situation.delivery.rule.tolerance), patience, now)
        self._fixed = None
        if best:
            self._why = why_of(best)
            self._spread(tuple(one for one in situation.rated if one.candidate.name in self.dwell.members))
            others = (one for one in best if one.candidate.name not in self.dwell.members)
            self._rest = [*others, *situation.full_ones(best)]
        else:
            self._fixed = when_all_down(situation) or self._last_good(situation)
        seen: Hashable
        if self._fixed is not None:
            seen = self._fixed.why, self._fixed.answer
        else:
            answers = min(situation.delivery.answers, len(self.members))
            seen = self._why, answers, tuple((one.candidate, one.share) for one in self.members)
        changed, self._seen = seen != self._seen, seen
        return changed

    def forget(self) -> None:
        """The next refresh begins anew, but knows who was answered last (``all_down: last-good``)."""
        self.dwell = Dwell()

    def rank_of(self, candidate: Candidate, name: bytes, client_prefix: bytes) -> tuple[int, float] | None:
        """Its place (from 0) and what it drew among those who are spread by hash; None: it is not one of them."""
        bucket = bucket_of(name, client_prefix)
        for place, one in enumerate(ordered(self.members, bucket)):
            if one.candidate == candidate:
                return place, score(one.candidate.name, bucket, one.share)
        return None

    def choose(self, name: bytes, client_prefix: bytes) -> Choice | None:
        """:return: None before the first refresh; O(1), but for the first of a bucket."""
        if self._fixed is not None or self._situation is None:
            return self._fixed
        bucket = bucket_of(name, client_prefix) if len(self.members) > 1 else 0
        return self._choices.get(bucket) or self._make_choice(bucket)

    def _make_choice(self, bucket: int) -> Choice:
        """Orders stay until a member comes or goes, choices until the next refresh; equal orders have the same one."""
        assert self._situation is not None
        order = self._orders.get(bucket)
        if order is None:
            order = self._orders[bucket] = in_order(ordered(self.members, bucket))
        choice = self._by_order.get(order)
        if choice is None:
            answers = min(self._situation.delivery.answers, len(order))
            candidates = (*order, *in_order(self._rest))
            choice = self._situation.choice(self._why, candidates, answers, depends=len(order) > 1)
            self._by_order[order] = choice
        self._choices[bucket] = choice
        return choice

    def _spread(self, members: tuple[Rated, ...]) -> None:
        if in_order(members) != in_order(self.members) or _have_other_shares(members, self.members):
            self.members = members
            self._orders.clear()

    def _last_good(self, situation: Situation) -> Choice | None:
        """The same as before, for those who are still there; all where nobody is."""
        there = {one.candidate for one in situation.rated}
        self._spread(tuple(one for one in self.members if one.candidate in there))
        if not self.members:
            return everybody(situation)
        self._why = Why.LAST_GOOD
        self._rest = []
        return None
