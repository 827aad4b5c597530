"""What a POP has to sell (requirement 2)."""

from __future__ import annotations

import enum

import attrs


class Unit(enum.Enum):
    """What load is counted in."""

    CONNECTIONS = "connections"


@attrs.frozen(kw_only=True)
class Capacity:
    """
    What this POP can carry, and how much of it is its own to use (2.1).

    :param servers: names of those whose connections together are the POP's own load; none: all that the NAT carries.
    :param hard: what it can carry, in ``unit``.
    :param reserve: part of ``hard`` that is kept back, 0 to 0.9.
    :param stated: what is unused at all times, as the operator says; 0: it is measured.
    :param forecast: the quantile of past days that is foretold, 0.5 to 1.
    """

    servers: tuple[str, ...] = ()
    unit: Unit = Unit.CONNECTIONS
    hard: float
    reserve: float = 0.2
    stated: float = 0.0
    forecast: float = 0.95


@attrs.frozen(kw_only=True)
class Market:
    """:param capacity: None: nobody has said what there is."""

    capacity: Capacity | None = None
