"""The file of past loads: what is written is read, by people and YAML too, and nothing else is taken for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import attrs
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.vitals.loadfile import (
    MOST_BYTES,
    NAME,
    PastLoad,
    UnusableLoad,
    load_text,
    parse_load,
    read_load,
    write_load,
)

LOAD = PastLoad(
    unit="connections",
    servers=("one", "zwei: \u00e9\U0001f600"),
    slot=900.0,
    past={0: (1.5, 2.0), 95: (0.0,)},
    under_way=(1_990_000, 3.25),
)
TEXT = load_text(LOAD)

loads = st.floats(0, 1e9).map(lambda load: round(load, 3))
pasts = st.builds(
    PastLoad,
    unit=st.just("connections"),
    servers=st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3).map(tuple),
    slot=st.just(900.0),
    past=st.dictionaries(st.integers(0, 95), st.lists(loads, max_size=4).map(tuple), max_size=5),
    under_way=st.none() | st.tuples(st.integers(0, 10**8), loads),
)


class TextTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=100, database=None)
    @given(load=pasts)
    def test_read_as_written(self, load: PastLoad) -> None:
        self.assertEqual(parse_load(load_text(load)), load)

    def test_for_eyes_and_yaml(self) -> None:
        """A line a slot, with its time of the day in UTC."""
        self.assertIn('\n"00:00": [1.5, 2.0],\n"23:45": [0.0]}}\n', TEXT)
        found = yaml.safe_load(load_text(LOAD))
        self.assertEqual(tuple(found["servers"]), LOAD.servers)
        self.assertEqual((found["format"], found["past"]), (1, {"00:00": [1.5, 2.0], "23:45": [0.0]}))
        self.assertEqual(found["under_way"], {"from": 1_990_000 * 900, "load": 3.25})

    def test_damaged(self) -> None:
        for old, new in {
            '"format": 1, ': "",
            '"format": 1': '"format": true',
            '"connections"': "3",
            '["one"': '[1, "one"',
            '"slot": 900.0': '"slot": 7',
            '"slot": 900.0,': '"slot": 1e400,',
            '"slot": 900.0,\n': '"slot": "900",\n',
            '"00:00"': '"00:01"',
            '"23:45"': '"24:00"',
            "[1.5": "[-1.5",
            "1.5, ": "NaN, ",
            "2.0]": "true]",
            "[0.0]": "0.0",
            '"load": 3.25': '"load": ' + "9" * 400,
            '{"from"': '["from"',
            "--- {": "--- [{",
        }.items():
            self.assertIn(old, TEXT)
            with self.assertRaises(UnusableLoad) as raised:
                parse_load(TEXT.replace(old, new))
            self.assertIn("it is damaged", str(raised.exception), (old, new))

    def test_cut_anywhere(self) -> None:
        for length in range(len(TEXT) - 1):
            self.assertRaises(UnusableLoad, parse_load, TEXT[:length])
        self.assertRaises(UnusableLoad, parse_load, "[" * 100_000)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_written_and_read(self) -> None:
        self.assertEqual(read_load(self.folder), None)
        write_load(self.folder, LOAD)
        self.assertEqual(read_load(self.folder), LOAD)
        self.assertEqual(os.listdir(self.folder), [NAME])

    def test_a_full_disk(self) -> None:
        """What was there stays, and nothing is left beside it; what a killed process left does not hinder."""
        write_load(self.folder, LOAD)

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        fsync = self.patch(os, "fsync", full)
        self.assertRaises(OSError, write_load, self.folder, attrs.evolve(LOAD, past={}))
        fsync.restore()
        self.assertEqual((read_load(self.folder), os.listdir(self.folder)), (LOAD, [NAME]))
        (self.folder / f"{NAME}.new").write_text("half")
        write_load(self.folder, LOAD)
        self.assertEqual(os.listdir(self.folder), [NAME])

    def test_unreadable(self) -> None:
        path = self.folder / NAME
        for data in (b"\xff" + TEXT.encode(), b"x" * (MOST_BYTES + 1), b"\0" * 99):
            path.write_bytes(data)
            self.assertRaises(UnusableLoad, read_load, self.folder)
        path.unlink()
        path.mkdir()
        self.assertRaises(UnusableLoad, read_load, self.folder)
