"""
What POPs tell each other, as bytes: how busy one is (``/load``), and what it has seen of the others (``/rows``).

JSON (RFC 8259) in UTF-8; docs and ``curl`` are its other readers, so what is not said is left out rather than null.
Who reads is strict, for the bytes come from another machine: a number is from 0 to 10^12 and not ``true``, a name is
printable and short, there are so many rows and no more.  Keys that are not known are skipped, so that a later
appliance may say more (requirement 3.2).  Nothing here knows how the bytes travel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

from appliance.model.health import Load, Row, Rows

MOST_ROWS = 1024
MOST_NAME_BYTES = 255
MOST_BYTES = 1 << 20
"""Of a document; the longest rows of the longest names are less.  Whoever fetches one may stop there, too."""
_MOST_COUNT = 1 << 63
_MOST_NUMBER = 1e12
"""No figure of a machine is above it, and sums, means and products of what is not are finite."""
_A_NUMBER = f"a number from 0 to {_MOST_NUMBER:g}"
_MOST_SHOWN = 40
"""Characters of a wrong value in an error."""

_LOAD_KEYS = tuple(field.name for field in attrs.fields(Load))


def load_json(load: Load) -> bytes:
    """
    One line of JSON with what ``load`` says.

    :raises ValueError: for a number that is not finite.
    """
    return _written(_load_row(load))


def parse_load(said: bytes) -> Load:
    """
    What :func:`load_json` wrote, or another machine in the same words; a key that is missing or null is not said.

    :raises ValueError: one line for people: what was found where, and what is allowed.
    """
    return _load(_object(_read(said), "the document"), "")


def rows_json(rows: Rows) -> bytes:
    """
    One line of JSON: ``{"observer", "epoch", "version", "age", "rows": [{"pop", "up", ...}]}``.

    :raises ValueError: for a number that is not finite.
    """
    return _written(
        {
            "observer": rows.observer,
            "epoch": rows.epoch,
            "version": rows.version,
            "age": rows.age,
            "rows": [_row_row(row) for row in rows.rows],
        }
    )


def parse_rows(said: bytes) -> Rows:
    """
    What :func:`rows_json` wrote.

    :raises ValueError: one line for people, as :func:`parse_load`; also for more than :data:`MOST_ROWS` rows, and for
        a POP with two of them.
    """
    found = _object(_read(said), "the document")
    listed = found.get("rows")
    if not isinstance(listed, list):
        _wrong("rows", listed, "a list")
    if len(listed) > MOST_ROWS:
        raise ValueError(f"rows: found {len(listed)} of them; allowed: at most {MOST_ROWS}")
    rows = tuple(_row(_object(row, f"rows[{at}]"), f"rows[{at}].") for at, row in enumerate(listed))
    pops: set[str] = set()
    for at, row in enumerate(rows):
        if row.pop in pops:
            _wrong(f"rows[{at}].pop", row.pop, "one row for each POP")
        pops.add(row.pop)
    return Rows(
        observer=_name(found, "observer", ""),
        epoch=_count(found, "epoch"),
        version=_count(found, "version"),
        age=_needed(found, "age", ""),
        rows=rows,
    )


# -- out -----------------------------------------------------------------------------------------------------------


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _load_row(load: Load) -> dict[str, float]:
    return {key: getattr(load, key) for key in _LOAD_KEYS if getattr(load, key) is not None}


def _row_row(row: Row) -> dict[str, Any]:
    written: dict[str, Any] = {"pop": row.pop, "up": row.up}
    for key in ("latency", "http", "ftp"):
        if getattr(row, key) is not None:
            written[key] = getattr(row, key)
    if row.load is not None:
        written["load"] = _load_row(row.load)
    written["promised"] = row.promised
    return written


# -- in ------------------------------------------------------------------------------------------------------------


def _read(said: bytes) -> object:
    if len(said) > MOST_BYTES:
        raise ValueError(f"found {len(said)} bytes; allowed: at most {MOST_BYTES}")
    try:
        return json.loads(said.decode())
    except (ValueError, RecursionError) as error:
        # A ValueError, too: bytes that are not UTF-8, and an integer of thousands of digits.
        raise ValueError(f"not JSON: {error}") from None


def _load(found: Mapping[str, Any], place: str) -> Load:
    return Load(**{key: _number(found, key, place) for key in _LOAD_KEYS})


def _row(found: Mapping[str, Any], place: str) -> Row:
    up, load, promised = found.get("up"), found.get("load"), _number(found, "promised", place)
    if not isinstance(up, bool):
        _wrong(f"{place}up", up, "true or false")
    return Row(
        pop=_name(found, "pop", place),
        up=up,
        latency=_number(found, "latency", place),
        http=_number(found, "http", place),
        ftp=_number(found, "ftp", place),
        load=None if load is None else _load(_object(load, f"{place}load"), f"{place}load."),
        promised=0.0 if promised is None else promised,
    )


def _object(found: object, place: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        _wrong(place, found, "an object")
    return found


def _name(found: Mapping[str, Any], key: str, place: str) -> str:
    """Printable, because it goes to logs and terminals; lone surrogates are not."""
    name = found.get(key)
    if not isinstance(name, str) or not name or not name.isprintable() or len(name.encode()) > MOST_NAME_BYTES:
        _wrong(f"{place}{key}", name, f"a printable name of 1 to {MOST_NAME_BYTES} bytes")
    return name


def _count(found: Mapping[str, Any], key: str) -> int:
    count = found.get(key)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < _MOST_COUNT:
        _wrong(key, count, "a whole number of at least 0")
    return count


def _number(found: Mapping[str, Any], key: str, place: str) -> float | None:
    return None if found.get(key) is None else _needed(found, key, place)


def _needed(found: Mapping[str, Any], key: str, place: str) -> float:
    said = found.get(key)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= _MOST_NUMBER:
        _wrong(f"{place}{key}", said, _A_NUMBER)
    return float(said)


def _wrong(place: str, found: object, allowed: str) -> NoReturn:
    shown = "nothing" if found is None else repr(found)
    if len(shown) > _MOST_SHOWN:
        shown = f"{shown[:_MOST_SHOWN]}..."
    raise ValueError(f"{place}: found {shown}; allowed: {allowed}")
