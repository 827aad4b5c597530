"""
The names that this name server answers with what it chooses: of sites, and of the customers of the POP network.

Each lies in a zone, and stands for one thing; but a *static* name may be of several customers (3.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import dns.name
import dns.rdatatype
import dns.zone

from appliance.config.delivery import DeliveryFields
from appliance.config.faults import Faults, Unusable
from appliance.config.scalars import normal_name
from appliance.config.schema import Root
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node
from appliance.config.values import ZoneConfig

Zones = Mapping[dns.name.Name, ZoneConfig | None]


def check_names(root: Root, zones: Zones | None, faults: Faults) -> None:
    """
    Note what does not fit.  Cost: one look-up a label of each name.

    :param zones: ``None`` if the section could not be read, so that nothing is known of them.
    """
    inside = _Inside(zones, faults)
    taken: dict[str, Node] = {}
    for name, node in _site_names(root, faults):
        if name in taken:
            faults.add(node, f"'{name}' is already {_place(taken[name])}")
            continue
        taken[name] = node
        inside.check(name, node, leases=True)
    for name, node in _Claims(root, taken, faults).good():
        inside.check(name, node, leases=False)
    inside.warn()


def _place(node: Node) -> str:
    return f"{node.path} (line {node.line})"


def _site_names(root: Root, faults: Faults) -> Iterator[tuple[str, Node]]:
    found: list[tuple[str | None, Placed[SiteFields]]] = []
    for written, site in root.get("sites", {}).items():
        try:
            found.append((normal_name(written, site.node, faults), site))
        except Unusable:
            found.append((None, site))
    for own, site in found:
        if own is not None:
            yield own, site.node
        for alias in site.value.get("aliases", ()):
            yield alias.value, alias.node


@attrs.define
class _Claim:
    """What one customer has a name for."""

    customer: Placed[DeliveryFields]
    page: Node | None = None
    static: Node | None = None

    @property
    def node(self) -> Node:
        node = self.page or self.static
        assert node is not None
        return node


class _Claims:
    """
    The names of all customers.

    A name that is nothing but a page is one customer's; so is the page of a name that is static as well.

    :param taken: the names of sites.
    """

    def __init__(self, root: Root, taken: Mapping[str, Node], faults: Faults) -> None:
        self._taken = taken
        self._faults = faults
        self._names: dict[str, list[_Claim]] = {}
        for customer in root.get("delivery", {}).values():
            own: dict[str, _Claim] = {}
            for place in customer.value.get("pages", ()):
                claim = own.setdefault(place.value, _Claim(customer))
                claim.page = self._once(place, claim.page)
            for place in customer.value.get("static", ()):
                claim = own.setdefault(place.value, _Claim(customer))
                claim.static = self._once(place, claim.static)
            for name, claim in own.items():
                self._names.setdefault(name, []).append(claim)

    def good(self) -> Iterator[tuple[str, Node]]:
        """Each name with its first place, after noting which stand for two things."""
        for name, claims in self._names.items():
            if name in self._taken:
                for claim in claims:
                    self._faults.add(claim.node, f"'{name}' is already {_place(self._taken[name])}")
                continue
            self._check(name, claims)
            yield name, claims[0].node

    def _once(self, place: Placed[str], before: Node | None) -> Node:
        if before is not None:
            self._faults.add(place.node, f"'{place.value}' is already {_place(before)}")
        return before or place.node

    def _check(self, name: str, claims: list[_Claim]) -> None:
        first = claims[0]
        paged = first if first.page is not None else None
        for claim in claims[1:]:
            clash = paged is not None and (claim.page is not None or paged.static is None)
            if clash or (claim.page is not None and claim.static is None):
                other = paged or first
                why = "only a static name may be of several customers"
                self._faults.add(claim.node, f"'{name}' is already {_place(other.node)}; {why}")
            elif _answered_by(claim.customer.value) != _answered_by(first.customer.value):
                why = "of another customer with another rule, answers or ttl; the first one's hold"
                self._faults.warn(claim.node, f"'{name}' is also {_place(first.node)}, {why}")
            paged = paged or (claim if claim.page is not None else None)


def _answered_by(customer: DeliveryFields) -> tuple[object, ...]:
    rule = customer.get("rule")
    return (rule.value if rule is not None else None, customer.get("answers"), customer.get("ttl"))


class _Inside:
    """
    Which zone a name lies in, and what the zone says there.

    :param zones: None: nothing is known.
    """

    def __init__(self, zones: Zones | None, faults: Faults) -> None:
        self._faults = faults
        self._apexes = (
            None if zones is None else {apex.to_text(omit_final_dot=True): zone for apex, zone in zones.items()}
        )
        self._missed: dict[str, list[tuple[str, Node]]] = {}
        """By the apex of a zone that other servers may have."""
        self._unknown: dict[str, list[tuple[str, Node]]] = {}
        """Customers' names, by the apex of a zone whose records come later."""

    def check(self, name: str, node: Node, *, leases: bool) -> None:
        if self._apexes is None:
            return
        labels = name.split(".")
        above = (".".join(labels[i:]) for i in range(len(labels)))
        apex = next((each for each in above if each in self._apexes), None)
        if apex is None:
            some = ", ".join(list(self._apexes)[:5]) + (", ..." if len(self._apexes) > 5 else "")
            known = f"the zones are {some}" if self._apexes else "there are none"
            self._faults.add(node, f"'{name}' is not in a zone of dns.zones; {known}")
            return
        config = self._apexes[apex]
        if config is None:
            return
        if config.zone is not None:
            self._check_records(name, node, apex, config.zone, leases=leases)
        elif not leases:
            self._unknown.setdefault(apex, []).append((name, node))
        if config.transfer.allow or config.transfer.keys:
            self._missed.setdefault(apex, []).append((name, node))

    def warn(self) -> None:
        """Say once a zone what is said of all its names."""
        for apex, names in self._missed.items():
            name, node = names[0]
            missing = f"other servers may have zone {apex}, but get no address of '{name}'{_more(names)}"
            self._faults.warn(node, missing)
        for apex, names in self._unknown.items():
            name, node = names[0]
            later = f"zone {apex} is transferred in; whether it has a CNAME or a cut at '{name}'{_more(names)}"
            self._faults.warn(node, f"{later} is not known here")

    def _check_records(self, name: str, node: Node, apex: str, zone: dns.zone.Zone, *, leases: bool) -> None:
        absolute = dns.name.from_text(name)
        above, rdtype = _hidden_by(absolute, zone)
        if rdtype is not None:
            where = above.to_text(omit_final_dot=True)
            self._faults.add(node, f"'{name}' is never answered: zone {apex} has {rdtype.name} records at {where}")
        if not leases and zone.get_rdataset(absolute, dns.rdatatype.CNAME):
            other = "a name with an address of its own has none (RFC 1034 s3.6.2)"
            self._faults.add(node, f"zone {apex} has a record CNAME for '{name}'; {other}")
        chosen = "which leases; the lease is answered" if leases else "which is delivered; a server or POP is answered"
        rdtypes = (dns.rdatatype.A, dns.rdatatype.CNAME) if leases else (dns.rdatatype.A, dns.rdatatype.AAAA)
        for each in rdtypes:
            if zone.get_rdataset(absolute, each):
                self._faults.warn(node, f"zone {apex} has a record {each.name} for '{name}', {chosen}")


def _more(names: list[tuple[str, Node]]) -> str:
    return f" and {len(names) - 1} more names" if len(names) > 1 else ""


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
