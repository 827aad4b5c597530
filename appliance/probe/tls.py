"""
A conversation inside TLS, without sockets: the standard library's engine between two buffers of memory.

What is wrong with a certificate is said in people's words: OpenSSL decides, and the certificate only explains it.
"""

from __future__ import annotations

import collections
import datetime
import os
import ssl
from typing import Any

from appliance.model.health import Cause, Layer
from appliance.probe.conversation import Conversation, shown

_MOST_CONTEXTS = 64
_READ_BYTES = 65536
_EXPIRED, _NOT_YET = 10, 9
_WRONG_NAMES = frozenset({62, 63, 64})
_ISSUER = frozenset({2, 18, 19, 20, 21, 27})
"""Of X509_verify_cert_error_string(3): no issuer, or one that nobody trusts."""


class Trust:
    """
    Whom to trust, by file.  A context takes milliseconds to make: each is made once, and again when its file changed.
    """

    def __init__(self) -> None:
        self._contexts: collections.OrderedDict[tuple[object, ...], ssl.SSLContext] = collections.OrderedDict()

    def context(self, ca: str | None, *, verify: bool) -> ssl.SSLContext:
        """:raises OSError: when the file cannot be read, or has no certificates."""
        status = os.stat(ca) if ca is not None else None
        key = (ca, verify, status.st_mtime_ns if status else 0, status.st_ino if status else 0)
        context = self._contexts.get(key)
        if context is None:
            context = ssl.create_default_context(cafile=ca)
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[key] = context
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(key)
        return context


class Secured(Conversation):
    """
    :param inner: what is said inside.
    :param name: what the certificate has to be for: a host's name, or an address.
    :param now: seconds since 1970.
    :param expiry: seconds for which the certificate has to be valid still; None: it is not looked at.
    """

    __slots__ = ("_expiry", "_incoming", "_inner", "_name", "_now", "_outgoing", "_shaken", "_tls")

    def __init__(
        self, inner: Conversation, context: ssl.SSLContext, name: str, now: float, expiry: float | None
    ) -> None:
        """:raises ValueError: for a name that is none."""
        super().__init__()
        self._inner = inner
        self._name = name
        self._now = now
        self._expiry = expiry
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except UnicodeError as error:
            raise ValueError(f"{name!r} cannot be the name of a certificate: {error}") from None
        self._shaken = False
        self.layer = Layer.TLS

    def opened(self, own: str) -> bytes:
        self._proceed(own)
        return self._outgoing.read()

    def receive(self, data: bytes) -> bytes:
        self._incoming.write(data)
        self._proceed("")
        return self._outgoing.read()

    def ended(self) -> None:
        if self.finding is not None:
            return
        if not self._shaken:
            self.found(Cause.CLOSED, "ended before the handshake was done")
            return
        self._inner.ended()
        self._follow()

    def _proceed(self, own: str) -> None:
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._look_at_dates()
                if self.finding is not None:
                    return
                self.layer = Layer.APPLICATION
                self._say(self._inner.opened(own))
            self._read()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            self.found(Cause.CERTIFICATE, self._explained(error))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended()
        except ssl.SSLError as error:
            self.layer = Layer.TLS
            self.found(Cause.PROTOCOL, shown((error.reason or str(error)).replace("_", " ").lower()))

    def _read(self) -> None:
        while self.finding is None or self.leaving:
            data = self._tls.read(_READ_BYTES)
            if not data:
                self.ended()
                return
            self._say(self._inner.receive(data))
            self._follow()

    def _say(self, data: bytes) -> None:
        if data:
            self._tls.write(data)

    def _follow(self) -> None:
        if self.finding is None:
            self.finding = self._inner.finding
        self.leaving = self._inner.leaving

    # -- certificates --------------------------------------------------------------------------------------------------

    def _look_at_dates(self) -> None:
        if self._expiry is None:
            return
        certificate = self._tls.getpeercert()
        if certificate and ssl.cert_time_to_seconds(str(certificate["notAfter"])) < self._now + self._expiry:
            self.found(Cause.CERTIFICATE, f"expires on {_day(certificate['notAfter'])}")

    def _explained(self, error: ssl.SSLCertVerificationError) -> str:
        certificate = self._shown_certificate()
        code = error.verify_code
        if code == _EXPIRED and certificate:
            if ssl.cert_time_to_seconds(certificate["notAfter"]) < self._now:
                return f"expired on {_day(certificate['notAfter'])}"
            return "the certificate of an issuer has expired"
        if code == _NOT_YET and certificate:
            return f"not valid before {_day(certificate['notBefore'])}"
        if code in _WRONG_NAMES:
            names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ())) or "nobody"
            return shown(f"is for {names}, not {self._name}")
        if code in _ISSUER:
            issuer = ", ".join(value for part in certificate.get("issuer", ()) for _, value in part)
            return shown(f"issuer not trusted: {issuer}")
        return shown(error.verify_message)

    def _shown_certificate(self) -> dict[str, Any]:
        """
        The target's own certificate, which was refused; empty where this Python does not say.

        ``SSLObject`` gives a certificate only after a good handshake; what lies below it knows the chain that came.
        """
        chain = getattr(getattr(self._tls, "_sslobj", None), "get_unverified_chain", lambda: None)()
        return dict(chain[0].get_info()) if chain and hasattr(chain[0], "get_info") else {}


def _day(said: object) -> str:
    instant = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(said)), datetime.UTC)
    return instant.strftime("%Y-%m-%d")
