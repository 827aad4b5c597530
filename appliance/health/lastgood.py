"""
The table that a POP keeps when it is cut off: the last that was agreed on before.

It does not know at once: it finds one of the others down first, and their rows run out one after the other.  But
nothing comes any more from then on; so a table is good when more than half of those that it rests on have been heard
again since, and if they are more than half of those before.  By SETTLED periods after the last good one, whoever is cut
off knows that he is alone; who is not takes what there is for good.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import attrs

from appliance.model import Row

SETTLED = 8
"""Periods, of the longest, in which who is cut off finds that he is alone: rows run out after three, checks that hang
find all others down in four."""


@attrs.frozen(kw_only=True)
class _Candidate:
    """A table that is good when its observers have been heard again."""

    at: float
    rows: Mapping[str, Row]
    observers: frozenset[str]


class LastGood:
    """
    :param own: this POP's name.
    :ivar rows: of the good table, by POP; none at first.
    """

    def __init__(self, own: str) -> None:
        self.rows: Mapping[str, Row] = {}
        self._own = own
        self._by: frozenset[str] = frozenset()
        self._at = -math.inf
        self._settling = 0.0
        self._candidate: _Candidate | None = None

    def configure(self, pops: Collection[str], longest: float) -> None:
        """These are the POPs; ``longest``: of their periods, seconds."""
        self._settling = SETTLED * longest
        self._by = self._by.intersection(pops)

    def heard(self, made_at: Mapping[str, float], now: float) -> None:
        """When the rows that are held were made, by observer; infinity for this POP's own.  See :meth:`agree`."""
        if self._candidate is not None and self._is_confirmed(self._candidate, made_at):
            self._take(self._candidate, now)
            self._candidate = None

    def agree(
        self, rows: Mapping[str, Row], observers: frozenset[str], made_at: Mapping[str, float], now: float
    ) -> None:
        """On these; what was agreed on before may still turn out to be good.  After :meth:`heard`."""
        is_settled = now >= self._at + self._settling
        if not is_settled:
            former = self._candidate.observers if self._candidate is not None else frozenset()
            if 2 * len(former & made_at.keys()) > len(former):
                return
            self._candidate = None
            if self._by and 2 * len(observers) <= len(self._by):
                return
        self._candidate = _Candidate(at=now, rows=rows, observers=observers)
        if is_settled or self._is_confirmed(self._candidate, made_at):
            self._take(self._candidate, now)

    def alone(self) -> None:
        """Nobody agrees on anything."""
        self._candidate = None

    def next_deadline(self, made_at: Mapping[str, float]) -> float:
        """When what is agreed on now is good though nothing comes; infinity where it is already."""
        is_sure = self._candidate is not None and self._is_confirmed(self._candidate, made_at)
        return math.inf if is_sure else self._at + self._settling

    def _is_confirmed(self, candidate: _Candidate, made_at: Mapping[str, float]) -> bool:
        """What this POP alone says is so at once."""
        if candidate.observers <= {self._own}:
            return True
        again = [name for name in candidate.observers if made_at.get(name, -math.inf) > candidate.at]
        return 2 * len(again) > len(candidate.observers)

    def _take(self, candidate: _Candidate, now: float) -> None:
        self.rows, self._by, self._at = candidate.rows, candidate.observers, now
