"""Real servers (5.2): the section ``servers``, and those that a site lists inline; both have the same keys."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict, cast

from appliance.config.faults import Faults
from appliance.config.scalars import address, choice, duration, integer, text, yes_no
from appliance.config.shapes import Key, Placed, Shape, placed, sequence, shape
from appliance.config.tree import Node
from appliance.model import Endpoint, Probe, Server

MOST_SERVERS = 1024
"""Of one list."""

MOST_PROBES = 16
"""Of one server."""

MOST_CONNECTIONS = 16_777_216
"""Of a limit; more than a process can have files would be none."""


class OnFailure(enum.Enum):
    """What becomes of a server's connections when it fails."""

    KEEP = "keep"
    RESET = "reset"


class ServerFields(TypedDict, total=False):
    address: Placed[IPv4Address | IPv6Address]
    port: int
    weight: int
    threshold: int
    distinct_clients: bool
    retries: int
    retry_after: float
    max_connections: int
    queue: int
    slow_start: float
    backup: Placed[str] | None
    on_failure: OnFailure
    probes: tuple[Placed[str], ...]


def server(node: Node, faults: Faults) -> ServerFields:
    """A reader of one server's keys; those with faults are not in what it returns."""
    fields = cast(ServerFields, _SERVER.read(node, faults))
    queue = fields.get("queue")
    if queue and fields.get("max_connections") == 0:
        reason = f"found {queue}, but nobody waits for a server without 'max_connections'"
        faults.add(node.entries["queue"], f"{reason}; allowed: 0, or set max_connections")
    return fields


def server_or_name(node: Node, faults: Faults) -> ServerFields | str:
    """A reader of an entry of a list of servers: a server, or the name of one."""
    return server(node, faults) if node.kind == "mapping" else text(node, faults)


def inline_name(fields: ServerFields) -> str | None:
    """What a server without a name is called: its address, and its port where it has one; None without an address."""
    if "address" not in fields:
        return None
    found, port = fields["address"].value, fields.get("port")
    return str(Endpoint(found, port)) if port else str(found)


def is_whole(fields: ServerFields) -> bool:
    """Has the server no fault of its own?"""
    return len(fields) == len(_SERVER.keys)


def made_server(name: str, fields: ServerFields, probes: Mapping[str, Probe]) -> Server:
    """
    The value of a whole server.

    :param probes: in which every probe of it is.
    """
    backup = fields["backup"]
    return Server(
        name=name,
        address=fields["address"].value,
        port=fields["port"],
        weight=fields["weight"],
        threshold=fields["threshold"],
        distinct_clients=fields["distinct_clients"],
        retries=fields["retries"],
        retry_after=fields["retry_after"],
        max_connections=fields["max_connections"],
        queue=fields["queue"],
        slow_start=fields["slow_start"],
        backup=backup.value if backup else None,
        reset_on_failure=fields["on_failure"] is OnFailure.RESET,
        probes=tuple(probes[each.value] for each in fields["probes"]),
    )


_SERVER_KEYS = shape(
    "servers.*",
    Server,
    address=placed(address),
    port=integer(0, 65535),
    weight=integer(1, 65535),
    threshold=integer(1, 1_000_000),
    distinct_clients=yes_no,
    retries=integer(1, 100),
    retry_after=duration(0.1, 86400),
    max_connections=integer(0, MOST_CONNECTIONS),
    queue=integer(0, 1_000_000),
    slow_start=duration(0, 86400),
    backup=placed(text),
    probes=sequence(text, most=MOST_PROBES),
).keys
_SERVER = Shape("servers.*", {**_SERVER_KEYS, "on_failure": Key(choice(OnFailure), OnFailure.KEEP)})
