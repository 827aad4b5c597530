"""A client NAT pool as a row (4.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from appliance.model import NatPool, Transport


class _Level(Protocol):
    @property
    def value(self) -> str: ...


class _Counts(Protocol):
    @property
    def pairs(self) -> int: ...
    @property
    def free(self) -> int: ...
    @property
    def taken(self) -> int: ...
    @property
    def resting(self) -> int: ...
    @property
    def leaving(self) -> int: ...
    @property
    def subpools(self) -> int: ...
    @property
    def intervals(self) -> int: ...
    @property
    def level(self) -> _Level: ...
    @property
    def since(self) -> float: ...
    @property
    def refusals(self) -> int: ...


def nat_pool_row(
    pool: NatPool, transport: Transport, counts: _Counts, wall: Callable[[float], float]
) -> dict[str, Any]:
    """A pool's blocks of one transport; ``level`` is ok, low or exhausted, and ``level_since`` says since when."""
    return {
        "pool": pool.name,
        "transport": transport.value,
        "first": str(pool.first),
        "last": str(pool.last),
        "level": counts.level.value,
        "level_since": wall(counts.since),
        "taken": counts.taken,
        "free": counts.free,
        "resting": counts.resting,
        "leaving": counts.leaving,
        "maximum": pool.maximum,
        "pairs": counts.pairs,
        "subpools": counts.subpools,
        "intervals": counts.intervals,
        "refusals": counts.refusals,
    }
