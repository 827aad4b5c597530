"""The section ``market`` (2.1): what this POP can carry, and how it is known how much of that is unused."""

from __future__ import annotations

from typing import TypedDict, cast

from appliance.config.faults import Faults
from appliance.config.pops import MOST_CONNECTIONS
from appliance.config.scalars import choice, number, text
from appliance.config.servers import MOST_SERVERS
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape
from appliance.config.tree import Node
from appliance.model import Capacity, Market, Unit


class CapacityFields(TypedDict, total=False):
    servers: tuple[Placed[str], ...]
    unit: Unit
    hard: float
    reserve: float
    stated: float
    forecast: float


class MarketFields(TypedDict, total=False):
    capacity: Placed[CapacityFields] | None


def made_market(fields: MarketFields) -> Market:
    """The value of a section without faults."""
    place = fields["capacity"]
    if place is None:
        return Market()
    written = place.value
    return Market(
        capacity=Capacity(
            servers=tuple(each.value for each in written["servers"]),
            unit=written["unit"],
            hard=written["hard"],
            reserve=written["reserve"],
            stated=written["stated"],
            forecast=written["forecast"],
        )
    )


def capacity(node: Node, faults: Faults) -> CapacityFields:
    """A reader of what there is; keys with faults are not in what it returns."""
    fields = cast(CapacityFields, _CAPACITY.read(node, faults))
    stated, hard = fields.get("stated", 0.0), fields.get("hard")
    if hard is not None and stated > hard:
        faults.add(node.entries["stated"], f"found {stated:g}, more than there is; allowed: at most hard ({hard:g})")
    return fields


_CAPACITY = shape(
    "market.capacity",
    Capacity,
    servers=sequence(text, most=MOST_SERVERS),
    unit=choice(Unit),
    hard=number(1, MOST_CONNECTIONS),
    reserve=number(0, 0.9),
    stated=number(0, MOST_CONNECTIONS),
    forecast=number(0.5, 1),
)
MARKET = Shape("market", {"capacity": Key(placed(capacity), None)})
