"""What the instances of a site say about each other and about the site (5.3, 5.4)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from appliance.config.faults import Faults
from appliance.config.instances import InstanceFields, instance_name
from appliance.config.portchecks import Ports, read_ports
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node, shorten
from appliance.model import Service, Transport

_Keys = frozenset[tuple[Transport, int]]
_ALL = 0
"""In place of a port; beside it an exact one wins, so that the two do not clash (5.1)."""


def check_instances(name: str, site: SiteFields, ports: Ports | None, faults: Faults) -> None:
    """
    Note bind ids, names and clients that are there twice, ports that are not the site's, and who backs up itself.

    :param name: of the site, as it is written.
    :param ports: the site's; None where they are not known.
    """
    instances = site.get("instances", ())
    _check_once(instances, faults)
    for instance in instances:
        _check_ports(instance.value.get("services", ()), ports, faults)
        backup = instance.value.get("backup")
        if backup is not None and backup.value == name.lower().removesuffix("."):
            hint = "'spill' says when its clients use the general servers"
            faults.add(backup.node, f"'{backup.value}' is the site itself; allowed: another one; {hint}")
    _check_clients(instances, [_keys(_services(instance, site)) for instance in instances], faults)


def _check_once(instances: Iterable[Placed[InstanceFields]], faults: Faults) -> None:
    ids: dict[int, Node] = {}
    names: dict[str, Node] = {}
    for instance in instances:
        place = instance.value.get("bind_id")
        if place is None:
            continue
        before = ids.setdefault(place.value, place.node)
        if before is not place.node:
            faults.add(place.node, f"bind id {place.value} is already {_at(before)}")
            continue
        name, written = instance_name(instance.value), instance.value.get("name")
        node = written.node if written is not None else place.node
        before = names.setdefault(name, node) if name is not None else node
        if before is not node:
            faults.add(node, f"the name '{shorten(str(name))}' is already {_at(before)}")


def _check_ports(own: Iterable[Placed[Service]], known: Ports | None, faults: Faults) -> None:
    read_ports(own, faults)
    if known is None:
        return
    for service in own:
        transport = service.value.transport
        if service.value.every:
            if transport not in known.whole:
                faults.add(service.node, f"the site has not all {transport.value} ports; it has {known}")
            continue
        missing = next((port for port in service.value.ports() if not known.has(transport, port)), None)
        if missing is not None:
            faults.add(service.node, f"{transport.value} port {missing} is none of the site's; it has {known}")


def _services(instance: Placed[InstanceFields], site: SiteFields) -> tuple[Placed[Service], ...]:
    """Its own, or the site's where it has none; of faulty ones the rest."""
    return (instance.value if "services" in instance.node.entries else site).get("services", ())


def _keys(services: Iterable[Placed[Service]]) -> _Keys:
    found = [each.value for each in services]
    return frozenset(
        (service.transport, port) for service in found for port in ((_ALL,) if service.every else service.ports())
    )


def _check_clients(instances: Iterable[Placed[InstanceFields]], keys: list[_Keys], faults: Faults) -> None:
    """One client network leads to one instance at each port; of different ones the longest wins."""
    seen: dict[IPv4Network, list[tuple[int, Node]]] = {}
    shared: dict[tuple[int, int], _Keys] = {}
    for index, instance in enumerate(instances):
        for client in instance.value.get("clients", ()):
            others = seen.setdefault(client.value, [])
            for other, node in others:
                if other == index:
                    faults.add(client.node, f"{client.value} is already {_at(node)}")
                    break
                if (other, index) not in shared:
                    shared[other, index] = keys[other] & keys[index]
                if shared[other, index]:
                    transport, port = min(shared[other, index], key=lambda key: (key[0].value, key[1]))
                    both = f"both instances have {transport.value} {port or 'all'}"
                    faults.add(client.node, f"{client.value} is already {_at(node)}, and {both}")
                    break
            others.append((index, client.node))


def _at(node: Node) -> str:
    return f"{node.path} (line {node.line})"
