"""What a COOKIE option proves, and what comes back (RFC 7873 s5)."""

from __future__ import annotations

import dns.edns
import dns.message
import dns.rcode

from appliance.model import Asker, Proof
from appliance.nameserver import Responder
from appliance.naming import Answer, Question
from tests.nameserver.asking import (
    CLIENT_COOKIE,
    GOOD_COOKIE,
    SOURCE,
    Asking,
    cookie_of,
    responder_with_cookies,
    with_cookie,
)


class CookieTests(Asking):
    """RFC 7873 s5.2."""

    def setUp(self) -> None:
        self.asked: list[Asker] = []
        self.responder = responder_with_cookies(self.asked)

    def test_no_cookie(self) -> None:
        """Gets none, with EDNS or without."""
        for edns in (-1, 0):
            response = self.ask(dns.message.make_query("www.example.test", "A", use_edns=edns))
            self.assertEqual((response.edns, response.options), (edns, ()))
        self.assertEqual(self.asked, [Asker(SOURCE, Proof.NONE)] * 2)

    def test_what_a_cookie_proves(self) -> None:
        """Only a valid one proves anything, each gets a good one back, and a stream needs none."""
        for cookie, proof in (
            (CLIENT_COOKIE, Proof.NONE),
            (GOOD_COOKIE, Proof.COOKIE),
            (GOOD_COOKIE[:-1] + b"?", Proof.NONE),
            (CLIENT_COOKIE + b"another's" * 3, Proof.NONE),
        ):
            response = self.ask(with_cookie(cookie))
            self.assertEqual((response.rcode(), cookie_of(response)), (dns.rcode.NOERROR, GOOD_COOKIE))
            self.assertEqual(self.asked.pop(), Asker(SOURCE, proof))
            self.ask(with_cookie(cookie), stream=True)
            self.assertEqual(self.asked.pop(), Asker(SOURCE, Proof.STREAM))

    def test_malformed(self) -> None:
        """FORMERR, and nobody is asked (s5.2.2)."""
        for size in (0, 7, 9, 15, 41):
            response = self.ask(with_cookie(b"c" * size))
            self.assertEqual(response.rcode(), dns.rcode.FORMERR, size)
        self.assertEqual(self.asked, [])

    def test_the_first_counts(self) -> None:
        """Of several options."""
        query = with_cookie(GOOD_COOKIE)
        worse = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, CLIENT_COOKIE)
        query.use_edns(0, options=[*query.options, worse])
        self.assertEqual(len(self.ask(query).options), 1)
        self.assertEqual(self.asked, [Asker(SOURCE, Proof.COOKIE)])

    def test_bad_news_has_a_cookie_too(self) -> None:
        """An asker that expects one discards a response without it (s5.3): truncation, errors, our bugs."""
        for name, rcode in (
            ("again.example.test", dns.rcode.NOERROR),
            ("big.example.test", dns.rcode.NOERROR),
            ("broken.example.test", dns.rcode.SERVFAIL),
        ):
            response = self.ask(with_cookie(GOOD_COOKIE, name))
            self.assertEqual((response.rcode(), cookie_of(response)), (rcode, GOOD_COOKIE), name)
        self.flushLoggedErrors(RuntimeError)

    def test_another_version_of_edns(self) -> None:
        """Is BADVERS without options: nobody knows what they mean there, and nobody is asked (RFC 6891 s6.1.3)."""
        response = self.ask(with_cookie(GOOD_COOKIE, edns=1))
        self.assertEqual((response.rcode(), response.options), (dns.rcode.BADVERS, ()))
        self.assertEqual(self.asked, [])

    def test_disabled(self) -> None:
        """A cookie is neither answered nor believed."""

        def remember(question: Question, asker: Asker) -> Answer:
            self.asked.append(asker)
            return Answer()

        self.responder = Responder(remember, udp_payload=1232, cookies=None)
        self.assertEqual(self.ask(with_cookie(GOOD_COOKIE)).options, ())
        self.assertEqual(self.asked, [Asker(SOURCE, Proof.NONE)])
