"""
What is known of virtual servers, real servers and clients, as one dict a row.

What a person has changed at run time stands in the row as it counts; beside it, under ``configured``, what the file
says of the same (5.10).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Protocol

from appliance.model import Address, Predictor, Transport
from appliance.views.rows import Row, Wall


class _Word(Protocol):
    @property
    def value(self) -> str: ...


class _Override(Protocol):
    @property
    def setting(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def configured(self) -> str: ...


class _Virtual(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def bind_id(self) -> int: ...
    @property
    def instance(self) -> str: ...
    @property
    def state(self) -> _Word: ...
    @property
    def predictor(self) -> Predictor: ...
    @property
    def servers(self) -> Sequence[str]: ...
    @property
    def backup(self) -> str | None: ...
    @property
    def answer(self) -> str: ...
    @property
    def connections(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def places(self) -> int: ...
    @property
    def total(self) -> int: ...


class _Server(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> object: ...
    @property
    def port(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def administrative(self) -> _Word: ...
    @property
    def operational(self) -> _Word: ...
    @property
    def weight(self) -> int: ...
    @property
    def share(self) -> float: ...
    @property
    def connections(self) -> int: ...
    @property
    def opening(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def threshold(self) -> int: ...
    @property
    def ditched(self) -> int: ...
    @property
    def ditched_total(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def backup(self) -> str | None: ...
    @property
    def response(self) -> float: ...
    @property
    def failure(self) -> str: ...
    @property
    def retried_in(self) -> float | None: ...
    @property
    def leaving(self) -> bool: ...


class _Client(Protocol):
    @property
    def client(self) -> IPv4Network: ...
    @property
    def virtual(self) -> str: ...
    @property
    def by(self) -> str: ...
    @property
    def ends_in(self) -> float: ...


def virtual_row(virtual: _Virtual, overrides: Iterable[_Override], addresses: Iterable[Address]) -> Row:
    """
    A virtual server.

    :param overrides: what persons have changed about it; of two about the same setting the later one counts.  Clients
        have a list of their own.
    :param addresses: where its site is now.
    """
    return {
        "virtual": virtual.name,
        "site": virtual.site,
        "addresses": [str(address) for address in addresses],
        "port": virtual.port,
        "transport": virtual.transport.value,
        "bind_id": virtual.bind_id,
        "instance": virtual.instance or None,
        "state": virtual.state.value,
        "predictor": virtual.predictor.value,
        "servers": list(virtual.servers),
        "answer": virtual.answer or None,
        "backup": virtual.backup,
        "connections": virtual.connections,
        "waiting": virtual.waiting,
        "places": virtual.places,
        "total": virtual.total,
        "configured": _configured(each for each in overrides if not each.setting.startswith("client ")),
    }


def server_row(server: _Server, overrides: Iterable[_Override], now: float, wall: Wall) -> Row:
    """
    A real server; ``max_connections`` 0 is no limit, ``response`` is in seconds.

    :param overrides: what persons have changed about it.
    """
    return {
        "server": server.name,
        "address": str(server.address),
        "port": server.port,
        "state": server.state,
        "administrative": server.administrative.value,
        "operational": server.operational.value,
        "leaving": server.leaving,
        "weight": server.weight,
        "share": round(server.share, 3),
        "connections": server.connections,
        "opening": server.opening,
        "max_connections": server.max_connections,
        "ditched": server.ditched,
        "threshold": server.threshold,
        "ditched_total": server.ditched_total,
        "total": server.total,
        "backup": server.backup,
        "response": round(server.response, 6),
        "failure": server.failure or None,
        "retried_at": wall(now + server.retried_in) if server.retried_in is not None else None,
        "configured": _configured(overrides),
    }


def client_row(client: _Client, state: str, now: float, wall: Wall) -> Row:
    """
    Who is assigned to which virtual server (5.3).

    :param state: ``in-use``, ``not-in-use``, or ``unassigned`` for one of the file that a person took out.
    """
    row: Row = {
        "client": str(client.client),
        "virtual": client.virtual,
        "by": client.by,
        "state": state,
        "ends_at": wall(now + client.ends_in) if client.ends_in < math.inf else None,
        "configured": {},
    }
    if state == "unassigned":
        row["configured"] = {"state": "assigned"}
    return row


_NUMBERS = frozenset({"weight", "threshold", "max_connections"})


def _configured(overrides: Iterable[_Override]) -> Mapping[str, object]:
    """What the file says of what persons have changed."""
    return {each.setting: int(each.configured) if each.setting in _NUMBERS else each.configured for each in overrides}
