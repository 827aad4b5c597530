"""When subpools of which no block is taken have rested as a whole, and when they may be deleted."""

from __future__ import annotations

import math

from appliance.deadlines import Deadlines
from appliance.model import NatPool, Reuse
from appliance.ports.blocks import Subpool

LINGER = 10.0
"""
Seconds for which a subpool that nobody uses stays at least, whatever ``quarantine`` is: a service that has a connection
now and then makes its blocks once in so long, not for each of them.
"""


class Idling:
    """
    One whose blocks are taken again meanwhile is found out when its time comes, so taking costs nothing here.

    :param pool: its quarantine and its rule; they stay what they are.
    """

    def __init__(self, pool: NatPool) -> None:
        quarantine = pool.quarantine
        linger = max(quarantine, LINGER)
        self._as_a_whole = pool.reuse is Reuse.SUBPOOL
        self._rests_until = lambda subpool: subpool.freed_at + quarantine
        self._stays_until = lambda subpool: max(subpool.freed_at + linger, subpool.look_at)
        self._ripening = Deadlines[Subpool](self._rests_until)
        self._idle = Deadlines[Subpool](self._stays_until)

    def add(self, subpool: Subpool) -> None:
        """None of its blocks is taken any more."""
        if not subpool.is_idle:
            subpool.is_idle = True
            self._idle.add(self._stays_until(subpool), subpool)
        rests = self._as_a_whole and subpool.line.head is not None
        if rests and not subpool.is_ripening:
            subpool.is_ripening = True
            self._ripening.add(self._rests_until(subpool), subpool)
        # Where it rests as a whole it has to be told of here again when a block of it comes back.
        subpool.is_listed = rests or not self._as_a_whole

    def again(self, subpool: Subpool, now: float) -> None:
        """It is still needed, and looked at once more after a while."""
        subpool.look_at = now + LINGER
        self.add(subpool)

    def next_ripe(self) -> float:
        """When :meth:`ripe` is worth calling; infinity: not before another one is added."""
        at = self._ripening.next()
        return math.inf if at is None else at

    def ripe(self, now: float) -> list[Subpool]:
        """Those of which all blocks have rested together."""
        due = self._ripening.due(now, limit=len(self._ripening))
        for subpool in due:
            subpool.is_ripening = subpool.is_listed = False
        return [subpool for subpool in due if not subpool.taken]

    def next(self) -> float | None:
        """When :meth:`due` is worth calling."""
        return self._idle.next()

    def due(self, now: float) -> list[Subpool]:
        """Those that nobody has used for long enough, the youngest first: the oldest are those that are taken from."""
        due = self._idle.due(now, limit=len(self._idle))
        for subpool in due:
            subpool.is_idle = subpool.is_listed = False
        return sorted((each for each in due if not each.taken), key=lambda each: each.number, reverse=True)
