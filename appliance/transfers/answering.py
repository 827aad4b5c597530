"""
What others are answered: NOTIFY for zones that we transfer in, AXFR and IXFR of all that they may have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.xfr
from twisted.logger import Logger

from appliance.config import TransferConfig, ZoneConfig
from appliance.naming import Answer, ExtendedError, Zone, Zones, to_text
from appliance.naming.names import wire
from appliance.transfers.keys import signer
from appliance.transfers.outgoing import Outgoing
from appliance.transfers.schedule import is_newer
from appliance.transfers.secondary import Secondary

MOST_OUTGOING = 32
"""Transfers out at once; one more is told to come again (SERVFAIL)."""

_SENT = "{event}: {zone} {serial} to {client}{signed}: {records} records, {bytes} bytes"

Source = IPv4Address | IPv6Address
Sending = Callable[[dns.message.Message], Outgoing]


def _error(rcode: dns.rcode.Rcode, error: ExtendedError | None = None) -> Answer:
    return Answer(rcode=rcode, authoritative=False, error=error, for_all=False)


_PROHIBITED = _error(dns.rcode.REFUSED, ExtendedError(18, "no transfer of this zone to this address or key"))
_NO_NOTIFY = _error(dns.rcode.REFUSED, ExtendedError(18, "no notification from this address or key"))
_NOT_OURS = _error(dns.rcode.NOTAUTH, ExtendedError(20, "not a zone of this server"))
_BUSY = _error(dns.rcode.SERVFAIL, ExtendedError(0, "too many transfers at once"))
"""Codes of RFC 8914: Prohibited, Not Authoritative, Other."""


class Answering:
    """
    :param zones: what is answered from now.
    :ivar configured: by apex, lower-case wire bytes; ``secondaries`` likewise.
    """

    _log = Logger()

    def __init__(self, zones: Callable[[], Zones]) -> None:
        self._zones = zones
        self.configured: Mapping[bytes, ZoneConfig] = {}
        self.secondaries: Mapping[bytes, Secondary] = {}
        self.outgoing: set[Outgoing] = set()

    def answer(self, query: dns.message.Message, source: Source, *, stream: bool) -> Answer | Sending:
        """
        :param query: a NOTIFY, AXFR or IXFR with one question of class IN; its signature is good if it has one.
        :param stream: it came over TCP.
        """
        [question] = query.question
        apex = wire(question.name)
        if query.opcode() == dns.opcode.NOTIFY:
            return self._notified(apex, query, source)
        config, zone = self.configured.get(apex), self._zones().apexes().get(apex)
        if config is None or zone is None:
            return _NOT_OURS
        key = signer(query)
        if not _may(config.transfer, source, key):
            return _PROHIBITED
        if zone.error is not None:
            return _error(dns.rcode.SERVFAIL, zone.error)
        if question.rdtype == dns.rdatatype.IXFR:
            try:
                serial = dns.xfr.extract_serial_from_query(query)
            except (KeyError, ValueError, IndexError):
                return _error(dns.rcode.FORMERR)
            assert serial is not None and zone.serial is not None
            if not stream or not is_newer(zone.serial, serial):
                # RFC 1995 s2, s4: "this is the newest", and over UDP at the same time "come over TCP".
                soa = zone.nodes[apex].rrsets[dns.rdatatype.SOA]
                return Answer(answer=(soa,), for_all=False)
        elif not stream:
            # RFC 5936 s4.2 leaves it undefined; NSD and Knot say the same.
            return _error(dns.rcode.NOTIMP)
        return self._sending(zone, source, key)

    def _sending(self, zone: Zone, source: Source, key: dns.name.Name | None) -> Answer | Sending:
        if len(self.outgoing) >= MOST_OUTGOING:
            return _BUSY

        def ended(outgoing: Outgoing, complete: bool) -> None:
            self.outgoing.discard(outgoing)
            signed = f" (key {key.to_text(omit_final_dot=True)})" if key is not None else ""
            told = {
                "zone": to_text(zone.apex),
                "serial": zone.serial,
                "client": str(source),
                "signed": signed,
                "records": outgoing.records,
                "bytes": outgoing.bytes,
            }
            if complete:
                self._log.info(_SENT, event="transfer-sent", **told)
            else:
                self._log.warn(_SENT + "; it took no more", event="transfer-cut", **told)

        def send(response: dns.message.Message) -> Outgoing:
            outgoing = Outgoing(zone, response, ended)
            self.outgoing.add(outgoing)
            return outgoing

        return send

    def _notified(self, apex: bytes, query: dns.message.Message, source: Source) -> Answer:
        if query.question[0].rdtype != dns.rdatatype.SOA:
            # RFC 1996 leaves room for others.
            return _error(dns.rcode.NOTIMP)
        if apex not in self.configured:
            return _NOT_OURS
        secondary = self.secondaries.get(apex)
        if secondary is None:
            return _NO_NOTIFY
        key, primary = signer(query), secondary.primary
        if source != primary.address.address and (key is None or key != primary.key):
            return _NO_NOTIFY
        secondary.notified()
        return Answer(for_all=False)


def _may(config: TransferConfig, source: Source, key: dns.name.Name | None) -> bool:
    """Either suffices: the address or the key."""
    if key is not None and key in config.keys:
        return True
    return any(source.version == network.version and source in network for network in config.allow)
