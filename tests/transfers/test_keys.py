"""Secrets of TSIG keys: files that are read, made, or refused."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import dns.exception
import dns.name
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import TSIGAlgorithm, TSIGKey
from appliance.errors import SecretError
from appliance.transfers.keys import keyring_of, unproven
from tests.transfers.world import KEY, SECRET

NAME = dns.name.from_text("k.test")


class KeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.file = self.folder / "secret"

    def read(self, content: str | bytes, mode: int = 0o600) -> bytes:
        self.folder.mkdir(exist_ok=True)
        self.file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.file.chmod(mode)
        key = TSIGKey(NAME, TSIGAlgorithm.SHA384, str(self.file))
        found = keyring_of([key], None)[NAME]
        self.assertEqual(found.algorithm, dns.name.from_text("hmac-sha384"))
        return bytes(found.secret)

    def test_read(self) -> None:
        """As other name servers write it, also over several lines."""
        for text in (SECRET, SECRET + "\n", f" {SECRET[:20]}\n{SECRET[20:]}\n"):
            self.assertEqual(self.read(text), KEY.secret)

    def test_refused(self) -> None:
        for content, mode, reason in (
            (SECRET, 0o640, "others can read it (mode 640); chmod 600"),
            (SECRET, 0o604, "others can read it"),
            ("not base64!", 0o600, "not base64"),
            (b"\xff\xfe", 0o600, "not base64"),
            ("", 0o600, "found 0 bytes; allowed: at least 16"),
            (base64.b64encode(b"x" * 15).decode(), 0o600, "found 15 bytes"),
        ):
            error = self.assertRaises(SecretError, self.read, content, mode)
            self.assertIn(f"dns.tsig.k.test.secret: {self.file}", str(error))
            self.assertIn(reason, str(error))
            self.assertNotIn(SECRET, str(error))

    def test_missing(self) -> None:
        """Of a key that the other side has."""
        key = TSIGKey(NAME, TSIGAlgorithm.SHA256, str(self.file))
        error = self.assertRaises(SecretError, keyring_of, [key], self.folder)
        self.assertIn("is missing; the other side has the same secret", str(error))

    def test_made(self) -> None:
        """Once, for nobody else's eyes, and of full length; a name may have any characters."""
        keys = [TSIGKey(dns.name.from_text(name), TSIGAlgorithm.SHA256, None) for name in ("k.test", "a/b.test")]
        first = keyring_of(keys, self.folder)
        self.assertEqual(keyring_of(keys, self.folder), first)
        secrets = {key.secret for key in first.values()}
        self.assertEqual(([len(secret) for secret in secrets], len(secrets)), ([32, 32], 2))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["a%2Fb.test.tsig", "k.test.tsig"])
        self.assertEqual({stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}, {0o600})

    def test_cannot_be_made(self) -> None:
        self.folder.write_text("in the way")
        key = TSIGKey(NAME, TSIGAlgorithm.SHA256, None)
        self.assertRaises(SecretError, keyring_of, [key], self.folder)

    def test_other_errors_are_not_of_signatures(self) -> None:
        self.assertIsNone(unproven(b"x" * 20, dns.exception.FormError(), {}))
