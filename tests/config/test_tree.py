"""YAML as text: what is no YAML, what YAML 1.1 reads oddly, and what would eat time or memory."""

from __future__ import annotations

import os
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import load, loads
from appliance.config.tree import DEEPEST, Node, parse
from appliance.errors import ConfigError
from tests.config import FUZZ, ROOT, ZONE, all_shapes, faults


class SyntaxTests(SynchronousTestCase):
    """A text that is no mapping of sections is one fault with its line."""

    def one(self, text: str, said: str) -> None:
        self.assertEqual(faults(text), [said])

    def test_empty(self) -> None:
        self.one("", "a.yaml: the file is empty")
        self.one("# nothing\n", "a.yaml: the file is empty")

    def test_top_level(self) -> None:
        self.one("\n- dns\n", "a.yaml:2: must be a mapping of sections such as 'dns:' and 'sites:'")

    def test_tab(self) -> None:
        self.one("dns:\n\tlisten: []\n", "a.yaml:2: not YAML: a tab; indent with spaces")

    def test_reason_and_context(self) -> None:
        said = "not YAML: did not find expected ',' or ']' (while parsing a flow sequence, begun in line 2)"
        self.one("dns:\n  listen: [a\nb: c\n", f"a.yaml:3: {said}")

    def test_indentation(self) -> None:
        """What YAML says of it tells nobody where to look."""
        said = "not YAML: did not find expected key (while parsing a block mapping, begun in line 1)"
        self.one("dns: {}\n  sites: {}\n", f"a.yaml:2: {said}; is it indented like its neighbours?")
        said = "not YAML: mapping values are not allowed in this context; is it indented like its neighbours"
        for text in ("dns: 1\n  sites: {}\n", "dns:\n  welcome: 220: hello\n"):
            self.one(text, f"a.yaml:2: {said}, and is text with ': ' in quotes?")

    def test_control_character(self) -> None:
        self.one("dns: a\nb: \x00\n", "a.yaml:2: character U+0000 cannot be in a YAML file")

    def test_undefined_alias(self) -> None:
        self.one("dns: *x\n", "a.yaml:1: not YAML: found undefined alias")

    def test_two_documents(self) -> None:
        (said,) = faults("a: 1\n---\nb: 1\n")
        self.assertIn("a.yaml:2: not YAML: but found another document", said)

    def test_deep(self) -> None:
        """Far deeper than libyaml's composer survives."""
        for text in ("[" * 300_000, "a: " + "{a: " * 100_000, "- " * 100_000):
            self.one(text, f"a.yaml:1: nested more than {DEEPEST} levels deep")

    def test_alias_inside_itself(self) -> None:
        (said,) = faults("a: &x [*x]\n")
        self.assertIn("an alias inside its own anchor?", said)

    def test_alias_bomb(self) -> None:
        lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        (said,) = faults("\n".join(lines))
        self.assertIn("aliases repeat more than", said)


class FileTests(SynchronousTestCase):
    def said(self, path: str) -> str:
        return str(self.assertRaises(ConfigError, load, path))

    def test_missing(self) -> None:
        self.assertEqual(self.said("no.yaml"), "no.yaml: the configuration cannot be read: No such file or directory")

    def test_folder(self) -> None:
        self.assertEqual(self.said("/"), "/: the configuration cannot be read: Is a directory")

    def test_nul_in_path(self) -> None:
        self.assertIn("cannot be read", self.said("a\0b"))

    def test_binary(self) -> None:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"dns:\n  \xff\xfe\n")
        self.assertEqual(self.said(path), f"{path}:2: the configuration is not UTF-8 text: byte 0xff in line 2")

    def test_byte_order_mark_and_crlf(self) -> None:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbf" + (ZONE + "appliance: {state_directory: none}\n").replace("\n", "\r\n").encode())
        self.assertEqual(load(path).warnings, ())

    def test_every_shown_key_loads(self) -> None:
        """The sample loads without a fault or a warning."""
        config = load(os.path.join(ROOT, "etc", "appliance.yaml"))
        self.assertEqual(config.warnings, ())
        self.assertEqual(list(config.sites), ["www.alpha.example.test", "www.beta.example.test"])


class KeyTests(SynchronousTestCase):
    """Keys that are there twice, or are no text."""

    def test_duplicate(self) -> None:
        said = faults(ZONE + "pools:\n  p: {addresses: [192.0.2.1]}\n  p: {addresses: [192.0.2.2]}\n")
        self.assertEqual(said, ["a.yaml:10: pools.p: the key is already in line 9; write it once"])

    def test_boolean_name(self) -> None:
        said = faults(ZONE + "pools:\n  no: {addresses: [192.0.2.1]}\n")
        message = "a key must be text; found no, which YAML reads as a yes/no value; write it in quotes"
        self.assertEqual(said, [f"a.yaml:9: pools: {message}"])
        self.assertEqual(faults(ZONE + "pools:\n  'no': {addresses: [192.0.2.1]}\n"), [])

    def test_number_name(self) -> None:
        said = faults(ZONE + "servers:\n  1: {address: 10.0.0.1}\n")
        self.assertEqual(said, ["a.yaml:9: servers: a key must be text; found 1; write it in quotes"])

    def test_odd_keys(self) -> None:
        self.assertIn("a.yaml:8: a key must be text; found a list or mapping as a key", faults(ZONE + "[1]: 2\n"))
        self.assertIn("a.yaml:8: merge keys ('<<') are not supported; write the keys out", faults(ZONE + "<<: {}\n"))

    def test_tags(self) -> None:
        said = faults(ZONE + "pools: !!python/object:os.system {}\n")
        self.assertEqual(
            said, ["a.yaml:8: pools: YAML tag 'tag:yaml.org,2002:python/object:os.system' is not supported"]
        )
        self.assertIn(
            "a.yaml:8: appliance.name: YAML tag '!x' is not supported", faults(ZONE + "appliance: {name: !x y}\n")
        )

    def test_alias(self) -> None:
        """An alias is the anchored value again, under its own path."""
        tree = parse("a: &x {b: [1]}\nc: *x\n", lambda node, message: self.fail(message))
        below = tree.entries["c"].entries["b"].items[0]
        self.assertEqual(below, Node("c.b[0]", 1, "integer", "1"))


def at(place: str, value: str) -> str:
    """A file with one value; ``*`` stands for a name in a place, and ``[]`` for a list's entry."""
    text = value
    for step in reversed(re.findall(r"[^.\[]+|\[\]", place)):
        text = f"[{text}]" if step == "[]" else f"{{{'x' if step == '*' else step}: {text}}}"
    return text + "\n"


class FuzzTests(SynchronousTestCase):
    """Whatever is in the file, only ``ConfigError`` comes out."""

    def survives(self, text: str) -> None:
        try:
            loads(text, file="f", folder="/nowhere")
        except ConfigError as error:
            self.assertTrue(error.faults)

    @FUZZ
    @given(st.text())
    def test_text(self, text: str) -> None:
        self.survives(text)

    @FUZZ
    @given(st.text(st.characters(codec=None)))
    def test_surrogates(self, text: str) -> None:
        self.survives(text)

    @FUZZ
    @given(st.binary())
    def test_bytes(self, content: bytes) -> None:
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(content)
        self.assertRaises(ConfigError, load, path)

    @FUZZ
    @given(st.data())
    def test_damaged_sample(self, data: st.DataObject) -> None:
        """A good file with a piece cut out and something put in its place."""
        with open(os.path.join(ROOT, "etc", "appliance.yaml")) as file:
            text = "".join(line for line in file if line.strip() and not line.lstrip().startswith("#"))
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 20))
        pieces = st.sampled_from(
            ["", ":", "\n", "[", "{}", "*", "&a ", "- ", "08", "no", "~", ".nan", "1e999", "|\n", "\t"]
        )
        piece = data.draw(st.one_of(pieces, st.text(max_size=5)))
        self.survives(text[:start] + piece + text[start + length :])

    @FUZZ
    @given(st.data())
    def test_any_value_anywhere(self, data: st.DataObject) -> None:
        """Any YAML value at any working key."""
        value = data.draw(
            st.sampled_from(
                ["", "{}", "[]", "[[]]", "[{}]", "{a: b}", "no", "-1", "0", "9" * 5000, ".inf", ".nan", "1e400", "22:22",
                 "2001-01-01", "'\\0'", '"\\0"', '"\\ud83d"', "'%s'" % ("a" * 300), "../x", "0-0", "1-99999", "'*'", "[~]",
                 "192.0.2.1/99", "0.0.0.0/0", "::1", "[::1]:1", "255.255.255.255"]
            )
        )  # fmt: skip
        shape = data.draw(st.sampled_from(all_shapes()))
        place = f"{shape.place}.{data.draw(st.sampled_from(sorted(shape.keys)))}".lstrip(".")
        self.survives(at(place, value))
        self.survives(at(place, f"[{value}]"))
        self.survives(at(place, f"[{{{data.draw(st.sampled_from(['address', 'port', 'bind_id', 'x']))}: {value}}}]"))

    @FUZZ
    @given(st.data())
    def test_sample_with_other_values(self, data: st.DataObject) -> None:
        """Several values of a good file are others, so that a check meets sections of which only parts are good."""
        with open(os.path.join(ROOT, "etc", "appliance.yaml")) as file:
            lines = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
        places = [index for index, line in enumerate(lines) if re.search(r": .", line)]
        values = st.sampled_from(
            ["", "[]", "{}", "1", "0", "65535", "x", "all", "close", "10m", "[80]", "[[80, 81]]", "[alpha-1, alpha-2]",
             "alpha-1", "snat", "10.0.0.11", "'2001:db8::1'", "203.0.113.9", "[192.0.2.66]", "[{port: all}]",
             "[{address: 10.0.0.11, backup: alpha-1}]", "www.alpha.example.test", "[{bind_id: 1, answer: close}]"]
        )  # fmt: skip
        for index in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique=True)):
            lines[index] = re.sub(r": .*", f": {data.draw(values)}", lines[index], count=1)
        self.survives("".join(lines))
