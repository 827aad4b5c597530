"""The vital signs of this process, for other POPs, for people, and for an alarm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from appliance.model.health import Load
from appliance.vitals.lag import PER_SECOND, SPAN, Lag, Lateness
from appliance.vitals.machine import Machine, Times

SAMPLE_INTERVAL = 1.0
SLOW_INTERVAL = 5.0
"""For memory, which does not change in a second, and for what was sent: who counts it may look at each connection."""
_EARLY = 0.5 / PER_SECOND
"""Seconds: whichever instant is the nearest to a second has the sample, so that lateness does not add up."""
DECAY = 5.0
"""Seconds after which a change has come through to 63 %: as long as others wait between two looks."""
LATE = 0.020
"""A p99 above this is too much (docs/operations.rst names it)."""
LATE_FOR = SPAN + SAMPLE_INTERVAL
"""Seconds of that before somebody is told; one stall alone is forgotten before."""

Seconds = Callable[[], float]


@attrs.define
class Decayed:
    """A mean in which what is older counts less; None before the first value."""

    mean: float | None = None

    def add(self, value: float, seconds: float) -> None:
        """``value`` was so for ``seconds``."""
        if self.mean is None:
            self.mean = value
        else:
            self.mean += (value - self.mean) * -math.expm1(-seconds / DECAY)


class Vitals(Service):
    """
    :param connections: how many there are now, O(1).
    :param sent_bytes: how much was ever sent; it never falls.  Asked every 5 s.
    :param capacity: connections that there may be; 0: nobody has said.
    :param monotonic: a clock that nobody sets; the reactor's may be set, which is no lateness.

    The processors' share that is told is the larger of two: the machine's, over all its processors, and this process's
    of *one* of them.  Its one reactor runs on one processor: on a machine of 32 it is full when the machine has used
    3 % (requirement 3.2 asks for what a client would meet with).
    """

    name = "vitals"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        machine: Machine,
        *,
        connections: Callable[[], int],
        sent_bytes: Callable[[], int],
        capacity: Callable[[], float] = lambda: 0.0,
        monotonic: Seconds = time.monotonic,
    ) -> None:
        self._clock = clock
        self._machine = machine
        self._connections = connections
        self._sent_bytes = sent_bytes
        self._capacity = capacity
        self._now = monotonic
        self._call: IDelayedCall | None = None
        self._lag = Lag(0.0)
        self._times: tuple[float, Times] | None = None
        self._sampled_at = -math.inf
        self._sent: tuple[float, int] | None = None
        self._machine_cpu, self._process_cpu, self._egress = Decayed(), Decayed(), Decayed()
        self._memory: float | None = None
        self._late_since: float | None = None
        self._told = False
        self._failing = False

    def startService(self) -> None:
        super().startService()
        self._lag = Lag(self._now())
        self._turn()

    def stopService(self) -> None:
        super().stopService()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # -- what is told ----------------------------------------------------------------------------------------------

    def load(self) -> Load:
        """What other POPs are told; processors and egress only after the first seconds."""
        lateness = self._lag.lateness()
        return Load(
            cpu=self._cpu(),
            memory=self._memory,
            connections=float(self._connections()),
            capacity=self._capacity(),
            lag=None if lateness is None else lateness.p99,
            egress=self._egress.mean,
        )

    def figures(self) -> dict[str, float | None]:
        """
        What people are shown besides: ``cpu, machine_cpu, process_cpu, memory`` are parts of 1, ``process_cpu`` of one
        processor; ``egress`` is bytes a second; ``most_files`` is None where there is no limit.
        """
        return {
            "cpu": _rounded(self._cpu()),
            "machine_cpu": _rounded(self._machine_cpu.mean),
            "process_cpu": _rounded(self._process_cpu.mean),
            "memory": _rounded(self._memory),
            "resident_bytes": self._read(self._machine.resident_bytes),
            "open_files": self._read(self._machine.open_files),
            "most_files": self._machine.most_files(),
            "egress": _rounded(self._egress.mean),
        }

    def lag(self) -> dict[str, float | None]:
        """Seconds that work waited for its turn in the last minute: ``p50, p99, worst``; None before there are any."""
        lateness = self._lag.lateness()
        if lateness is None:
            return dict.fromkeys(("p50", "p99", "worst"))
        return {name: round(value, 6) for name, value in attrs.asdict(lateness).items()}

    def troubles(self) -> list[str]:
        """What somebody has to look at."""
        lateness = self._lag.lateness()
        if not self._told or lateness is None:
            return []
        return [
            f"the reactor is late: 1 % of what was due in the last minute waited more than {lateness.p99 * 1e3:.0f} ms"
        ]

    def _cpu(self) -> float | None:
        shares = [mean for mean in (self._machine_cpu.mean, self._process_cpu.mean) if mean is not None]
        return max(shares, default=None)

    # -- what is seen ----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._now()
        self._call = self._clock.callLater(self._lag.turn(now), self._turn)
        if now - self._sampled_at < SAMPLE_INTERVAL - _EARLY:
            return
        try:
            self._sample(now)
        except Exception:
            # Without descriptors nothing can be read, for as long as that lasts: once is enough.
            if not self._failing:
                self._log.failure("{event}: said again after it could be read", event="vitals-unreadable")
            self._failing = True
        else:
            self._failing = False

    def _sample(self, now: float) -> None:
        # First of all, so that a failure is not tried again ten times a second.
        self._sampled_at = now
        self._look_at_lag(now, self._lag.lateness())
        if self._sent is None or now - self._sent[0] >= SLOW_INTERVAL - _EARLY:
            self._look_at_sent(now)
            self._memory = self._machine.memory()
        times, before = self._machine.times(), self._times
        self._times = now, times
        if before is None:
            return
        seconds, whole = now - before[0], times.all - before[1].all
        if whole > 0:
            # The kernel's count of idle time may go back a little (proc(5)).
            self._machine_cpu.add(_part((times.busy - before[1].busy) / whole), seconds)
        self._process_cpu.add(_part((times.process - before[1].process) / seconds), seconds)

    def _look_at_sent(self, now: float) -> None:
        before, self._sent = self._sent, (now, self._sent_bytes())
        if before is not None:
            seconds = now - before[0]
            self._egress.add((self._sent[1] - before[1]) / seconds, seconds)

    def _look_at_lag(self, now: float, lateness: Lateness | None) -> None:
        """Said once at its beginning and once at its end."""
        if lateness is None or lateness.p99 <= LATE:
            self._late_since = None
            if self._told:
                self._told = False
                self._log.info("{event}", event="reactor-in-time")
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since > LATE_FOR and not self._told:
            self._told = True
            self._log.warn(
                "{event}: 1 % of what was due in the last minute waited more than {lag_ms} ms",
                event="reactor-late",
                lag_ms=round(lateness.p99 * 1e3),
            )

    def _read(self, reading: Callable[[], int]) -> int | None:
        try:
            return reading()
        except OSError:
            return None


def _part(share: float) -> float:
    """Threads beside the reactor may make a process use more than one processor; that is no longer queue."""
    return min(1.0, max(0.0, share))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
