"""The ports of one site: each is one service's, and what else names one names one that the site has."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from appliance.config.faults import Faults
from appliance.config.schema import Root
from appliance.config.services import MOST_PORTS
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node
from appliance.model import Service, Transport


@attrs.frozen
class Ports:
    """
    The ports of some services.

    :param named: each by itself, with the service that has it.
    :param whole: the protocols of which all ports are.
    """

    named: dict[tuple[Transport, int], Node] = attrs.field(factory=dict)
    whole: dict[Transport, Node] = attrs.field(factory=dict)

    def has(self, transport: Transport, port: int) -> bool:
        return transport in self.whole or (transport, port) in self.named

    def __str__(self) -> str:
        shown = [f"all of {transport.value}" for transport in self.whole]
        shown += [f"{transport.value} {port}" for transport, port in self.named]
        return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


def check_ports(root: Root, site: Placed[SiteFields], faults: Faults) -> Ports | None:
    """
    Note which ports are there twice, are too many, or cannot be had.

    :return: None where not all of the site's services could be read, so that its ports are not known.
    """
    services, written = site.value.get("services", ()), site.node.entries.get("services")
    ports = read_ports(services, faults)
    _check_sharing(root, site.value, faults)
    if written is not None and len(ports.named) > MOST_PORTS:
        faults.add(written, f"found {len(ports.named)} ports; allowed: at most {MOST_PORTS} for a site")
    if written is None or len(services) < len(written.items):
        return None
    _check_buddies(site.value, ports, faults)
    return ports


def read_ports(services: Iterable[Placed[Service]], faults: Faults) -> Ports:
    """Note which ports are in two services.  Beside ``port: all`` there may be others: an exact port wins (5.1)."""
    ports = Ports()
    for service in services:
        transport = service.value.transport
        if service.value.every:
            before = ports.whole.setdefault(transport, service.node)
            if before is not service.node:
                faults.add(service.node, f"all {transport.value} ports are already in {_at(before)}")
            continue
        for port in service.value.ports():
            before = ports.named.setdefault((transport, port), service.node)
            if before is not service.node:
                faults.add(service.node, f"{transport.value} port {port} is already in {_at(before)}")
                break
    return ports


def _check_sharing(root: Root, site: SiteFields, faults: Faults) -> None:
    """All ports of an address are one site's (1.12)."""
    place = site.get("pool")
    pool = root.get("pools", {}).get(place.value) if place is not None else None
    if place is None or pool is None or not pool.value.get("share_by_service"):
        return
    for service in site.get("services", ()):
        if service.value.every:
            reason = f"'port: all' takes an address as a whole, and pool '{place.value}' shares its own by service"
            faults.add(service.node, f"{reason}; use one that does not")


def _check_buddies(site: SiteFields, ports: Ports, faults: Faults) -> None:
    """Which port belongs with which is plain only where each is in one set (5.12)."""
    taken: dict[int, Node] = {}
    for tied in site.get("buddies", ()):
        if sum(len(run.value) for run in tied.value) == 1 == len(tied.node.items):
            faults.add(tied.node, "ties a port to nothing; allowed: two ports or more")
        for run in tied.value:
            for port in run.value:
                before = taken.setdefault(port, run.node)
                if before is not run.node:
                    faults.add(run.node, f"port {port} is already in {_at(before)}")
                    break
                if not any(ports.has(transport, port) for transport in Transport):
                    faults.add(run.node, f"the site has no port {port}; it has {ports}")
                    break


def _at(node: Node) -> str:
    return f"{node.path} (line {node.line})"
