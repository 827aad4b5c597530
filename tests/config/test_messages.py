"""``answer`` and ``welcome``: what clients of an instance are told."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Refusal
from tests.config import FUZZ, ZONE, faults, read, warnings

PLACE = "a.yaml:12: sites.a.example.test.instances[0]"


def site(instance: str) -> str:
    """A configuration with a site whose instance is in line 12."""
    text = ZONE + "pools: {p: {addresses: [192.0.2.1]}}\nservers: {s: {address: 10.0.0.1}, t: {address: 10.0.0.2}}\n"
    text += "sites:\n  a.example.test: {pool: p, servers: [s], services: [{port: 80}], instances: [\n"
    return text + f"    {{{instance}}},\n  ]}}\n  z.example.test: {{pool: p, services: [{{port: 1}}], servers: [t]}}\n"


class MessageTests(SynchronousTestCase):
    """What clients are told: the text itself, or what is in a file."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(os.path.join(self.folder, "texts"))
        for name, content in {
            "texts/go": b"go \xff\n",
            "full": b"x" * 65536,
            "more": b"x" * 65537,
            "empty": b"",
        }.items():
            with open(os.path.join(self.folder, name), "wb") as file:
                file.write(content)

    def text(self, said: str, key: str = "answer") -> str:
        servers = ", servers: [t]" if key == "welcome" else ""
        return site(f"bind_id: 1, clients: [192.0.2.9], {key}: {said}{servers}")

    def answer(self, said: str) -> Refusal | bytes | None:
        (found,) = read(self.text(said), self.folder).sites["a.example.test"].instances
        return found.answer

    def fault(self, said: str, key: str = "answer") -> str:
        (fault,) = faults(self.text(said, key), self.folder)
        return fault.removeprefix(f"{PLACE}.{key}: ")

    def test_refusals(self) -> None:
        self.assertEqual((self.answer("close"), self.answer("'reset'")), (Refusal.CLOSE, Refusal.RESET))
        self.assertEqual(self.answer("'Go away, and close the door'"), b"Go away, and close the door")

    def test_files(self) -> None:
        for name in (
            "texts/go",
            "./texts/go",
            "../" + os.path.basename(self.folder) + "/texts/go",
            f"{self.folder}/texts/go",
        ):
            self.assertEqual(self.answer(name), b"go \xff\n")
        self.assertEqual(self.answer("full"), b"x" * 65536)
        text = self.text("./texts/go", "welcome")
        self.assertEqual(read(text, self.folder).sites["a.example.test"].instances[0].welcome, b"go \xff\n")

    def test_text(self) -> None:
        for written, said in {
            "texts": b"texts",
            "wä": "wä".encode(),
            '"a\\r\\n./texts/go"': b"a\r\n./texts/go",
            '"./texts/go\\n"': b"./texts/go\n",
            '"a\\0b"': b"a\0b",
            "x" * 65536: b"x" * 65536,
        }.items():
            self.assertEqual(self.answer(written), said)

    def test_wrong(self) -> None:
        for written, said in {
            "./nobody": f"'{self.folder}/./nobody' is no file",
            "/": "'/' is no file",
            "./texts": f"'{self.folder}/./texts' is no file",
            "/dev/null": "'/dev/null' is no file",
            '"/a\\0b"': "'/a\\x00b' is no file",
            "more": f"'{self.folder}/more' has more than 65536 bytes; allowed: 1 to 65536 bytes",
            "empty": f"'{self.folder}/empty' has no byte; allowed: 1 to 65536 bytes",
            "x" * 65537: "found more than 65536 bytes; allowed: 1 to 65536 bytes",
            "''": "found nothing; allowed: text",
            "no": "found no, which YAML reads as a yes/no value; allowed: text; write it in quotes",
            "404": "found 404; allowed: text; write it in quotes",
        }.items():
            for key in ("answer", "welcome"):
                self.assertEqual(self.fault(written, key), said)

    def test_odd(self) -> None:
        """Legal, and hardly meant."""
        for written, said in {
            "Close": "'Close' is sent as it stands; did you mean 'close'?",
            "rest": "'rest' is sent as it stands; did you mean 'reset'?",
            "texts/gone": "'texts/gone' is sent as it stands, for there is no such file",
            "unwelcome.txt": "'unwelcome.txt' is sent as it stands, for there is no such file",
        }.items():
            self.assertEqual(warnings(self.text(written)), [f"{PLACE}.answer: {said}"])
        for written in ("Sorry.", "'go away, see /etc/motd'", "goodbye"):
            self.assertEqual(warnings(self.text(written)), [])
        self.assertEqual(warnings(self.text("Close", "welcome")), [])

    def test_a_change_of_the_file_is_a_change(self) -> None:
        """What a reload's diff stands on."""
        before = read(self.text("texts/go"), self.folder)
        with open(os.path.join(self.folder, "texts", "go"), "wb") as file:
            file.write(b"stay")
        after = read(self.text("texts/go"), self.folder)
        self.assertNotEqual(before.sites["a.example.test"], after.sites["a.example.test"])

    @FUZZ
    @given(st.text(min_size=1))
    @example("full")
    @example("./texts/go")
    def test_any_text(self, written: str) -> None:
        """Whatever it is, it is said as it stands, or what is in the file that it names, or a fault."""
        file = os.path.join(self.folder, written)
        said = Path(file).read_bytes() if os.path.isfile(file) else written.encode()
        quoted = '"' + "".join(f"\\U{ord(character):08x}" for character in written) + '"'
        text = self.text(quoted)
        if not faults(text, self.folder):
            self.assertIn(self.answer(quoted), (said, Refusal.CLOSE, Refusal.RESET))
