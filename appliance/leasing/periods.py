"""
How long the next answer promises an address.

::

    period = clamp(base x demand x pressure, minimum, maximum)
    TTL    = the whole seconds of it, at most offer before the first connection, at least 1

    demand   = (1 + n) / 2       n: connections to the server in the last base period, decayed
    pressure = 1                 while free / all >= adequate, or adequate is 0
             = free / all / adequate        else

A server that gets one connection in each base period has that period; one that gets none has half of it, one that gets
many goes up to the maximum (1.8).  While too few addresses can be granted, all periods shrink in proportion to what
is missing, down to the minimum when none is left (1.7).  Both change the next promise, never one that was given.
"""

from __future__ import annotations

import math

import attrs

from appliance.model import Periods


@attrs.frozen(kw_only=True)
class Span:
    """
    The next promise, with every number that made it.

    :param demand: factor for the connections of the last base period.
    :param pressure: factor for the addresses that are free, 0 to 1.
    :param limit: what bounded the product: ``minimum``, ``maximum``, ``offer`` or nothing.
    :param ttl: seconds.
    """

    base: float
    demand: float
    pressure: float
    limit: str
    ttl: int


def span(periods: Periods, *, requests: float, pressure: float, offered: bool) -> int:
    """
    The TTL of the next answer that renews or grants, in seconds.

    :param requests: connections in the last base period, see :func:`decayed`.
    :param pressure: see :func:`pressure_of`.
    :param offered: the lease has had no connection since it was granted.
    """
    period = min(max(periods.base * demand_of(requests) * pressure, periods.minimum), periods.maximum)
    if offered and period > periods.offer:
        period = periods.offer
    # A TTL is a whole number of seconds, and resolvers treat 0 in their own ways.
    return max(1, int(period))


def shortest(periods: Periods) -> int:
    """The longest TTL that is promised without the disk: the minimum period, in whole seconds."""
    return max(1, int(periods.minimum))


def explain(periods: Periods, *, requests: float, pressure: float, offered: bool) -> Span:
    """The same as :func:`span`, for people."""
    ttl = span(periods, requests=requests, pressure=pressure, offered=offered)
    demand = demand_of(requests)
    period = periods.base * demand * pressure
    limit = "minimum" if period < periods.minimum else "maximum" if period > periods.maximum else ""
    if offered and min(max(period, periods.minimum), periods.maximum) > periods.offer:
        limit = "offer"
    return Span(base=periods.base, demand=demand, pressure=pressure, limit=limit, ttl=ttl)


def demand_of(requests: float) -> float:
    """1 for one connection a base period, half for none, without an upper end (1.8)."""
    return (1.0 + requests) / 2.0


def pressure_of(free: int, count: int, adequate: float) -> float:
    """
    1 while enough addresses are free, then in proportion to what is left of enough (1.7).

    :param free: addresses that can be granted now; cooling ones cannot.
    :param count: all addresses of the pool.
    :param adequate: the fraction that is enough; 0 is always enough.
    """
    if free >= count * adequate:
        return 1.0
    return free / (count * adequate)


def decayed(requests: float, seconds: float, periods: Periods) -> float:
    """What is left of a count after some seconds: a connection counts for a base period on average."""
    return requests * math.exp(-seconds / periods.base) if requests else 0.0
