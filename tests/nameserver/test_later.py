"""Answers that come later, because their lease has to reach the disk first."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import TCPLimits
from appliance.model import Asker
from appliance.nameserver import Cookies, Responder, datagrams
from appliance.nameserver.responder import Decide
from appliance.nameserver.streams import QueryStreams
from appliance.naming import Answer, Question, RRset
from tests.nameserver.asking import GOOD_COOKIE, NOW, SECRET, SOURCE, Waiting, cookie_of, with_cookie


def answering(answer: Deferred[Answer | None]) -> Decide:
    """A world in which every question has this answer."""

    def decide(question: Question, asker: Asker) -> Deferred[Answer | None]:
        return answer

    return decide


class LaterTests(SynchronousTestCase):
    """Answers that wait for the disk."""

    def setUp(self) -> None:
        self.world = Waiting()
        self.responder = Responder(self.world.answer, udp_payload=1232, cookies=Cookies([SECRET], lambda: NOW))

    def ask(self, query: dns.message.Message, *, stream: bool = False) -> Deferred[bytes | None] | None:
        response = self.responder.respond(query.to_wire(), stream=stream, source=SOURCE)
        assert response is None or isinstance(response, Deferred)
        return response

    def result(self, response: Deferred[bytes | None] | None) -> dns.message.Message:
        assert response is not None
        data = self.successResultOf(response)
        assert data is not None
        return dns.message.from_wire(data)

    def test_it_is_written_when_it_comes(self) -> None:
        """With all that an answer at once would have."""
        response = self.ask(with_cookie(GOOD_COOKIE, "NEW.example.test"))
        assert response is not None
        self.assertNoResult(response)
        self.world.decided()
        message = self.result(response)
        self.assertEqual(str(message.answer[0]), "NEW.example.test. 10 IN A 192.0.2.1")
        self.assertEqual(cookie_of(message), GOOD_COOKIE)
        self.assertEqual(self.responder.happened, {"queries": 1, "cookie-valid": 1, "NOERROR": 1})

    def test_it_fails(self) -> None:
        """Is logged and SERVFAIL, with the cookie without which it would not be believed."""
        response = self.ask(with_cookie(GOOD_COOKIE, "new.example.test"))
        self.world.waiting.pop()[1].errback(RuntimeError("our bug"))
        message = self.result(response)
        self.assertEqual((message.rcode(), cookie_of(message)), (dns.rcode.SERVFAIL, GOOD_COOKIE))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_it_cannot_be_written(self) -> None:
        """An answer that no message can hold is logged and SERVFAIL."""
        response = self.ask(dns.message.make_query("new.example.test", "A"))
        self.world.waiting.pop()[1].callback(Answer(answer=(RRset(b"\x3f", dns.rdatatype.A, 10, ()),)))
        self.assertEqual(self.result(response).rcode(), dns.rcode.SERVFAIL)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_it_is_to_be_dropped(self) -> None:
        """``when_exhausted: drop``, found out later."""
        response = self.ask(dns.message.make_query("new.example.test", "A"))
        self.world.waiting.pop()[1].callback(None)
        assert response is not None
        self.assertIsNone(self.successResultOf(response))
        self.assertEqual(self.responder.happened["dropped"], 1)

    def test_it_is_there_already(self) -> None:
        """A Deferred may have fired, or failed."""
        query = dns.message.make_query("www.example.test", "A")
        answers: list[tuple[Deferred[Answer | None], dns.rcode.Rcode]] = [
            (succeed(Answer()), dns.rcode.NOERROR),
            (fail(RuntimeError("our bug")), dns.rcode.SERVFAIL),
        ]
        for answer, rcode in answers:
            self.responder = Responder(answering(answer), udp_payload=1232, cookies=None)
            self.assertEqual(self.result(self.ask(query)).rcode(), rcode)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class Port:
    """What a datagram protocol writes to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[str, int]]] = []
        self.refuses = False

    def write(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.refuses:
            raise PermissionError(1, "Operation not permitted")
        self.sent.append((dns.message.from_wire(data).question[0].name.to_text(), addr))


class DatagramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world, self.port = Waiting(), Port()
        self.responder = Responder(self.world.answer, udp_payload=1232, cookies=None)
        clock: Any = Clock()
        streams = QueryStreams(self.responder, TCPLimits(), clock)
        self.protocol = datagrams.QueryDatagrams(streams, self.responder, None, clock)
        self.protocol.makeConnection(self.port)  # type: ignore[arg-type]

    def ask(self, name: str, port: int = 5300) -> None:
        self.protocol.datagramReceived(dns.message.make_query(name, "A").to_wire(), ("192.0.2.7", port))

    def test_others_overtake_it(self) -> None:
        """And each answer goes to its asker."""
        self.ask("new.example.test", 1)
        self.ask("old.example.test", 2)
        self.world.decided()
        sent = [("old.example.test.", ("192.0.2.7", 2)), ("new.example.test.", ("192.0.2.7", 1))]
        self.assertEqual(self.port.sent, sent)

    def test_the_port_is_closed(self) -> None:
        """When the answer comes: nobody is told, nothing is wrong."""
        self.ask("new.example.test")
        self.protocol.stopProtocol()
        self.world.decided()
        self.assertEqual((self.port.sent, self.flushLoggedErrors()), ([], []))

    def test_the_kernel_does_not_take_it(self) -> None:
        """Counted; no traceback a packet, and the next is sent."""
        self.port.refuses = True
        self.ask("new.example.test")
        self.ask("old.example.test")
        self.world.decided()
        self.assertEqual(self.responder.happened["unsent"], 2)
        self.port.refuses = False
        self.ask("old.example.test")
        self.assertEqual((len(self.port.sent), self.flushLoggedErrors()), (1, []))

    def test_so_many_wait(self) -> None:
        """One more is dropped, counted and not decided; an answer or a failure makes room."""
        self.patch(datagrams, "MOST_WAITING", 2)
        for _ in range(3):
            self.ask("new.example.test")
        self.assertEqual((len(self.world.waiting), self.responder.happened["dropped"]), (2, 1))
        self.world.decided()
        self.world.waiting.pop()[1].errback(RuntimeError("our bug"))
        self.assertEqual(len(self.port.sent), 2)
        for _ in range(3):
            self.ask("new.example.test")
        self.assertEqual((len(self.world.waiting), self.responder.happened["dropped"]), (2, 2))
        self.flushLoggedErrors(RuntimeError)
