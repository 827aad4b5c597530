"""
What a figure costs, so that figures of different kinds can be added up.

Times are in parts of a reference.  What is used of something that runs out costs what a queue before it does: u/(1-u),
as long for nine tenths as for nine others.  What is not known is neutral: it costs what the median of the others costs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import attrs

from appliance.delivery.values import Candidate, PopFigures, Rated, Standing
from appliance.model import Load, PopWeights

TIME_REFERENCE = 0.05
"""Seconds of latency or response that cost 1: a connection across a continent.  Origins have the same."""
FULL_FROM = 0.95
"""Part in use from which somebody is the last resort."""
MEMORY_FROM = 0.8
"""Memory up to here costs nothing, for caches fill what they find; the rest counts as a whole."""
LAG_REFERENCE = 0.1
"""Seconds of lag that count as all of a machine; only for origins, since POPs show theirs in their HTTP times."""

_STEEPNESS = 1.0 / (1.0 - FULL_FROM) ** 2


def known(figure: float | None) -> float | None:
    """A figure that somebody else sent: None where it is below 0, infinite or no number."""
    return figure if figure is not None and 0.0 <= figure < math.inf else None


def queueing(used: float) -> float:
    """
    The cost of having ``used`` (0 to 1, more is a queue) in use: the length of an M/M/1 queue.

    From :data:`FULL_FROM` it goes on along its tangent, so that even among those who are full less is better.
    """
    if used < FULL_FROM:
        return used / (1.0 - used)
    return FULL_FROM / (1.0 - FULL_FROM) + (used - FULL_FROM) * _STEEPNESS


def memory_used(memory: float) -> float:
    """The part of what counts of a memory that is in use."""
    return max(0.0, (memory - MEMORY_FROM) / (1.0 - MEMORY_FROM))


def connections_used(load: Load, capacity: float = 0.0) -> float | None:
    """
    Connections in parts of what can be had; None where either is not known.

    :param capacity: as the operator states it; 0: as the load says.
    """
    most = known(capacity) or known(load.capacity)
    connections = known(load.connections)
    return connections / most if most and connections is not None else None


def busiest(load: Load | None) -> float | None:
    """The largest part of anything of a machine that is in use: what fails first.  None: it says nothing."""
    if load is None:
        return None
    cpu, memory, lag = known(load.cpu), known(load.memory), known(load.lag)
    parts = (
        cpu,
        memory_used(memory) if memory is not None else None,
        lag / LAG_REFERENCE if lag is not None else None,
        connections_used(load),
    )
    return max((part for part in parts if part is not None), default=None)


@attrs.frozen
class Measure:
    """
    One term of a POP's cost.

    :param read: the figure of a POP.
    :param used: the part in use of something that runs out; None: the figure is a time.
    """

    name: str
    read: Callable[[PopFigures], float | None]
    used: Callable[[float], float] | None = None

    def scaled(self, figure: float) -> float:
        return figure / TIME_REFERENCE if self.used is None else queueing(self.used(figure))

    def is_full(self, figure: float) -> bool:
        return self.used is not None and self.used(figure) >= FULL_FROM

    def neutral(self, figures: Sequence[PopFigures]) -> float | None:
        """The median of those that are up and have it; None: nobody does, and it costs nothing."""
        found = [figure for one in figures if one.up and (figure := self.read(one)) is not None]
        return statistics.median(found) if found else None


def _of_load(read: Callable[[Load], float | None]) -> Callable[[PopFigures], float | None]:
    return lambda one: None if one.load is None else known(read(one.load))


def _as_it_is(used: float) -> float:
    return used


MEASURES = (
    Measure("latency", lambda one: known(one.latency)),
    Measure("cpu", _of_load(lambda load: load.cpu), _as_it_is),
    Measure("memory", _of_load(lambda load: load.memory), memory_used),
    Measure(
        "connections", lambda one: None if one.load is None else connections_used(one.load, one.pop.capacity), _as_it_is
    ),
    Measure("http", lambda one: known(one.http)),
    Measure("ftp", lambda one: known(one.ftp)),
)
"""In the order of :class:`PopWeights`, whose fields have the same names."""


def rate_pops(figures: Sequence[PopFigures], weights: PopWeights, shares: Sequence[float]) -> list[Rated]:
    """
    What each POP costs: the sum of weight times scaled figure; a term whose weight is 0 is not even looked at.

    :param shares: of each, for who is within the tolerance.
    :return: in the order of ``figures``; O(POPs).
    """
    costs = [0.0] * len(figures)
    standings = [Standing.GOOD if one.up else Standing.DOWN for one in figures]
    for measure in MEASURES:
        weight: float = getattr(weights, measure.name)
        if weight <= 0:
            continue
        found = [measure.read(one) for one in figures]
        neutral = measure.neutral(figures) if None in found else None
        for index, figure in enumerate(found):
            if figure is None:
                figure = neutral
            elif measure.is_full(figure) and figures[index].up:
                standings[index] = Standing.FULL
            if figure is not None:
                costs[index] += weight * measure.scaled(figure)
    return [
        Rated(Candidate(one.pop.name, one.pop.address), standing, cost, share)
        for one, standing, cost, share in zip(figures, standings, costs, shares, strict=True)
    ]
