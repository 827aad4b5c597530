"""
The file with the secrets of DNS cookies, and how they change.

A line is a secret of 32 hexadecimal digits: the first one makes cookies, those made with the others are still good.  A
file that was named in the configuration is the operator's, who may share it among servers and change it in the steps of
RFC 9018 s5; it is read at the start and at each reload.  The appliance's own gets a new secret each day.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from appliance.config import CookieConfig
from appliance.errors import SecretError
from appliance.nameserver.cookies import Cookies
from appliance.secretfiles import read_secret, write_secret

COOKIE_FILE = "cookie.secret"
"""The file in the state folder where none is named."""

SECRET_BYTES = 16
MOST_SECRETS = 8
"""In a file: each is tried on a cookie that is not good, which anybody can send."""

CHANGED_AFTER = 86400.0
"""Seconds after which our own secret is changed; Knot's is 26 h.  Much longer than any cookie is good."""

LOOKED_AT_EVERY = 3600.0

_PLACE = "dns.cookies.secret"


class CookieSecrets(Service):
    """
    Reads the file, makes it where it is missing, and changes our own in time.

    :param path: None: the secrets are in memory only.
    :param own: nobody else has a part in the file.
    :param wall: seconds since 1970, as files have them.
    :raises SecretError: when the file cannot be read or made.
    """

    name = "cookie-secrets"
    _log = Logger()

    def __init__(self, reactor: Any, path: Path | None, *, own: bool, wall: Callable[[], float] = time.time) -> None:
        self._reactor = reactor
        self._path = path
        self._own = own
        self._wall = wall
        self._made_at = wall()
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self.cookies = Cookies([os.urandom(SECRET_BYTES)] if path is None else secrets_from(path), wall)

    def startService(self) -> None:
        super().startService()
        if self._own:
            self._looking.start(LOOKED_AT_EVERY)

    def stopService(self) -> None:
        if self._looking.running:
            self._looking.stop()
        super().stopService()

    def read(self) -> tuple[bytes, ...]:
        """
        What the file has now, for a reload, which takes it by :meth:`take`.

        :raises SecretError: when it cannot be used.
        """
        return secrets_from(self._path) if self._path is not None else self.cookies.secrets

    def take(self, secrets: tuple[bytes, ...]) -> None:
        self.cookies.secrets = secrets

    def _look(self) -> Deferred[None] | None:
        if self._path is not None:
            try:
                self._made_at = self._path.stat().st_mtime
            except OSError:
                # Removed by hand, which asks for a new one.
                self._made_at = 0.0
        if 0 <= self._wall() - self._made_at < CHANGED_AFTER:
            return None
        self._made_at = self._wall()
        secrets = (os.urandom(SECRET_BYTES), self.cookies.secrets[0])
        if self._path is None:
            self.cookies.secrets = secrets
            return None
        # Off the reactor's thread, for it waits for the disk.
        pool = self._reactor.getThreadPool()
        written: Deferred[None] = deferToThreadPool(self._reactor, pool, write_secrets, self._path, secrets)
        return written.addCallbacks(
            lambda _: setattr(self.cookies, "secrets", secrets),
            lambda failure: self._log.error("{event}: {reason}", event="cookie-secret-kept", reason=str(failure.value)),
        )


def cookie_secrets(reactor: Any, config: CookieConfig, folder: Path | None) -> CookieSecrets | None:
    """
    The secrets that a configuration asks for; None where there are no cookies.

    :param folder: for the state; None: there is none.
    :raises SecretError: when the file cannot be read or made.
    """
    if not config.enabled:
        return None
    path = Path(config.secret) if config.secret is not None else None
    if path is None and folder is not None:
        path = folder / COOKIE_FILE
    return CookieSecrets(reactor, path, own=config.secret is None)


def secrets_from(path: Path) -> tuple[bytes, ...]:
    """
    The secrets in a file, which is made where it is missing.

    :raises SecretError: when it cannot be read or made, others can read it, or it holds something else.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_secrets(path, [os.urandom(SECRET_BYTES)])
        text = read_secret(_PLACE, path)
    except OSError as error:
        raise SecretError(f"{_PLACE}: {path}: {error.strerror}") from None
    try:
        secrets = tuple(bytes.fromhex(line) for line in text.split())
    except ValueError:
        secrets = ()
    if not 1 <= len(secrets) <= MOST_SECRETS or any(len(secret) != SECRET_BYTES for secret in secrets):
        wanted = f"1 to {MOST_SECRETS} lines of 32 hexadecimal digits"
        raise SecretError(f"{_PLACE}: {path}: not {wanted}; remove it and a new one is made")
    return secrets


def write_secrets(path: Path, secrets: Sequence[bytes]) -> None:
    """Replace the file; raises OSError."""
    write_secret(path, "".join(f"{secret.hex()}\n" for secret in secrets))
