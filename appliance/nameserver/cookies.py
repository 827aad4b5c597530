"""
DNS cookies: whoever sends back what we sent to an address is there (RFC 7873; interoperable form of RFC 9018).

A server cookie is ``version | reserved | timestamp | hash``; the hash is SipHash-2-4 with our secret over the client's
cookie, the same fields and the client's address, so nothing has to be remembered.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Sequence

from siphash24 import siphash24  # type: ignore[import-not-found]

CLIENT_BYTES = 8
SERVER_BYTES = 16

LIFETIME = 3600
"""Seconds for which a server cookie is good (RFC 9018 s4.3)."""
RENEWED_AFTER = LIFETIME // 2
"""Seconds after which a client that keeps asking is given a new one."""
AHEAD = 300
"""Seconds that its time may be in our future, for servers that share a secret and not quite a clock."""

_HEAD = struct.Struct("!B3xI")
_VERSION = 1


class CookieState(enum.Enum):
    """What a query's COOKIE option proves."""

    CLIENT_ONLY = "client-only"
    VALID = "valid"
    INVALID = "invalid"


class Cookies:
    """
    :param secrets: 16 bytes each; the first makes cookies, those made with the others are still good.
    :param wall: seconds since 1970, which all servers that share the secrets agree on.
    """

    def __init__(self, secrets: Sequence[bytes], wall: Callable[[], float]) -> None:
        self.secrets = tuple(secrets)
        self._wall = wall

    def check(self, client: bytes, server: bytes, source: bytes) -> CookieState:
        """
        :param client: the client cookie, ``server``: what came with it, perhaps nothing.
        :param source: the address that the query came from, 4 or 16 bytes.
        """
        if not server:
            return CookieState.CLIENT_ONLY
        if len(server) != SERVER_BYTES:
            return CookieState.INVALID
        version, made_at = _HEAD.unpack_from(server)
        # Serial arithmetic (RFC 1982): the 32 bits run over in 2106.
        age = (int(self._wall()) - made_at + 2**31) % 2**32 - 2**31
        if version != _VERSION or not -AHEAD <= age <= LIFETIME:
            return CookieState.INVALID
        head = server[: _HEAD.size]
        for secret in self.secrets:
            # Constant time is of no use here: who can measure it from afar can also just wait for a cookie.
            if server[_HEAD.size :] == _hash(client, head, source, secret):
                return CookieState.VALID
        return CookieState.INVALID

    def make(self, client: bytes, source: bytes) -> bytes:
        """A server cookie for a client cookie at an address; 16 bytes."""
        head = _HEAD.pack(_VERSION, int(self._wall()) % 2**32)
        return head + _hash(client, head, source, self.secrets[0])

    def again(self, client: bytes, server: bytes, source: bytes, state: CookieState) -> bytes:
        """
        The server cookie to answer with: the one that came while it is young (RFC 9018 s4.3), else a new one.

        :param state: what :meth:`check` said of it.
        """
        if state is CookieState.VALID:
            _, made_at = _HEAD.unpack_from(server)
            if (int(self._wall()) - made_at + 2**31) % 2**32 - 2**31 < RENEWED_AFTER:
                return server
        return self.make(client, source)


def _hash(client: bytes, head: bytes, source: bytes, secret: bytes) -> bytes:
    return bytes(siphash24(client + head + source, key=secret).digest())
