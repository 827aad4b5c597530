"""From the bytes of a query to the bytes of its response, whatever the bytes are."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.nameserver import Responder
from appliance.naming import Answer, Question, RRset, from_text

TXT = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, '"' + "x" * 200 + '"')


def rrset(name: bytes, count: int = 1) -> RRset:
    """``count`` A records for a name."""
    rdatas = [
        dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.A, str(IPv4Address("192.0.2.1") + number))
        for number in range(count)
    ]
    return RRset(name, dns.rdatatype.A, 10, tuple(rdatas))


def decide(question: Question) -> Answer | None:
    """A small world: ``big`` has 100 addresses, ``quiet`` is dropped, ``broken`` raises, all else has one address."""
    label = question.qname[1 : 1 + question.qname[0]]
    if label == b"quiet":
        return None
    if label == b"broken":
        raise RuntimeError("our bug")
    return Answer(answer=(rrset(question.qname, 100 if label == b"big" else 1),))


class ResponderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.responder = Responder(decide, udp_payload=1232)

    def ask(self, query: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
        data = self.responder.respond(query.to_wire(), stream=stream)
        assert data is not None
        return dns.message.from_wire(data)

    def test_an_answer(self) -> None:
        """Id and question are the query's, QR and AA are set, RD is copied and RA is not ours to give."""
        for rd in (0, dns.flags.RD):
            query = dns.message.make_query("www.example.test", "A", flags=rd)
            response = self.ask(query)
            self.assertEqual(response.id, query.id)
            self.assertEqual(response.question, query.question)
            self.assertEqual(response.flags, dns.flags.QR | dns.flags.AA | rd)
            self.assertEqual(str(response.answer[0]), "www.example.test. 10 IN A 192.0.2.1")
            self.assertEqual(response.edns, -1)

    def test_case_is_echoed(self) -> None:
        """0x20: the question comes back letter for letter, and the owner of the answer with it."""
        data = self.responder.respond(dns.message.make_query("wWw.ExAmPle.tEST", "A").to_wire(), stream=False)
        assert data is not None
        response = dns.message.from_wire(data)
        self.assertEqual(response.question[0].name.to_text(), "wWw.ExAmPle.tEST.")
        self.assertEqual(response.answer[0].name.to_text(), "wWw.ExAmPle.tEST.")

    def test_edns(self) -> None:
        """RFC 6891: an OPT for an OPT, with our payload size; a version that we do not know is BADVERS."""
        response = self.ask(dns.message.make_query("www.example.test", "A", use_edns=0))
        self.assertEqual((response.edns, response.payload), (0, 1232))
        response = self.ask(dns.message.make_query("www.example.test", "A", use_edns=1))
        self.assertEqual((response.rcode(), response.edns, response.answer), (dns.rcode.BADVERS, 0, []))

    def test_truncation(self) -> None:
        """RFC 2181 s9: an answer that does not fit is TC=1, with no half of an RRset; over TCP it fits."""
        classic = dns.message.make_query("big.example.test", "A")
        wide = dns.message.make_query("big.example.test", "A", use_edns=0, payload=65000)
        for query, limit in ((classic, 512), (wide, 1232)):
            data = self.responder.respond(query.to_wire(), stream=False)
            assert data is not None
            response = dns.message.from_wire(data)
            self.assertLessEqual(len(data), limit)
            self.assertTrue(response.flags & dns.flags.TC)
            self.assertEqual(response.answer, [])
        response = self.ask(classic, stream=True)
        self.assertFalse(response.flags & dns.flags.TC)
        self.assertEqual(len(response.answer[0]), 100)

    def test_answers_are_not_answered(self) -> None:
        """QR=1 is dropped, or two servers would talk for ever; so is what is too short to be anything."""
        response = dns.message.make_response(dns.message.make_query("www.example.test", "A"))
        self.assertIsNone(self.responder.respond(response.to_wire(), stream=False))
        self.assertIsNone(self.responder.respond(b"\0" * 11, stream=False))

    def test_what_is_not_understood(self) -> None:
        """Another opcode is NOTIMP; no question, two, or garbage behind the header is FORMERR."""
        query = dns.message.make_query("www.example.test", "A")
        query.set_opcode(dns.opcode.UPDATE)
        self.assertEqual(self.ask(query).rcode(), dns.rcode.NOTIMP)
        wire = dns.message.make_query("www.example.test", "A").to_wire()
        for count in (0, 2):
            data = wire[:4] + struct.pack("!H", count) + wire[6:]
            response = self.responder.respond(data, stream=False)
            assert response is not None
            self.assertEqual(response[:2] + response[3:4], wire[:2] + bytes([dns.rcode.FORMERR]))
        response = self.responder.respond(wire[:-3], stream=False)
        assert response is not None
        self.assertEqual(response[3] & 15, dns.rcode.FORMERR)

    def test_refused(self) -> None:
        """Other classes, and transfers."""
        for query in (
            dns.message.make_query("www.example.test", "A", rdclass=dns.rdataclass.CH),
            dns.message.make_query("example.test", "AXFR"),
        ):
            self.assertEqual(self.ask(query).rcode(), dns.rcode.REFUSED)

    def test_a_query_that_is_to_be_dropped(self) -> None:
        """``when_exhausted: drop``."""
        query = dns.message.make_query("quiet.example.test", "A")
        self.assertIsNone(self.responder.respond(query.to_wire(), stream=False))

    def test_our_own_bug(self) -> None:
        """Is logged and answered with SERVFAIL, and the next query is answered."""
        response = self.responder.respond(dns.message.make_query("broken.example.test", "A").to_wire(), stream=False)
        assert response is not None
        self.assertEqual(response[3] & 15, dns.rcode.SERVFAIL)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.ask(dns.message.make_query("www.example.test", "A")).rcode(), dns.rcode.NOERROR)

    @given(st.binary(max_size=600))
    def test_any_bytes(self, data: bytes) -> None:
        """No input raises, or gets an answer that is longer than it may be."""
        self.check(Responder(decide, udp_payload=1232).respond(data, stream=False), data)

    @given(st.data())
    def test_damaged_queries(self, draw: st.DataObject) -> None:
        """A good query with bytes changed, cut off or added is met with an answer, an error code or silence."""
        edns = draw.draw(st.sampled_from([-1, 0]))
        wire = bytearray(dns.message.make_query("www.example.test", "A", use_edns=edns).to_wire())
        for place in draw.draw(st.lists(st.integers(min_value=0, max_value=len(wire) - 1), max_size=4)):
            wire[place] = draw.draw(st.integers(min_value=0, max_value=255))
        wire = wire[: draw.draw(st.integers(min_value=0, max_value=len(wire)))] + draw.draw(st.binary(max_size=20))
        data = bytes(wire)
        self.check(Responder(decide, udp_payload=1232).respond(data, stream=False), data)

    def check(self, response: bytes | None, data: bytes) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])
        if response is None:
            return
        self.assertLessEqual(len(response), 1232)
        self.assertEqual(response[:2], data[:2])
        self.assertTrue(response[2] & 0x80)


class QuestionTests(SynchronousTestCase):
    def test_names_reach_the_rules_in_lower_case(self) -> None:
        """As wire bytes."""
        asked: list[Question] = []

        def remember(question: Question) -> Answer:
            asked.append(question)
            return Answer()

        query = dns.message.make_query("WwW.example.TEST", "AAAA")
        Responder(remember, udp_payload=1232).respond(query.to_wire(), stream=False)
        self.assertEqual(asked, [Question(from_text("www.example.test"), dns.rdatatype.AAAA)])
