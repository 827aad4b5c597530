"""What client NAT pools say about other sections: their addresses are nobody else's, and have IPv4."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from appliance.config.addresses import Occupied, shown
from appliance.config.backups import backups_of, first_along
from appliance.config.clientnat import NatFields
from appliance.config.faults import Faults
from appliance.config.listening import listeners
from appliance.config.references import all_servers, sites_of
from appliance.config.schema import Root
from appliance.config.servers import ServerFields
from appliance.config.shapes import Placed
from appliance.config.tree import Node

MOST_POOLS = 256
"""Of client NAT; each is compared with each."""


def check_client_nat(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    """Note which addresses are somebody else's as well, and where a pool is of no use."""
    known = {name: pool for name, pool in root.get("client_nat", {}).items() if "run" in pool.value}
    if len(known) > MOST_POOLS:
        node = Node("client_nat", next(iter(known.values())).node.line, "mapping")
        faults.add(node, f"found {len(known)} pools; allowed: at most {MOST_POOLS}")
        return
    _check_overlaps(list(known.values()), faults)
    static = sorted(statics)
    for pool in known.values():
        run = pool.value["run"]
        before = pools.crossing(run)
        if before is not None:
            faults.add(pool.node, f"has addresses of {shown(before)}, which are leased")
        index = bisect.bisect_left(static, IPv4Address(run.first))
        if index < len(static) and int(static[index]) <= run.last:
            faults.add(pool.node, f"has {static[index]}, which is {shown(statics[static[index]])}")
    _check_listeners(root, known, faults)
    _check_servers(root, known, faults)
    _check_sixes(root, faults)


def _check_overlaps(pools: list[Placed[NatFields]], faults: Faults) -> None:
    """No pair of address and port is in two pools."""
    for index, pool in enumerate(pools):
        for before in pools[:index]:
            first = max(pool.value["run"].first, before.value["run"].first)
            port = max(ports.start for ports in _ports(pool, before))
            if first > min(pool.value["run"].last, before.value["run"].last):
                continue
            if port < min(ports.stop for ports in _ports(pool, before)):
                there = f"{before.node.path} (line {before.node.line})"
                faults.add(pool.node, f"port {port} of {IPv4Address(first)} is already in {there}")
                break


def _ports(*pools: Placed[NatFields]) -> Iterator[range]:
    """Of pools whose ports are known; no port is in a faulty one."""
    for pool in pools:
        yield pool.value.get("ports", range(0))


def _check_listeners(root: Root, known: Mapping[str, Placed[NatFields]], faults: Faults) -> None:
    for listener in listeners(root):
        address, port = listener.endpoint.address, listener.endpoint.port
        for pool in known.values():
            run, ports = pool.value["run"], pool.value.get("ports", range(0))
            if address.is_unspecified and port in ports:
                reason = f"has port {port}, which {listener} takes of all addresses"
                faults.add(pool.node, f"{reason}; list the addresses to listen on, or leave the port out")
            elif _inside(address, run.first, run.last):
                faults.add(pool.node, f"has {address}, where the appliance listens: {listener}")


def _check_servers(root: Root, known: Mapping[str, Placed[NatFields]], faults: Faults) -> None:
    occupied = Occupied((pool.value["run"], pool.node) for pool in known.values())
    for server in all_servers(root):
        place = server.fields.get("address")
        pool = occupied.holder(place.value) if place is not None and isinstance(place.value, IPv4Address) else None
        if place is not None and pool is not None:
            there = f"{pool.path} (line {pool.line})"
            faults.warn(place.node, f"server address {place.value} is in {there}, so that it is this host's own")


def _check_sixes(root: Root, faults: Faults) -> None:
    """A connection from an IPv4 address reaches no IPv6 server, nor one that takes over, nor a site that does."""
    named = root.get("servers", {})
    sixes = frozenset(name for name, server in named.items() if _has_six(server.value))
    reached = first_along({name: place.value for name, place in backups_of(named).items()}, sixes)
    sites = sites_of(root)
    entries = {name: _sixes(site.value.get("servers", ()), reached) for name, site in sites.items()}
    places = backups_of(sites)
    others = first_along(
        {name: place.value for name, place in places.items()},
        frozenset(name for name, found in entries.items() if found),
    )
    for name, site in sites.items():
        nat = site.value.get("client_nat")
        if nat is None:
            continue
        only = f"and connections from '{nat.value}' have IPv4"
        instances = [instance.value for instance in site.value.get("instances", ())]
        more = (_sixes(instance.get("servers", ()), reached) for instance in instances)
        for node, what in chain(entries[name], *more):
            faults.add(node, f"{what} has an IPv6 address, {only}")
        for place in (places.get(name), *(instance.get("backup") for instance in instances)):
            if place is not None and place.value in others:
                _, what = entries[others[place.value]][0]
                faults.add(place.node, f"{what} of site '{others[place.value]}' has an IPv6 address, {only}")


def _sixes(entries: Iterable[Placed[ServerFields | str]], reached: Mapping[str, str]) -> list[tuple[Node, str]]:
    """The entries that stand for an IPv6 server or lead to one, and what to call that."""
    found = []
    for entry in entries:
        written = entry.value
        if isinstance(written, str):
            end = reached.get(written)
            if end is not None:
                found.append((entry.node, f"the {'server' if end == written else 'backup'} '{end}'"))
        elif _has_six(written):
            found.append((entry.node, "the server"))
        else:
            backup = written.get("backup")
            if backup is not None and backup.value in reached:
                found.append((entry.node, f"the backup '{reached[backup.value]}'"))
    return found


def _has_six(server: ServerFields) -> bool:
    return "address" in server and isinstance(server["address"].value, IPv6Address)


def _inside(address: IPv4Address | IPv6Address, first: int, last: int) -> bool:
    return isinstance(address, IPv4Address) and first <= int(address) <= last
