"""
What a POP's own load was on past days, in the state folder: ``load.yaml``.

A YAML document in flow style which is JSON as well, with a line for each slot of the day (UTC)::

    --- {"format": 1, "unit": "connections", "servers": ["pop-1"], "slot": 900,
    "under_way": {"from": 1790000100, "load": 31.5},
    "past": {
    "00:00": [12.0, 9.5],
    "00:15": [11.25, 9.0]}}

It is written beside what is there, synced and renamed, so it is whole at every instant.  All of this blocks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs

NAME = "load.yaml"
BEFORE = "load.yaml.before"
"""What was there and could not be used."""

FORMAT = 1
MOST_BYTES = 1 << 20
"""A slot of 15 minutes and 28 days make 30 000."""

_START = "--- "
_MOST = 1e12
"""No load, and no instant of the next 30 000 years, is above it."""
_DIGITS = 3
"""Behind the point of a load: a thousandth of a connection is none."""
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class UnusableLoad(Exception):
    """``str()`` says why a file is not used."""


@attrs.frozen(kw_only=True)
class PastLoad:
    """
    :param unit: what was counted, at which ``servers``, sorted; none: everywhere.
    :param slot: seconds, of which ``past`` and ``under_way`` are as :class:`appliance.capacity.Forecast` says them.
    """

    unit: str
    servers: tuple[str, ...]
    slot: float
    past: Mapping[int, tuple[float, ...]]
    under_way: tuple[int, float] | None


def load_text(load: PastLoad) -> str:
    """What is in the file."""
    head = {"format": FORMAT, "unit": load.unit, "servers": load.servers, "slot": load.slot}
    under_way = None
    if load.under_way is not None:
        number, highest = load.under_way
        under_way = {"from": number * load.slot, "load": round(highest, _DIGITS)}
    slots = (
        f"{json.dumps(_time(number, load.slot))}: {json.dumps([round(each, _DIGITS) for each in loads])}"
        for number, loads in sorted(load.past.items())
    )
    # As YAML takes it: two escapes, by which JSON writes a character beyond the BMP, would be two characters.
    first, rest = json.dumps(head, ensure_ascii=False)[:-1], ",\n".join(slots)
    return f'{_START}{first},\n"under_way": {json.dumps(under_way)},\n"past": {{\n{rest}}}}}\n'


def parse_load(text: str) -> PastLoad:
    """:raises UnusableLoad: when it is damaged, or of a newer format."""
    try:
        found = json.loads(text.removeprefix(_START))
    except (ValueError, RecursionError) as error:
        raise UnusableLoad(f"it is damaged: {error}") from None
    if not isinstance(found, dict):
        _damaged("it is no mapping")
    version = found.get("format")
    if type(version) is not int or version < 1:
        _damaged("it has no format")
    if version > FORMAT:
        raise UnusableLoad(f"it has format {str(version)[:20]}, and this version knows {FORMAT}")
    unit, servers, slot, past = (found.get(key) for key in ("unit", "servers", "slot", "past"))
    if not isinstance(unit, str):
        _damaged("it has no unit")
    if not isinstance(servers, list) or not all(isinstance(each, str) for each in servers):
        _damaged("its servers are no list of names")
    seconds = _number(slot, "slot")
    if not 60.0 <= seconds <= 86400.0 or seconds % 60.0:
        _damaged(f"a slot has {seconds:g} s")
    if not isinstance(past, dict):
        _damaged("it has no past")
    loads = {_slot(key, seconds): _loads(each, key) for key, each in past.items()}
    return PastLoad(
        unit=unit,
        servers=tuple(servers),
        slot=seconds,
        past=loads,
        under_way=_under_way(found.get("under_way"), seconds),
    )


def read_load(folder: Path) -> PastLoad | None:
    """
    What is in the folder's file; None: there is none.

    :raises UnusableLoad: when it cannot be read, or not be used.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableLoad(f"it cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        _damaged(f"it has more than {MOST_BYTES} bytes")
    return parse_load(data.decode(errors="replace"))


def write_load(folder: Path, load: PastLoad) -> None:
    """:raises OSError: then the file is as it was, or complete."""
    path = folder / NAME
    draft = path.with_name(f"{NAME}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(load_text(load))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(holder)
    finally:
        os.close(holder)


def set_aside(folder: Path) -> None:
    """Keep what cannot be used where the next file does not replace it.  Raises OSError."""
    (folder / NAME).replace(folder / BEFORE)


def _time(number: int, slot: float) -> str:
    minutes = round(number * slot) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _slot(key: str, slot: float) -> int:
    """The number of a slot that begins at such a time."""
    match = _TIME.fullmatch(key)
    if match is None or (60 * int(match[1]) + int(match[2])) * 60 % slot:
        _damaged(f"no slot begins at '{key[:20]}'")
    return round((60 * int(match[1]) + int(match[2])) * 60 / slot)


def _loads(found: object, key: str) -> tuple[float, ...]:
    if not isinstance(found, list):
        _damaged(f"{key} has no list of loads")
    return tuple(_number(each, key) for each in found)


def _under_way(found: object, slot: float) -> tuple[int, float] | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        _damaged("under_way is no mapping")
    return int(_number(found.get("from"), "under_way") // slot), _number(found.get("load"), "under_way")


def _number(found: Any, place: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _MOST:
        _damaged(f"{place} has something that is no number of at least 0")
    return float(found)


def _damaged(how: str) -> NoReturn:
    raise UnusableLoad(f"it is damaged: {how}")
