"""
Choices told from the rules alone, over all that was ever known, each time from the beginning: what the chooser is
compared with.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import attrs

from appliance.delivery import OriginFigures, PopFigures
from appliance.model import Load, OriginBy, PopWeights, Rule

STATIC_TERMS: dict[str, Callable[[PopFigures], float | None]] = {
    "latency": lambda one: one.latency,
    "cpu": lambda one: None if one.load is None else one.load.cpu,
    "memory": lambda one: None if one.load is None else one.load.memory,
    "connections": lambda one: None if one.load is None else used_connections(one.load, one.pop.capacity),
    "http": lambda one: one.http,
    "ftp": lambda one: one.ftp,
}


def used_connections(load: Load, capacity: float) -> float | None:
    most = capacity or load.capacity or 0.0
    return None if not most or load.connections is None else load.connections / most


def part(term: str, figure: float) -> float:
    return max(0.0, (figure - 0.8) / 0.2) if term == "memory" else figure


def queue(used: float) -> float:
    return used / (1 - used) if used < 0.95 else 19 + (used - 0.95) * 400


def pop_cost(one: PopFigures, all_of_them: Sequence[PopFigures], weights: PopWeights) -> tuple[int, float]:
    """:return: standing and cost, both better if smaller."""
    standing, cost = (0 if one.up else 2), 0.0
    for term, read in STATIC_TERMS.items():
        weight, figure = getattr(weights, term), read(one)
        if not weight:
            continue
        if figure is None:
            others = [found for other in all_of_them if other.up and (found := read(other)) is not None]
            if others:
                figure = statistics.median(others)
        elif term in ("cpu", "memory", "connections") and part(term, figure) >= 0.95 and one.up:
            standing = 1
        if figure is not None:
            time = term in ("latency", "http", "ftp")
            cost += weight * (figure / 0.05 if time else queue(part(term, figure)))
    return standing, cost


@attrs.frozen
class Moment:
    now: float
    able: frozenset[str]
    wanted: frozenset[str]
    members: frozenset[str]


@attrs.define
class NaiveStatics:
    """One family: all moments since the beginning."""

    rule: Rule
    moments: list[Moment] = attrs.Factory(list)

    def refresh(self, figures: Sequence[PopFigures], family: int, now: float) -> frozenset[str]:
        costs = {
            one.pop.name: pop_cost(one, figures, self.rule.pops) for one in figures if one.pop.address.version == family
        }
        standing = min((found for found, _ in costs.values()), default=2)
        able = {name: cost for name, (found, cost) in costs.items() if found == standing < 2}
        most = min(able.values(), default=0.0) * (1 + self.rule.tolerance)
        wanted = frozenset(name for name, cost in able.items() if cost <= most)
        intervals = max((one.pop.interval for one in figures), default=0.0)
        members = self._members(frozenset(able), wanted, min(3 * intervals, 30.0), now)
        self.moments.append(Moment(now, frozenset(able), wanted, members))
        return members

    def _members(self, able: frozenset[str], wanted: frozenset[str], patience: float, now: float) -> frozenset[str]:
        before = self.moments[-1].members if self.moments else frozenset()
        staying = before & able or wanted
        ripe = {name for name in able if self._wrong_for(name, staying, wanted, now) >= patience}
        ripe &= staying ^ wanted
        if ripe and now >= self._changed_at() + 30.0:
            return (staying - ripe) | (ripe - staying) or wanted
        return staying

    def _wrong_for(self, name: str, staying: frozenset[str], wanted: frozenset[str], now: float) -> float:
        """For how long it should have come or gone, without a break, before now."""
        if (name in staying) == (name in wanted):
            return -1.0
        since = now
        for moment in reversed(self.moments):
            if name not in moment.able or (name in moment.members) == (name in moment.wanted):
                break
            since = moment.now
        return now - since

    def _changed_at(self) -> float:
        found = -math.inf
        before: frozenset[str] = frozenset()
        for moment in self.moments:
            if before and moment.members != before:
                found = moment.now
            before = moment.members
        return found


@attrs.define
class NaivePages:
    """All samples since the beginning."""

    rule: Rule
    samples: list[tuple[float, list[OriginFigures]]] = attrs.Factory(list)

    def refresh(self, figures: Sequence[OriginFigures], now: float) -> list[tuple[int, float, str]]:
        """:return: (standing, cost to a thousandth, name) of all that are up, the best first."""
        figures = [one for one in figures if one.server.weight]
        self.samples.append((now, figures))
        up = [one for one in figures if one.health.up]
        used = {one.server.name: self._decayed(one.server.name, _busiest) for one in figures}
        live = {one.server.name: self._decayed(one.server.name, _connections) for one in figures}
        reported = all(used[one.server.name] is not None for one in up)
        loads = {
            one.server.name: (queue(used[one.server.name] or 0.0) if reported else (live[one.server.name] or 0.0) + 1)
            / one.server.weight
            for one in figures
        }
        mean = 1.0 if reported or not up else max(1.0, sum(loads[one.server.name] for one in up) / len(up))
        latencies = [one.health.latency for one in up if one.health.latency is not None]
        middle = statistics.median(latencies) if latencies else 0.0
        found = []
        for one in up:
            name, latency = one.server.name, one.health.latency
            cost = 0.0 if self.rule.origins is OriginBy.LATENCY else loads[name] / mean
            cost += 0.0 if self.rule.origins is OriginBy.LOAD else (middle if latency is None else latency) / 0.05
            found.append((int((used[name] or 0.0) >= 0.95), round(cost, 3), name))
        return sorted(found)

    def _decayed(self, name: str, read: Callable[[OriginFigures], float | None]) -> float | None:
        """The mean over all its samples in a row, the older ones the less, by e in 10 s."""
        value, at, there = None, 0.0, False
        for now, figures in self.samples:
            one = next((one for one in figures if one.server.name == name), None)
            sample = read(one) if one is not None else None
            if sample is not None and value is not None and there:
                sample += (value - sample) * math.exp(-(now - at) / 10.0)
            value, at, there = sample, now, one is not None
        return value


def _busiest(one: OriginFigures) -> float | None:
    load = one.health.load
    if load is None:
        return None
    parts = [load.cpu, None if load.memory is None else part("memory", load.memory), used_connections(load, 0.0)]
    return max((found for found in parts if found is not None), default=None)


def _connections(one: OriginFigures) -> float:
    return float(one.connections)
