"""
Zones as look-ups need them, with the sites' names laid over.

Built once from dnspython's parsed zone and then only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address

import attrs
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone

from appliance.naming.names import below, is_under, parent, wire
from appliance.naming.values import RRset

_A, _NS, _SOA, _AAAA = dns.rdatatype.A, dns.rdatatype.NS, dns.rdatatype.SOA, dns.rdatatype.AAAA


@attrs.frozen(kw_only=True)
class SiteNames:
    """
    A site as naming sees it.

    :param names: lower-case wire bytes: its name and its aliases.
    :param ipv6: what AAAA is answered with.
    :param ipv6_ttl: for how long, seconds.
    """

    site: str
    names: tuple[bytes, ...]
    ipv6: tuple[IPv6Address, ...] = ()
    ipv6_ttl: int = 300


@attrs.define
class Node:
    """
    What a zone has at one name; an empty non-terminal has nothing and exists all the same (RFC 4592 s2.2.2).

    :param site: A questions for this name need a lease of that site.
    """

    rrsets: dict[int, RRset] = attrs.Factory(dict)
    site: str | None = None


class Zone:
    """
    One zone: the nodes it is authoritative for, its cuts, and glue below them.

    :param source: a parsed zone with absolute names, a SOA and an NS at its apex.
    """

    def __init__(self, source: dns.zone.Zone) -> None:
        assert source.origin is not None
        self.apex = wire(source.origin)
        self.nodes: dict[bytes, Node] = {self.apex: Node()}
        for name, node in source.nodes.items():
            owner = wire(name)
            self._add_path(owner)
            rrsets = self.nodes[owner].rrsets
            for rdataset in node.rdatasets:
                if rdataset.rdclass == dns.rdataclass.IN:
                    rrsets[rdataset.rdtype] = RRset(owner, rdataset.rdtype, rdataset.ttl, tuple(rdataset))
        soa = self.nodes[self.apex].rrsets[_SOA]
        # RFC 2308 s3: the SOA of a negative answer lives no longer than it says a negative answer may live.
        self.negative_soa = attrs.evolve(soa, ttl=min(soa.ttl, soa.rdatas[0].minimum))  # type: ignore[attr-defined]

    def is_cut(self, name: bytes) -> bool:
        """Is authority delegated at ``name``?"""
        return name != self.apex and name in self.nodes and _NS in self.nodes[name].rrsets

    def lay_over(self, site: SiteNames, name: bytes) -> None:
        """The site answers A and AAAA at ``name``; what else the zone has there stays, but for a CNAME."""
        self._add_path(name)
        node = self.nodes[name]
        node.site = site.site
        for rdtype in (_A, _AAAA, dns.rdatatype.CNAME):
            node.rrsets.pop(rdtype, None)
        if site.ipv6:
            rdatas = tuple(dns.rdata.from_text(dns.rdataclass.IN, _AAAA, str(address)) for address in site.ipv6)
            node.rrsets[_AAAA] = RRset(name, _AAAA, site.ipv6_ttl, rdatas)

    def _add_path(self, name: bytes) -> None:
        for step in below(name, self.apex):
            if step not in self.nodes:
                self.nodes[step] = Node()


class Zones:
    """Every zone, with every site in the zone that is nearest to its name; frozen once built."""

    def __init__(self, sources: Iterable[dns.zone.Zone] = (), sites: Iterable[SiteNames] = ()) -> None:
        self._zones: dict[bytes, Zone] = {}
        for source in sources:
            zone = Zone(source)
            self._zones[zone.apex] = zone
        for site in sites:
            for name in site.names:
                zone_of_site = self.find(name)
                if zone_of_site is not None:
                    zone_of_site.lay_over(site, name)

    def apexes(self) -> Mapping[bytes, Zone]:
        return self._zones

    def find(self, name: bytes) -> Zone | None:
        """The zone with the longest apex at or above ``name``."""
        zones = self._zones
        while True:
            zone = zones.get(name)
            if zone is not None:
                return zone
            if name == b"\x00":
                return None
            name = parent(name)

    def find_for(self, name: bytes, rdtype: int) -> Zone | None:
        """The zone that answers: DS lives at the parent's side of a cut (RFC 4035 s3.1.4.1)."""
        zone = self.find(name)
        if zone is not None and rdtype == dns.rdatatype.DS and zone.apex == name != b"\x00":
            return self.find(parent(name)) or zone
        return zone

    def holds(self, name: bytes) -> bool:
        """Does any zone of ours cover ``name``?"""
        return any(is_under(name, apex) for apex in self._zones)
