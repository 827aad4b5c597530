"""
How much load hides behind a resolver: sessions a second, learned from when it asks again.

A resolver asks again when its copy has run out and a client comes, so the mean gap between its questions is TTL +
1/rate, and the idle time after a copy's end tells the rate (Colajanni, Yu and Dias call it the hidden load weight,
and make TTLs from it).  What is kept is decayed: ``n`` questions that ended an idle time, and the sum of these times.

A resolver here is a prefix, and behind a prefix there may be several caches that know nothing of each other.  A
question that comes while an earlier answer lives is therefore another copy, and an idle time is counted for the copy
that ran out last: the rate behind the prefix is copies * n / idle.  A retry of a lost datagram looks like another
copy for two TTLs; that errs towards more load.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address

MOST_RESOLVERS = 65536
REMEMBERED = 6.0
"""Questions after which what is older counts less.  Twice as many make estimates narrower, and too slow: when a crowd
doubled within a minute, the load of ``benchmarks/fraction.py`` went above the limit."""

_FADE = 0.8
_SHORTEST_IDLE = 0.001
_MOST_COPIES = 8
"""Of one resolver; more than that look like a higher rate behind each."""

_FEWEST_KNOWN = 8
"""Resolvers of a group whose mean is worth more than the prior that was given."""


def prefix_of(address: IPv4Address | IPv6Address, length: int) -> int:
    """
    The resolver that an address belongs to, as a number that no other prefix has.

    :param length: bits of the prefix: of a client subnet as it was sent, or 24 and 56 of a source.
    """
    bits = address.max_prefixlen
    return (int(address) >> bits - length << 8 | length) << 1 | (bits == 128)


class _Known:
    """
    What is known of one resolver for one group.

    :ivar ends: of the copies that it has; with the newest last in the usual case of one.
    :ivar ttl: of the newest.
    :ivar counted: the mean rate that the group's sum has of it; 0: not yet.
    """

    __slots__ = ("counted", "ends", "idle", "n", "ttl")

    def __init__(self) -> None:
        self.n = 0.0
        self.idle = 0.0
        self.ends: list[float] = []
        self.ttl = 0.0
        self.counted = 0.0

    def hear(self, now: float) -> None:
        """It asks."""
        ends = self.ends
        ended_at = max((end for end in ends if end <= now), default=None)
        if ended_at is None:
            return
        ends.remove(ended_at)
        if ends:
            ends[:] = [end for end in ends if end > now - self.ttl]
        self.n += 1.0
        self.idle += max(now - ended_at, _SHORTEST_IDLE)
        if self.n > REMEMBERED:
            self.n *= _FADE
            self.idle *= _FADE

    def tell(self, ttl: float, now: float) -> None:
        """It gets an answer."""
        if len(self.ends) >= _MOST_COPIES:
            self.ends.remove(min(self.ends))
        self.ends.append(now + ttl)
        self.ttl = ttl

    def mean(self) -> float:
        return (len(self.ends) + 1) * self.n / self.idle

    def upper(self) -> float:
        """Two deviations above the mean: (sqrt(n) + 1)^2 / idle, for each copy and the one that it is about to get."""
        return (len(self.ends) + 1) * (self.n + 2.0 * math.sqrt(self.n) + 1.0) / self.idle


class _Group:
    """Sums over the resolvers of one group."""

    __slots__ = ("known", "rate", "resolvers")

    def __init__(self) -> None:
        self.resolvers = 0
        self.known = 0
        self.rate = 0.0


class ResolverBook:
    """
    The rates behind resolvers, each for each group of names: what one customer's names are asked for says nothing of
    another's.  Several ledgers may ask the same book.

    :param prior: sessions a second of a resolver that nobody knows, until the mean of a group is known.
    :param highest: sessions a second; no estimate is above it.
    :param most: resolvers that are remembered, of all groups together; who has been silent longest goes first.
    """

    def __init__(self, *, prior: float = 1.0, highest: float = 60.0, most: int = MOST_RESOLVERS) -> None:
        self.prior = prior
        self.highest = highest
        self.most = most
        self._known: OrderedDict[tuple[str, int], _Known] = OrderedDict()
        self._groups: dict[str, _Group] = {}

    def __len__(self) -> int:
        return len(self._known)

    def asked(self, group: str, resolver: int, now: float) -> float:
        """
        A question came; learn from it.  Follow it by :meth:`told` when it has been answered.

        :return: the upper estimate of the sessions a second behind the resolver.  O(1).
        """
        key = group, resolver
        known = self._known.get(key)
        if known is None:
            self._known[key] = known = _Known()
            self._groups.setdefault(group, _Group()).resolvers += 1
            if len(self._known) > self.most:
                self._forget(*self._known.popitem(last=False))
        else:
            self._known.move_to_end(key)
            known.hear(now)
        sums = self._groups[group]
        if known.n:
            mean = min(known.mean(), self.highest)
            sums.known += not known.counted
            sums.rate += mean - known.counted
            known.counted = mean
        return self._estimate(known, sums)

    def told(self, group: str, resolver: int, ttl: float, now: float) -> None:
        """The answer may be kept for ``ttl`` seconds.  Any answer counts: also one that names another target."""
        known = self._known.get((group, resolver))
        if known is not None:
            known.tell(ttl, now)

    def rate(self, group: str, resolver: int) -> float:
        """What :meth:`asked` said last, or would say of a stranger; nothing is learned."""
        sums = self._groups.get(group)
        known = self._known.get((group, resolver))
        return self._estimate(known, sums)

    def _estimate(self, known: _Known | None, sums: _Group | None) -> float:
        if known is None or not known.n:
            return self._stranger(sums)
        upper = known.upper()
        # One idle time says little of the rate; but a long one does say that it is not high.
        if known.n < 2.0:
            upper = min(upper, self._stranger(sums))
        return min(upper, self.highest)

    def _stranger(self, sums: _Group | None) -> float:
        """Twice the mean of the group; those who ask most are known first, so the mean is rather high."""
        if sums is None or sums.known < _FEWEST_KNOWN:
            return min(self.prior, self.highest)
        return min(2.0 * max(sums.rate, 0.0) / sums.known, self.highest)

    def _forget(self, key: tuple[str, int], known: _Known) -> None:
        sums = self._groups[key[0]]
        sums.resolvers -= 1
        sums.known -= known.counted > 0.0
        sums.rate -= known.counted
        if not sums.resolvers:
            del self._groups[key[0]]
