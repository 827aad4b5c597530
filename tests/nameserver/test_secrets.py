"""The file with the secrets of DNS cookies: what is in it, who may read it, and how it changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ApplianceError
from appliance.nameserver.cookies import Cookies, CookieState
from appliance.nameserver.secrets import CookieSecrets, secrets_from
from tests.nameserver.asking import CLIENT_COOKIE, SECRET, SOURCE


class Threads(Clock):
    """A fake clock whose threads work at once."""

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], do: Callable[..., Any], *words: Any) -> None:
        try:
            result = do(*words)
        except OSError as error:
            done(False, error)
        else:
            done(True, result)

    def callFromThread(self, do: Callable[..., None], *words: Any) -> None:
        do(*words)


class ChangingTests(SynchronousTestCase):
    """Our own secret has a day."""

    def setUp(self) -> None:
        self.reactor = Threads()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "cookie.secret"

    def started(self, path: Path | None, *, own: bool = True) -> CookieSecrets:
        begin = path.stat().st_mtime if path is not None and path.exists() else 0.0
        secrets = CookieSecrets(self.reactor, path, own=own, wall=lambda: begin + self.reactor.seconds())
        secrets.startService()
        self.addCleanup(secrets.stopService)
        return secrets

    def hours(self, count: int) -> None:
        for _ in range(count):
            self.reactor.advance(3600)

    def test_changed_each_day(self) -> None:
        """Cookies that were made before are still good, on disk and in memory alike."""
        secrets_from(self.path)
        for path in (self.path, None):
            secrets = self.started(path)
            first = secrets.cookies.secrets
            self.hours(23)
            self.assertEqual(secrets.cookies.secrets, first)
            self.hours(1)
            self.assertEqual(secrets.cookies.secrets[1:], first)
            self.assertNotEqual(secrets.cookies.secrets[0], first[0])
            if path is not None:
                self.assertEqual(secrets_from(path), secrets.cookies.secrets)
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            before = Cookies(first, secrets.cookies._wall).make(CLIENT_COOKIE, SOURCE.packed)
            self.assertIs(secrets.cookies.check(CLIENT_COOKIE, before, SOURCE.packed), CookieState.VALID)

    def test_an_operators_file_is_left_alone(self) -> None:
        """It is read again when somebody says so; a bad one changes nothing."""
        secrets_from(self.path)
        secrets = self.started(self.path, own=False)
        first = secrets.cookies.secrets
        self.hours(100)
        self.assertEqual((secrets.cookies.secrets, secrets_from(self.path)), (first, first))
        self.path.write_text(f"{SECRET.hex()}\n{first[0].hex()}\n")
        secrets.take(secrets.read())
        self.assertEqual(secrets.cookies.secrets, (SECRET, *first))
        self.path.write_text("?")
        self.assertRaises(ApplianceError, secrets.read)
        self.assertEqual(secrets.cookies.secrets, (SECRET, *first))

    def test_a_disk_that_fails(self) -> None:
        """The secret stays, and it is tried again."""
        secrets_from(self.path)
        secrets = self.started(self.path)
        first = secrets.cookies.secrets
        away = self.path.parent.with_name("away")
        self.hours(23)
        self.path.parent.rename(away)
        self.hours(3)
        self.assertEqual(secrets.cookies.secrets, first)
        away.rename(self.path.parent)
        self.hours(1)
        self.assertEqual(secrets.cookies.secrets[1:], first)


class SecretTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.path /= "cookie.secret"

    def refusal(self) -> str:
        return str(self.assertRaises(ApplianceError, secrets_from, self.path))

    def test_made_once(self) -> None:
        """With 128 bits, for our eyes only, and nothing else is left in the folder."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        [secret] = secrets_from(self.path)
        self.assertEqual(len(secret), 16)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(secrets_from(self.path), (secret,))
        self.assertEqual(os.listdir(self.path.parent), ["cookie.secret"])
        self.assertNotEqual(secrets_from(self.path.with_name("other")), (secret,))

    def test_left_over(self) -> None:
        """From a process that was killed at it: it does not matter, and goes."""
        self.path.with_name("cookie.secret.new").write_text("half")
        self.assertEqual(len(secrets_from(self.path)[0]), 16)
        self.assertEqual(os.listdir(self.path.parent), ["cookie.secret"])

    def test_given(self) -> None:
        """As a person writes it."""
        self.write(f"{SECRET.hex().upper()}\n")
        self.assertEqual(secrets_from(self.path), (SECRET,))
        self.write(f"{SECRET.hex()}\n\n{'0' * 32}\n")
        self.assertEqual(secrets_from(self.path), (SECRET, bytes(16)))

    def test_others_may_read_it(self) -> None:
        """Refused, with the way out."""
        for mode in (0o640, 0o604, 0o620):
            self.write(SECRET.hex(), mode)
            self.assertIn(f"chmod 600 {self.path}", self.refusal())

    def test_not_a_secret(self) -> None:
        """Refused, and not repeated."""
        for text in (
            "",
            SECRET.hex()[:-1],
            SECRET.hex() + "0",
            "x" * 32,
            f"{SECRET.hex()}\n{SECRET.hex()[:-2]}",
            f"{SECRET.hex()}\n" * 9,
            "\xff" * 32,
        ):
            self.write(text)
            message = self.refusal()
            self.assertIn("32 hexadecimal digits", message)
            self.assertNotIn(SECRET.hex()[:8], message)

    def test_cannot_be_read(self) -> None:
        """Refused, with the path and the reason."""
        self.path.mkdir()
        self.assertIn(f"{self.path}: ", self.refusal())

    def write(self, text: str, mode: int = 0o600) -> None:
        self.path.write_text(text)
        self.path.chmod(mode)
