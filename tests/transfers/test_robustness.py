"""Anything that strangers, askers and primaries may send: never an exception of ours."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.xfr
import dns.zone
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import loads
from appliance.nameserver import Responder
from appliance.naming import Answer, Zones
from appliance.transfers import Bounds, ZoneTransfers
from appliance.transfers.incoming import Incoming, TransferFailed, Version
from tests.config import ZONE
from tests.transfers.test_incoming import HELD, NS, rrset, soa
from tests.transfers.world import APEX, KEY, reactor, zone_of

SOURCE = IPv4Address("198.51.100.1")
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


def changed(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    found = bytearray(data)
    for place, value in changes:
        found[place % len(found)] = value
    return bytes(found[: len(found) - cut % len(found)])


def asked(kind: str, *, signed: bool) -> bytes:
    """A query that is good."""
    if kind == "IXFR":
        query, _ = dns.xfr.make_query(dns.zone.Zone("example.test", relativize=False), 1)
    else:
        query = dns.message.make_query("example.test", "SOA" if kind == "NOTIFY" else kind, use_edns=0)
    if kind == "NOTIFY":
        query.set_opcode(dns.opcode.NOTIFY)
    if signed:
        query.use_tsig(KEY)
    return query.to_wire()


class AskerTests(SynchronousTestCase):
    def setUp(self) -> None:
        config = loads(f"{ZONE}      transfer: {{allow: [0.0.0.0/0]}}\n", file="a", folder=".").dns
        self.transfers = ZoneTransfers(reactor, lambda: self.zones, lambda zone: None, None)
        self.transfers.configure(config, {KEY.name: KEY})
        self.zones = Zones(self.transfers.zones_of(config))
        self.responder = Responder(lambda question, asker: Answer(), udp_payload=1232)
        self.responder.transfers = self.transfers

    def said(self, data: bytes, *, stream: bool) -> list[bytes]:
        """The messages of the response, all of them."""
        response = self.responder.respond(data, stream=stream, source=SOURCE)
        if response is None or isinstance(response, bytes):
            return [response] if response else []
        assert not isinstance(response, Deferred)
        found = []
        while (message := next(response, None)) is not None:
            found.append(message)
        return found

    def test_the_good_ones(self) -> None:
        for kind in ("AXFR", "IXFR", "NOTIFY", "SOA"):
            for signed in (False, True):
                [data] = self.said(asked(kind, signed=signed), stream=True)
                response = dns.message.from_wire(data, keyring=False)
                self.assertEqual(response.rcode(), dns.rcode.REFUSED if kind == "NOTIFY" else dns.rcode.NOERROR)
                self.assertEqual(bool(response.tsig), signed)

    @given(
        kind=st.sampled_from(["AXFR", "IXFR", "NOTIFY", "SOA"]),
        signed=st.booleans(),
        stream=st.booleans(),
        changes=CHANGES,
        cut=st.integers(0, 60),
    )
    def test_anything(self, kind: str, signed: bool, stream: bool, changes: list[tuple[int, int]], cut: int) -> None:
        """A response or nothing, with the query's id; our own bugs would be logged, and trial fails for that."""
        data = changed(asked(kind, signed=signed), changes, cut)
        for message in self.said(data, stream=stream):
            self.assertEqual((message[:2], message[2] >> 7), (data[:2], 1))
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(len(self.transfers._answering.outgoing), 0)


class PrimaryTests(SynchronousTestCase):
    @given(kind=st.sampled_from(["AXFR", "IXFR"]), signed=st.booleans(), changes=CHANGES, cut=st.integers(0, 60))
    def test_anything(self, kind: str, signed: bool, changes: list[tuple[int, int]], cut: int) -> None:
        """A zone, or a reason; what was held stays, and a signature covers every bit."""
        base = Version(zone_of(HELD)) if kind == "IXFR" else None
        query = dns.message.make_query(APEX, kind)
        if signed:
            query.use_tsig(KEY)
        read = dns.message.from_wire(query.to_wire(), keyring={KEY.name: KEY})
        response = dns.message.make_response(read)
        response.answer = [soa(3), NS, rrset("a 60 A 192.0.2.1"), rrset('t 60 TXT "x"'), soa(3)]
        if kind == "IXFR":
            response.answer = [soa(3), soa(1), rrset("a 60 A 192.0.2.1"), soa(3), rrset("c 60 A 192.0.2.3"), soa(3)]
        good = response.to_wire(multi=True)
        incoming, unchanged = (Incoming(APEX, base, query, Bounds()) for _ in range(2))
        list(unchanged.feed(good))
        data = changed(good, changes, cut)
        try:
            for _ in incoming.feed(data):
                pass
        except TransferFailed as error:
            self.assertTrue(str(error))
        else:
            # Only the spelling of the key's name is not signed.
            self.assertTrue(not signed or (incoming.done and incoming.source == unchanged.source))
        if base is not None:
            self.assertEqual(base.source, zone_of(HELD))
