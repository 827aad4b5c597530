"""HTTP inside TLS, between two buffers: whose certificate is good, and what is said of the others."""

from __future__ import annotations

import datetime
import os
import random
import ssl
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause, Layer, Probe, ProbeType
from appliance.probe.conversation import Finding
from appliance.probe.http import Http
from appliance.probe.tls import Secured, Trust
from tests.probe.certificates import DAY, Authority
from tests.probe.talking import OWN

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """
    The other end.

    :param says: once a request came.
    :param step: most bytes that the client gets at once.
    """

    def __init__(self, certificate: Path, says: bytes = PAGE, step: int = 1 << 20) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = self._named
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._says = says
        self._step = step
        self.name: str | None = None
        self.heard = b""

    def _named(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.name = name

    def meet(self, client: Secured) -> Finding | None:
        self._take(client.opened(OWN))
        while client.finding is None and (said := self._outgoing.read()):
            for at in range(0, len(said), self._step):
                if client.finding is None:
                    self._take(client.receive(said[at : at + self._step]))
        return client.finding

    def _take(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
            self.heard += self._tls.read(65536)
            self._tls.write(self._says)
        except ssl.SSLError:
            pass


class SecuredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.trust = Trust()

    def client(self, name: str = "a.example", expiry: float | None = 0.0, *, verify: bool = True) -> Secured:
        inner = Http.of(Probe(name="web", type=ProbeType.HTTPS), name)
        context = self.trust.context(str(self.authority.file), verify=verify)
        return Secured(inner, context, name, time.time(), expiry)

    def check(self, certificate: Path, client: Secured, cause: Cause, detail: str) -> None:
        found = Server(certificate).meet(client)
        assert found is not None
        self.assertEqual((found.layer, found.cause, found.detail), (Layer.TLS, cause, detail))

    def day(self, days: float) -> str:
        return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y-%m-%d")

    def test_a_good_certificate(self) -> None:
        for step in (1 << 20, 1):
            server = Server(self.authority.issue("a.example"), step=step)
            found = server.meet(self.client())
            self.assertEqual(found, Finding(Cause.OK, "200 OK"))
            self.assertEqual(server.name, "a.example")
            self.assertIn(b"Host: a.example\r\n", server.heard)

    def test_one_of_an_address(self) -> None:
        certificate = self.authority.issue("192.0.2.1")
        self.assertEqual(Server(certificate).meet(self.client("192.0.2.1")), Finding(Cause.OK, "200 OK"))
        self.check(certificate, self.client("192.0.2.2"), Cause.CERTIFICATE, "is for 192.0.2.1, not 192.0.2.2")

    def test_an_expired_one(self) -> None:
        certificate = self.authority.issue("a.example", -10, -2)
        self.check(certificate, self.client(), Cause.CERTIFICATE, f"expired on {self.day(-2)}")

    def test_one_of_the_future(self) -> None:
        certificate = self.authority.issue("a.example", 2, 10)
        self.check(certificate, self.client(), Cause.CERTIFICATE, f"not valid before {self.day(2)}")

    def test_one_that_expires_soon(self) -> None:
        certificate = self.authority.issue("a.example", last=5)
        self.check(certificate, self.client(expiry=6 * DAY), Cause.CERTIFICATE, f"expires on {self.day(5)}")
        self.assertEqual(Server(certificate).meet(self.client(expiry=4 * DAY)), Finding(Cause.OK, "200 OK"))

    def test_one_of_another_name(self) -> None:
        certificate = self.authority.issue("a.example")
        self.check(certificate, self.client("b.example"), Cause.CERTIFICATE, "is for a.example, not b.example")

    def test_one_of_somebody_else(self) -> None:
        other = Authority(self.folder, "nobody")
        self.check(other.issue("a.example"), self.client(), Cause.CERTIFICATE, "issuer not trusted: nobody")
        self.check(other.file_with_key(), self.client(), Cause.CERTIFICATE, "issuer not trusted: nobody")

    def test_where_nobody_looks(self) -> None:
        client = self.client("b.example", None, verify=False)
        certificate = Authority(self.folder, "nobody").issue("a.example", -10, -2)
        self.assertEqual(Server(certificate).meet(client), Finding(Cause.OK, "200 OK"))

    def test_what_is_not_tls(self) -> None:
        client = self.client()
        client.opened(OWN)
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert client.finding is not None
        self.assertEqual((client.finding.layer, client.finding.cause), (Layer.TLS, Cause.PROTOCOL))

    def test_ends(self) -> None:
        client = self.client()
        client.opened(OWN)
        self.assertIs(client.layer, Layer.TLS)
        client.ended()
        assert client.finding is not None
        self.assertEqual((client.finding.layer, client.finding.cause), (Layer.TLS, Cause.CLOSED))
        client = self.client()
        self.assertIsNone(Server(self.authority.issue("a.example"), PAGE[:-1]).meet(client))
        self.assertIs(client.layer, Layer.APPLICATION)
        client.ended()
        self.assertEqual(client.finding, Finding(Cause.CLOSED, "ended before its body was whole"))

    def test_the_page_is_judged_within(self) -> None:
        server = Server(self.authority.issue("a.example"), b"HTTP/1.1 503 No\r\n\r\n")
        self.assertEqual(server.meet(self.client()), Finding(Cause.STATUS, "503 No"))

    def test_garbage_never_raises(self) -> None:
        rng = random.Random(1)
        for _ in range(100):
            client = self.client()
            client.opened(OWN)
            client.receive(b"\x16\x03\x03" * rng.randrange(2) + rng.randbytes(rng.randrange(1, 60)))
            client.ended()
            assert client.finding is not None
            self.assertIn(client.finding.cause, (Cause.PROTOCOL, Cause.CLOSED))


class TrustTests(SynchronousTestCase):
    def test_a_context_is_made_again_when_its_file_changed(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        authority, trust = Authority(folder), Trust()
        first = trust.context(str(authority.file), verify=True)
        self.assertIs(trust.context(str(authority.file), verify=True), first)
        self.assertIsNot(trust.context(str(authority.file), verify=False), first)
        os.utime(authority.file, (1, 1))
        self.assertIsNot(trust.context(str(authority.file), verify=True), first)

    def test_a_file_that_is_not_there_or_not_one(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertRaises(OSError, Trust().context, str(folder / "none"), verify=True)
        (folder / "empty").write_text("")
        self.assertRaises(OSError, Trust().context, str(folder / "empty"), verify=True)
