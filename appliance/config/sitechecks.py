"""What sites say about other sections and about each other: names, zones, servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dns.name
import dns.rdatatype
import dns.zone

from appliance.config.faults import Faults, Unusable
from appliance.config.instancechecks import check_instances
from appliance.config.portchecks import check_ports
from appliance.config.scalars import normal_name
from appliance.config.schema import Root
from appliance.config.servers import ServerFields
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node
from appliance.config.values import ZoneConfig

Zones = Mapping[dns.name.Name, ZoneConfig | None]


def check_sites(root: Root, zones: Zones | None, faults: Faults) -> None:
    """
    Note what does not fit; costs what there is, never its square.

    :param zones: ``None`` if the section could not be read, so that nothing is known of them.
    """
    taken: dict[str, Node] = {}
    missed: dict[str, list[tuple[str, Node]]] = {}
    for name, site in root.get("sites", {}).items():
        ports = check_ports(root, site, faults)
        check_instances(name, site.value, ports, faults)
    names = [(*_named(site, name, faults), site) for name, site in root.get("sites", {}).items()]
    apexes = None if zones is None else {apex.to_text(omit_final_dot=True): zone for apex, zone in zones.items()}
    for own, aliases, site in names:
        for name, node in [*([(own, site.node)] if own else []), *aliases]:
            if name in taken:
                faults.add(node, f"'{name}' is already {taken[name].path} (line {taken[name].line})")
                continue
            taken[name] = node
            if apexes is not None:
                apex = _check_in_zone(name, node, apexes, faults)
                if apex is not None:
                    missed.setdefault(apex, []).append((name, node))
        _check_addresses(site.value, site.node, faults)
        _check_servers_once(root, site.value.get("servers", ()), faults)
        for instance in site.value.get("instances", ()):
            _check_servers_once(root, instance.value.get("servers", ()), faults)
    for apex, all_names in missed.items():
        name, node = all_names[0]
        more = f" and {len(all_names) - 1} more names" if len(all_names) > 1 else ""
        faults.warn(node, f"other servers may have zone {apex}, but get no address of '{name}'{more}")


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


def _check_servers_once(root: Root, entries: Iterable[Placed[ServerFields | str]], faults: Faults) -> None:
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


def _named(site: Placed[SiteFields], written: str, faults: Faults) -> tuple[str | None, list[tuple[str, Node]]]:
    try:
        own: str | None = normal_name(written, site.node, faults)
    except Unusable:
        own = None
    return own, [(alias.value, alias.node) for alias in site.value.get("aliases", ())]


def _check_in_zone(name: str, node: Node, apexes: Mapping[str, ZoneConfig | None], faults: Faults) -> str | None:
    """
    Cost: one look-up a label.

    :return: the zone's apex, where other servers may have the zone.
    """
    labels = name.split(".")
    apex = next((above for above in (".".join(labels[i:]) for i in range(len(labels))) if above in apexes), None)
    if apex is None:
        some = ", ".join(list(apexes)[:5]) + (", ..." if len(apexes) > 5 else "")
        zones = f"the zones are {some}" if apexes else "there are none"
        faults.add(node, f"'{name}' is not in a zone of dns.zones; {zones}")
        return None
    config = apexes[apex]
    if config is None:
        return None
    if config.zone is not None:
        _check_records(name, node, apex, config.zone, faults)
    return apex if config.transfer.allow or config.transfer.keys else None


def _check_records(name: str, node: Node, apex: str, zone: dns.zone.Zone, faults: Faults) -> None:
    absolute = dns.name.from_text(name)
    above, rdtype = _hidden_by(absolute, zone)
    if rdtype is not None:
        where = above.to_text(omit_final_dot=True)
        faults.add(node, f"'{name}' is never answered: zone {apex} has {rdtype.name} records at {where}")
    for rdtype in (dns.rdatatype.A, dns.rdatatype.CNAME):
        if zone.get_rdataset(absolute, rdtype):
            faults.warn(
                node, f"zone {apex} has a record {rdtype.name} for '{name}', which leases; the lease is answered"
            )


def _hidden_by(name: dns.name.Name, zone: dns.zone.Zone) -> tuple[dns.name.Name, dns.rdatatype.RdataType | None]:
    """Where authority over a name ends before it, and by which records; None where it does not."""
    above = name
    while above != zone.origin:
        if zone.get_rdataset(above, dns.rdatatype.NS):
            return above, dns.rdatatype.NS
        above = above.parent()
        if zone.get_rdataset(above, dns.rdatatype.DNAME):
            return above, dns.rdatatype.DNAME
    return above, None
