"""A small world of names, and who asks a Responder about it."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.edns
import dns.message
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Asker
from appliance.nameserver import Cookies, Responder
from appliance.naming import Answer, ExtendedError, Question, RRset

SOURCE = IPv4Address("198.51.100.100")
SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT_COOKIE = bytes.fromhex("2464c4abcf10c957")
NOW = 1559731985.0
"""The time of RFC 9018 A.1, whose secret, source and client cookie are above."""
GOOD_COOKIE = CLIENT_COOKIE + bytes.fromhex("010000005cf79f111f8130c3eee29480")
NOT_READY = ExtendedError(14, "the lease is not written yet")

TXT = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, '"' + "x" * 200 + '"')


def rrset(name: bytes, count: int = 1) -> RRset:
    """``count`` A records for a name."""
    rdatas = [
        dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.A, str(IPv4Address("192.0.2.1") + number))
        for number in range(count)
    ]
    return RRset(name, dns.rdatatype.A, 10, tuple(rdatas))


def decide(question: Question, asker: Asker) -> Answer | None:
    """A small world: ``big`` has 100 addresses, ``quiet`` is dropped, ``broken`` raises, all else has one address."""
    label = question.qname[1 : 1 + question.qname[0]]
    if label == b"quiet":
        return None
    if label == b"broken":
        raise RuntimeError("our bug")
    if label == b"again":
        return Answer(truncated=True, error=NOT_READY)
    return Answer(answer=(rrset(question.qname, 100 if label == b"big" else 1),))


class Waiting:
    """A world in which names that begin with ``new`` wait for their lease, until ``decided`` has their answer."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Question, Deferred[Answer | None]]] = []

    def answer(self, question: Question, asker: Asker) -> Answer | Deferred[Answer | None] | None:
        if not question.qname[1:].startswith(b"new"):
            return decide(question, asker)
        later: Deferred[Answer | None] = Deferred()
        self.waiting.append((question, later))
        return later

    def decided(self) -> None:
        """The oldest one that waits has its address."""
        question, later = self.waiting.pop(0)
        later.callback(Answer(answer=(rrset(question.qname),)))


class Asking(SynchronousTestCase):
    """Asks a responder, of which a test may make its own."""

    def setUp(self) -> None:
        self.responder = Responder(decide, udp_payload=1232, cookies=None)

    def respond(self, data: bytes, *, stream: bool = False) -> bytes | None:
        response = self.responder.respond(data, stream=stream, source=SOURCE)
        assert response is None or isinstance(response, bytes)
        return response

    def ask(self, query: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
        data = self.respond(query.to_wire(), stream=stream)
        assert data is not None
        return dns.message.from_wire(data)


def responder_with_cookies(asked: list[Asker] | None = None) -> Responder:
    """One at ``NOW``; whoever asks is added to ``asked``."""

    def remember(question: Question, asker: Asker) -> Answer | None:
        if asked is not None:
            asked.append(asker)
        return decide(question, asker)

    return Responder(remember, udp_payload=1232, cookies=Cookies([SECRET], lambda: NOW))


def with_cookie(cookie: bytes, name: str = "www.example.test", edns: int = 0) -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    return dns.message.make_query(name, "A", use_edns=edns, options=[option])


def cookie_of(response: dns.message.Message) -> bytes | None:
    for option in response.options:
        if option.otype == dns.edns.OptionType.COOKIE:
            return bytes(option.to_wire() or b"")
    return None
