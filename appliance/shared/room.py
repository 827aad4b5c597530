"""Whom of a choice there is room for (3.2): the ledgers' part of an answer, and of what is said of one beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from appliance.capacity import Verdict
from appliance.capacity.values import YES
from appliance.delivery import Candidate, Choice
from appliance.model import Asker, Delivery
from appliance.naming.completing import EXHAUSTED_TTL
from appliance.shared.guarding import Guard

AHEAD = 1.0
"""Seconds for which an answer that is the same for all may be given again from the wire cache: its TTL ends so much
sooner."""

STAYS = 0.25
"""The part of its capacity by which a POP may have less room than another, and keep who was sent there beyond it."""


@attrs.frozen(kw_only=True)
class Foretold:
    """
    What would be answered now.

    :param named: who; ``over``: though nobody has room.
    :param longest: the TTL without the ledgers, ``ttl`` with them: shorter for who brings much of what a POP can take.
        Of the answer itself chance takes up to a fifth away.
    :param ahead: seconds by which the TTL ends before somebody's state could change.
    :param weight: connections that the asker may bring; ``verdicts``: what the ledgers say of that, by POP.
    """

    delivery: Delivery
    static: bool
    choice: Choice
    named: tuple[Candidate, ...]
    over: bool
    ttl: int
    longest: int
    ahead: float
    weight: float = 0.0
    verdicts: Mapping[str, Verdict] = attrs.Factory(dict)


def foretell(guard: Guard, delivery: Delivery, choice: Choice, asker: Asker, now: float, *, static: bool) -> Foretold:
    """What becomes of ``choice``; nothing is promised, and nothing learned.  O(candidates)."""
    guarded = static and any(each.name in guard for each in choice.candidates)
    ahead = 0.0 if guarded or choice.depends_on_client else AHEAD
    longest = choice.lifetime(now + ahead) if choice.candidates else EXHAUSTED_TTL
    plain = Foretold(
        delivery=delivery,
        static=static,
        choice=choice,
        named=choice.answer,
        over=False,
        ttl=longest,
        longest=longest,
        ahead=ahead,
    )
    if not guarded:
        return plain
    weight = guard.weight(delivery.name, asker)
    share = weight / choice.count
    judged = {each.name: guard.judge(each.name, delivery.name, asker, share, now) for each in choice.candidates}
    named, ttl = with_room(guard, choice, share, longest, now, lambda pop, _: judged[pop] in (None, *YES))
    return attrs.evolve(
        plain,
        named=tuple(named or beyond(guard, delivery, choice, guard.resolver(asker), now)),
        over=not named,
        ttl=max(1, int(ttl)),
        weight=guard.connections(weight),
        verdicts={name: verdict for name, verdict in judged.items() if verdict is not None},
    )


def with_room(
    guard: Guard, choice: Choice, share: float, ttl: float, now: float, has_room: Callable[[str, float], bool]
) -> tuple[list[Candidate], float]:
    """
    The first that have room.

    :param share: sessions a second for each; ``has_room`` is asked with a name and a life, and may promise them.
    :return: as many as one answer names, or fewer; and how long it may be kept, seconds.
    """
    named: list[Candidate] = []
    for candidate in choice.candidates:
        shorter = guard.ttl_for(candidate.name, share, ttl, now)
        if has_room(candidate.name, shorter):
            named.append(candidate)
            ttl = min(ttl, shorter)
            if len(named) == choice.count:
                break
    return named, ttl


def beyond(guard: Guard, delivery: Delivery, choice: Choice, resolver: int, now: float) -> Sequence[Candidate]:
    """
    Who is named where nobody has room: the backup, or who is nearest to having some.

    There is no answer that brings nobody, and the best is perhaps the one that is overrun.  Who is full by what he has
    comes behind those who are so by what is promised, for less may come.  A resolver that was sent to one so before
    stays there, as long as that one has not much less room.
    """
    backup = [each for each in delivery.backup if each.version == choice.candidates[0].address.version]
    if backup:
        return [Candidate(str(each), each) for each in backup]
    rooms = {each.name: guard.room(each.name, now) for each in choice.candidates}
    best = max(choice.candidates, key=lambda each: rooms[each.name])
    least = rooms[best.name][0], rooms[best.name][1] - STAYS
    for each in choice.candidates:
        if rooms[each.name] > least and guard.is_overbooked(each.name, delivery.name, resolver, now):
            return [each]
    return [best]
