"""Calls that wait, each once at a time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timers:
    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Callable[[], None], IDelayedCall] = {}
        self._stopped = False

    def later(self, delay: float, what: Callable[[], None]) -> None:
        """Call it once, unless it is waiting already or all is over."""
        if self._stopped or what in self._waiting:
            return

        def call() -> None:
            del self._waiting[what]
            what()

        self._waiting[what] = self._clock.callLater(delay, call)

    def stop(self) -> None:
        """Nothing is called any more."""
        self._stopped = True
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
