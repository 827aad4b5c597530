"""What a primary may send, and everything else; no sockets."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.xfr
from twisted.trial.unittest import SynchronousTestCase

from appliance.transfers.incoming import MOST_UNSIGNED, Bounds, Incoming, TransferFailed, Version, version_of
from tests.transfers.world import APEX, KEY, records, zone_of

HELD = records(1, "a 60 A 192.0.2.1\nb 60 A 192.0.2.2\n")


def rrset(text: str) -> dns.rrset.RRset:
    name, ttl, rdtype, data = text.split(None, 3)
    return dns.rrset.from_text(dns.name.from_text(name, APEX), int(ttl), "IN", rdtype, data)


def soa(serial: int) -> dns.rrset.RRset:
    return rrset(f"@ 60 SOA ns1.in.test. h.in.test. {serial} 3600 60 86400 5")


NS = rrset("@ 60 NS ns1.in.test.")


class Case(SynchronousTestCase):
    def begin(self, kind: str = "AXFR", *, signed: bool = False, bounds: Bounds | None = None) -> None:
        self.base = version_of(zone_of(HELD)) if kind == "IXFR" else None
        self.query = dns.message.make_query(APEX, kind)
        if signed:
            self.query.use_tsig(KEY)
            self.query.to_wire()
        self.incoming = Incoming(APEX, self.base, self.query, bounds or Bounds())
        # What the primary has read, so that it can sign.
        self.read = dns.message.from_wire(self.query.to_wire(), keyring={KEY.name: KEY}) if signed else self.query
        if signed:
            self.incoming = Incoming(APEX, self.base, self.query, bounds or Bounds())
        self.signing = None

    def response(self, *answer: dns.rrset.RRset) -> dns.message.Message:
        response = dns.message.make_response(self.read)
        response.flags |= dns.flags.AA
        response.answer += list(answer)
        return response

    def wire(self, response: dns.message.Message) -> bytes:
        data = response.to_wire(multi=True, tsig_ctx=self.signing)
        self.signing = response.tsig_ctx
        return data

    def feed(self, response: dns.message.Message) -> None:
        for _ in self.incoming.feed(self.wire(response)):
            pass

    def refused(self, response: dns.message.Message | bytes, reason: str) -> None:
        data = response if isinstance(response, bytes) else self.wire(response)
        error = self.assertRaises(TransferFailed, list, self.incoming.feed(data))
        self.assertIn(reason, str(error))

    def result(self) -> Version:
        self.assertTrue(self.incoming.done)
        return version_of(self.incoming.source)

    def addresses(self, name: str) -> list[str]:
        found = self.incoming.source.get_rdataset(dns.name.from_text(name, APEX), "A")
        return [str(rdata) for rdata in found or ()]


class WholeZoneTests(Case):
    def test_one_message(self) -> None:
        self.begin()
        self.feed(self.response(soa(5), NS, rrset("a 60 A 192.0.2.1"), soa(5)))
        self.assertEqual((self.result().serial, self.addresses("a")), (5, ["192.0.2.1"]))

    def test_many_messages(self) -> None:
        """Records of one name may come in several."""
        self.begin()
        self.feed(self.response(soa(5), NS))
        for number in range(300):
            self.assertFalse(self.incoming.done)
            self.feed(self.response(rrset(f"a 60 A 192.0.{number // 100}.{number % 100}")))
        self.feed(self.response(soa(5)))
        self.assertEqual(len(self.addresses("a")), 300)

    def test_what_is_not_of_the_zone_is_left_out(self) -> None:
        """As other name servers do: old glue."""
        self.begin()
        self.feed(self.response(soa(5), NS, rrset("x.other. 60 A 192.0.2.1"), soa(5)))
        self.assertEqual(len(self.result().source.nodes), 1)

    def test_no_zone(self) -> None:
        self.begin()
        self.feed(self.response(soa(5), rrset("a 60 A 192.0.2.1"), soa(5)))
        self.assertRaises(TransferFailed, version_of, self.incoming.source)

    def test_garbage(self) -> None:
        good = dns.message.make_response(dns.message.make_query(APEX, "AXFR")).to_wire()
        for data in (b"", b"\0", b"x" * 100, good[:-2], good + b"x"):
            self.begin()
            self.refused(data, "message 1: ")

    def test_wrong_records(self) -> None:
        for answer, reason in (
            ([], "No answer"),
            ([NS], "first RRset is not an SOA"),
            ([soa(5), NS, soa(6)], "unexpected origin SOA"),
            ([soa(5), NS, soa(5), NS], "after"),
            ([soa(5), rrset("a 60 SOA ns1. h. 1 1 1 1 1")], "a SOA at a.in.test., which is not the apex"),
            ([soa(5), dns.rrset.from_text("in.test.", 60, "CH", "TXT", "x")], "a record that no zone has: TXT"),
            ([rrset("x.other. 60 SOA ns1. h. 1 1 1 1 1")], "which is not the apex"),
        ):
            self.begin()
            self.refused(self.response(*answer), reason)

    def test_wrong_messages(self) -> None:
        """Another's id or question, a query, truncated, another opcode, an error."""
        for change, reason in (
            ({"id": 1}, "no response to what was asked"),
            ({"flags": dns.flags.Flag(0)}, "no response to what was asked"),
            ({"flags": dns.flags.QR | dns.flags.TC}, "truncated"),
            ({"question": dns.message.make_query("other.test", "AXFR").question}, "another question"),
            ({"question": dns.message.make_query(APEX, "A").question}, "another question"),
        ):
            self.begin()
            response = self.response(soa(5), NS, soa(5))
            if change.get("id"):
                change = {"id": (response.id + 1) % 65536}
            for name, value in change.items():
                setattr(response, name, value)
            self.refused(response, reason)
        self.begin()
        response = self.response()
        response.set_rcode(dns.rcode.REFUSED)
        self.refused(response, "the primary says REFUSED")

    def test_bounds(self) -> None:
        """A primary that never ends."""
        self.begin(bounds=Bounds(records=50))
        self.feed(self.response(soa(5), NS))
        hosts = [rrset(f"a{number} 60 A 192.0.2.1") for number in range(49)]
        self.refused(self.response(*hosts), "more than 50 records")
        self.begin(bounds=Bounds(bytes=500))
        self.feed(self.response(soa(5), NS))
        self.refused(self.response(*hosts), "more than 500 bytes")

    def test_in_slices(self) -> None:
        """Between which the reactor turns."""
        self.begin()
        hosts = [rrset(f"a{number} 60 A 192.0.2.1") for number in range(900)]
        self.assertEqual(len(list(self.incoming.feed(self.wire(self.response(soa(5), *hosts))))), 1 + 5)

    def test_after_the_end(self) -> None:
        self.begin()
        self.feed(self.response(soa(5), NS, soa(5)))
        self.refused(self.response(NS), "after the last one")

    def test_records_after_the_end_in_another_slice(self) -> None:
        self.begin()
        hosts = [rrset(f"a{number} 60 A 192.0.2.1") for number in range(198)]
        self.refused(self.response(soa(5), *hosts, soa(5), rrset("b 60 A 192.0.2.1")), "after the last SOA")


class SignedTests(Case):
    def test_each_message(self) -> None:
        self.begin(signed=True)
        for answer in ([soa(5), NS], [rrset("a 60 A 192.0.2.1")], [soa(5)]):
            self.feed(self.response(*answer))
        self.assertEqual(self.result().serial, 5)

    def test_not_signed(self) -> None:
        """Neither the first nor the last, nor too many between."""
        self.begin(signed=True)
        unsigned = dns.message.make_response(dns.message.make_query(APEX, "AXFR", id=self.query.id))
        unsigned.answer = [soa(5), NS, soa(5)]
        self.refused(unsigned.to_wire(), "message 1 is not signed")
        self.begin(signed=True)
        self.feed(self.response(soa(5), NS))
        last = dns.message.make_response(dns.message.make_query(APEX, "AXFR", id=self.query.id))
        last.answer = [soa(5)]
        self.refused(last.to_wire(), "missing TSIG")
        self.begin(signed=True)
        self.feed(self.response(soa(5), NS))
        middle = dns.message.make_response(dns.message.make_query(APEX, "AXFR", id=self.query.id))
        middle.answer = [rrset("a 60 A 192.0.2.1")]
        for _ in range(MOST_UNSIGNED):
            list(self.incoming.feed(middle.to_wire()))
        self.refused(middle.to_wire(), "is not signed")

    def test_forged(self) -> None:
        """A changed bit, another's message in the middle, another key."""
        self.begin(signed=True)
        data = bytearray(self.wire(self.response(soa(5), NS, rrset("a 60 A 192.0.2.1"), soa(5))))
        data[data.index(bytes([192, 0, 2, 1]))] ^= 1
        self.refused(bytes(data), "BadSignature")
        self.begin(signed=True)
        self.feed(self.response(soa(5), NS))
        forged = dns.message.make_response(dns.message.make_query(APEX, "AXFR", id=self.query.id))
        forged.answer = [rrset("a 60 A 192.0.2.66")]
        list(self.incoming.feed(forged.to_wire()))
        self.refused(self.response(soa(5)), "BadSignature")


class IncrementalTests(Case):
    def setUp(self) -> None:
        self.begin("IXFR")

    def test_changes(self) -> None:
        """One step, and several at once; what is held stays as it was."""
        self.feed(
            self.response(
                soa(3),
                soa(1), rrset("a 60 A 192.0.2.1"), soa(2), rrset("c 60 A 192.0.2.3"),
                soa(2), rrset("b 60 A 192.0.2.2"), soa(3), rrset("a 60 A 192.0.2.9"),
                soa(3),
            )
        )  # fmt: skip
        self.assertEqual(self.result().serial, 3)
        self.assertEqual([self.addresses(name) for name in "abc"], [["192.0.2.9"], [], ["192.0.2.3"]])
        assert self.base is not None
        self.assertEqual(self.base.source, zone_of(HELD))

    def test_over_many_messages(self) -> None:
        for each in (soa(2), soa(1), rrset("a 60 A 192.0.2.1"), soa(2), rrset("a 60 A 192.0.2.9"), soa(2)):
            self.assertFalse(self.incoming.done)
            self.feed(self.response(each))
        self.assertEqual(self.addresses("a"), ["192.0.2.9"])

    def test_all_of_it(self) -> None:
        """A primary that does not know what has changed; what it does not have any more is gone."""
        self.feed(self.response(soa(5), NS, rrset("c 60 A 192.0.2.3"), soa(5)))
        self.assertEqual(self.result().serial, 5)
        self.assertEqual([self.addresses(name) for name in "ac"], [[], ["192.0.2.3"]])

    def test_nothing_new(self) -> None:
        self.feed(self.response(soa(1)))
        self.assertTrue(self.incoming.current)

    def test_wrong_changes(self) -> None:
        for answer, reason in (
            ([soa(3), soa(2), soa(3), soa(3)], "base serial mismatch"),
            ([soa(3), soa(1), rrset("z 60 A 192.0.2.1"), soa(3), soa(3)], "DeleteNotExact"),
            ([soa(0)], "older than ours"),
            ([soa(3), soa(3)], "empty IXFR"),
        ):
            self.begin("IXFR")
            self.refused(self.response(*answer), reason)
            assert self.base is not None
            self.assertEqual(self.base.source, zone_of(HELD))
