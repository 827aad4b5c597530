"""
What is known of checks, POPs and customers' names, as one dict a row (3.1, 3.2, 3.5).

Spans are seconds, instants Unix time; what is not known is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import attrs

from appliance.model import Check, Choices, Delivery, Forced, Health, Load, OriginBy, Pop, Result, Rule
from appliance.model import Row as Seen
from appliance.views.rows import Row, Wall


class _Word(Protocol):
    @property
    def value(self) -> str: ...


class _Check(Protocol):
    @property
    def check(self) -> Check: ...
    @property
    def condition(self) -> _Word: ...
    @property
    def result(self) -> Result | None: ...
    @property
    def heard_at(self) -> float | None: ...
    @property
    def began_at(self) -> float | None: ...
    @property
    def next_at(self) -> float | None: ...
    @property
    def idle(self) -> bool: ...
    @property
    def failures(self) -> int: ...
    @property
    def successes(self) -> int: ...
    @property
    def latency(self) -> float | None: ...
    @property
    def deviation(self) -> float | None: ...
    @property
    def flaps(self) -> float: ...


class Ledger(Protocol):
    """Every number of one; an attrs value."""

    @property
    def capacity(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def promised(self) -> float: ...
    @property
    def held(self) -> float: ...
    @property
    def others(self) -> float: ...
    @property
    def load(self) -> float: ...
    @property
    def age(self) -> float | None: ...
    @property
    def kappa(self) -> float: ...
    @property
    def resolvers(self) -> int: ...


def check_row(row: _Check, wall: Wall) -> Row:
    """
    One check.

    :return: ``result``: ``LAYER CAUSE: DETAIL`` of the last one, None before; ``next_at``: None while it is under way.
    """
    probe, result = row.check.probe, row.result
    return {
        "probe": probe.name,
        "type": probe.type.value,
        "address": str(row.check.address),
        "port": row.check.port,
        "condition": row.condition.value,
        "ok": result.ok if result is not None else None,
        "result": str(result) if result is not None else None,
        "heard_at": instant(row.heard_at, wall),
        "began_at": instant(row.began_at, wall),
        "next_at": instant(row.next_at, wall),
        "interval": probe.interval,
        "idle": row.idle,
        "failures": row.failures,
        "successes": row.successes,
        "latency": figure(row.latency),
        "deviation": figure(row.deviation),
        "flaps": round(row.flaps, 3),
    }


def measured_row(health: Health, checks: Iterable[_Check], wall: Wall) -> Row:
    """
    What the checks of a server or POP say, to be laid into its row.

    :return: ``measured``: up, down or unknown; ``reason``: of what is down, or in doubt; ``until``: the earliest
        instant at which that could be another, None: not by itself.
    """
    return {
        "measured": "unknown" if health.measured is None else "up" if health.measured else "down",
        "reason": health.reason or None,
        "until": instant(health.until, wall),
        "latency": figure(health.latency),
        "deviation": figure(health.deviation),
        "connect": figure(health.connect),
        "load": load_row(health.load),
        "flaps": round(health.flaps, 3),
        "checks": [check_row(each, wall) for each in checks],
    }


def load_row(load: Load | None) -> Row | None:
    return None if load is None else {name: figure(value) for name, value in attrs.asdict(load).items()}


def ledger_row(ledger: Ledger | None) -> Row | None:
    """
    What was promised of a POP, in connections; None: it has no capacity in the file, and no bound.

    :return: ``promised`` by this POP's answers, ``others`` by those of the others; ``held``: kept free for who is about
        to ask again; ``limit``: what of the capacity may be promised; ``kappa``: the part of it that is taken to come;
        ``load``: as measured ``age`` seconds ago, None: never; ``overbooked``: by answers that were given though nobody
        had room.
    """
    if ledger is None:
        return None
    names = ("capacity", "limit", "promised", "held", "others", "load", "age", "kappa", "overbooked")
    return {**{name: figure(getattr(ledger, name)) for name in names}, "resolvers": ledger.resolvers}


def pop_row(
    pop: Pop,
    seen: Seen,
    health: Health,
    checks: Iterable[_Check],
    ledger: Ledger | None,
    *,
    own: bool,
    by: str,
    heard_at: float | None,
    wall: Wall,
) -> Row:
    """
    A POP.

    :param seen: what is believed of it; ``health``: what this POP measures.
    :param by: who says so: ``agreed``, ``own``, ``kept``, ``configured`` or ``forced``.
    :param heard_at: when its own rows came last.
    """
    up = health.up if health.forced is not None else seen.up
    mine = measured_row(health, checks, wall)
    return {
        "pop": pop.name,
        "own": own,
        "address": str(pop.address),
        "state": "up" if up else "down",
        "by": by,
        **mine,
        "latency": figure(seen.latency),
        "http": figure(seen.http),
        "ftp": figure(seen.ftp),
        "load": load_row(seen.load),
        "own_load": mine["load"],
        "ledger": ledger_row(ledger),
        "heard_at": instant(heard_at, wall),
        "interval": pop.interval,
        "configured": {"state": "in-service"} if health.forced is Forced.DOWN else {},
    }


def delivery_row(
    delivery: Delivery, name: str, kind: str, said: Mapping[int, Row], questions: int, answers: int, over: int
) -> Row:
    """
    A name of a customer.

    :param kind: ``page``, ``static`` or ``both``.
    :param said: by family, ``answer``, ``why`` and ``ttl`` of what would be answered now.
    :param questions: of all the customer's names, as are ``answers`` (addresses) and ``over``: answers beyond capacity.
    """
    return {
        "customer": delivery.name,
        "name": name,
        "kind": kind,
        "rule": rule_words(delivery.rule, static=kind != "page"),
        "a": said[4]["answer"],
        "a_why": said[4]["why"],
        "a_ttl": said[4]["ttl"],
        "aaaa": said[6]["answer"],
        "aaaa_why": said[6]["why"],
        "aaaa_ttl": said[6]["ttl"],
        "questions": questions,
        "answers": answers,
        "over": over,
    }


def rule_words(rule: Rule, *, static: bool) -> str:
    """``latency 2, cpu 0.5; within 10%; all down: last-good``, or ``least load of two; all down: all``."""
    if static:
        weights = [f"{name} {weight:g}" for name, weight in attrs.asdict(rule.pops).items() if weight > 0]
        near = f"within {100 * rule.tolerance:g}%" if rule.tolerance else "strictly the best"
        words = [", ".join(weights) or "nothing counts", near]
    else:
        by = "load and latency" if rule.origins is OriginBy.BOTH else rule.origins.value
        words = [f"least {by} of {'two' if rule.choices is Choices.TWO else 'all'}"]
    return "; ".join([*words, f"all down: {rule.all_down.value}"])


def instant(at: float | None, wall: Wall) -> float | None:
    """Unix time; None also for what never comes, and for what never was."""
    return None if at is None or math.isinf(at) else wall(at)


def figure(value: float | None) -> float | None:
    """To a millionth; None where it is no number."""
    return None if value is None or not math.isfinite(value) else round(value, 6)
