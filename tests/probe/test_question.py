"""A question to a name server: which answer is one, and which is well."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause
from appliance.probe.question import Question
from tests.probe.talking import PLACES, cause_of, same_however_cut, talk

IDENT = 4711


def question(*, stream: bool = False, qtype: str = "A") -> Question:
    return Question("www.example.test", qtype, IDENT, stream=stream)


def answer(*records: str, rcode: str = "NOERROR", ident: int = IDENT, qname: str = "www.example.test") -> bytes:
    query = dns.message.make_query(qname, "A", id=ident)
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.from_text(rcode))
    response.answer = [dns.rrset.from_text(*record.split()) for record in records]  # type: ignore[arg-type]
    return response.to_wire()


GOOD = answer("www.example.test. 5 IN A 192.0.2.1")


def framed(wire: bytes) -> bytes:
    return len(wire).to_bytes(2, "big") + wire


class QuestionTests(SynchronousTestCase):
    def test_what_is_asked(self) -> None:
        for stream in (False, True):
            said, _ = talk(question(stream=stream), [], ends=False)
            query = dns.message.from_wire(said[2:] if stream else said)
            self.assertEqual((query.id, str(query.question[0])), (IDENT, "www.example.test. IN A"))

    def test_findings(self) -> None:
        alias = ("www.example.test. 5 IN CNAME a.example.test.", "a.example.test. 5 IN A 192.0.2.1")
        for wire, cause in (
            (GOOD, Cause.OK),
            (answer(*alias), Cause.OK),
            (answer(alias[0]), Cause.CONTENT),
            (answer(), Cause.CONTENT),
            (answer(rcode="SERVFAIL"), Cause.STATUS),
            (answer(rcode="NXDOMAIN"), Cause.STATUS),
            (GOOD[:3] + b"\x81" + b"\0" * 8, Cause.STATUS),
            (GOOD[:-1], Cause.PROTOCOL),
        ):
            self.assertIs(cause_of(question(), wire), cause)
            self.assertIs(cause_of(question(stream=True), framed(wire)), cause)

    def test_a_truncated_answer_is_one_over_udp(self) -> None:
        truncated = bytearray(answer())
        truncated[2] |= 0x02
        self.assertIs(cause_of(question(), bytes(truncated)), Cause.OK)
        self.assertIs(cause_of(question(stream=True), framed(bytes(truncated))), Cause.CONTENT)

    def test_the_letters_case_is_the_servers(self) -> None:
        self.assertIs(cause_of(question(), GOOD.replace(b"www", b"wWW")), Cause.OK)

    def test_what_is_no_answer_is_passed_over(self) -> None:
        """Over UDP anybody may send, and a late answer to the question before comes too."""
        query, _ = talk(question(), [], ends=False)
        others = (
            answer("www.example.test. 5 IN A 192.0.2.1", ident=IDENT + 1),
            answer("mail.example.test. 5 IN A 192.0.2.1", qname="mail.example.test"),
            query,
            b"",
            GOOD[:11],
        )
        for other in others:
            self.assertIsNone(cause_of(question(), other, ends=False))
            self.assertIs(cause_of(question(), other, GOOD), Cause.OK)
            self.assertIs(cause_of(question(stream=True), framed(other)), Cause.PROTOCOL)

    def test_a_stream_that_ends_early(self) -> None:
        self.assertIs(cause_of(question(stream=True), framed(GOOD)[:-1]), Cause.CLOSED)

    def test_what_cannot_be_asked(self) -> None:
        self.assertRaises(ValueError, Question, "a..b", "A", 1, stream=False)
        self.assertRaises(ValueError, Question, "a", "NOTYPE", 1, stream=False)

    @settings(max_examples=50)
    @given(places=PLACES)
    def test_pieces_make_no_difference(self, places: list[int]) -> None:
        same_however_cut(lambda: question(stream=True), framed(GOOD), places)

    @settings(max_examples=150)
    @given(
        garbage=st.binary(max_size=80),
        flips=st.lists(st.tuples(st.integers(12, len(GOOD) - 1), st.integers(1, 255)), max_size=4),
    )
    def test_garbage_never_raises(self, garbage: bytes, flips: list[tuple[int, int]]) -> None:
        flipped = bytearray(GOOD)
        for place, bits in flips:
            flipped[place] ^= bits
        for wire in (garbage, GOOD[:12] + garbage, GOOD[:34] + garbage, bytes(flipped)):
            cause_of(question(), wire)
            cause_of(question(stream=True), framed(wire))
