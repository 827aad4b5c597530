"""
No POP is answered beyond its capacity (3.2): a ledger for each, and what is known of those who ask.

Ledgers count sessions a second, for that is what is known of resolvers; people and other POPs are told
connections.  How many connections a session a second makes is learned from what the POPs say that they have,
beside the sessions that our answers were to bring; so what is promised is worth other connections at once when
it is known better.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from appliance.capacity import Holding, Ledger, ResolverBook, Standing, Verdict, prefix_of
from appliance.model import Asker, Pop, Row

SOURCE_BITS = {4: 24, 6: 56}
"""Of a source without a client subnet: who is behind it is one resolver."""
SECONDS_OF_A_SESSION = 1.0
"""Until it is measured."""
MOST_OVER = 4.0
"""Times its capacity that a POP may say that it has, as far as sessions are learned from it."""
MOST_RESOLVERS = 65536
_RESOLVER_BITS = 137
"""Of what :func:`prefix_of` returns; a ledger takes 160."""


def prefix(asker: Asker | None) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Whose question it is, as far as choices go: the client's network, or else the source's; None: our own people."""
    if asker is None:
        return None
    if asker.client is not None:
        return asker.client.network_address, asker.client.prefixlen
    return asker.source, SOURCE_BITS[asker.source.version]


class Guard:
    """All ledgers, and the book of resolvers that they share."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._book = ResolverBook(most=MOST_RESOLVERS)
        self._holding = Holding(SECONDS_OF_A_SESSION)
        self._customers: dict[str, int] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._capacities: dict[str, float] = {}

    def configure(self, pops: Mapping[str, Pop], ttl: float) -> None:
        """
        :param ttl: the usual life of answers, seconds.

        A POP without a capacity has no ledger: it is answered as often as it is the best.
        """
        former, self._ledgers = self._ledgers, {}
        for name, pop in pops.items():
            if pop.capacity <= 0:
                continue
            ledger = former.get(name)
            if ledger is None or ledger.period != pop.interval:
                # With another interval reports are old at another age; what was promised runs out within a TTL.
                ledger = Ledger(name, capacity=0.0, ttl=ttl, period=pop.interval, key=self._key, needs_reports=False)
            self._ledgers[name] = ledger
        self._capacities = {name: pops[name].capacity for name in self._ledgers}
        self._holding.only(self._ledgers)
        self._scale()

    def __contains__(self, pop: str) -> bool:
        return pop in self._ledgers

    def learn(self, rows: Mapping[str, Row], fresh: Mapping[str, float], now: float) -> None:
        """
        What the POPs say of themselves, and what others have promised of them.

        :param fresh: connections of those that have said something since the last time.
        """
        seconds = self._holding.seconds
        for name, ledger in self._ledgers.items():
            row = rows.get(name)
            ledger.others = row.promised / seconds if row is not None else 0.0
            if name in fresh:
                ledger.measured(fresh[name] / seconds, now)
                self._learn(name, ledger, fresh[name], now)
        for ledger in self._ledgers.values():
            ledger.rescale(seconds / self._holding.seconds)
        self._scale()

    def _learn(self, name: str, ledger: Ledger, connections: float, now: float) -> None:
        """
        How long sessions last, by what our own answers brought.

        How many sessions others have promised their numbers of connections do not say; so their part is that of
        the promises.  A POP that says that it has thousands of times what it can have is not to make sessions
        last for days, or for hours there would be no room at any POP.
        """
        own = ledger.promised(now)
        part = own / (own + ledger.others) if own > 0.0 else 0.0
        load = part * min(connections, MOST_OVER * self._capacities[name])
        self._holding.measured(name, load, own + ledger.overbooked(now) if own > 0.0 else 0.0, now)

    def _scale(self) -> None:
        for name, ledger in self._ledgers.items():
            ledger.capacity = self._capacities[name] / self._holding.seconds

    def asked(self, customer: str, asker: Asker, now: float) -> tuple[int, float]:
        """
        A question came.

        :return: its resolver, and the sessions a second that it may bring.
        """
        resolver = self.resolver(asker)
        return resolver, self._book.asked(customer, resolver, now)

    def told(self, customer: str, resolver: int, ttl: float, now: float) -> None:
        """The answer, whatever it names, may be kept for ``ttl`` seconds."""
        self._book.told(customer, resolver, ttl, now)

    def ttl_for(self, pop: str, weight: float, ttl: float, now: float) -> float:
        """Shorter for a resolver that brings much of what the POP can take."""
        ledger = self._ledgers.get(pop)
        return ttl if ledger is None else ledger.ttl_for(weight, ttl, now)

    def admit(self, pop: str, customer: str, resolver: int, weight: float, ttl: float, now: float) -> bool:
        """May an answer name this POP?  If so, it is promised."""
        ledger = self._ledgers.get(pop)
        return ledger is None or ledger.admit(self._place(customer, resolver), weight, now, ttl)

    def overbook(self, pop: str, customer: str, resolver: int, weight: float, ttl: float, now: float) -> None:
        """An answer names this POP though nobody has room."""
        if pop in self._ledgers:
            self._ledgers[pop].overbook(self._place(customer, resolver), weight, now, ttl)

    def is_overbooked(self, pop: str, customer: str, resolver: int, now: float) -> bool:
        """Was the resolver sent there so, not long ago?"""
        return pop in self._ledgers and self._ledgers[pop].is_overbooked(self._place(customer, resolver), now)

    def resolver(self, asker: Asker) -> int:
        """What :meth:`asked` would say; nothing is learned."""
        found = prefix(asker)
        assert found is not None
        return prefix_of(*found)

    def connections(self, weight: float) -> float:
        """What so many sessions a second make."""
        return self._holding.connections(weight)

    def weight(self, customer: str, asker: Asker) -> float:
        """What :meth:`asked` would say; nothing is learned."""
        return self._book.rate(customer, self.resolver(asker))

    def judge(self, pop: str, customer: str, asker: Asker, weight: float, now: float) -> Verdict | None:
        """What :meth:`admit` would say, and nothing is promised; None: the POP has no ledger."""
        ledger = self._ledgers.get(pop)
        return None if ledger is None else ledger.judge(self._place(customer, self.resolver(asker)), weight, now)

    def room(self, pop: str, now: float) -> tuple[bool, float]:
        """
        Who has more comes later in this order.

        :return: it has no more than is given out of its capacity, by what it says itself; and the part of its capacity
            that is left by what it has and what is promised, below 0: it is beyond.  What is overbooked counts beside
            the load that it is a part of, for only some of it has been measured.
        """
        ledger = self._ledgers.get(pop)
        if ledger is None:
            return True, math.inf
        standing = ledger.standing(now)
        taken = max(standing.load, standing.kappa * (standing.promised + standing.others))
        taken += standing.kappa * standing.overbooked
        left = (standing.limit - taken) / standing.capacity if standing.capacity else -math.inf
        return standing.load <= standing.limit, left

    def promised(self, pop: str, now: float) -> float:
        """Connections that our answers may still bring to it."""
        ledger = self._ledgers.get(pop)
        return 0.0 if ledger is None else self.connections(ledger.promised(now))

    def standing(self, pop: str, now: float) -> Standing | None:
        """Every number of its ledger, in connections; None: it has none."""
        ledger = self._ledgers.get(pop)
        return None if ledger is None else ledger.standing(now).times(self._holding.seconds)

    def _place(self, customer: str, resolver: int) -> int:
        """
        What a ledger knows a resolver by: one that asks for two customers' names brings the clients of both.

        There are fewer than 2^23 customers, whoever came and went.
        """
        return self._customers.setdefault(customer, len(self._customers)) << _RESOLVER_BITS | resolver

    @property
    def seconds_of_a_session(self) -> float:
        """How long a session lasts, as measured."""
        return self._holding.seconds
