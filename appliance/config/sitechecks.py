"""What sites say about other sections and about each other: ports, addresses, servers."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config.faults import Faults
from appliance.config.instancechecks import check_instances
from appliance.config.portchecks import check_ports
from appliance.config.schema import Root
from appliance.config.servers import ServerFields
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node


def check_sites(root: Root, faults: Faults) -> None:
    """Note what does not fit; costs what there is, never its square.  Their names are in ``namechecks``."""
    for name, site in root.get("sites", {}).items():
        ports = check_ports(root, site, faults)
        check_instances(name, site.value, ports, faults)
        _check_addresses(site.value, site.node, faults)
        check_servers_once(root, site.value.get("servers", ()), faults)
        for instance in site.value.get("instances", ()):
            check_servers_once(root, instance.value.get("servers", ()), faults)


def _check_addresses(site: SiteFields, node: Node, faults: Faults) -> None:
    """Where a site's addresses come from, and that each has a server of its own."""
    if "pool" in site and "address" in site and site["pool"] is None and site["address"] is None:
        faults.add(node, "'pool' is required, or 'address' for a site that always has the same one")
    written = node.entries.get("servers")
    if "addresses" not in site or "servers" not in site or written is None or len(site["servers"]) < len(written.items):
        return  # what is wrong there has been told
    place, servers = site["addresses"], len(site["servers"])
    addresses = place.value if place is not None else 1
    if site.get("address") is not None and addresses > 1 and place is not None:
        faults.add(place.node, f"found {addresses}; allowed: 1 for a site with a static 'address'")
    elif addresses > servers and place is not None:
        faults.add(place.node, f"found {addresses}; allowed: at most one a server, and there are {servers}")


def check_servers_once(root: Root, entries: Iterable[Placed[ServerFields | str] | Placed[str]], faults: Faults) -> None:
    """Note which server a list has twice, by its name, or by its address and port."""
    """A lease knows its server by name, so neither an address with its port nor a name may be there twice."""
    seen: dict[object, Node] = {}
    for entry in entries:
        if isinstance(entry.value, str):
            named = root.get("servers", {}).get(entry.value)
            server: ServerFields = named.value if named else {}
        else:
            server = entry.value
        marks: list[object] = [entry.value] if isinstance(entry.value, str) else []
        if "address" in server and "port" in server:
            marks.append((server["address"].value, server["port"]))
        before = [node for mark in marks if (node := seen.setdefault(mark, entry.node)) is not entry.node]
        if before:
            faults.add(entry.node, f"this server is already {before[0].path} (line {before[0].line})")
