"""
From the bytes of a query to the bytes of its response.

What is not a query is dropped (QR=1 above all: answering answers makes loops between servers); what is a query and
cannot be understood gets the header back with a code.  dnspython reads and writes the messages.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from twisted.logger import Logger

from appliance.naming import Answer, Question, RRset
from appliance.naming.names import to_name, wire

HEADER_SIZE = 12
CLASSIC_LIMIT = 512
"""Longest UDP response to a query without EDNS (RFC 1035 s4.2.1)."""
STREAM_LIMIT = 65535

_QR = 0x8000
_RD = 0x0100
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


class Responder:
    """
    :param answer: decides; None means that the query is to be dropped.
    :param udp_payload: longest UDP response that we send, and what our OPT says (RFC 6891 s6.2.5).
    """

    _log = Logger()

    def __init__(self, answer: Callable[[Question], Answer | None], *, udp_payload: int) -> None:
        self._answer = answer
        self.udp_payload = udp_payload
        self.happened: Counter[str] = Counter()

    def respond(self, data: bytes, *, stream: bool) -> bytes | None:
        """
        :param data: a message as it came.
        :param stream: it came over TCP, so its response may be as long as a message can be.
        :return: the response, or None to say nothing.
        """
        if len(data) < HEADER_SIZE:
            self.happened["dropped"] += 1
            return None
        ident, flags, questions = struct.unpack_from("!HHH", data)
        if flags & _QR:
            self.happened["dropped"] += 1
            return None
        self.happened["queries"] += 1
        opcode = flags >> 11 & 0xF
        if opcode != dns.opcode.QUERY:
            return self._header(ident, flags, dns.rcode.NOTIMP)
        if questions != 1:
            return self._header(ident, flags, dns.rcode.FORMERR)
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError, struct.error, IndexError):
            return self._header(ident, flags, dns.rcode.FORMERR)
        try:
            return self._response(query, stream=stream)
        except Exception:
            # A reactor edge: whatever is wrong with this answer, the next query must be answered.
            self._log.failure("{event}: no answer to {question}", event="answer-failed", question=query.question)
            return self._header(ident, flags, dns.rcode.SERVFAIL)

    def _response(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        response = dns.message.make_response(query, our_payload=self.udp_payload)
        if query.edns > 0:
            response.set_rcode(dns.rcode.BADVERS)
        else:
            answer = self._decide(query)
            if answer is None:
                self.happened["dropped"] += 1
                return None
            response.set_rcode(answer.rcode)
            if answer.authoritative:
                response.flags |= dns.flags.AA
            response.answer.extend(_rrsets(answer.answer, query))
            response.authority.extend(_rrsets(answer.authority, query))
            response.additional.extend(_rrsets(answer.additional, query))
        self.happened[dns.rcode.to_text(response.rcode())] += 1
        limit = STREAM_LIMIT if stream else self._datagram_limit(query)
        return bytes(response.to_wire(max_size=limit, prefer_truncation=True) or b"")

    def _decide(self, query: dns.message.Message) -> Answer | None:
        [question] = query.question
        if question.rdclass != dns.rdataclass.IN or question.rdtype in _TRANSFERS:
            return Answer(rcode=dns.rcode.REFUSED, authoritative=False)
        return self._answer(Question(wire(question.name), question.rdtype))

    def _datagram_limit(self, query: dns.message.Message) -> int:
        if query.edns < 0:
            return CLASSIC_LIMIT
        return min(max(query.payload, CLASSIC_LIMIT), self.udp_payload)

    def _header(self, ident: int, flags: int, rcode: dns.rcode.Rcode) -> bytes:
        """A response without a question: the query's id, opcode and RD, and a code."""
        self.happened[dns.rcode.to_text(rcode)] += 1
        return struct.pack("!HHHHHH", ident, _QR | flags & (0x7800 | _RD) | rcode, 0, 0, 0, 0)


def _rrsets(rrsets: Iterable[RRset], query: dns.message.Message) -> Iterable[dns.rrset.RRset]:
    """In dnspython's form; the name asked for is spelt as it was asked (0x20), which compression then shares."""
    asked = query.question[0].name
    asked_wire = wire(asked)
    for rrset in rrsets:
        owner = asked if rrset.owner == asked_wire else to_name(rrset.owner)
        yield dns.rrset.from_rdata_list(owner, rrset.ttl, rrset.rdatas)
