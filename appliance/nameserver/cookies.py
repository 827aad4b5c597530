"""
DNS cookies: whoever sends back what we sent to an address is there (RFC 7873; interoperable form of RFC 9018).

A server cookie is ``version | reserved | timestamp | hash``; the hash is SipHash-2-4 with our secret over the client's
cookie, the same fields and the client's address, so nothing has to be remembered.
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Callable
from pathlib import Path

from siphash24 import siphash24  # type: ignore[import-not-found]

from appliance.errors import ListenError

SECRET_BYTES = 16
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
    :param secret: 16 bytes; ``previous`` is one that is still good.
    :param wall: seconds since 1970, which all servers that share the secret agree on.
    """

    def __init__(self, secret: bytes, previous: bytes | None, wall: Callable[[], float]) -> None:
        assert len(secret) == SECRET_BYTES
        self._secrets = (secret,) if previous is None else (secret, previous)
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
        for secret in self._secrets:
            # Constant time is of no use here: who can measure it from afar can also just wait for a cookie.
            if server[_HEAD.size :] == _hash(client, head, source, secret):
                return CookieState.VALID
        return CookieState.INVALID

    def make(self, client: bytes, source: bytes) -> bytes:
        """A server cookie for a client cookie at an address; 16 bytes."""
        head = _HEAD.pack(_VERSION, int(self._wall()) % 2**32)
        return head + _hash(client, head, source, self._secrets[0])

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


def secret_from(path: Path) -> bytes:
    """
    The secret in a file of 32 hexadecimal digits, which is made, with mode 600, where it is missing.

    :raises ListenError: when it cannot be read or made, others can read it, or it holds something else.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.new")
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(os.urandom(SECRET_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        mode = path.stat().st_mode & 0o777
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ListenError(f"dns.cookies.secret: {path}: {error}") from error
    if mode & 0o077:
        raise ListenError(f"dns.cookies.secret: {path}: others can read it (mode {mode:o}); chmod 600 {path}")
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ListenError(f"dns.cookies.secret: {path}: not 32 hexadecimal digits; remove it and a new one is made")
    return secret
