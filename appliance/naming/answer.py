"""
The answer to a question: RFC 1034 section 4.3.2, with wildcards (RFC 4592), DNAME (RFC 6672) and negative answers
(RFC 2308).

Theory of operation: a chain of steps, each in the zone nearest to the name it is at.  A step ends the answer (data,
NODATA, NXDOMAIN, referral, a site that needs a lease, a name that needs a choice) or names where the chain goes on
(CNAME, DNAME).
"""

from __future__ import annotations

from typing import Literal

import attrs
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from appliance.naming.names import MAX_LENGTH, below, is_under, to_name, wire
from appliance.naming.values import Answer, NeedsChoice, NeedsLease, Question, RRset
from appliance.naming.zone import Node, Zone, Zones

_A = dns.rdatatype.A
_AAAA = dns.rdatatype.AAAA
_NS = dns.rdatatype.NS
_CNAME = dns.rdatatype.CNAME
_DNAME = dns.rdatatype.DNAME
_DS = dns.rdatatype.DS
_ANY = dns.rdatatype.ANY
_HINFO = dns.rdatatype.HINFO

MAX_CHAIN = 16
"""Most CNAME and DNAME steps in one answer (BIND 16, NSD and Knot follow until a name repeats)."""

ANY_TTL = 3789
"""TTL of the HINFO that answers ANY (RFC 8482 s4.2; Cloudflare's value, gdnsd has 3600)."""

_ANY_HINFO = dns.rdata.from_text(dns.rdataclass.IN, _HINFO, '"RFC8482" ""')


@attrs.frozen
class _Found:
    """A node, and the name its records are answered under: a wildcard's take the question's name."""

    node: Node
    owner: bytes
    wildcard: bytes | None = None


@attrs.frozen
class _Missing:
    """No such name."""


@attrs.frozen
class _Cut:
    """Authority ends at ``name``."""

    name: bytes


@attrs.frozen
class _Renamed:
    """A DNAME at ``owner``, above the name asked for."""

    rrset: RRset


def answer(zones: Zones, question: Question) -> Answer | NeedsLease | NeedsChoice:
    """
    :return: an Answer; NeedsLease where the chain ends at a site and A is asked for; NeedsChoice where it ends at a
        customer's name and A or AAAA is.  Never raises for any question; costs one look-up a label for each step of the
        chain.
    """
    zone = zones.find_for(question.qname, question.qtype)
    if zone is None:
        return Answer(rcode=dns.rcode.REFUSED, authoritative=False)
    if zone.error is not None:
        return Answer(rcode=dns.rcode.SERVFAIL, authoritative=False, error=zone.error)
    chain: list[RRset] = []
    name = question.qname
    seen = {name}
    origin: bytes | None = None
    while True:
        place = _look_up(zone, name, question.qtype)
        origin = origin or _origin(place)
        step = _step(zone, place, name, question.qtype, tuple(chain))
        if not isinstance(step, tuple):
            return step if origin is None else attrs.evolve(step, origin=origin)
        links, target = step
        chain.extend(link for link in links if link not in chain)
        if target is None:
            return Answer(rcode=dns.rcode.YXDOMAIN, answer=tuple(chain), origin=origin)
        next_zone = zones.find_for(target, question.qtype)
        if next_zone is None or next_zone.error is not None:
            return Answer(answer=tuple(chain), origin=origin)
        if _feeds_itself(links[0]) or target in seen or len(seen) > MAX_CHAIN:
            return Answer(answer=tuple(chain), origin=origin)
        seen.add(target)
        zone, name = next_zone, target


def lacks(zones: Zones, name: bytes, qtype: int) -> bytes | None:
    """
    Is there nothing at a name, whatever is asked for?

    :return: the apex of the zone that says so (NXDOMAIN), empty where no zone of ours does (REFUSED); None where there
        is something, a CNAME or DNAME leads on, or nobody can say.  All such names of a zone are answered alike.
    """
    zone = zones.find_for(name, qtype)
    if zone is None:
        return b""
    if zone.error is not None:
        return None
    return zone.apex if isinstance(_look_up(zone, name, qtype), _Missing) else None


def _feeds_itself(rrset: RRset) -> bool:
    """A DNAME into its own subtree would go on for ever, under a longer name each time."""
    return rrset.rdtype == _DNAME and is_under(wire(rrset.rdatas[0].target), rrset.owner)  # type: ignore[attr-defined]


def _origin(place: _Found | _Missing | _Cut | _Renamed) -> bytes | None:
    """The name whose records answer for other names, too; None where the name has its own, or is not there."""
    if isinstance(place, _Cut):
        return place.name
    if isinstance(place, _Renamed):
        return place.rrset.owner
    return place.wildcard if isinstance(place, _Found) else None


def _step(
    zone: Zone, found: _Found | _Missing | _Cut | _Renamed, name: bytes, qtype: int, chain: tuple[RRset, ...]
) -> Answer | NeedsLease | NeedsChoice | tuple[list[RRset], bytes | None]:
    """One step: an end of the chain, or its further links and the target (None: longer than a name may be)."""
    if isinstance(found, _Cut):
        return _referral(zone, found.name, chain)
    if isinstance(found, _Renamed):
        return _rename(found.rrset, name)
    if isinstance(found, _Missing):
        return Answer(rcode=dns.rcode.NXDOMAIN, answer=chain, authority=(zone.negative_soa,))
    node, owner = found.node, found.owner
    if node.site is not None and qtype == _A:
        return NeedsLease(site=node.site, owner=owner, chain=chain, soa=zone.negative_soa)
    if node.chosen and qtype in (_A, _AAAA):
        family: Literal[4, 6] = 4 if qtype == _A else 6
        return NeedsChoice(owner=owner, family=family, chain=chain, soa=zone.negative_soa)
    if qtype == _ANY and (node.rrsets or node.site or node.chosen):
        return Answer(answer=(*chain, RRset(owner, _HINFO, ANY_TTL, (_ANY_HINFO,))))
    if qtype == dns.rdatatype.RRSIG:
        found_here = tuple(_owned(each, owner) for each in node.rrsets.values() if each.rdtype == qtype)
        if found_here:
            return Answer(answer=(*chain, *found_here))
    rrset = node.rrsets.get(qtype)
    if rrset is not None:
        rrset = _owned(rrset, owner)
        return Answer(answer=(*chain, rrset), additional=_additional(zone, rrset))
    cname = node.rrsets.get(_CNAME)
    if cname is not None:
        return [_owned(cname, owner)], wire(cname.rdatas[0].target)  # type: ignore[attr-defined]
    return Answer(answer=chain, authority=(zone.negative_soa,))


def _look_up(zone: Zone, name: bytes, qtype: int) -> _Found | _Missing | _Cut | _Renamed:
    """Walk down from the apex; the first cut or DNAME on the way wins (RFC 1034 s4.3.2 step 3)."""
    node = zone.nodes[zone.apex]
    encloser = zone.apex
    for step in below(name, zone.apex):
        dname = node.rrsets.get(_DNAME)
        if dname is not None:
            return _Renamed(dname)
        child = zone.nodes.get(step)
        if child is None:
            star = b"\x01*" + encloser
            wildcard = zone.nodes.get(star)
            return _Missing() if wildcard is None else _Found(wildcard, name, star)
        if _NS in child.rrsets and not (step == name and qtype == _DS):
            return _Cut(step)
        node, encloser = child, step
    return _Found(node, name)


def _owned(rrset: RRset, owner: bytes) -> RRset:
    return rrset if rrset.owner == owner else attrs.evolve(rrset, owner=owner)


def _rename(dname: RRset, name: bytes) -> tuple[list[RRset], bytes | None]:
    """A DNAME and the CNAME made from it (RFC 6672 s3.1, s3.3: with the DNAME's TTL)."""
    prefix = name[: len(name) - len(dname.owner)]
    target = prefix + wire(dname.rdatas[0].target)  # type: ignore[attr-defined]
    if len(target) > MAX_LENGTH:
        return [dname], None
    rdata = dns.rdata.from_text(dns.rdataclass.IN, _CNAME, to_name(target).to_text())
    return [dname, RRset(name, _CNAME, dname.ttl, (rdata,))], target


def _referral(zone: Zone, cut: bytes, chain: tuple[RRset, ...]) -> Answer:
    """Where to ask below a cut, with the addresses that lie below cuts of this zone (glue)."""
    servers = zone.nodes[cut].rrsets[_NS]
    return Answer(
        authoritative=bool(chain), answer=chain, authority=(servers,), additional=_additional(zone, servers, glue=True)
    )


def _additional(zone: Zone, rrset: RRset, *, glue: bool = False) -> tuple[RRset, ...]:
    """Addresses of the names that ``rrset`` points to, as far as this zone has them (RFC 1035 s3.3.9, s3.3.11)."""
    found: dict[tuple[bytes, int], RRset] = {}
    for rdata in rrset.rdatas:
        pointed = getattr(rdata, "exchange", None) or getattr(rdata, "target", None)
        if pointed is None or rrset.rdtype in (_CNAME, _DNAME):
            continue
        name = wire(pointed)
        if not is_under(name, zone.apex):
            continue
        place = _look_up(zone, name, _A)
        if isinstance(place, _Cut) and (glue or rrset.rdtype == _NS):
            place = _Found(zone.nodes.get(name, Node()), name)
        if not isinstance(place, _Found):
            continue
        for rdtype in (_A, _AAAA):
            data = place.node.rrsets.get(rdtype)
            if data is not None:
                found[name, rdtype] = _owned(data, name)
    return tuple(found.values())
