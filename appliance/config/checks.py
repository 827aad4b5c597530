"""
What one section says about another: overlaps, loops, unknown and repeated names.

Each check runs on whatever was good, whatever else was bad; none of them is quadratic in what a file may have many of.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from appliance.config.addresses import Occupied, shown
from appliance.config.backups import check_backups
from appliance.config.deliverychecks import check_delivery
from appliance.config.faults import Faults
from appliance.config.forwarding import check_forwarding
from appliance.config.listening import Listener, listeners
from appliance.config.marketchecks import check_market
from appliance.config.namechecks import Zones, check_names
from appliance.config.natchecks import check_client_nat
from appliance.config.probechecks import check_probes
from appliance.config.references import all_servers, check_references
from appliance.config.schema import Root
from appliance.config.sitechecks import check_sites
from appliance.config.tree import Node
from appliance.model import Endpoint

MOST_ADDRESSES = 2**20
"""Of all pools together; each has a row in the lease table."""


def check(root: Root, zones: Zones | None, faults: Faults) -> None:
    """
    Note all that does not fit together.

    :param zones: ``None`` if the section could not be read, so that nothing is known of them.
    """
    pools = _pool_addresses(root, faults)
    statics = _static_addresses(root, faults)
    _check_servers(root, pools, statics, faults)
    _check_listen(root, pools, statics, faults)
    _check_peers(root, pools, statics, faults)
    _check_all_static(root, statics, faults)
    check_sites(root, faults)
    check_names(root, zones, faults)
    check_references(root, faults)
    check_probes(root, faults)
    check_delivery(root, pools, statics, faults)
    check_market(root, faults)
    check_backups(root, faults)
    check_forwarding(root, faults)
    check_client_nat(root, pools, statics, faults)
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
    for server in all_servers(root):
        if "address" not in server.fields:
            continue
        place = server.fields["address"]
        holder = _holder(pools, statics, place.value)
        if holder:
            loop = "traffic to it would come back to the appliance"
            faults.add(place.node, f"server address {place.value} is in {shown(holder)}; {loop}")


def _check_listen(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    """The appliance has addresses of its own, and each endpoint of them once."""
    seen: dict[Endpoint, Listener] = {}
    for listener in listeners(root):
        before = seen.setdefault(listener.endpoint, listener)
        if before is not listener:
            faults.add(listener.node, f"{listener.endpoint} is already in {before}")
    for listener in listeners(root, manhole=False):
        endpoint, node = listener.endpoint, listener.node
        holder = _holder(pools, statics, endpoint.address)
        if endpoint.address.is_unspecified and (root.get("pools") or statics):
            takes = f"{endpoint} would take port {endpoint.port} of the pools' addresses"
            faults.add(node, f"{takes}; list the addresses to listen on")
        elif holder:
            faults.add(node, f"{endpoint.address} is in {shown(holder)}; the appliance must keep an address of its own")


def _holder(pools: Occupied, statics: Mapping[IPv4Address, Node], address: IPv4Address | IPv6Address) -> Node | None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else address
    return (pools.holder(mapped) or statics.get(mapped)) if mapped else None


def _check_peers(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    """Other name servers are none of the addresses that are leased."""
    for zone in root.get("dns", {}).get("zones", {}).values():
        primary, transfer = zone.value.get("primary"), zone.value.get("transfer")
        peers = [primary.value["address"]] if primary is not None and "address" in primary.value else []
        peers += transfer.value.get("notify", ()) if transfer is not None else ()
        for peer in peers:
            holder = _holder(pools, statics, peer.value.address)
            if holder:
                faults.add(peer.node, f"{peer.value.address} is in {shown(holder)}; no other name server is there")
