"""Servers and POPs with the figures that a test gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from ipaddress import ip_address
from random import Random
from typing import Any

from appliance.delivery import Choice, Chooser, OriginFigures, PopFigures
from appliance.model import Delivery, Health, Load, Pop, PopWeights, Rule, Server

NAME = b"\x03img\x04shop\x04test\x00"
NOTHING = {"latency": 0.0, "cpu": 0.0, "memory": 0.0, "connections": 0.0, "http": 0.0, "ftp": 0.0}
PREFIXES = [bytes((198, 51, number)) for number in range(250)]
"""Clients."""


def weights(**some: float) -> PopWeights:
    """All others are 0."""
    return PopWeights(**{**NOTHING, **some})


def delivery(**settings: Any) -> Delivery:
    """:param settings: of the delivery and of its rule; ``backup`` as text."""
    of_delivery = {key: settings.pop(key) for key in ("answers", "ttl") if key in settings}
    backup = tuple(map(ip_address, settings.pop("backup", ())))
    return Delivery(name="shop", rule=Rule(**settings), backup=backup, **of_delivery)


def origin(
    name: str,
    *,
    connections: int = 0,
    weight: int = 1,
    up: bool = True,
    latency: float | None = None,
    load: Load | None = None,
    until: float = math.inf,
    v6: bool = False,
) -> OriginFigures:
    number = ord(name[0])
    address = ip_address(f"2001:db8::{number:x}" if v6 else f"192.0.2.{number}")
    return OriginFigures(
        server=Server(name=name, address=address, weight=weight),
        health=Health(up=up, measured=up, until=until, latency=latency, load=load),
        connections=connections,
    )


def pop(name: str, **figures: Any) -> PopFigures:
    """:param figures: of the POP and what is believed of it; ``cpu``, ``memory``, ``used`` (of 100) make a load."""
    number = ord(name[0])
    address = ip_address(f"2001:db8::{number:x}" if figures.pop("v6", False) else f"203.0.113.{number}")
    of_pop = {key: figures.pop(key) for key in ("capacity", "interval") if key in figures}
    said: dict[str, Any] = {key: figures.pop(key) for key in ("cpu", "memory") if key in figures}
    if "used" in figures:
        said |= {"connections": 100.0 * figures.pop("used"), "capacity": 100.0}
    return PopFigures(
        pop=Pop(name=name, address=address, **of_pop),
        load=Load(**said) if said else None,
        **{"up": True, **figures},
    )


def latencies(seconds: Mapping[str, float | None]) -> list[PopFigures]:
    return [pop(name, latency=latency) for name, latency in seconds.items()]


def names(choice: Choice) -> list[str]:
    """Who is answered."""
    return [candidate.name for candidate in choice.answer]


def ranking(choice: Choice) -> list[str]:
    return [candidate.name for candidate in choice.candidates]


def static(chooser: Chooser, prefix: bytes = b"", family: int = 4) -> Choice:
    return chooser.static(NAME, prefix, family)


def answered(chooser: Chooser, family: int = 4) -> set[str]:
    """Who is answered to any client."""
    return {candidate.name for prefix in PREFIXES for candidate in static(chooser, prefix, family).answer}


def drawn(chooser: Chooser, times: int = 400, seed: int = 1) -> dict[str, float]:
    """How often each server is the first answered."""
    rng = Random(seed)
    found = [names(chooser.pages(4, rng))[0] for _ in range(times)]
    return {name: found.count(name) / times for name in sorted(set(found))}
