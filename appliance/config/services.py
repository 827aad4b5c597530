"""The ports that a site offers: ``sites.*.services``."""

from __future__ import annotations

import re

from appliance.config.addresses import clients
from appliance.config.faults import Faults, Unusable
from appliance.config.scalars import choice, integer
from appliance.config.shapes import Fields, Key, Shape
from appliance.config.tree import Node
from appliance.model import Service, Transport

MOST_PORTS = 1024
"""Public ports of one site; each is a listening socket for as long as the site holds an address."""

EVERY = range(1, 65536)
"""The ports of ``port: all``, which has no socket for each."""

_MOST_CLIENTS = 1000
"""Of one list that is allowed or denied."""


def port_run(node: Node, faults: Faults) -> range:
    """A reader of ``80`` or ``6000-6010``, ports 1 to 65535."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", node.text) if node.kind in ("text", "date") else None
    if match is None and node.kind == "text" and "-" in node.text:
        raise faults.wrong(node, f"found {node.found()}; allowed: a port, or a run such as 6000-6010")
    if match is None:
        port = integer(1, 65535)(node, faults)
        return range(port, port + 1)
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        raise faults.wrong(node, f"found {node.found()}; allowed: ports 1 to 65535, the lower one first")
    return range(first, last + 1)


def site_ports(node: Node, faults: Faults) -> range:
    """A reader of as many ports as one site may have."""
    ports = port_run(node, faults)
    if len(ports) > MOST_PORTS:
        raise faults.wrong(node, f"found {len(ports)} ports; allowed: at most {MOST_PORTS} for a site")
    return ports


def service(node: Node, faults: Faults) -> Service:
    """A reader of one entry of ``sites.*.services``."""
    return _made(_SERVICE.read(node, faults), node, faults)


def instance_service(node: Node, faults: Faults) -> Service:
    """A reader of one entry of an instance's ``services``; who may connect at all is said by the site's."""
    return _made(_INSTANCE_SERVICE.read(node, faults), node, faults)


def _port(node: Node, faults: Faults) -> range:
    if node.kind != "text" or not node.text.isalpha():
        return site_ports(node, faults)
    if node.text == "all":
        return EVERY
    near = faults.did_you_mean(node.text.lower(), ["all"])
    raise faults.wrong(node, f"found {node.found()}; allowed: a port, a run such as 6000-6010, or all{near}")


def _made(fields: Fields, node: Node, faults: Faults) -> Service:
    if not {"port", "to", "protocol"} <= fields.keys():
        raise Unusable
    ports: range = fields["port"]
    every = ports == EVERY
    if every and fields["protocol"] is not Transport.TCP:
        # A datagram does not tell what it was for once it has been led to another port, as a connection does.
        raise faults.wrong(
            node.entries["protocol"], "found 'udp'; allowed beside 'port: all': tcp; name the ports of udp"
        )
    if every and fields["to"] is not None:
        raise faults.wrong(node.entries["to"], "has no meaning beside 'port: all'; every port keeps its number")
    to: int = fields["to"] or ports.start
    if to + len(ports) - 1 > 65535:
        reason = f"{len(ports)} ports from {to} on end after 65535"
        raise faults.wrong(node.entries["to"], f"{reason}; allowed: at most {65536 - len(ports)}")
    return Service(
        transport=fields["protocol"],
        first_port=ports.start,
        last_port=ports.stop - 1,
        to=to,
        every=every,
        allow=tuple(each.value for each in fields.get("allow", ())),
        deny=tuple(each.value for each in fields.get("deny", ())),
    )


_PORTS = {"port": Key(_port), "to": Key(integer(1, 65535), None), "protocol": Key(choice(Transport), Transport.TCP)}
_SERVICE = Shape(
    "sites.*.services[]",
    {**_PORTS, "allow": Key(clients(_MOST_CLIENTS), ()), "deny": Key(clients(_MOST_CLIENTS), ())},
)
_INSTANCE_SERVICE = Shape("sites.*.instances[].services[]", _PORTS)
