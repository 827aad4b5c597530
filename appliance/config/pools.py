"""The schema of the section ``pools``."""

from __future__ import annotations

from typing import TypedDict

from appliance.config.addresses import Run, run
from appliance.config.faults import Faults
from appliance.config.scalars import choice, duration, fraction, integer, yes_no
from appliance.config.shapes import Key, Placed, Shape, sequence, shape, whole
from appliance.config.tree import Node
from appliance.model import Exhausted, Periods, Quota, Tiers

MOST_OFFERS = 1_000_000
"""Of a quota; more than a pool may have addresses would be no quota."""


class PoolFields(TypedDict, total=False):
    addresses: tuple[Placed[Run], ...]
    period: Periods
    adequate: float
    share_by_service: bool
    quota: Quota
    pressure: Tiers
    when_exhausted: Exhausted


def _period(node: Node, faults: Faults) -> Periods:
    periods = whole(_PERIOD, Periods)(node, faults)
    if periods.minimum > periods.maximum:
        place = node.entries.get("minimum") or node.entries.get("maximum") or node
        reason = f"minimum {periods.minimum:g}s is more than maximum {periods.maximum:g}s"
        raise faults.wrong(place, f"{reason}; allowed: minimum at most maximum")
    if not periods.minimum <= periods.base <= periods.maximum:
        span = f"{periods.minimum:g}s to {periods.maximum:g}s"
        faults.warn(node.entries.get("base", node), f"base {periods.base:g}s is outside minimum to maximum ({span})")
    if 0 < periods.hold < periods.maximum:
        reason = f"hold {periods.hold:g}s is less than maximum {periods.maximum:g}s"
        faults.warn(node.entries["hold"], f"{reason}: a lease that is reset once is held for longer")
    return periods


def _tiers(node: Node, faults: Faults) -> Tiers:
    tiers = whole(_TIERS, Tiers)(node, faults)
    if not tiers.cookie <= tiers.tcp <= tiers.reputation:
        found = f"cookie {tiers.cookie:g}, tcp {tiers.tcp:g}, reputation {tiers.reputation:g}"
        faults.warn(node, f"found {found}; a tier that asks for more is expected to begin later")
    return tiers


_PERIOD = shape(
    "pools.*.period",
    Periods,
    base=duration(1),
    minimum=duration(1),
    maximum=duration(1),
    offer=duration(1),
    grace=duration(),
    cooling=duration(),
    hold=duration(),
    unused_renewals=integer(0, 1_000_000),
)
_QUOTA = shape(
    "pools.*.quota",
    Quota,
    per_source=integer(1, MOST_OFFERS),
    per_site=integer(1, MOST_OFFERS),
    ipv4_prefix=integer(0, 32),
    ipv6_prefix=integer(0, 128),
)
_TIERS = shape("pools.*.pressure", Tiers, cookie=fraction, tcp=fraction, reputation=fraction, minimum=fraction)
POOL = Shape(
    "pools.*",
    {
        "addresses": Key(sequence(run, required=True)),
        "period": Key(_period, Periods()),
        "adequate": Key(fraction, 0.25),
        "share_by_service": Key(yes_no, False),
        "quota": Key(whole(_QUOTA, Quota), Quota()),
        "pressure": Key(_tiers, Tiers()),
        "when_exhausted": Key(choice(Exhausted), Exhausted.SERVFAIL),
    },
)
