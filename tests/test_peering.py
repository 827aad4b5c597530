"""What POPs tell each other comes back as it was said; what strangers say is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Load, Row, Rows
from appliance.peering import MOST_BYTES, MOST_ROWS, load_json, parse_load, parse_rows, rows_json

QUICK = settings(derandomize=True, max_examples=100, deadline=None, database=None)

numbers = st.floats(min_value=0, max_value=1e12)
maybe = st.none() | numbers
printable = st.characters(exclude_categories=("C", "Z"))
names = st.text(printable, min_size=1, max_size=255).filter(
    lambda name: name.isprintable() and len(name.encode()) <= 255
)
loads = st.builds(Load, cpu=maybe, memory=maybe, connections=maybe, capacity=maybe, lag=maybe, egress=maybe)
each_row = st.builds(
    Row, pop=names, up=st.booleans(), latency=maybe, http=maybe, ftp=maybe, load=st.none() | loads, promised=numbers
)
counts = st.integers(min_value=0, max_value=(1 << 63) - 1)
all_rows = st.builds(
    Rows,
    observer=names,
    epoch=counts,
    version=counts,
    age=numbers,
    rows=st.lists(each_row, max_size=5, unique_by=lambda row: row.pop).map(tuple),
)

WHOLE: dict[str, Any] = {
    "observer": "ams1",
    "epoch": 7,
    "version": 3,
    "age": 0.5,
    "rows": [{"pop": "fra1", "up": True}],
}


def rows_with(**more: object) -> bytes:
    return json.dumps({**WHOLE, **more}).encode()


def row_with(**more: object) -> bytes:
    return rows_with(rows=[{"pop": "fra1", "up": True, **more}])


class LoadTests(SynchronousTestCase):
    @QUICK
    @given(loads)
    def test_comes_back(self, load: Load) -> None:
        self.assertEqual(parse_load(load_json(load)), load)

    def test_what_is_not_said_is_not_written(self) -> None:
        self.assertEqual(load_json(Load(cpu=0.5, capacity=0.0)), b'{"cpu":0.5,"capacity":0.0}\n')

    def test_other_keys_and_null_are_not_said(self) -> None:
        self.assertEqual(parse_load(b'{"cpu": 1, "memory": null, "hits": {"deep": []}}'), Load(cpu=1.0))

    def test_numbers(self) -> None:
        """From 0 to what a machine may say at most, and numbers."""
        said_ones = (b"true", b'"0.5"', b"-1", b"-0.001", b"NaN", b"Infinity", b"1e999", b"[]", b"{}", b"1" * 400)
        for said in (*said_ones, b"1e308", b"1.1e12"):
            with self.assertRaisesRegex(ValueError, r"^cpu: found .*; allowed: a number from 0 to 1e\+12$"):
                parse_load(b'{"cpu": ' + said + b"}")

    def test_documents(self) -> None:
        for said in (b"", b"{", b"\xff{}", b"{}{}", b"1" * 5000, b"[" * 100_000, b'{"a":' * 100_000):
            with self.assertRaisesRegex(ValueError, "^not JSON: .*$"):
                parse_load(said)
        for said in (b"[]", b"null", b"1", b'"cpu"'):
            with self.assertRaisesRegex(ValueError, "^the document: found .*; allowed: an object$"):
                parse_load(said)

    def test_too_long_is_not_read(self) -> None:
        with self.assertRaisesRegex(ValueError, f"^found {MOST_BYTES + 1} bytes; allowed: at most {MOST_BYTES}$"):
            parse_load(b"{}" + b" " * (MOST_BYTES - 1))

    def test_a_number_that_is_none_is_not_written(self) -> None:
        for wrong in (float("nan"), float("inf")):
            self.assertRaises(ValueError, load_json, Load(lag=wrong))


class RowsTests(SynchronousTestCase):
    @QUICK
    @given(all_rows)
    def test_comes_back(self, rows: Rows) -> None:
        self.assertEqual(parse_rows(rows_json(rows)), rows)

    def test_in_these_words(self) -> None:
        rows = Rows(
            observer="ams1",
            epoch=7,
            version=3,
            age=0.25,
            rows=(
                Row(pop="fra1", up=True, latency=0.01, http=0.02, ftp=0.03, load=Load(cpu=0.5), promised=12.0),
                Row(pop="lon1", up=False),
            ),
        )
        self.assertEqual(
            rows_json(rows),
            b'{"observer":"ams1","epoch":7,"version":3,"age":0.25,"rows":['
            b'{"pop":"fra1","up":true,"latency":0.01,"http":0.02,"ftp":0.03,"load":{"cpu":0.5},"promised":12.0},'
            b'{"pop":"lon1","up":false,"promised":0.0}]}\n',
        )

    def test_other_keys_are_skipped(self) -> None:
        read = parse_rows(row_with(hits=0.9, load={"cpu": 0.5, "colour": "red"}))
        self.assertEqual(read.rows, (Row(pop="fra1", up=True, load=Load(cpu=0.5)),))

    def test_what_is_wrong_is_said_where(self) -> None:
        for said, place in (
            (rows_with(observer=""), "observer"),
            (rows_with(observer="a\nb"), "observer"),
            (rows_with(observer="\ud800"), "observer"),
            (rows_with(observer=None), "observer"),
            (rows_with(epoch=1.0), "epoch"),
            (rows_with(epoch=True), "epoch"),
            (rows_with(epoch=1 << 63), "epoch"),
            (rows_with(version=-1), "version"),
            (rows_with(age=None), "age"),
            (rows_with(age=-1), "age"),
            (rows_with(rows=None), "rows"),
            (rows_with(rows={}), "rows"),
            (rows_with(rows=[1]), r"rows\[0\]"),
            (rows_with(rows=WHOLE["rows"] * 2), r"rows\[1\]\.pop"),
            (row_with(pop=7), r"rows\[0\]\.pop"),
            (row_with(pop="x" * 256), r"rows\[0\]\.pop"),
            (row_with(pop="\u00e9" * 128), r"rows\[0\]\.pop"),
            (row_with(up=1), r"rows\[0\]\.up"),
            (row_with(latency="fast"), r"rows\[0\]\.latency"),
            (row_with(http=-1), r"rows\[0\]\.http"),
            (row_with(ftp=[]), r"rows\[0\]\.ftp"),
            (row_with(promised=True), r"rows\[0\]\.promised"),
            (row_with(load=[]), r"rows\[0\]\.load"),
            (row_with(load={"lag": "1"}), r"rows\[0\]\.load\.lag"),
        ):
            with self.assertRaisesRegex(ValueError, f"^{place}: found .*; allowed: .*$") as caught:
                parse_rows(said)
            self.assertLess(len(str(caught.exception)), 160)

    def test_so_many_rows_and_no_more(self) -> None:
        """As many as allowed, with the longest names and numbers, fit into a document."""
        small, large, name = 1.2345678901234567e-300, 1e12 / 7, "\\" * 251
        load = Load(cpu=small, memory=small, connections=large, capacity=large, lag=small, egress=large)

        def rows(count: int) -> Rows:
            row = Row(pop="", up=False, latency=small, http=small, ftp=small, load=load, promised=large)
            each = (attrs.evolve(row, pop=f"{name}{at:04}") for at in range(count))
            return Rows(observer="ams1", epoch=1, version=1, rows=tuple(each))

        self.assertEqual(parse_rows(rows_json(rows(MOST_ROWS))), rows(MOST_ROWS))
        few = Rows(observer="a", epoch=1, version=1, rows=tuple(Row(pop=f"{at}", up=True) for at in range(1025)))
        with self.assertRaisesRegex(ValueError, "^rows: found 1025 of them; allowed: at most 1024$"):
            parse_rows(rows_json(few))
