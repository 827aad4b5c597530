"""
All waiting of the room behind one delayed call of the reactor.

A ``callLater`` for each connection would cost more than moving its bytes: it would be postponed with every packet.
Here a packet only stamps its connection; the heap of :class:`~appliance.deadlines.Deadlines` finds out when it looks.
"""

from __future__ import annotations

import typing

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from appliance.deadlines import Deadlines

if typing.TYPE_CHECKING:
    from appliance.nat.fabric import Reactor

_LOOK_INTERVAL = 30.0
"""An item is looked at this often though its deadline be hours away: one that is gone must not stay in memory."""
_LIMIT = 500
"""Most heap entries handled in one wake-up."""


class Timed(typing.Protocol):
    """Something that ends when its time has come."""

    def deadline(self) -> float | None:
        """When it ends if nothing happens from now on; None when it is over already."""

    def expired(self) -> None:
        """The deadline came."""


class Timers:
    """Calls :meth:`Timed.expired` when a deadline comes, never before, and soon after."""

    log = Logger()

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._deadlines: Deadlines[Timed] = Deadlines(self._next_look)
        self._call: IDelayedCall | None = None
        self._call_at = 0.0

    def add(self, at: float, item: Timed) -> None:
        """
        Watch ``item``; again when its deadline came nearer.

        :param at: its deadline, or any instant before it.
        """
        self._deadlines.add(min(at, self._reactor.seconds() + _LOOK_INTERVAL), item)
        self._schedule()

    def stop(self) -> None:
        """Nothing is called any more until something is added."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next_look(self, item: Timed) -> float | None:
        deadline = item.deadline()
        return None if deadline is None else min(deadline, self._reactor.seconds() + _LOOK_INTERVAL)

    def _schedule(self) -> None:
        at = self._deadlines.next()
        if at is None or (self._call is not None and self._call_at <= at):
            return
        self.stop()
        self._call_at = at
        self._call = self._reactor.callLater(max(0.0, at - self._reactor.seconds()), self._run)

    def _run(self) -> None:
        self._call = None
        try:
            for item in self._deadlines.due(self._reactor.seconds(), limit=_LIMIT):
                self._expire(item)
        finally:
            self._schedule()

    def _expire(self, item: Timed) -> None:
        try:
            item.expired()
        except Exception:
            self.log.failure("{event}: a timer of the NAT proxy failed", event="nat-timer-failed")
