"""
From the bytes of a query to the bytes of its response.

What is not a query is dropped (QR=1 above all: answering answers makes loops between servers); what is a query and
cannot be understood gets the header back with a code.  dnspython reads and writes the messages.

Theory of operation: ``respond`` reads the query; ``_decide`` judges its cookie and asks for an answer, which comes now
or (a new lease waits for the disk) later; ``_response`` writes it.
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
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.model import Asker, Proof
from appliance.nameserver.cookies import Cookies, CookieState
from appliance.nameserver.sources import Source
from appliance.naming import Answer, Question, RRset
from appliance.naming.names import to_name, wire

HEADER_SIZE = 12
CLASSIC_LIMIT = 512
"""Longest UDP response to a query without EDNS (RFC 1035 s4.2.1)."""
STREAM_LIMIT = 65535
MAX_ERROR_TEXT = 100
"""Of an Extended DNS Error: with the longest name and a cookie it still fits into CLASSIC_LIMIT."""

Decide = Callable[[Question, Asker], Answer | Deferred[Answer | None] | None]
"""None means that the query is to be dropped; a Deferred, that the answer comes later."""
Response = bytes | Deferred[bytes | None] | None

_QR = 0x8000
_RD = 0x0100
_BADVERS = Answer(rcode=dns.rcode.BADVERS, authoritative=False)
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)
_SERVFAIL = Answer(rcode=dns.rcode.SERVFAIL, authoritative=False)


class Responder:
    """
    :param answer: decides; None means that the query is to be dropped.
    :param udp_payload: longest UDP response that we send, and what our OPT says (RFC 6891 s6.2.5).
    :param cookies: None when there are to be none.
    """

    _log = Logger()

    def __init__(self, answer: Decide, *, udp_payload: int, cookies: Cookies | None = None) -> None:
        self._answer = answer
        self.udp_payload = udp_payload
        self._cookies = cookies
        self.happened: Counter[str] = Counter()

    def respond(self, data: bytes, *, stream: bool, source: Source) -> Response:
        """
        :param data: a message as it came.
        :param stream: it came over TCP, so its response may be as long as a message can be.
        :param source: the address that it came from.
        :return: the response, or None to say nothing; a Deferred of the same never fails.
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

        def broken(failure: Failure) -> bytes:
            # A reactor edge: whatever is wrong with this answer, the next query must be answered.
            self._log.failure(
                "{event}: no answer to {question}", failure, event="answer-failed", question=query.question
            )
            try:
                # Whole, for an asker that sent a cookie discards a response without one (RFC 7873 s5.3).
                return self._response(query, _SERVFAIL, source, stream=stream) or b""
            except Exception:
                return self._header(ident, flags, dns.rcode.SERVFAIL)

        try:
            answer = self._decide(query, source, stream=stream)
            if isinstance(answer, Deferred):
                late = answer.addCallback(lambda answer: self._response(query, answer, source, stream=stream))
                return late.addErrback(broken)
            return self._response(query, answer, source, stream=stream)
        except Exception:
            return broken(Failure())

    def _decide(
        self, query: dns.message.Message, source: Source, *, stream: bool
    ) -> Answer | Deferred[Answer | None] | None:
        if query.edns > 0:
            return _BADVERS
        [question] = query.question
        if question.rdclass != dns.rdataclass.IN or question.rdtype in _TRANSFERS:
            return Answer(rcode=dns.rcode.REFUSED, authoritative=False)
        proof = Proof.STREAM if stream else Proof.NONE
        cookie = self._cookie(query)
        if cookie is not None and self._cookies is not None:
            state = self._cookies.check(cookie.client, cookie.server, source)
            self.happened[f"cookie-{state.value}"] += 1
            if state is CookieState.VALID:
                proof = max(proof, Proof.COOKIE)
        return self._answer(Question(wire(question.name), question.rdtype), Asker(source, proof))

    def _response(
        self, query: dns.message.Message, answer: Answer | None, source: Source, *, stream: bool
    ) -> bytes | None:
        if answer is None:
            self.happened["dropped"] += 1
            return None
        # Never padded: RFC 7830 s6 wants that for encrypted transports, and to a forged source it would be a gift.
        response = dns.message.make_response(query, our_payload=self.udp_payload, pad=0)
        response.set_rcode(answer.rcode)
        if answer.authoritative:
            response.flags |= dns.flags.AA
        if answer.truncated and not stream:
            response.flags |= dns.flags.TC
            self.happened["truncated"] += 1
        response.answer.extend(_rrsets(answer.answer, query))
        response.authority.extend(_rrsets(answer.authority, query))
        response.additional.extend(_rrsets(answer.additional, query))
        options = self._options(query, answer, source)
        if options:
            response.use_edns(0, response.ednsflags, self.udp_payload, query.payload, options)
        self.happened[dns.rcode.to_text(response.rcode())] += 1
        limit = STREAM_LIMIT if stream else self._datagram_limit(query)
        return bytes(response.to_wire(max_size=limit, prefer_truncation=True) or b"")

    def _options(self, query: dns.message.Message, answer: Answer, source: Source) -> list[dns.edns.Option]:
        """What our OPT says beside its size; nothing to those who do not speak EDNS."""
        options: list[dns.edns.Option] = []
        if query.edns != 0:
            return options
        cookie = self._cookie(query)
        if cookie is not None and self._cookies is not None:
            # A fresh one each time, so that a client that keeps asking never holds an old one.
            options.append(dns.edns.CookieOption(cookie.client, self._cookies.make(cookie.client, source)))
        if answer.error is not None:
            options.append(
                dns.edns.EDEOption(dns.edns.EDECode.make(answer.error.code), answer.error.text[:MAX_ERROR_TEXT])
            )
        return options

    def _cookie(self, query: dns.message.Message) -> dns.edns.CookieOption | None:
        """The first COOKIE option; others are ignored (RFC 7873 s5.2)."""
        return next((option for option in query.options if isinstance(option, dns.edns.CookieOption)), None)

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
