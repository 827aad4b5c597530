"""
The section ``dns.zones``: where each zone's records come from, and whether they make a zone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import attrs
import dns.name
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.zone

from appliance.config.faults import Faults, Unusable
from appliance.config.masterfile import read_zone
from appliance.config.reading import Unreadable, read_text
from appliance.config.scalars import apex_name
from appliance.config.schema import ZoneFields
from appliance.config.shapes import Placed
from appliance.config.transfers import Keys, primary_of, transfer_of
from appliance.config.tree import Node
from appliance.config.values import TransferConfig, ZoneConfig
from appliance.model import Endpoint

_LONGEST_NEGATIVE = 10800
"""Seconds; RFC 2308 s5 finds more than three hours of negative answers a mistake."""


def read_zones(
    zones: Mapping[str, Placed[ZoneFields]],
    folder: str,
    keys: Keys,
    listen: frozenset[Endpoint],
    faults: Faults,
) -> dict[dns.name.Name, ZoneConfig | None]:
    """
    All configured zones, by apex; ``None`` for one that has faults, so that its names still count as in a zone.

    :param folder: what a zone's ``file`` is relative to.
    :param keys: what ``primary`` and ``transfer`` may name; ``listen``: what is no other server.
    """
    found: dict[dns.name.Name, ZoneConfig | None] = {}
    places: dict[dns.name.Name, Node] = {}
    for written, zone in zones.items():
        try:
            apex = apex_name(zone.node, written, faults)
        except Unusable:
            continue
        if apex in found:
            faults.add(zone.node, f"the zone is already {places[apex].path} (line {places[apex].line})")
            continue
        places[apex] = zone.node
        try:
            # What is wrong there is noted also where the records are, and the other way round.
            transfer = _transfer(zone, keys, listen, faults)
            found[apex] = attrs.evolve(_read(apex, zone, folder, keys, listen, faults), transfer=transfer)
        except Unusable:
            found[apex] = None
    return found


def _transfer(zone: Placed[ZoneFields], keys: Keys, listen: frozenset[Endpoint], faults: Faults) -> TransferConfig:
    place = zone.value.get("transfer")
    return transfer_of(place, keys, listen, faults) if place is not None else TransferConfig()


def _read(
    apex: dns.name.Name,
    zone: Placed[ZoneFields],
    folder: str,
    keys: Keys,
    listen: frozenset[Endpoint],
    faults: Faults,
) -> ZoneConfig:
    """:raises Unusable: after noting all that is wrong with the zone."""
    if not {"file", "records", "primary"} <= zone.value.keys():
        raise Unusable
    file, records, primary = zone.value["file"], zone.value["records"], zone.value["primary"]
    if [file, records, primary].count(None) != 2:
        raise faults.wrong(zone.node, "needs exactly one of 'file', 'records' and 'primary'")
    if primary is not None:
        source = primary_of(primary, keys, listen, faults)
        if source is None:
            raise Unusable
        return ZoneConfig(apex=apex, zone=None, source="", primary=source)
    if file is not None:
        return _read_file(apex, file, os.path.join(folder, file.value), faults)
    assert records is not None
    return _read_inline(apex, records, faults)


def _read_file(apex: dns.name.Name, place: Placed[str], name: str, faults: Faults) -> ZoneConfig:
    try:
        text = read_text(name)
    except Unreadable as error:
        if error.line:
            faults.add_elsewhere(name, error.line, place.node.path, str(error))
            raise Unusable from None
        raise faults.wrong(place.node, f"'{name}' {error}") from None
    before = len(faults.errors)

    def note(file: str | None, line: int, message: str) -> None:
        faults.add_elsewhere(file or name, line, place.node.path, message)

    zone, source = read_zone(apex, text, name, note)
    return _checked(apex, zone, source, place.node, before, faults)


def _read_inline(apex: dns.name.Name, place: Placed[str], faults: Faults) -> ZoneConfig:
    node = place.node
    before = len(faults.errors)

    def note(file: str | None, line: int, message: str) -> None:
        # Only a '|' block keeps its lines; for other text the best is where it begins.
        at = node.line + line if node.literal else node.line
        faults.add_elsewhere(faults.file, at, node.path, message)

    zone, source = read_zone(apex, place.value, None, note)
    return _checked(apex, zone, source, node, before, faults)


def _checked(
    apex: dns.name.Name, zone: dns.zone.Zone, source: str, node: Node, faults_before: int, faults: Faults
) -> ZoneConfig:
    """
    A zone that has what a zone must have.

    :raises Unusable: if it has not, or had faults before: a bad SOA line must not also be a missing SOA.
    """
    if len(faults.errors) == faults_before:
        for message in impossible(zone):
            faults.add(node, message)
    if len(faults.errors) > faults_before:
        raise Unusable
    for message in _suspicious(zone):
        faults.warn(node, message)
    return ZoneConfig(apex=apex, zone=zone, source=source)


def impossible(zone: dns.zone.Zone) -> Iterator[str]:
    """Why records make no zone that can be served."""
    assert zone.origin is not None
    apex = zone.origin.to_text(omit_final_dot=True)
    for rdtype in (dns.rdatatype.SOA, dns.rdatatype.NS):
        if zone.get_rdataset(zone.origin, rdtype) is None:
            yield f"the zone has no {rdtype.name} record at its apex {apex}"


def _suspicious(zone: dns.zone.Zone) -> Iterator[str]:
    soa = _soa(zone)
    if soa.retry >= soa.refresh:
        yield f"SOA retry {soa.retry} is not less than refresh {soa.refresh} (RFC 1912 s2.2)"
    if soa.expire <= soa.refresh + soa.retry:
        yield f"SOA expire {soa.expire} is not more than refresh and retry together (RFC 1912 s2.2)"
    if soa.minimum > _LONGEST_NEGATIVE:
        yield f"SOA minimum {soa.minimum} keeps negative answers over {_LONGEST_NEGATIVE} seconds (RFC 2308 s5)"
    if soa.minimum == 0:
        yield "SOA minimum 0 keeps resolvers from caching negative answers"
    if "@" in soa.rname.to_text():
        yield f"SOA mailbox {soa.rname} has an '@'; a dot stands for it (RFC 1035 s3.3.13)"
    assert zone.origin is not None
    if zone.get_rdataset(zone.origin, dns.rdatatype.DNSKEY) is not None:
        yield "the zone is signed, but answers come without signatures; its parent must have no DS record for it"
    for server in zone.find_rdataset(zone.origin, dns.rdatatype.NS):
        if server.target.is_subdomain(zone.origin) and not _has_address(zone, server.target):
            yield f"the name server {server.target.to_text(omit_final_dot=True)} has no address in the zone"


def _soa(zone: dns.zone.Zone) -> dns.rdtypes.ANY.SOA.SOA:
    soa = zone.find_rdataset(zone.origin or dns.name.root, dns.rdatatype.SOA)[0]
    assert isinstance(soa, dns.rdtypes.ANY.SOA.SOA)
    return soa


def _has_address(zone: dns.zone.Zone, name: dns.name.Name) -> bool:
    return any(zone.get_rdataset(name, rdtype) for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA))
