"""
Blame by outcome: who asked for offers that were used, and who for such that nobody used (1.9).

A prefix's score is the used share of what it was offered, with four imaginary offers, half of them used, mixed in; so
a few unused ones weigh little against the volume of a big public resolver, and a newcomer has one half.  Both counts
fade with :data:`HALF_LIFE`, so every score ages to the middle.  Only askers that were proven are judged: else a forged
source would ruin the name of the network it was taken from.  (Realm Gateway's policy, with an absolute scale.)
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

HALF_LIFE = 3600.0
"""Seconds after which an outcome counts half."""

MOST_PREFIXES = 4096
"""Prefixes that are remembered; the one that was judged longest ago is forgotten first."""

_IMAGINARY = 2.0


@attrs.define
class _Outcomes:
    used: float
    unused: float
    at: float


class Reputation:
    """Scores by prefix, in bounded memory."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[int, _Outcomes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._outcomes)

    def judge(self, prefix: int, now: float, *, used: bool) -> None:
        """An offer that ``prefix`` asked for has ended, or was used."""
        outcomes = self._outcomes.pop(prefix, None) or _Outcomes(0.0, 0.0, now)
        _fade(outcomes, now)
        if used:
            outcomes.used += 1.0
        else:
            outcomes.unused += 1.0
        self._outcomes[prefix] = outcomes
        if len(self._outcomes) > MOST_PREFIXES:
            self._outcomes.popitem(last=False)

    def score(self, prefix: int, now: float) -> float:
        """0 (nothing was used) to 1 (everything); 0.5 for a prefix that is not known."""
        outcomes = self._outcomes.get(prefix)
        if outcomes is None:
            return 0.5
        faded = attrs.evolve(outcomes)
        _fade(faded, now)
        return (faded.used + _IMAGINARY) / (faded.used + faded.unused + 2 * _IMAGINARY)


def _fade(outcomes: _Outcomes, now: float) -> None:
    factor = 0.5 ** ((now - outcomes.at) / HALF_LIFE)
    outcomes.used *= factor
    outcomes.unused *= factor
    outcomes.at = now
