"""The section ``client_nat`` (4.1): where connections to servers come from."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TypedDict, cast

from appliance.config.addresses import Run, no_hosts
from appliance.config.faults import Faults
from appliance.config.scalars import address4, choice, duration, integer, text
from appliance.config.services import port_run
from appliance.config.shapes import Key, Placed, Shape, placed
from appliance.config.tree import Node
from appliance.model import NatPool, Reuse

MOST_BLOCKS = 16_777_216
"""Of one pool; each is a few hundred bytes while its subpool is there."""

LOWEST_PORT = 1024
"""Of those that need no right to open them."""

_NOWHERE = IPv4Address(0)
_DEFAULTS = NatPool(name="", first=_NOWHERE, last=_NOWHERE, netmask=_NOWHERE)
"""Only its blocks and ports are looked at."""


class NatFields(TypedDict, total=False):
    first: Placed[IPv4Address]
    last: Placed[IPv4Address]
    netmask: IPv4Address
    ports: range
    initial: Placed[int] | None
    maximum: int
    subpool: Placed[int] | None
    low_water: Placed[int] | None
    reuse: Reuse
    quarantine: float
    run: Run
    """Made of ``first`` and ``last``, where they are in order."""


def nat_pool(node: Node, faults: Faults) -> NatFields:
    """A reader of one pool's keys; those with faults are not in what it returns."""
    fields = cast(NatFields, _POOL.read(node, faults))
    if "first" in fields and "last" in fields:
        _join_ends(fields, faults)
    if "run" in fields and "netmask" in fields:
        count = usable(fields["run"], fields["netmask"])
        if not count:
            reason = f"no address is left from {fields['first'].value} to {fields['last'].value}"
            faults.add(node.entries["netmask"], f"{reason}: the first and the last one of a network are not used")
        elif "maximum" in node.entries and "maximum" in fields and "ports" in fields:
            pairs = count * len(fields["ports"])
            if fields["maximum"] > pairs:
                found = f"found {fields['maximum']}, and there are {pairs} pairs of address and port"
                faults.warn(node.entries["maximum"], found)
    if "maximum" in fields:
        for part in (fields.get("initial"), fields.get("subpool"), fields.get("low_water")):
            if part is not None and part.value > fields["maximum"]:
                faults.add(part.node, f"found {part.value}; allowed: at most maximum, which is {fields['maximum']}")
    if "ports" in fields and fields["ports"].start < LOWEST_PORT:
        reason = f"ports below {LOWEST_PORT} are those of services, and need the right to open them"
        faults.warn(node.entries["ports"], reason)
    return fields


def _join_ends(fields: NatFields, faults: Faults) -> None:
    first, last = fields["first"], fields["last"]
    if last.value < first.value:
        faults.add(last.node, f"found {last.value}; allowed: first, which is {first.value}, or a later one")
        return
    run = Run(int(first.value), int(last.value))
    word = no_hosts(run)
    if word:
        faults.add(last.node, f"found {first.value} to {last.value}: {word} addresses are no host's")
        return
    fields["run"] = run


def usable(run: Run, netmask: IPv4Address) -> int:
    """How many addresses are neither the first nor the last one of a network; all are, of networks of one or two."""
    size = 2**32 - int(netmask)
    if size <= 2:
        return len(run)
    firsts = run.last // size - (run.first - 1) // size
    lasts = (run.last + 1) // size - run.first // size
    return len(run) - firsts - lasts


def made_nat_pool(name: str, fields: NatFields) -> NatPool:
    """The value of a pool without faults.  What is not given is no more than ``maximum``."""
    maximum, ports = fields["maximum"], fields["ports"]

    def blocks(part: Placed[int] | None, default: int) -> int:
        return part.value if part is not None else min(maximum, default)

    return NatPool(
        name=name,
        first=fields["first"].value,
        last=fields["last"].value,
        netmask=fields["netmask"],
        first_port=ports.start,
        last_port=ports.stop - 1,
        initial=blocks(fields["initial"], _DEFAULTS.initial),
        maximum=maximum,
        subpool=blocks(fields["subpool"], _DEFAULTS.subpool),
        low_water=blocks(fields["low_water"], _DEFAULTS.low_water),
        reuse=fields["reuse"],
        quarantine=fields["quarantine"],
    )


def _netmask(node: Node, faults: Faults) -> IPv4Address:
    written = node.text if node.kind == "integer" else text(node, faults)  # 24, which no quotes make a netmask
    try:
        found = IPv4Address(written)
    except ValueError:
        found = IPv4Address(0)
    hosts = 2**32 - 1 - int(found)
    if not int(found) or hosts & (hosts + 1):
        raise faults.wrong(node, f"found {node.found()}; allowed: a netmask such as 255.255.255.0")
    return found


_POOL = Shape(
    "client_nat.*",
    {
        "first": Key(placed(address4)),
        "last": Key(placed(address4)),
        "netmask": Key(_netmask),
        "ports": Key(port_run, range(_DEFAULTS.first_port, _DEFAULTS.last_port + 1)),
        "initial": Key(placed(integer(1, MOST_BLOCKS)), None),
        "maximum": Key(integer(1, MOST_BLOCKS), _DEFAULTS.maximum),
        "subpool": Key(placed(integer(1, MOST_BLOCKS)), None),
        "low_water": Key(placed(integer(0, MOST_BLOCKS)), None),
        "reuse": Key(choice(Reuse), _DEFAULTS.reuse),
        "quarantine": Key(duration(0, 86400), _DEFAULTS.quarantine),
    },
)
