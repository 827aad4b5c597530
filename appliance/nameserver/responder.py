"""
From the bytes of a query to the bytes of its response.

What is not a query is dropped (QR=1 above all: answering answers makes loops between servers); what is a query and
cannot be understood gets header and question back with a code.  dnspython reads and writes the messages.

Theory of operation: ``respond`` reads the query; ``_decide`` judges its cookie and asks for an answer, which comes now
or (a new lease waits for the disk) later; ``_response`` asks the rate limiter, writes it, and shows it to the wire
cache, which answers most queries before they come here.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

import attrs
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.model import Asker, Proof
from appliance.nameserver.cookies import Cookies, CookieState
from appliance.nameserver.forms import CLASSIC_LIMIT, brief, slim
from appliance.nameserver.identity import Identity
from appliance.nameserver.query import Query, client_network
from appliance.nameserver.ratelimit import Kind, RateLimiter, Verdict, error_kind, kind_of
from appliance.nameserver.sources import Source
from appliance.nameserver.wirecache import WireCache
from appliance.nameserver.zonetransfers import Messages, Sending, Transfers
from appliance.naming import Answer, Question, fill
from appliance.naming.names import wire

HEADER_SIZE = 12
STREAM_LIMIT = 65535
MAX_ERROR_TEXT = 100
"""Of an Extended DNS Error: with the longest name and a cookie it still fits into CLASSIC_LIMIT."""

Decide = Callable[[Question, Asker], Answer | Deferred[Answer | None] | None]
"""None means that the query is to be dropped; a Deferred, that the answer comes later."""
Response = bytes | Deferred[bytes | None] | Messages | None
"""Messages for a stream only."""

_QR = 0x8000
_BADVERS = Answer(rcode=dns.rcode.BADVERS, authoritative=False)
_BADCOOKIE = Answer(rcode=dns.rcode.BADCOOKIE, authoritative=False, for_all=False)
_COOKIE_ONLY = Answer(authoritative=False, for_all=False)
_REFUSED = Answer(rcode=dns.rcode.REFUSED, authoritative=False)
_FORMERR = Answer(rcode=dns.rcode.FORMERR, authoritative=False)
_SERVFAIL = Answer(rcode=dns.rcode.SERVFAIL, authoritative=False, for_all=False)
_SLIP = Answer(truncated=True, for_all=False)
_NOTIMP = Answer(rcode=dns.rcode.NOTIMP, authoritative=False)
_CLASSES = (dns.rdataclass.IN, dns.rdataclass.ANY)
_META = frozenset(map(dns.rdatatype.RdataType.make, (249, 250, 253, 254)))
"""TKEY, TSIG, MAILB, MAILA: types of questions that nobody has data for (RFC 6895 s3.1)."""
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


class Responder:
    """
    :param answer: decides; None means that the query is to be dropped.
    :param udp_payload: longest UDP response that we send, and what our OPT says (RFC 6891 s6.2.5).
    :param cookies: None when there are to be none.
    :param limiter: None when there is to be no limit.
    :param seconds: the clock of the limiter.
    :ivar transfers: knows the keys of signed queries, and answers NOTIFY, AXFR and IXFR; None: they are refused.
    :ivar datagrams: remembers what was answered over UDP, ``streams`` over TCP; None: nothing is remembered.
    """

    _log = Logger()

    def __init__(
        self,
        answer: Decide,
        *,
        udp_payload: int,
        cookies: Cookies | None = None,
        limiter: RateLimiter | None = None,
        seconds: Callable[[], float] = float,
        identity: Identity | None = None,
    ) -> None:
        self._answer = answer
        self.udp_payload = udp_payload
        self._cookies = cookies
        self._limiter = limiter
        self._seconds = seconds
        self.identity = identity or Identity()
        self.client_subnet = False
        self.keepalive = 0.0
        self.transfers: Transfers | None = None
        self.datagrams: WireCache | None = None
        self.streams: WireCache | None = None
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
        flags, questions = struct.unpack_from("!HH", data, 2)
        if flags & _QR:
            self.happened["dropped"] += 1
            return None
        self.happened["queries"] += 1

        def in_short(rcode: dns.rcode.Rcode) -> bytes | None:
            if not stream and self._judge(error_kind(rcode), source) is not Verdict.SEND:
                return None
            self.happened[dns.rcode.to_text(rcode)] += 1
            return brief(data, rcode, self.udp_payload)

        opcode = flags >> 11 & 0xF
        if opcode != dns.opcode.QUERY and not (opcode == dns.opcode.NOTIFY and self.transfers is not None):
            return in_short(dns.rcode.NOTIMP)
        if questions > 1:
            return in_short(dns.rcode.FORMERR)
        try:
            query = self._read(data, source, stream=stream)
        except (dns.exception.DNSException, ValueError, struct.error, IndexError) as error:
            told = self.transfers.unproven(data, error) if self.transfers is not None else None
            if told is None:
                return in_short(dns.rcode.FORMERR)
            # Through the limiter, and counted, as any error.
            return told if in_short(dns.rcode.NOTAUTH) is not None else None
        if not questions and (query.cookie is None or opcode != dns.opcode.QUERY):
            return in_short(dns.rcode.FORMERR)

        def broken(failure: Failure) -> bytes:
            # A reactor edge: whatever is wrong with this answer, the next query must be answered.
            self._log.failure(
                "{event}: no answer to {question}", failure, event="answer-failed", question=query.message.question
            )
            try:
                # Whole, for an asker that sent a cookie discards a response without one (RFC 7873 s5.3).
                return self._render(query, _SERVFAIL).to_wire()
            except Exception:
                return in_short(dns.rcode.SERVFAIL) or b""

        try:
            answer = self._decide(query)
            if isinstance(answer, Deferred):
                return answer.addCallback(lambda answer: self._response(query, answer)).addErrback(broken)
            if callable(answer):
                return answer(self._render(query, Answer()))
            return self._response(query, answer)
        except Exception:
            return broken(Failure())

    def _read(self, data: bytes, source: Source, *, stream: bool) -> Query:
        keyring = self.transfers.keyring if self.transfers is not None else None
        used = _OPTIONS if not self.client_subnet else _OPTIONS | {dns.edns.OptionType.ECS}
        message = dns.message.from_wire(slim(data, used), keyring, ignore_trailing=True)
        cache = self.streams if stream else self.datagrams
        age = 0
        if cache is not None:
            cache.begin()
            age = cache.age
        query = Query(data=data, message=message, source=source, stream=stream, age=age)
        cookie = query.option(dns.edns.OptionType.COOKIE)
        if self._cookies is None or not isinstance(cookie, dns.edns.CookieOption):
            return query
        state = self._cookies.check(cookie.client, cookie.server, source.packed)
        self.happened[f"cookie-{state.value}"] += 1
        return attrs.evolve(query, cookie=cookie, state=state)

    def _decide(self, query: Query) -> Answer | Deferred[Answer | None] | Sending | None:
        message = query.message
        if message.edns > 0:
            return _BADVERS
        if not message.question:
            # RFC 7873 s5.4: a client that wants nothing but a cookie.
            return _BADCOOKIE if query.state is CookieState.INVALID else _COOKIE_ONLY
        [question] = message.question
        special = question.rdtype in _TRANSFERS or message.opcode() != dns.opcode.QUERY
        if special and question.rdclass == dns.rdataclass.IN and self.transfers is not None:
            return self.transfers.answer(message, query.source, stream=query.stream)
        if question.rdclass not in _CLASSES or question.rdtype in _TRANSFERS:
            return _REFUSED
        if question.rdtype in _META:
            return _NOTIMP
        client = None
        subnet = query.option(dns.edns.OptionType.ECS)
        if self.client_subnet and isinstance(subnet, dns.edns.ECSOption):
            try:
                client = client_network(subnet)
            except dns.exception.FormError:
                return _FORMERR
        proof = Proof.STREAM if query.stream else Proof.NONE
        if query.state is CookieState.VALID:
            proof = max(proof, Proof.COOKIE)
        return self._answer(Question(wire(question.name), question.rdtype), Asker(query.source, proof, client))

    def _response(self, query: Query, answer: Answer | None) -> bytes | None:
        if answer is None:
            self.happened["dropped"] += 1
            return None
        kind = self._kind(query, answer)
        if not query.stream and query.state is not CookieState.VALID:
            verdict = self._judge(kind, query.source)
            if verdict is Verdict.DROP:
                return None
            if verdict is Verdict.SLIP:
                # Who sent a client cookie has only to send it again with ours; others come over TCP.
                answer = _SLIP if query.cookie is None else _BADCOOKIE
        response = self._render(query, answer)
        self.happened[dns.rcode.to_text(response.rcode())] += 1
        limit = STREAM_LIMIT if query.stream else self._datagram_limit(query.message)
        # The best of those who were chosen comes first; records of zones are shuffled.
        shuffle = answer.customer is None
        data = bytes(response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=shuffle) or b"")
        cache = self.streams if query.stream else self.datagrams
        if cache is not None and answer.for_all:
            cache.learn(query.data, data, answer, kind, query.age)
        return data

    def _kind(self, query: Query, answer: Answer) -> Kind:
        """Under what the rate limiter counts it."""
        if not query.message.question:
            return error_kind(answer.rcode)
        [question] = query.message.question
        return kind_of(Question(wire(question.name), question.rdtype), answer)

    def _judge(self, kind: Kind, source: Source) -> Verdict:
        if self._limiter is None:
            return Verdict.SEND
        verdict = self._limiter.judge(kind, source.packed, self._seconds())
        if verdict is not Verdict.SEND:
            self.happened[f"limited-{verdict.value}"] += 1
        return verdict

    def _render(self, query: Query, answer: Answer) -> dns.message.Message:
        message = query.message
        # Never padded: RFC 7830 s6 wants that for encrypted transports, and to a forged source it would be a gift.
        response = dns.message.make_response(message, our_payload=self.udp_payload, pad=0)
        fill(response, answer)
        if answer.truncated and not query.stream:
            response.flags |= dns.flags.TC
            self.happened["truncated"] += 1
        if message.question and message.question[0].rdclass == dns.rdataclass.CH and message.edns <= 0:
            told = self.identity.chaos(message.question[0].name, message.question[0].rdtype)
            if told is not None:
                response.set_rcode(dns.rcode.NOERROR)
                response.flags |= dns.flags.AA
                response.answer.append(told)
        if message.edns == 0:
            # DO is copied (RFC 3225 s3).
            flags = response.ednsflags | message.ednsflags & dns.flags.DO
            response.use_edns(0, flags, self.udp_payload, message.payload, self._options(query, answer))
        return response

    def _options(self, query: Query, answer: Answer) -> list[dns.edns.Option]:
        """What our OPT says beside its size; nothing that was not asked for, but for an error's reason."""
        options: list[dns.edns.Option] = []
        if self.identity.nsid and query.option(dns.edns.OptionType.NSID) is not None:
            options.append(dns.edns.NSIDOption(self.identity.nsid.encode()))
        subnet = query.option(dns.edns.OptionType.ECS)
        if self.client_subnet and isinstance(subnet, dns.edns.ECSOption):
            # Nothing depends on a network that was not told.
            scope = answer.scope if subnet.srclen else 0
            options.append(dns.edns.ECSOption(subnet.address, subnet.srclen, scope))
        if query.stream and self.keepalive and query.option(_KEEPALIVE) is not None:
            tenths = min(int(self.keepalive * 10), 65535)
            options.append(dns.edns.GenericOption(_KEEPALIVE, struct.pack("!H", tenths)))
        if answer.error is not None:
            code = dns.edns.EDECode.make(answer.error.code)
            options.append(dns.edns.EDEOption(code, answer.error.text[:MAX_ERROR_TEXT]))
        if query.cookie is not None and query.state is not None and self._cookies is not None:
            # The last one, where the wire cache expects it.
            client, server = query.cookie.client, query.cookie.server
            made = self._cookies.again(client, server, query.source.packed, query.state)
            options.append(dns.edns.CookieOption(client, made))
        return options

    def _datagram_limit(self, query: dns.message.Message) -> int:
        if query.edns < 0:
            return CLASSIC_LIMIT
        return min(max(query.payload, CLASSIC_LIMIT), self.udp_payload)


_KEEPALIVE = dns.edns.OptionType.make(11)
"""edns-tcp-keepalive (RFC 7828), which dnspython keeps as bytes."""
_OPTIONS = frozenset({dns.edns.OptionType.NSID, dns.edns.OptionType.COOKIE, _KEEPALIVE})
"""What is read of an OPT; all others are ignored, whatever they hold (RFC 6891 s6.1.2)."""
