"""What an OPT asks for beside its size, and class CHAOS."""

from __future__ import annotations

from ipaddress import ip_network

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from appliance.model import Asker
from appliance.nameserver import Responder
from appliance.nameserver.identity import Identity
from appliance.naming import Answer, Question
from tests.nameserver.asking import (
    CLIENT_COOKIE,
    GOOD_COOKIE,
    Asking,
    cookie_of,
    decide,
    responder_with_cookies,
    rrset,
    with_cookie,
)

KEEPALIVE = dns.edns.OptionType.make(11)


def query(*options: dns.edns.Option, flags: int = 0) -> dns.message.Message:
    return dns.message.make_query("www.example.test", "A", use_edns=0, ednsflags=flags, options=list(options))


class OptionTests(Asking):
    def test_do_is_copied(self) -> None:
        """RFC 3225 s3; and only DO, with an OPT only."""
        self.assertEqual(self.ask(query(flags=dns.flags.DO)).ednsflags, dns.flags.DO)
        self.assertEqual(self.ask(query(flags=0x7FFF)).ednsflags, 0)

    def test_unknown_options_are_ignored(self) -> None:
        """RFC 6891 s6.1.2."""
        response = self.ask(query(dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"?")))
        self.assertEqual((response.rcode(), response.options), (dns.rcode.NOERROR, ()))

    def test_options_that_are_not_used(self) -> None:
        """Are ignored whatever they hold, for nobody looks: an empty EDE, a second COOKIE of one byte, family 9."""
        for kind, value in ((15, b""), (15, b"\0\0\xff"), (18, b"\xc0"), (8, bytes.fromhex("00091800c00002"))):
            option = dns.edns.GenericOption(dns.edns.OptionType.make(kind), value)
            self.assertEqual(self.ask(query(option)).rcode(), dns.rcode.NOERROR, (kind, value))
        self.responder = responder_with_cookies()
        cookies = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, value) for value in (GOOD_COOKIE, b"?")]
        self.assertEqual(cookie_of(self.ask(query(*cookies))), GOOD_COOKIE)

    def test_nsid(self) -> None:
        """RFC 5001: to who asks, where there is one to tell."""
        asked = query(dns.edns.NSIDOption(b""))
        self.assertEqual(self.ask(asked).options, ())
        self.responder.identity = Identity(nsid="ams1")
        self.assertEqual(self.ask(asked).options, (dns.edns.NSIDOption(b"ams1"),))
        self.assertEqual(self.ask(query()).options, ())

    def test_keepalive(self) -> None:
        """RFC 7828: over TCP, to who asks, in tenths of a second."""
        self.responder.keepalive = 7.25
        asked = query(dns.edns.GenericOption(KEEPALIVE, b""))
        [option] = self.ask(asked, stream=True).options
        self.assertEqual(option.to_wire(), (72).to_bytes(2, "big"))
        self.assertEqual(self.ask(asked).options, ())
        self.assertEqual(self.ask(query(), stream=True).options, ())
        self.responder.keepalive = 86400.0
        [option] = self.ask(asked, stream=True).options
        self.assertEqual(option.to_wire(), b"\xff\xff")

    def test_all_together(self) -> None:
        """They do not get in each other's way."""
        self.responder = responder_with_cookies()
        self.responder.identity, self.responder.client_subnet = Identity(nsid="x"), True
        subnet = dns.edns.ECSOption("192.0.2.0", 24)
        cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, CLIENT_COOKIE)
        response = self.ask(query(dns.edns.NSIDOption(b""), subnet, cookie))
        self.assertEqual({option.otype for option in response.options}, {3, 8, 10})


class ClientSubnetTests(Asking):
    """RFC 7871."""

    def setUp(self) -> None:
        self.askers: list[Asker] = []

        def answer(question: Question, asker: Asker) -> Answer:
            self.askers.append(asker)
            scope = 20 if asker.client is not None else 0
            return Answer(answer=(rrset(question.qname),), scope=scope, for_all=not scope)

        self.responder = Responder(answer, udp_payload=1232)
        self.responder.client_subnet = True

    def test_read_and_answered(self) -> None:
        """Who decides is told the network; the option comes back with the scope that the answer depends on."""
        for address, bits in (("192.0.2.0", 24), ("2001:db8::", 56), ("192.0.2.128", 25)):
            response = self.ask(query(dns.edns.ECSOption(address, bits)))
            self.assertEqual(self.askers.pop().client, ip_network((address, bits)))
            self.assertEqual(response.options, (dns.edns.ECSOption(address, bits, 20),))

    def test_nobody_is_to_know(self) -> None:
        """A prefix of 0 bits (s7.1.2): no network, scope 0."""
        response = self.ask(query(dns.edns.ECSOption("0.0.0.0", 0)))
        self.assertIsNone(self.askers.pop().client)
        self.assertEqual(response.options, (dns.edns.ECSOption("0.0.0.0", 0, 0),))

    def test_malformed(self) -> None:
        """FORMERR: a scope in a query, bits behind the prefix, too few bytes, another family, too many bits."""
        for text in ("0001181ac00002", "00011800c00002ff", "00011800c000", "00091800c00002", "000121" + "00c0000201ff"):
            option = dns.edns.GenericOption(dns.edns.OptionType.ECS, bytes.fromhex(text))
            self.assertEqual(self.ask(query(option)).rcode(), dns.rcode.FORMERR, text)
        self.assertEqual(self.askers, [])

    def test_off(self) -> None:
        """Then the option is ignored, and not sent back."""
        self.responder.client_subnet = False
        response = self.ask(query(dns.edns.ECSOption("192.0.2.0", 24)))
        self.assertEqual((response.options, self.askers.pop().client), ((), None))


class CookieOnlyTests(Asking):
    """RFC 7873 s5.4: a client that has no question but wants a cookie."""

    def setUp(self) -> None:
        self.responder = responder_with_cookies()

    def test_cookie_without_question(self) -> None:
        for cookie, rcode in (
            (CLIENT_COOKIE, dns.rcode.NOERROR),
            (GOOD_COOKIE, dns.rcode.NOERROR),
            (CLIENT_COOKIE + b"?" * 16, dns.rcode.BADCOOKIE),
        ):
            asked = with_cookie(cookie)
            asked.question.clear()
            response = self.ask(asked)
            self.assertEqual((response.rcode(), cookie_of(response)), (rcode, GOOD_COOKIE))

    def test_without_cookie(self) -> None:
        """Nothing asked at all."""
        asked = query()
        asked.question.clear()
        self.assertEqual(self.ask(asked).rcode(), dns.rcode.FORMERR)
        self.responder = Responder(decide, udp_payload=1232)
        asked = with_cookie(CLIENT_COOKIE)
        asked.question.clear()
        self.assertEqual(self.ask(asked).rcode(), dns.rcode.FORMERR)


class ChaosTests(Asking):
    """RFC 4892."""

    def chaos(self, name: str, rdtype: str = "TXT") -> dns.message.Message:
        return self.ask(dns.message.make_query(name, rdtype, rdclass=dns.rdataclass.CH))

    def test_told(self) -> None:
        self.responder.identity = Identity(nsid='am"s\\1', version="appliance")
        for name, text in (
            ("version.bind", '"appliance"'),
            ("VERSION.server", '"appliance"'),
            ("id.server", '"am\\"s\\\\1"'),
            ("hostname.bind", '"am\\"s\\\\1"'),
        ):
            response = self.chaos(name)
            self.assertEqual(response.answer[0].to_text(), f"{name}. 0 CH TXT {text}")
            self.assertTrue(response.flags & dns.flags.AA)

    def test_refused(self) -> None:
        """What is not configured, another type, another name, another class."""
        self.assertEqual(self.chaos("version.bind").rcode(), dns.rcode.REFUSED)
        self.responder.identity = Identity(nsid="x", version="x")
        for name, rdtype in (("version.bind", "A"), ("authors.bind", "TXT")):
            self.assertEqual(self.chaos(name, rdtype).rcode(), dns.rcode.REFUSED)
        hesiod = dns.message.make_query("version.bind", "TXT", rdclass=dns.rdataclass.HS)
        self.assertEqual(self.ask(hesiod).rcode(), dns.rcode.REFUSED)
