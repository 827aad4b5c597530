"""
A POP's own load in a coming window, from the same slot of past days (2.1).

Instants are seconds since the epoch here, so that a slot is the same part of each UTC day.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

DAY = 86400.0
SLOT = 900.0
QUANTILE = 0.95
DAYS = 28

_PARTS = 15
"""Of a slot, each with a mean; a minute in the usual slot.  What is shorter than that is no load to plan for."""


class Forecast:
    """
    What the load was in each slot: of each day the highest mean of a fifteenth of the slot.

    :param slot: seconds; a day is a whole number of them.
    :param quantile: of the days, by nearest rank: 0.95 of up to 20 days is the highest.
    :param days: that are remembered.  Memory is days * 86400 / slot numbers.
    """

    def __init__(self, *, slot: float = SLOT, quantile: float = QUANTILE, days: int = DAYS) -> None:
        self.slot = slot
        self.quantile = quantile
        self.days = days
        self._past: dict[int, deque[float]] = {}
        self._part = -1
        self._sum = 0.0
        self._count = 0
        self._highest = 0.0

    def measured(self, load: float, now: float) -> None:
        """
        The load now; the slot that is under way is remembered when it is over.

        An instant before the last is not counted: the clock was set.  Where it was set back by more than a slot, it had
        been wrong before, or is now; the slot under way is given up, and what comes counts from there on.
        """
        part = int(now * _PARTS // self.slot)
        if part < self._part:
            if self._part - part <= _PARTS:
                return
            self._part, self._sum, self._count, self._highest = part, 0.0, 0, 0.0
        if part > self._part:
            self._close(part)
        self._sum += load
        self._count += 1

    def expected(self, start: float, end: float, unknown: float) -> float:
        """
        The highest load that any slot of ``[start, end)`` is foretold.

        :param unknown: what counts for slots without a past.
        :return: O(slots of a day) at worst.
        """
        return max(self._of(number, unknown) for number in self._numbers(start, end))

    def known(self, start: float, end: float) -> int:
        """Days that are remembered of that slot of ``[start, end)`` that has the fewest; 0: one has no past."""
        return min(len(self._past.get(number, ())) for number in self._numbers(start, end))

    def past(self) -> dict[int, tuple[float, ...]]:
        """All that is remembered: loads by slot of the day, the oldest first; to be kept over a restart."""
        return {number: tuple(loads) for number, loads in self._past.items()}

    def under_way(self) -> tuple[int, float] | None:
        """The slot that is not over, counted from the epoch, and the highest so far; None before the first load."""
        if self._part < 0:
            return None
        mean = self._sum / self._count if self._count else 0.0
        return self._part // _PARTS, max(self._highest, mean)

    def recall(self, past: Mapping[int, Sequence[float]], under_way: tuple[int, float] | None = None) -> None:
        """
        What :meth:`past` and :meth:`under_way` said, before anything is measured.

        Slots that a day does not have are left out; the one under way goes on, or is remembered as far as it came.
        """
        for number, loads in past.items():
            if 0 <= number < self._slots:
                self._past[number] = deque(loads, maxlen=self.days)
        if under_way is not None:
            self._part, self._highest = under_way[0] * _PARTS, under_way[1]

    @property
    def _slots(self) -> int:
        return round(DAY / self.slot)

    def _numbers(self, start: float, end: float) -> Iterator[int]:
        """The slots of the day that a window touches, each once."""
        first, last = int(start // self.slot), math.ceil(end / self.slot)
        return (number % self._slots for number in range(first, min(max(last, first + 1), first + self._slots)))

    def _of(self, number: int, unknown: float) -> float:
        loads = sorted(self._past.get(number, ()))
        if not loads:
            return unknown
        return loads[max(0, math.ceil(self.quantile * len(loads)) - 1)]

    def _close(self, part: int) -> None:
        """The part is over, and perhaps its slot."""
        if self._count:
            self._highest = max(self._highest, self._sum / self._count)
        number = self._part // _PARTS
        if self._part >= 0 and part // _PARTS != number:
            self._past.setdefault(number % self._slots, deque(maxlen=self.days)).append(self._highest)
            self._highest = 0.0
        self._part = part
        self._sum, self._count = 0.0, 0
