"""The section ``delivery`` (3.1, 3.2, 3.3, 3.5): customers of the POP network, their names and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict, cast

from appliance.config.faults import Faults
from appliance.config.scalars import address, choice, duration, host_name, integer, number, text
from appliance.config.servers import MOST_SERVERS
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape, whole
from appliance.config.tree import Node
from appliance.model import AllDown, Choices, Delivery, OriginBy, PopWeights, Rule, Server

MOST_ANSWERS = 16
"""Addresses of one answer, which has to fit into a small datagram."""

LONGEST_USUAL_TTL = 60.0
"""Seconds; what is down or overloaded is still used for so long."""

_MOST_WEIGHT = 1_000_000


class DeliveryFields(TypedDict, total=False):
    pages: tuple[Placed[str], ...]
    static: tuple[Placed[str], ...]
    origins: tuple[Placed[str], ...]
    rule: Placed[Rule]
    answers: int
    ttl: float
    backup: tuple[Placed[IPv4Address | IPv6Address], ...]


def delivery(node: Node, faults: Faults) -> DeliveryFields:
    """A reader of one customer's keys; those with faults are not in what it returns."""
    fields = cast(DeliveryFields, _DELIVERY.read(node, faults))
    given = node.entries
    if (
        not any(key in given and given[key].items for key in ("pages", "static"))
        and {"pages", "static"} <= fields.keys()
    ):
        faults.add(node, "needs 'pages' or 'static' names, for nothing would be answered")
    if fields.get("pages") and "origins" in fields and not given.get("origins"):
        faults.add(node, "'origins' is required where there are 'pages', which are answered with one of them")
    rule = fields.get("rule")
    if rule is not None and "backup" in fields:
        if rule.value.all_down is AllDown.BACKUP and not given.get("backup"):
            place = rule.node.entries["all_down"]
            faults.add(place, "'backup' is required, the list of addresses that are answered then")
        elif rule.value.all_down is not AllDown.BACKUP and "backup" in given and not fields.get("static"):
            # Where no POP has room, those who ask for static names are sent there.
            faults.warn(given["backup"], "is never answered, for rule.all_down is not 'backup'")
    if fields.get("ttl", 0.0) > LONGEST_USUAL_TTL:
        stale = "whoever has an answer uses it for so long, whatever goes down"
        faults.warn(given["ttl"], f"found {fields['ttl']:g}s, which is over {LONGEST_USUAL_TTL:g}s: {stale}")
    return fields


def made_delivery(name: str, fields: DeliveryFields, servers: Mapping[str, Server]) -> Delivery:
    """
    The value of a customer without faults.

    :param servers: the named ones, in which every origin is.
    """
    return Delivery(
        name=name,
        pages=tuple(each.value for each in fields["pages"]),
        static=tuple(each.value for each in fields["static"]),
        origins=tuple(servers[each.value] for each in fields["origins"]),
        rule=fields["rule"].value,
        answers=fields["answers"],
        ttl=fields["ttl"],
        backup=tuple(each.value for each in fields["backup"]),
    )


def _weights(node: Node, faults: Faults) -> PopWeights:
    found = whole(_WEIGHTS, PopWeights)(node, faults)
    if not (found.latency or found.cpu or found.memory or found.connections or found.http or found.ftp):
        raise faults.wrong(node, "all weights are 0, so that all POPs cost the same; allowed: at least one more than 0")
    return found


_WEIGHT = number(0, _MOST_WEIGHT)
_WEIGHTS = shape(
    "delivery.*.rule.pops",
    PopWeights,
    latency=_WEIGHT,
    cpu=_WEIGHT,
    memory=_WEIGHT,
    connections=_WEIGHT,
    http=_WEIGHT,
    ftp=_WEIGHT,
)
_RULE = shape(
    "delivery.*.rule",
    Rule,
    origins=choice(OriginBy),
    choices=choice(Choices),
    all_down=choice(AllDown),
    pops=_weights,
    tolerance=number(0, 10),
)
_DELIVERY = Shape(
    "delivery.*",
    {
        **shape(
            "",
            Delivery,
            pages=sequence(host_name),
            static=sequence(host_name),
            origins=sequence(text, required=True, most=MOST_SERVERS),
            answers=integer(1, MOST_ANSWERS),
            ttl=duration(1, 86400),
            backup=sequence(address, required=True, most=MOST_ANSWERS),
        ).keys,
        "rule": Key(placed(whole(_RULE, Rule)), Placed(Rule(), Node("", 0, "nothing"))),
    },
)
