"""
All waiting of the room behind one delayed call of the reactor.

A ``callLater`` for each connection would cost more than moving its bytes: it would be postponed with every packet.
Here a packet only stamps its connection; what has to be looked at stands in a bucket with all others of that quarter of
a second, and says then when its deadline is by now.  Who ends sooner takes itself out of its bucket, which is a look
into one dict; a heap would keep hold of tens of thousands of short connections that are over long since.
"""

from __future__ import annotations

import heapq
import math
import typing

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

if typing.TYPE_CHECKING:
    from appliance.polling import Reactor

_GRAIN = 0.25
"""Seconds that a deadline may be late."""
_LOOK_INTERVAL = 30.0
"""An item is looked at this often though its deadline be hours away: one that is gone must not stay in memory."""
_LIMIT = 500
"""Most items handled in one wake-up."""


class Timed(typing.Protocol):
    """Something that ends when its time has come."""

    def deadline(self) -> float | None:
        """When it ends if nothing happens from now on; None when it is over already."""

    def expired(self) -> None:
        """The deadline came."""


Bucket = dict[Timed, None]
"""Those that are looked at together; whoever is over may take itself out."""


class Timers:
    """Calls :meth:`Timed.expired` when a deadline comes, never before, and soon after."""

    log = Logger()

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._buckets: dict[int, Bucket] = {}
        self._ticks: list[int] = []
        self._call: IDelayedCall | None = None
        self._call_tick = 0

    def __len__(self) -> int:
        """How many looks there will be."""
        return sum(map(len, self._buckets.values()))

    def add(self, at: float, item: Timed) -> Bucket:
        """
        Watch ``item``; again when its deadline came nearer.

        :param at: its deadline, or any instant before it.
        :return: where it stands until it is looked at.
        """
        tick = math.ceil(min(at, self._reactor.seconds() + _LOOK_INTERVAL) / _GRAIN)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._ticks, tick)
            self._schedule()
        bucket[item] = None
        return bucket

    def stop(self) -> None:
        """Nothing is called any more until something is added."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self) -> None:
        if not self._ticks or (self._call is not None and self._call_tick <= self._ticks[0]):
            return
        self.stop()
        self._call_tick = self._ticks[0]
        delay = self._call_tick * _GRAIN - self._reactor.seconds()
        self._call = self._reactor.callLater(max(0.0, delay), self._run)

    def _run(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        left = _LIMIT
        try:
            while left and self._ticks and self._ticks[0] * _GRAIN <= now:
                bucket = self._buckets[self._ticks[0]]
                if bucket:
                    left -= 1
                    self._look_at(bucket.popitem()[0], now)
                else:
                    del self._buckets[heapq.heappop(self._ticks)]
        finally:
            self._schedule()

    def _look_at(self, item: Timed, now: float) -> None:
        try:
            deadline = item.deadline()
            if deadline is None:
                return
            if deadline > now:
                self.add(deadline, item)
            else:
                item.expired()
        except Exception:
            self.log.failure("{event}: a timer of the NAT proxy failed", event="nat-timer-failed")
