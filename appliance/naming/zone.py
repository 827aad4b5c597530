"""
Zones as look-ups need them, with the names of sites and of the POP network's customers laid over.

Built once from dnspython's parsed zone and then only read.  A zone that is transferred in is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from ipaddress import IPv6Address

import attrs
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone

from appliance.naming.names import below, is_under, parent, wire
from appliance.naming.values import ExtendedError, RRset

NAMES_A_SLICE = 200
"""Names that :meth:`Zone.slowly` takes in one go: about 2 ms."""

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

    :param rrsets: by type; those of RRSIGs by :func:`signatures`.
    :param site: A questions for this name need a lease of that site.
    :param chosen: A and AAAA questions for this name need a choice among a customer's servers or the POPs.
    """

    rrsets: dict[int, RRset] = attrs.Factory(dict)
    site: str | None = None
    chosen: bool = False


def signatures(covered: int) -> int:
    """Where a node keeps the RRSIGs that cover a type."""
    return covered << 16 | dns.rdatatype.RRSIG


class Zone:
    """
    One zone: the nodes it is authoritative for, its cuts, and glue below them.

    :param apex: lower-case wire bytes.
    :ivar error: why it answers nothing; then it has no records.
    :ivar negative_soa: what a negative answer says; without a record where there is an ``error``.
    """

    def __init__(self, apex: bytes, error: ExtendedError | None = None) -> None:
        self.apex = apex
        self.error = error
        self.nodes: dict[bytes, Node] = {apex: Node()}
        self.negative_soa = RRset(apex, _SOA, 0, ())

    @classmethod
    def of(cls, source: dns.zone.Zone) -> Zone:
        """:param source: a parsed zone with absolute names, a SOA and an NS at its apex."""
        making = cls.slowly(source)
        while True:
            try:
                next(making)
            except StopIteration as made:
                zone: Zone = made.value
                return zone

    @classmethod
    def slowly(cls, source: dns.zone.Zone) -> Generator[None, None, Zone]:
        """The same in slices, between which ``source`` must not change; returns the zone at its end."""
        assert source.origin is not None
        zone = cls(wire(source.origin))
        for count, (name, node) in enumerate(source.nodes.items(), 1):
            owner = wire(name)
            zone._add_path(owner)
            rrsets = zone.nodes[owner].rrsets
            for rdataset in node.rdatasets:
                if rdataset.rdclass == dns.rdataclass.IN:
                    # Signatures are a set for each type that they cover, with a TTL of its own (RFC 4034 s3).
                    key = signatures(rdataset.covers) if rdataset.covers else rdataset.rdtype
                    rrsets[key] = RRset(owner, rdataset.rdtype, rdataset.ttl, tuple(rdataset))
            if count % NAMES_A_SLICE == 0:
                yield
        soa = zone.nodes[zone.apex].rrsets[_SOA]
        # RFC 2308 s3: the SOA of a negative answer lives no longer than it says a negative answer may live.
        zone.negative_soa = attrs.evolve(soa, ttl=min(soa.ttl, soa.rdatas[0].minimum))  # type: ignore[attr-defined]
        return zone

    @property
    def serial(self) -> int | None:
        """Of its SOA; None where it has no records."""
        rdatas = self.negative_soa.rdatas
        return int(rdatas[0].serial) if rdatas else None  # type: ignore[attr-defined]

    def is_cut(self, name: bytes) -> bool:
        """Is authority delegated at ``name``?"""
        return name != self.apex and name in self.nodes and _NS in self.nodes[name].rrsets

    def lay_over(self, site: SiteNames, name: bytes) -> None:
        """The site answers A and AAAA at ``name``; what else the zone has there stays, but for a CNAME."""
        node = self._cleared(name)
        node.site = site.site
        if site.ipv6:
            rdatas = tuple(dns.rdata.from_text(dns.rdataclass.IN, _AAAA, str(address)) for address in site.ipv6)
            node.rrsets[_AAAA] = RRset(name, _AAAA, site.ipv6_ttl, rdatas)

    def lay_choice_over(self, name: bytes) -> None:
        """A and AAAA at ``name`` are chosen for each answer; what else the zone has there stays, but for a CNAME."""
        self._cleared(name).chosen = True

    def _cleared(self, name: bytes) -> Node:
        """The node of a name that is answered with addresses which are not the zone's."""
        self._add_path(name)
        node = self.nodes[name]
        for rdtype in (_A, _AAAA, dns.rdatatype.CNAME):
            node.rrsets.pop(rdtype, None)
            node.rrsets.pop(signatures(rdtype), None)
        return node

    def _add_path(self, name: bytes) -> None:
        for step in below(name, self.apex):
            if step not in self.nodes:
                self.nodes[step] = Node()


class Zones:
    """
    Every zone, with every name of a site or a customer in the zone that is nearest to it; frozen once built.

    :param sources: parsed zones, or ours; over these very objects the names are laid, so nobody else may use them.
    :param chosen: what is answered with a choice, lower-case wire bytes; none of them is a site's.
    """

    def __init__(
        self,
        sources: Iterable[dns.zone.Zone | Zone] = (),
        sites: Iterable[SiteNames] = (),
        chosen: Iterable[bytes] = (),
    ) -> None:
        zones = (source if isinstance(source, Zone) else Zone.of(source) for source in sources)
        self._zones = {zone.apex: zone for zone in zones}
        self._laid: dict[bytes, list[tuple[SiteNames | None, bytes]]] = {}
        """By apex; a name without a site is chosen."""
        laid: list[tuple[SiteNames | None, bytes]] = [(site, name) for site in sites for name in site.names]
        laid += [(None, name) for name in chosen]
        for site, name in laid:
            zone_of_name = self.find(name)
            if zone_of_name is not None:
                self._laid.setdefault(zone_of_name.apex, []).append((site, name))
                _lay(zone_of_name, site, name)

    def with_zone(self, zone: Zone) -> Zones:
        """
        The same zones with one replaced; costs the names that are laid over it.

        :param zone: new, with nothing laid over; there is one of its apex.
        """
        assert zone.apex in self._zones
        for site, name in self._laid.get(zone.apex, ()):
            _lay(zone, site, name)
        changed = Zones()
        changed._zones = {**self._zones, zone.apex: zone}
        changed._laid = self._laid
        return changed

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


def _lay(zone: Zone, site: SiteNames | None, name: bytes) -> None:
    if site is None:
        zone.lay_choice_over(name)
    else:
        zone.lay_over(site, name)
