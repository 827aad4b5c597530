"""What certain clients get in place of the site itself: ``sites.*.instances`` (5.3 to 5.6, 5.11)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Network
from typing import TypedDict, cast

from appliance.config.addresses import clients
from appliance.config.faults import Faults
from appliance.config.scalars import choice, duration, host_name, integer, size, text, yes_no
from appliance.config.servers import MOST_SERVERS, ServerFields, server_or_name
from appliance.config.services import instance_service
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape, whole
from appliance.config.tree import Node
from appliance.model import Behaviour, Predictor, Refusal, Service, Spill

_MOST_CLIENTS = 100_000
"""Entries of one instance's list, such as those of a public blocklist."""

_LONGEST_NAME = 63
"""Characters."""

_MOST_COUNTED = 1_000_000_000
"""Of a limit; nothing is kept for each."""


class Administrative(enum.Enum):
    """Whether an instance is offered to its clients."""

    IN_SERVICE = "in-service"
    OUT_OF_SERVICE = "out-of-service"


class InstanceFields(TypedDict, total=False):
    bind_id: Placed[int]
    name: Placed[str] | None
    clients: tuple[Placed[IPv4Network], ...]
    behaviour: Behaviour | None
    services: tuple[Placed[Service], ...]
    servers: tuple[Placed[ServerFields | str], ...]
    predictor: Predictor | None
    spill: Spill
    lend: bool
    backup: Placed[str] | None
    state: Administrative
    answer: Placed[Refusal | str] | None
    welcome: Placed[str] | None


_OF_SERVERS = ("servers", "welcome", "predictor", "spill", "lend", "backup")
"""Keys that say something only where there are servers."""


def instance(node: Node, faults: Faults) -> InstanceFields:
    """A reader of one instance's keys; those with faults are not in what it returns."""
    fields = cast(InstanceFields, _INSTANCE.read(node, faults))
    given = node.entries
    if "answer" in given:
        for key in _OF_SERVERS:
            if key in given:
                faults.add(given[key], "has no meaning beside 'answer'; allowed: either 'servers' or 'answer'")
        for service in given["services"].items if "services" in given else ():
            if "to" in service.entries:
                faults.add(service.entries["to"], "has no meaning in an instance with an 'answer'")
    elif "servers" not in given:
        faults.add(node, "needs 'servers' or an 'answer'")
    listed = given.get("clients")
    if "behaviour" not in given and (listed is None or (listed.kind == "list" and not listed.items)):
        faults.add(node, "needs 'clients' or a 'behaviour', for it would be nobody's")
    return fields


def instance_name(fields: InstanceFields) -> str | None:
    """Its name, by default its bind id; None where that is not known."""
    if "name" not in fields or "bind_id" not in fields:
        return None
    name = fields["name"]
    return name.value if name is not None else str(fields["bind_id"].value)


def _name(node: Node, faults: Faults) -> str:
    found = text(node, faults)
    if len(found) > _LONGEST_NAME or not found.isprintable():
        allowed = f"one line of at most {_LONGEST_NAME} characters"
        raise faults.wrong(node, f"found {node.found()}; allowed: {allowed}")
    return found


def _behaviour(node: Node, faults: Faults) -> Behaviour:
    found = whole(_BEHAVIOUR, Behaviour)(node, faults)
    if not (found.connections or found.bytes or found.short):
        raise faults.wrong(node, "has no limit, so that nobody would reach it; set connections, bytes or short")
    return found


def _answer(node: Node, faults: Faults) -> Refusal | str:
    written = text(node, faults)
    return next((refusal for refusal in Refusal if refusal.value == written), written)


_BEHAVIOUR = shape(
    "sites.*.instances[].behaviour",
    Behaviour,
    connections=integer(0, _MOST_COUNTED),
    window=duration(0.1, 86400),
    bytes=size(2**60),
    short=integer(0, _MOST_COUNTED),
    hold=duration(1),
)
_INSTANCE = Shape(
    "sites.*.instances[]",
    {
        "bind_id": Key(placed(integer(1, 65535))),
        "name": Key(placed(_name), None),
        "clients": Key(clients(_MOST_CLIENTS), ()),
        "behaviour": Key(_behaviour, None),
        "services": Key(sequence(instance_service, required=True), ()),
        "servers": Key(sequence(server_or_name, required=True, most=MOST_SERVERS), ()),
        "predictor": Key(choice(Predictor), None),
        "spill": Key(choice(Spill), Spill.BUSY),
        "lend": Key(yes_no, False),
        "backup": Key(placed(host_name), None),
        "state": Key(choice(Administrative), Administrative.IN_SERVICE),
        "answer": Key(placed(_answer), None),
        "welcome": Key(placed(text), None),
    },
)
