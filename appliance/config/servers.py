"""Real servers: the section ``servers``, and those that a site lists inline; both have the same keys."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict, cast

from appliance.config.faults import Faults
from appliance.config.scalars import address, integer, text
from appliance.config.shapes import Key, Placed, Shape, placed
from appliance.config.tree import Node
from appliance.model import Endpoint, Server


class ServerFields(TypedDict, total=False):
    address: Placed[IPv4Address | IPv6Address]
    port: int
    weight: int


def server(node: Node, faults: Faults) -> ServerFields:
    """A reader of one server's keys; those with faults are not in what it returns."""
    return cast(ServerFields, _SERVER.read(node, faults))


def server_or_name(node: Node, faults: Faults) -> ServerFields | str:
    """A reader of an entry of ``sites.*.servers``: a server, or the name of one."""
    return server(node, faults) if node.kind == "mapping" else text(node, faults)


def inline_name(fields: ServerFields) -> str | None:
    """What a server without a name is called: its address, and its port where it has one; None without an address."""
    if "address" not in fields:
        return None
    found, port = fields["address"].value, fields.get("port")
    return str(Endpoint(found, port)) if port else str(found)


def made_server(name: str, fields: ServerFields) -> Server:
    """The value of a server without faults."""
    return Server(name=name, address=fields["address"].value, port=fields["port"], weight=fields["weight"])


_SERVER = Shape(
    "servers.*",
    {"address": Key(placed(address)), "port": Key(integer(0, 65535), 0), "weight": Key(integer(1, 65535), 1)},
)
