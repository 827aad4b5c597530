"""
The state of one check.

::

              passed                              passed
               +--+                                +--+
               v  |       failed                   v  |  failed: counts on, successes begin anew
    enough +------------+ -------------> +----------------+ --+
    +----> |     UP     |                |    DOUBTED     |   |
    |      +------------+ <------------- +----------------+ <-+
    |        ^   ^   |      enough (ok)            |
    UNKNOWN  |   |   | too many (fall is 1)        | too many (fall)
    |        |   |   v                             |
    |        |   |  +------------+ <---------------+
    +--------|---|->|    DOWN    | <---+
    too many |   +- +------------+     | failed: successes begin anew
             | enough ^  |   | passed  |
             | (rise  +--+   v         |
             | is 1)  failed +------------+ --+
             +---------------|   RISING   |   | passed
                enough (rise)+------------+ <-+

UNKNOWN has no result yet, and its first one alone decides (gdnsd's initial round).  DOUBTED is up, and has failed; its
failures count on, however many successes are between them, until ``ok`` successes in a row have made good for them
(gdnsd's ``ok_thresh``).  RISING is down, and has passed.  The counters are those of gdnsd's ``mon.c``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from appliance.model import Probe


class Condition(enum.Enum):
    """What is thought of one check's target."""

    UNKNOWN = "unknown"
    UP = "up"
    DOUBTED = "doubted"
    DOWN = "down"
    RISING = "rising"


class Step(enum.Enum):
    """What a result means where the counters stand."""

    PASSED = "passed"
    ENOUGH = "enough"
    """It passed, and that was the last success that was wanting."""
    FAILED = "failed"
    TOO_MANY = "too many"
    """It failed, and that was the last failure that was suffered."""


NEXT: Mapping[tuple[Condition, Step], Condition] = {
    (Condition.UNKNOWN, Step.ENOUGH): Condition.UP,
    (Condition.UNKNOWN, Step.TOO_MANY): Condition.DOWN,
    (Condition.UP, Step.PASSED): Condition.UP,
    (Condition.UP, Step.FAILED): Condition.DOUBTED,
    (Condition.UP, Step.TOO_MANY): Condition.DOWN,
    (Condition.DOUBTED, Step.PASSED): Condition.DOUBTED,
    (Condition.DOUBTED, Step.ENOUGH): Condition.UP,
    (Condition.DOUBTED, Step.FAILED): Condition.DOUBTED,
    (Condition.DOUBTED, Step.TOO_MANY): Condition.DOWN,
    (Condition.DOWN, Step.PASSED): Condition.RISING,
    (Condition.DOWN, Step.ENOUGH): Condition.UP,
    (Condition.DOWN, Step.FAILED): Condition.DOWN,
    (Condition.RISING, Step.PASSED): Condition.RISING,
    (Condition.RISING, Step.ENOUGH): Condition.UP,
    (Condition.RISING, Step.FAILED): Condition.DOWN,
}
"""A pair that is not here cannot happen, and raises KeyError."""


class Tally:
    """
    The condition of one check, with what it is counted by.

    Thresholds come with each result, for a reload may change them; a count that is beyond a new one is at its end with
    the next result, not before.

    :ivar failures: while up: those since ``ok`` successes in a row.
    :ivar successes: in a row; while up: since the last failure, where that is remembered.
    """

    __slots__ = ("condition", "failures", "successes")

    def __init__(self) -> None:
        self.condition = Condition.UNKNOWN
        self.failures = 0
        self.successes = 0

    @property
    def is_down(self) -> bool:
        """What is unknown is not."""
        return self.condition is Condition.DOWN or self.condition is Condition.RISING

    @property
    def is_in_doubt(self) -> bool:
        """The next results may change it: look more often."""
        return self.condition is Condition.DOUBTED or self.condition is Condition.RISING

    def hear(self, probe: Probe, *, ok: bool) -> None:
        """One more result."""
        self.condition = NEXT[self.condition, self._step(probe, ok=ok)]

    def wanting(self, probe: Probe) -> int:
        """How many results it takes at least until it is up rather than down, or down rather than up; 1 or more."""
        if self.condition is Condition.UNKNOWN:
            return 1
        return max(1, probe.rise - self.successes if self.is_down else probe.fall - self.failures)

    def _step(self, probe: Probe, *, ok: bool) -> Step:
        if self.condition is Condition.UNKNOWN:
            return Step.ENOUGH if ok else Step.TOO_MANY
        if ok:
            if self.condition is Condition.UP:
                return Step.PASSED
            self.successes += 1
            if self.successes < (probe.rise if self.is_down else probe.ok):
                return Step.PASSED
            self.successes = self.failures = 0
            return Step.ENOUGH
        self.successes = 0
        if self.is_down:
            return Step.FAILED
        self.failures += 1
        if self.failures < probe.fall:
            return Step.FAILED
        self.failures = 0
        return Step.TOO_MANY
