"""What POPs and customers say about other sections: whose their addresses are, and what can be known of them (3)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from appliance.config.addresses import Occupied, shown
from appliance.config.delivery import DeliveryFields
from appliance.config.faults import Faults
from appliance.config.pops import MOST_POPS, PopFields
from appliance.config.references import own_name
from appliance.config.schema import Root
from appliance.config.shapes import Placed
from appliance.config.sitechecks import check_servers_once
from appliance.config.tree import Node, shorten
from appliance.config.values import DEFAULT_PEERS
from appliance.model import AllDown, OriginBy, ProbeType

GIVEN_OUT = 0.9
"""Of a POP's capacity; the rest is the ledgers' headroom."""


def check_delivery(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    """Note what does not fit; costs what there is, never its square."""
    _check_pops(root, pools, statics, faults)
    bounded = {
        pop.value["address"].value: name
        for name, pop in root.get("pops", {}).items()
        if "address" in pop.value and pop.value.get("capacity", 0.0) > 0
    }
    for customer in root.get("delivery", {}).values():
        for backup in customer.value.get("backup", ()):
            _check_leased(backup, pools, statics, faults)
            if customer.value.get("static") and backup.value in bounded:
                name = shorten(bounded[backup.value])
                faults.warn(backup.node, f"is pop '{name}', which gets whom nobody has room for, whatever its capacity")
        check_servers_once(root, customer.value.get("origins", ()), faults)
        _check_known(root, customer.value, faults)
        _check_backup(root, customer.value, faults)
    _check_static(root, faults)
    _check_allow(root, faults)
    _check_own_peers(root, faults)


def _check_pops(root: Root, pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults) -> None:
    seen: dict[IPv4Address | IPv6Address, Node] = {}
    pops = root.get("pops", {})
    for index, pop in enumerate(pops.values(), 1):
        if index == MOST_POPS + 1:
            faults.add(pop.node, f"is one of {len(pops)} POPs; allowed: at most {MOST_POPS}")
        given = pop.value.get("capacity", 0.0) * GIVEN_OUT
        if 0 < given < 1:
            unknown = "a resolver that nobody knows yet counts as 1"
            found = f"found {pop.value['capacity']:g} connections, of which {given:g} are given out"
            faults.warn(pop.node.entries["capacity"], f"{found}: {unknown}")
        place = pop.value.get("address")
        if place is None:
            continue
        before = seen.setdefault(place.value, place.node)
        if before is not place.node:
            faults.add(place.node, f"{place.value} is already {before.path} (line {before.line})")
        _check_leased(place, pools, statics, faults)


def _check_leased(
    place: Placed[IPv4Address | IPv6Address], pools: Occupied, statics: Mapping[IPv4Address, Node], faults: Faults
) -> None:
    """What is answered for good is not leased; a site's static address never is."""
    address = place.value.ipv4_mapped if isinstance(place.value, IPv6Address) else place.value
    holder = pools.holder(address) if address is not None and address not in statics else None
    if holder is not None:
        faults.add(place.node, f"{place.value} is in {shown(holder)}, where it is leased to sites")


def _check_static(root: Root, faults: Faults) -> None:
    """Static names are answered with POPs, and this one is hardly none of them."""
    static = [each for each in root.get("delivery", {}).values() if each.value.get("static")]
    if not static or "pops" not in root:
        return
    if not root["pops"]:
        for customer in static:
            faults.add(customer.node.entries["static"], "needs 'pops', for these names are answered with one of them")
        return
    name = own_name(root)
    if name is not None and name not in root["pops"]:
        near = faults.did_you_mean(name, root["pops"].keys())
        never = f"no POP of 'pops' is '{shorten(name)}', this appliance's name"
        faults.warn(static[0].node.entries["static"], f"{never}, so that it never answers with itself{near}")


def _check_known(root: Root, customer: DeliveryFields, faults: Faults) -> None:
    """What origins are compared by has to be looked at."""
    untold, blind = [], True
    origins = customer.get("origins", ())
    for origin in origins:
        found = _types(root, origin.value)
        if found is None:
            return  # what is wrong there is told elsewhere
        if not found:
            never = "has no probes, so that it never counts as down"
            faults.warn(origin.node, f"server '{shorten(origin.value)}' {never}")
        blind = blind and not found
        if ProbeType.LOAD not in found:
            untold.append(origin)
    rule = customer.get("rule")
    if rule is None or len(origins) == 1 or blind or not untold or rule.value.origins is OriginBy.LATENCY:
        return
    by = f"rule.origins is '{rule.value.origins.value}'"
    if len(untold) == len(origins):
        node = rule.node.entries.get("origins") or origins[0].node
        faults.warn(node, f"{by}, and no origin has a probe of type load, which tells it")
        return
    first = f"server '{shorten(untold[0].value)}' has no probe of type load"
    faults.warn(untold[0].node, f"{by}, and {first}, so that what the others tell of theirs is not looked at")


def _check_backup(root: Root, customer: DeliveryFields, faults: Faults) -> None:
    """It stands for the origins to clients of each family that these have."""
    rule, backup = customer.get("rule"), customer.get("backup")
    if rule is None or rule.value.all_down is not AllDown.BACKUP or not backup:
        return
    servers = [root.get("servers", {}).get(origin.value) for origin in customer.get("origins", ())]
    has = {server.value["address"].value.version for server in servers if server and "address" in server.value}
    for family in sorted(has - {place.value.version for place in backup}):
        missing = f"has no IPv{family} address, as origins have: when all are down the answer is no data"
        faults.warn(backup[0].node, missing)


def _types(root: Root, name: str) -> set[ProbeType] | None:
    """How a server is looked at; None where that is not known."""
    server, probes = root.get("servers", {}).get(name), root.get("probes")
    if server is None or probes is None or "probes" not in server.value:
        return None
    found: set[ProbeType] = set()
    for place in server.value["probes"]:
        probe = probes.get(place.value)
        if probe is None or "type" not in probe.value:
            return None
        found.add(probe.value["type"])
    return found


def _check_allow(root: Root, faults: Faults) -> None:
    """Who is to read what this POP sees has to be let in."""
    place = root.get("control", {}).get("peers") if "control" in root else None
    others = {name: pop for name, pop in root.get("pops", {}).items() if name != own_name(root)}
    if place is None:
        if others and "peers" in root.get("control", {}):
            node = next(iter(others.values())).node
            faults.warn(node, "is another POP, and reads nothing of this one without control.peers")
        return
    if "listen" not in place.value or place.value.get("allow", True):
        return
    listen = place.value["listen"]
    far = not (listen.value if listen is not None else DEFAULT_PEERS).address.is_loopback
    if far or any(_is_far(pop.value) for pop in others.values()):
        node = place.node.entries.get("allow", place.node)
        faults.warn(node, "'allow' is empty, so that other hosts, and the POPs on them, read nothing here")


def _check_own_peers(root: Root, faults: Faults) -> None:
    """The others ask where ``pops`` says that this one is; a network between them may translate an address."""
    own = root.get("pops", {}).get(own_name(root) or "")
    said = own.value.get("peers") if own is not None else None
    if said is None or "peers" not in root.get("control", {}):
        return
    place, looked = root["control"]["peers"], said.value.endpoint
    if place is None:
        faults.warn(said.node, f"the others look at {looked}, and there is no control.peers")
        return
    if "listen" not in place.value:
        return
    listen = place.value["listen"]
    at = listen.value if listen is not None else DEFAULT_PEERS
    elsewhere = at.address != looked.address and (at.address.is_loopback or looked.address.is_loopback)
    if at.port != looked.port or (elsewhere and not at.address.is_unspecified):
        faults.warn(said.node, f"the others look at {looked}, and control.peers.listen is {at}")


def _is_far(pop: PopFields) -> bool:
    return "address" in pop and not pop["address"].value.is_loopback
