"""
What customer web servers cost (3.1): load, latency, or both.

Loads are decayed, so that one sample does not swing the answer; latencies come decayed.  Figures of different kinds are
never compared: where every server that is up says how busy it is, that counts, and else the connections that we count.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import attrs

from appliance.delivery.costs import FULL_FROM, TIME_REFERENCE, busiest, known, queueing
from appliance.delivery.values import Candidate, OriginFigures, Rated, Standing
from appliance.model import OriginBy

DECAY_PERIOD = 10.0
"""Seconds after which a sample has pulled the mean to itself by 1 - 1/e: with one each 5 s, 0.39 of the way each."""


@attrs.define
class Decayed:
    """
    The loads of one server.

    :ivar used: the part of its busiest thing in use, as it says; None: it does not say.
    :ivar connections: as we count them.
    """

    used: float | None
    connections: float


@attrs.frozen(kw_only=True)
class OriginCost:
    """
    What a server costs, and why.

    :param reported: its load is what it says; else what we count.
    :param load: per weight: u/(1-u), or connections and the one to come.
    :param load_reference: load that costs 1.
    :param latency: seconds; the median of the others where ``neutral``; None: nobody was measured.
    """

    figures: OriginFigures
    standing: Standing
    reported: bool
    load: float
    load_reference: float
    latency: float | None
    neutral: bool
    cost: float

    def rated(self) -> Rated:
        server = self.figures.server
        return Rated(Candidate(server.name, server.address), self.standing, self.cost, float(server.weight))


class Loads:
    """The decayed loads of a customer's servers, by name."""

    __slots__ = ("_at", "_by_name")

    def __init__(self) -> None:
        self._by_name: dict[str, Decayed] = {}
        self._at = -math.inf

    def __getitem__(self, name: str) -> Decayed:
        return self._by_name[name]

    def sample(self, figures: Sequence[OriginFigures], now: float) -> None:
        """Take these in; who is not among them is forgotten.  A server's first sample counts as a whole."""
        pull = 1.0 - math.exp(-max(0.0, now - self._at) / DECAY_PERIOD)
        self._at = max(self._at, now)
        former, self._by_name = self._by_name, {}
        for one in figures:
            used, connections = busiest(one.health.load), float(one.connections)
            before = former.get(one.server.name)
            if before is not None:
                connections = before.connections + (connections - before.connections) * pull
                if used is not None and before.used is not None:
                    used = before.used + (used - before.used) * pull
            self._by_name[one.server.name] = Decayed(used, connections)


def origin_costs(figures: Sequence[OriginFigures], by: OriginBy, loads: Loads) -> list[OriginCost]:
    """
    What each server costs.

    Load and latency are added in parts of a reference each: 50 ms, u/(1-u) of 1 (half in use), or the mean of the
    connections per weight (at least 1) of those that are up, since no number of them is much or little in itself.

    :param figures: of servers with a weight above 0, each taken in by ``loads``.
    :return: in the order of ``figures``; O(servers).
    """
    up = [one for one in figures if one.health.up]
    reported = all(loads[one.server.name].used is not None for one in up)
    latencies = [latency for one in up if (latency := known(one.health.latency)) is not None]
    median = statistics.median(latencies) if latencies else None

    def load_of(one: OriginFigures) -> float:
        decayed = loads[one.server.name]
        load = queueing(decayed.used or 0.0) if reported else decayed.connections + 1.0
        return load / one.server.weight

    reference = 1.0 if reported or not up else max(1.0, statistics.fmean(map(load_of, up)))
    costs = []
    for one in figures:
        load, own = load_of(one), known(one.health.latency)
        latency = own if own is not None else median
        cost = 0.0
        if by is not OriginBy.LATENCY:
            cost += load / reference
        if by is not OriginBy.LOAD and latency is not None:
            cost += latency / TIME_REFERENCE
        used = loads[one.server.name].used
        full = Standing.FULL if used is not None and used >= FULL_FROM else Standing.GOOD
        costs.append(
            OriginCost(
                figures=one,
                standing=full if one.health.up else Standing.DOWN,
                reported=reported,
                load=load,
                load_reference=reference,
                latency=latency,
                neutral=own is None,
                cost=cost,
            )
        )
    return costs
