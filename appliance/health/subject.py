"""
A subject: something that is up while all of its checks are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from appliance.health.condition import Condition
from appliance.health.decay import Count, Mean
from appliance.health.watch import Watch
from appliance.model import Forced, Health, ProbeType

_HTTP = (ProbeType.HTTP, ProbeType.HTTPS)
_FTP = (ProbeType.FTP,)


class Subject:
    """
    :ivar measured: False while a check is down; else None while one is unknown, or there is none; else True.
    :ivar down_at: when ``measured`` became False.
    :ivar wanted_at: when somebody last asked for what it serves; said to its checks at most once a second, and again
        from ``tell_at`` on.
    :ivar told_flapping: and it has not rested since.
    """

    __slots__ = ("down_at", "flaps", "forced", "measured", "name", "tell_at", "told_flapping", "wanted_at", "watches")

    def __init__(self, name: str) -> None:
        self.name = name
        self.watches: tuple[Watch, ...] = ()
        self.measured: bool | None = None
        self.forced: Forced | None = None
        self.down_at = -math.inf
        self.wanted_at = -math.inf
        self.tell_at = -math.inf
        self.flaps = Count()
        self.told_flapping = False

    @property
    def is_up(self) -> bool:
        """What counts."""
        return self.measured is not False if self.forced is None else self.forced is Forced.UP

    def measure(self) -> bool | None:
        """What the checks say now; O(checks)."""
        unknown = not self.watches
        for watch in self.watches:
            if watch.tally.is_down:
                return False
            unknown = unknown or watch.tally.condition is Condition.UNKNOWN
        return None if unknown else True

    def until(self, now: float) -> float:
        """
        The earliest instant at which :attr:`is_up` could be another.

        The first of its checks takes it down, the last of those that are down brings it back.
        """
        if self.forced is not None:
            return math.inf
        if self.measured is False:
            return max(watch.until(now) for watch in self.watches if watch.tally.is_down)
        return min((watch.until(now) for watch in self.watches), default=math.inf)

    def health(self, now: float) -> Health:
        """O(checks)."""
        watches = self.watches
        latencies = [watch.latency for watch in watches if watch.latency.value is not None]
        variance = _average(mean.variance for mean in latencies)
        return Health(
            up=self.is_up,
            measured=self.measured,
            forced=self.forced,
            until=self.until(now),
            latency=_value(latencies),
            deviation=None if variance is None else math.sqrt(variance),
            connect=_value(watch.connect for watch in watches),
            http=_value(watch.latency for watch in watches if watch.check.probe.type in _HTTP),
            ftp=_value(watch.latency for watch in watches if watch.check.probe.type in _FTP),
            load=max(watches, key=lambda watch: watch.load_at).fresh_load(now) if watches else None,
            flaps=self.flaps.at(now),
            reason=self.reason(),
        )

    def reason(self) -> str:
        """Why it is down, or in doubt; empty where it is neither."""
        concerned = [watch for watch in self.watches if watch.tally.is_down]
        if not concerned:
            concerned = [watch for watch in self.watches if watch.tally.is_in_doubt]
        if not concerned:
            return ""
        watch = max(concerned, key=lambda watch: watch.failure_at)
        return f"{watch.check}: {watch.failure}"


def _value(means: Iterable[Mean]) -> float | None:
    return _average(mean.value for mean in means)


def _average(values: Iterable[float | None]) -> float | None:
    """Each check counts as much as another, however often it is done; None where none has a value."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
