"""
What part of the promised load comes: kappa.

Promises are upper estimates, and not all clients come at once, so their sum is above what is measured.  The ratio of
the two is itself uncertain; the highest of the last minute, and a tenth more, is what counts.
"""

from __future__ import annotations

from collections import deque

WINDOW = 60.0
"""Seconds; and at least twelve reports."""

MARGIN = 1.1
LOWEST = 0.25
HIGHEST = 1.0
FEWEST = 8
"""Samples before which the promise counts in full."""


class Ratio:
    """
    Kappa of one ledger; within [0.25, 1].

    :param period: seconds between reports.
    """

    def __init__(self, period: float) -> None:
        self.window = max(WINDOW, 12.0 * period)
        self.latest = 0.0
        """The last ratio as it was measured: it has no margin and no bounds."""
        self._samples: deque[tuple[float, float]] = deque()
        self._seen = 0
        self._value = HIGHEST

    def measured(self, load: float, promised: float, now: float) -> None:
        """
        A report beside what had been promised when it was made.  O(samples of the window), at most 24.

        :param promised: more than nothing.
        """
        self.latest = load / promised
        samples = self._samples
        if samples and now - samples[-1][0] < self.window / 24.0:
            samples[-1] = samples[-1][0], max(samples[-1][1], self.latest)
        else:
            samples.append((now, self.latest))
            self._seen += 1
        while samples[0][0] <= now - self.window:
            samples.popleft()
        self._judge()

    def rescale(self, factor: float) -> None:
        """All loads in another unit than the promises'."""
        self.latest *= factor
        self._samples = deque((at, ratio * factor) for at, ratio in self._samples)
        self._judge()

    def _judge(self) -> None:
        if self._seen >= FEWEST and self._samples:
            self._value = min(HIGHEST, max(LOWEST, MARGIN * max(ratio for _, ratio in self._samples)))

    def at(self, now: float) -> float:
        """Kappa; 1 where there has been no sample for a whole window."""
        if not self._samples or now - self._samples[-1][0] > self.window:
            return HIGHEST
        return self._value
