"""From the bytes of a query to the bytes of its response, whatever the bytes are."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Asker
from appliance.nameserver import Cookies, Responder
from appliance.naming import Answer, ExtendedError, Question, from_text
from tests.nameserver.asking import (
    CLIENT_COOKIE,
    GOOD_COOKIE,
    NOT_READY,
    NOW,
    SECRET,
    SOURCE,
    Asking,
    responder_with_cookies,
    with_cookie,
)


class ResponderTests(Asking):
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
        data = self.respond(dns.message.make_query("wWw.ExAmPle.tEST", "A").to_wire())
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
            data = self.respond(query.to_wire())
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
        self.assertIsNone(self.respond(response.to_wire()))
        self.assertIsNone(self.respond(b"\0" * 11))

    def test_what_is_not_understood(self) -> None:
        """Another opcode is NOTIMP; no question, two, or garbage behind the header is FORMERR."""
        query = dns.message.make_query("www.example.test", "A")
        query.set_opcode(dns.opcode.STATUS)
        said = self.ask(query)
        self.assertEqual((said.rcode(), said.question), (dns.rcode.NOTIMP, query.question))
        wire = dns.message.make_query("www.example.test", "A").to_wire()
        for count in (0, 2):
            data = wire[:4] + struct.pack("!H", count) + wire[6:]
            response = self.respond(data)
            assert response is not None
            self.assertEqual(response[:2] + response[3:4], wire[:2] + bytes([dns.rcode.FORMERR]))
        response = self.respond(wire[:-3])
        self.assertEqual(response, wire[:2] + b"\x81\x01" + b"\0" * 8)

    def test_errors_say_that_edns_is_spoken(self) -> None:
        """RFC 6891 s7: an asker without an OPT in its answer would not use EDNS again."""
        for damage in (b"\0\x0a\0\4abcd", b"\0\x0a\0\x50abcd"):
            query = dns.message.make_query("www.example.test", "A", use_edns=0, want_dnssec=True).to_wire()
            data = self.respond(query[:-2] + struct.pack("!H", len(damage)) + damage)
            assert data is not None
            response = dns.message.from_wire(data)
            self.assertEqual((response.rcode(), response.edns, response.payload), (dns.rcode.FORMERR, 0, 1232))
            self.assertEqual((response.ednsflags, len(response.question)), (dns.flags.DO, 1))

    def test_what_follows_a_query_is_ignored(self) -> None:
        """As gdnsd does; BIND too."""
        data = self.respond(dns.message.make_query("www.example.test", "A").to_wire() + b"garbage")
        assert data is not None
        self.assertEqual(len(dns.message.from_wire(data).answer), 1)

    def test_meta_types(self) -> None:
        """TKEY, TSIG, MAILB and MAILA are asked for in vain (RFC 6895 s3.1); class ANY is as good as IN."""
        for rdtype in ("TKEY", "TSIG", "TYPE253", "TYPE254"):
            self.assertEqual(self.ask(dns.message.make_query("www.example.test", rdtype)).rcode(), dns.rcode.NOTIMP)
        response = self.ask(dns.message.make_query("www.example.test", "A", rdclass=dns.rdataclass.ANY))
        self.assertEqual((response.rcode(), len(response.answer)), (dns.rcode.NOERROR, 1))

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
        self.assertIsNone(self.respond(query.to_wire()))

    def test_our_own_bug(self) -> None:
        """Is logged and answered with SERVFAIL, and the next query is answered."""
        response = self.respond(dns.message.make_query("broken.example.test", "A").to_wire())
        assert response is not None
        self.assertEqual(response[3] & 15, dns.rcode.SERVFAIL)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.ask(dns.message.make_query("www.example.test", "A")).rcode(), dns.rcode.NOERROR)

    @given(st.binary(max_size=600))
    def test_any_bytes(self, data: bytes) -> None:
        """No input raises, or gets an answer that is longer than it may be."""
        self.responder = responder_with_cookies()
        self.check(self.respond(data), data)

    @given(st.data())
    def test_damaged_queries(self, draw: st.DataObject) -> None:
        """A good query with bytes changed, cut off or added is met with an answer, an error code or silence."""
        edns = draw.draw(st.sampled_from([-1, 0]))
        options: list[dns.edns.Option] | None = None
        if edns == 0:
            options = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, GOOD_COOKIE)]
        wire = bytearray(dns.message.make_query("www.example.test", "A", use_edns=edns, options=options).to_wire())
        for place in draw.draw(st.lists(st.integers(min_value=0, max_value=len(wire) - 1), max_size=4)):
            wire[place] = draw.draw(st.integers(min_value=0, max_value=255))
        wire = wire[: draw.draw(st.integers(min_value=0, max_value=len(wire)))] + draw.draw(st.binary(max_size=20))
        data = bytes(wire)
        self.responder = responder_with_cookies()
        self.check(self.respond(data), data)

    def check(self, response: bytes | None, data: bytes) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])
        if response is None:
            return
        self.assertLessEqual(len(response), 1232)
        self.assertEqual(response[:2], data[:2])
        self.assertTrue(response[2] & 0x80)


class HeaderTests(Asking):
    def test_come_back_over_tcp(self) -> None:
        """``truncated`` is TC=1 to a datagram and nothing to a stream, which has come already."""
        query = dns.message.make_query("again.example.test", "A")
        self.assertTrue(self.ask(query).flags & dns.flags.TC)
        self.assertFalse(self.ask(query, stream=True).flags & dns.flags.TC)
        self.assertFalse(self.ask(dns.message.make_query("www.example.test", "A")).flags & dns.flags.TC)

    def test_extended_error(self) -> None:
        """RFC 8914: only to those who speak EDNS."""
        self.assertEqual(self.ask(dns.message.make_query("again.example.test", "A")).edns, -1)
        [error] = self.ask(dns.message.make_query("again.example.test", "A", use_edns=0)).extended_errors()
        self.assertEqual((error.code, error.text), (14, NOT_READY.text))
        self.assertEqual(self.ask(dns.message.make_query("www.example.test", "A", use_edns=0)).options, ())

    def test_extended_error_always_fits(self) -> None:
        """With the longest name, a cookie and too long a text, in 512 bytes."""
        self.responder = Responder(
            lambda question, asker: Answer(error=ExtendedError(14, "x" * 500)),
            udp_payload=512,
            cookies=Cookies([SECRET], lambda: NOW),
        )
        response = self.ask(with_cookie(CLIENT_COOKIE, "a." * 127))
        self.assertEqual((response.rcode(), len(response.options)), (dns.rcode.NOERROR, 2))

    def test_no_padding(self) -> None:
        """RFC 7830 s6: only where it is encrypted; to datagrams it would be a way to make them large."""
        query = dns.message.make_query(
            "www.example.test", "A", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")]
        )
        data = self.respond(query.to_wire())
        assert data is not None
        self.assertLess(len(data), 100)


class QuestionTests(SynchronousTestCase):
    def test_names_reach_the_rules_in_lower_case(self) -> None:
        """As wire bytes."""
        asked: list[Question] = []

        def remember(question: Question, asker: Asker) -> Answer:
            asked.append(question)
            return Answer()

        query = dns.message.make_query("WwW.example.TEST", "AAAA")
        Responder(remember, udp_payload=1232, cookies=None).respond(query.to_wire(), stream=False, source=SOURCE)
        self.assertEqual(asked, [Question(from_text("www.example.test"), dns.rdatatype.AAAA)])
