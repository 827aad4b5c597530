"""The section ``pops`` (3.2): the points of presence.  This appliance may be one; all can have the same section."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypedDict

from appliance.config.faults import Faults
from appliance.config.scalars import address, duration, host_endpoint, number
from appliance.config.shapes import Placed, placed, shape
from appliance.config.tree import Node
from appliance.config.urls import bare_url, named_url, url_and_host
from appliance.model import Endpoint, Pop, Url

MOST_POPS = 256
"""Each looks at all others."""

MOST_CONNECTIONS = 1_000_000_000
"""Of a capacity; a POP may be many machines."""


class PopFields(TypedDict, total=False):
    address: Placed[IPv4Address | IPv6Address]
    peers: Placed[Url] | None
    http: Url | None
    ftp: Endpoint | None
    capacity: float
    interval: float


def made_pop(name: str, fields: PopFields) -> Pop:
    """The value of a POP without faults."""
    peers = fields["peers"]
    return Pop(
        name=name,
        address=fields["address"].value,
        peers=peers.value if peers is not None else None,
        http=fields["http"],
        ftp=fields["ftp"],
        capacity=fields["capacity"],
        interval=fields["interval"],
    )


def _page(node: Node, faults: Faults) -> Url:
    return named_url(_HTTP, node, faults)


_HTTP = url_and_host("pops.*.http")
POP = shape(
    "pops.*",
    Pop,
    address=placed(address),
    peers=placed(bare_url),
    http=_page,
    ftp=host_endpoint,
    capacity=number(0, MOST_CONNECTIONS),
    interval=duration(0.1, 86400),
)
