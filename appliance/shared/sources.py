"""From which addresses and ports connections go to servers: the client NAT pools with the one clock (4.1 to 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from appliance.model import NatPool, Transport
from appliance.ports import Block, Counts, PairPool


class Sources:
    """
    :param look_at: called with a deadline that came nearer as something was taken or given back.
    """

    def __init__(self, seconds: Callable[[], float], look_at: Callable[[float | None], None]) -> None:
        self._seconds = seconds
        self._look_at = look_at
        self._configured: Mapping[str, NatPool] = {}
        self._pools: dict[str, NatPool] = {}
        self._pairs: dict[tuple[str, Transport], PairPool] = {}

    def configure(self, pools: Mapping[str, NatPool], used: Container[str | None]) -> None:
        """
        Take over a configuration; what was taken stays taken until it is given back.

        :param used: names that sites have.  A site that is carried on has its pool still, though the file has neither.
        """
        now = self._seconds()
        self._configured = configured = {
            **{name: pool for name, pool in self._pools.items() if name in used},
            **pools,
        }
        self._pools |= configured
        for name, transport in list(self._pairs):
            if name not in configured and not self._pairs[name, transport].counts(now).taken:
                del self._pairs[name, transport]
        for name, config in configured.items():
            for transport in Transport:
                if (name, transport) in self._pairs:
                    self._pairs[name, transport].configure(config, now)
                else:
                    self._pairs[name, transport] = PairPool(config, now)

    def counts(self) -> list[tuple[NatPool, Transport, Counts]]:
        """
        Each pool as it is configured, and how many of its blocks are what; by name.

        One that has left the configuration is there, as it was, while it has blocks.
        """
        now = self._seconds()
        found = [
            (self._pools[name], transport, pairs.counts(now))
            for (name, transport), pairs in sorted(self._pairs.items(), key=lambda item: (item[0][0], item[0][1].value))
        ]
        return [each for each in found if each[0].name in self._configured or each[2].blocks]

    def take(self, pool: str, transport: Transport) -> Block | None:
        """A source for a connection; None: there is none free, or no such pool."""
        if pool not in self._configured:
            return None
        pairs = self._pairs[pool, transport]
        source = pairs.take(self._seconds())
        if pairs.nearer:
            self._look_into(pairs)
        return source

    def give(self, pool: str, transport: Transport, source: Block) -> None:
        """The connection that had it is over; the pool may have left the configuration meanwhile."""
        pairs = self._pairs[pool, transport]
        pairs.give(source, self._seconds())
        if pairs.nearer:
            self._look_into(pairs)

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling."""
        deadlines = (pairs.next_deadline() for pairs in self._pairs.values())
        return min((at for at in deadlines if at is not None), default=None)

    def due(self) -> None:
        """Do what time brings."""
        now = self._seconds()
        for pairs in self._pairs.values():
            at = pairs.next_deadline()
            if at is not None and at <= now:
                pairs.tidy(now)

    def _look_into(self, pairs: PairPool) -> None:
        pairs.nearer = False
        self._look_at(pairs.next_deadline())
