"""A line is the same to a YAML loader and to a JSON parser, and any change of it shows."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.store.lines import Damage, line_of, parse

NAMES = st.text(st.characters(exclude_categories=["Cs"])) | st.text('\\"ud83e\U0001f600\x00\x1f\x7f\x85\u2028\ufeff: #')
FIELDS = st.dictionaries(
    st.from_regex("[a-z_]{1,8}", fullmatch=True), NAMES | st.integers(-(2**60), 2**60) | st.booleans() | st.none()
)


class LineTests(SynchronousTestCase):
    @given(FIELDS)
    def test_yaml_and_json_read_the_same(self, fields: dict[str, object]) -> None:
        """Characters beyond the BMP, control characters and all."""
        line = line_of({"seq": 1, **fields})
        self.assertEqual((line.count(b"\n"), line[:4]), (1, b"--- "))
        read = parse(line[:-1])
        self.assertEqual({**read, "crc": 0}, {"seq": 1, **fields, "crc": 0})
        self.assertEqual(json.loads(line[4:]), read)
        self.assertEqual(yaml.safe_load(line.decode()), read)

    def test_a_file_is_a_stream_of_documents(self) -> None:
        text = (line_of({"seq": 1}) + line_of({"seq": 2})).decode()
        self.assertEqual([record["seq"] for record in yaml.safe_load_all(text)], [1, 2])

    @given(st.data())
    def test_a_changed_byte_shows(self, data: st.DataObject) -> None:
        line = bytearray(line_of({"seq": 7, "site": "www.alpha.example.test"})[:-1])
        at = data.draw(st.integers(0, len(line) - 1))
        line[at] ^= data.draw(st.integers(1, 255))
        self.assertRaises(Damage, parse, bytes(line))

    def test_what_is_no_record(self) -> None:
        for line in (
            b"",
            b"--- {}",
            b"seq: 1",
            line_of({"seq": "1"})[:-1],
            line_of({"seq": True})[:-1],
            line_of({})[:-1],
        ):
            self.assertRaises(Damage, parse, line)
