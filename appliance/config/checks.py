"""
What one section says about another: overlaps, loops, unknown and repeated names.

Each check runs on whatever was good, whatever else was bad; none of them is quadratic in what a file may have many of.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.name
import dns.rdatatype

from appliance.config.addresses import Occupied, shown
from appliance.config.faults import Faults, Unusable
from appliance.config.scalars import normal_name
from appliance.config.schema import MOST_PORTS, Root, SiteFields
from appliance.config.shapes import Placed
from appliance.config.tree import Node, shorten
from appliance.config.values import ZoneConfig
from appliance.model import Server, Transport

MOST_ADDRESSES = 2**20
"""Of all pools together; each has a row in the lease table."""

Zones = Mapping[dns.name.Name, ZoneConfig | None]


def check(root: Root, zones: Zones | None, faults: Faults) -> None:
    """
    Note all that does not fit together.

    :param zones: ``None`` if the section could not be read, so that nothing is known of them.
    """
    pools = _pool_addresses(root, faults)
    statics = _static_addresses(root, faults)
    _check_servers(root, pools, statics, faults)
    _check_listen(root, pools, statics, faults)
    _check_all_static(root, statics, faults)
    _check_sites(root, zones, faults)
    _check_unused(root, faults)
    if zones is not None and not zones:
        faults.warn(Node("dns.zones", 0, "nothing"), "no zone is configured, so every query is refused")


def _pool_addresses(root: Root, faults: Faults) -> Occupied:
    """The addresses of all pools, after noting which are there twice, or too many."""
    runs = [run for pool in root.get("pools", {}).values() for run in pool.value.get("addresses", ())]
    total = 0
    for run in runs:
        before, total = total, total + len(run.value)
        if before <= MOST_ADDRESSES < total:
            faults.add(run.node, f"makes {total} addresses in all pools; allowed: at most {MOST_ADDRESSES}")
    occupied = Occupied((run.value, run.node) for run in runs)
    order = {id(run.node): index for index, run in enumerate(runs)}
    for address, *nodes in occupied.clashes:
        first, second = sorted(nodes, key=lambda node: order[id(node)])
        faults.add(second, f"{address} is already in {shown(first)}")
    return occupied


def _static_addresses(root: Root, faults: Faults) -> Mapping[IPv4Address, Node]:
    """The addresses that sites have for good, after noting which are there twice."""
    statics: dict[IPv4Address, Node] = {}
    for site in root.get("sites", {}).values():
        place = site.value.get("address")
        if place is None:
            continue
        if place.value in statics:
            before = statics[place.value]
            faults.add(place.node, f"{place.value} is already {before.path} (line {before.line})")
        statics.setdefault(place.value, place.node)
    return statics


def _check_all_static(root: Root, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    """A pool whose addresses are all some site's for good has none to lease."""
    numbers = sorted(map(int, statics))
    for name, pool in root.get("pools", {}).items():
        runs = [run.value for run in pool.value.get("addresses", ())]
        taken = sum(bisect.bisect_right(numbers, run.last) - bisect.bisect_left(numbers, run.first) for run in runs)
        if taken and taken >= sum(map(len, runs)):
            for site in root.get("sites", {}).values():
                place = site.value.get("pool")
                if place is not None and place.value == name and site.value.get("address") is None:
                    faults.add(place.node, f"all addresses of pool '{name}' are static; none is left to lease")
                    break


def _check_servers(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    for server, node in _all_servers(root):
        holder = _holder(pools, statics, server.address)
        if holder:
            loop = "traffic to it would come back to the appliance"
            faults.add(node, f"server address {server.address} is in {shown(holder)}; {loop}")


def _all_servers(root: Root) -> Iterator[tuple[Server, Node]]:
    """The named ones and those that sites list inline, each with its address's place."""
    for named in root.get("servers", {}).values():
        if "server" in named.value:
            yield named.value["server"], named.node.entries["address"]
    for site in root.get("sites", {}).values():
        for entry in site.value.get("servers", ()):
            if isinstance(entry.value, Server):
                yield entry.value, entry.node.entries["address"]


def _check_listen(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    seen: dict[Any, Node] = {}
    for endpoint, node in ((each.value, each.node) for each in root.get("dns", {}).get("listen") or ()):
        if endpoint in seen:
            faults.add(node, f"{endpoint} is already in {seen[endpoint].path} (line {seen[endpoint].line})")
        seen.setdefault(endpoint, node)
        holder = _holder(pools, statics, endpoint.address)
        if endpoint.address.is_unspecified and (root.get("pools") or statics):
            takes = f"{endpoint} would take port {endpoint.port} of the pools' addresses"
            faults.add(node, f"{takes}; list the addresses to listen on")
        elif holder:
            faults.add(node, f"{endpoint.address} is in {shown(holder)}; the appliance must keep an address of its own")


def _holder(pools: Occupied, statics: Mapping[IPv4Address, Node], address: IPv4Address | IPv6Address) -> Node | None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else address
    return (pools.holder(mapped) or statics.get(mapped)) if mapped else None


def _check_sites(root: Root, zones: Zones | None, faults: Faults) -> None:
    taken: dict[str, Node] = {}
    names = [(*_named(site, name, faults), site) for name, site in root.get("sites", {}).items()]
    apexes = None if zones is None else {apex.to_text(omit_final_dot=True): zone for apex, zone in zones.items()}
    for own, aliases, site in names:
        for name, node in [*([(own, site.node)] if own else []), *aliases]:
            if name in taken:
                faults.add(node, f"'{name}' is already {taken[name].path} (line {taken[name].line})")
                continue
            taken[name] = node
            if apexes is not None:
                _check_in_zone(name, node, apexes, faults)
        _check_references(root, site.value, faults)
        _check_servers_of(site.value, site.node, faults)
        _check_servers_once(root, site.value, faults)
        _check_ports(site.value, site.node, faults)


def _check_servers_of(site: SiteFields, node: Node, faults: Faults) -> None:
    """One address a server: how many there may be."""
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
    elif servers > addresses:
        hint = f"set addresses to {servers}" if site.get("address") is None else "list one"
        faults.add(
            written,
            f"not yet supported: {servers} servers behind {addresses} address{'es' if addresses > 1 else ''}; {hint}",
        )


def _check_servers_once(root: Root, site: SiteFields, faults: Faults) -> None:
    """A lease knows its server by name, so neither an address with its port nor a name may be there twice."""
    seen: dict[object, Node] = {}
    for entry in site.get("servers", ()):
        if isinstance(entry.value, Server):
            server: Server | None = entry.value
        else:
            named = root.get("servers", {}).get(entry.value)
            server = named.value.get("server") if named else None
        name = server.name if server else entry.value
        marks: dict[object, str] = {name: f"a server called '{shorten(str(name))}'"}
        if server:
            marks = {(server.address, server.port): "this server", **marks}
        for mark, what in marks.items():
            before = seen.setdefault(mark, entry.node)
            if before is not entry.node:
                faults.add(entry.node, f"{what} is already {before.path} (line {before.line})")
                break


def _named(site: Placed[SiteFields], written: str, faults: Faults) -> tuple[str | None, list[tuple[str, Node]]]:
    try:
        own: str | None = normal_name(written, site.node, faults)
    except Unusable:
        own = None
    return own, [(alias.value, alias.node) for alias in site.value.get("aliases", ())]


def _check_in_zone(name: str, node: Node, apexes: Mapping[str, ZoneConfig | None], faults: Faults) -> None:
    """Cost: one look-up a label."""
    labels = name.split(".")
    apex = next((above for above in (".".join(labels[i:]) for i in range(len(labels))) if above in apexes), None)
    if apex is None:
        some = ", ".join(list(apexes)[:5]) + (", ..." if len(apexes) > 5 else "")
        zones = f"the zones are {some}" if apexes else "there are none"
        faults.add(node, f"'{name}' is not in a zone of dns.zones; {zones}")
        return
    config = apexes[apex]
    if config is None or config.zone is None:
        return
    absolute = dns.name.from_text(name)
    for rdtype in (dns.rdatatype.A, dns.rdatatype.CNAME):
        if config.zone.get_rdataset(absolute, rdtype):
            faults.warn(
                node, f"zone {apex} has a record {rdtype.name} for '{name}', which leases; the lease is answered"
            )


def _check_references(root: Root, site: SiteFields, faults: Faults) -> None:
    pool = site.get("pool")
    if pool and "pools" in root and pool.value not in root["pools"]:
        _unknown("pool", pool, root["pools"], faults)
    for server in site.get("servers", ()):
        if isinstance(server.value, str) and "servers" in root and server.value not in root["servers"]:
            _unknown("server", server, root["servers"], faults)


def _unknown(what: str, name: Placed[Any], known: Mapping[str, Any], faults: Faults) -> None:
    near = faults.did_you_mean(name.value, known.keys())
    some = ", ".join(list(known)[:5]) + (", ..." if len(known) > 5 else "")
    there = "" if near else f"; there is {some}" if known else f"; {what}s has none"
    faults.add(name.node, f"unknown {what} '{shorten(name.value)}'{near or there}")


def _check_ports(site: SiteFields, node: Node, faults: Faults) -> None:
    taken: dict[tuple[Transport, int], Node] = {}
    for service in site.get("services", ()):
        transport = service.value.transport
        for port in service.value.ports():
            before = taken.setdefault((transport, port), service.node)
            if before is not service.node:
                place = f"{before.path} (line {before.line})"
                faults.add(service.node, f"{transport.value} port {port} is already in {place}")
                break
    if len(taken) > MOST_PORTS:
        faults.add(node.entries["services"], f"found {len(taken)} ports; allowed: at most {MOST_PORTS} for a site")


def _check_unused(root: Root, faults: Faults) -> None:
    sites = [site.value for site in root.get("sites", {}).values()]
    pools = {pool.value for site in sites if (pool := site.get("pool")) is not None}
    servers = {server.value for site in sites for server in site.get("servers", ())}
    _warn_unused("pool", root.get("pools", {}), pools, faults)
    _warn_unused("server", root.get("servers", {}), servers, faults)


def _warn_unused(what: str, known: Mapping[str, Placed[Any]], used: Iterable[object], faults: Faults) -> None:
    for name, place in known.items():
        if name not in used:
            faults.warn(place.node, f"no site uses this {what}")
