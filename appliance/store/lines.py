"""
The lines of the state files: one record each, ``--- {"seq": 7, ..., "crc": 123}``.

A line is a YAML 1.1 document in flow style, and what follows its ``--- `` is JSON of the same meaning: integers,
strings, booleans and null only, every character that either of the two would not take as it is being escaped.  The
CRC covers what stands before it, and the newline is the last thing that is written, so a record is whole or it shows.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]

_START = b"--- "
_CRC = re.compile(rb', "crc": (0|[1-9][0-9]{0,9})}\Z')
_PAIR = re.compile(r"\\\\|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")


class Damage(Exception):
    """A line that is not a record of ours; ``str()`` says in what way.  Does not leave the room."""


def line_of(fields: Mapping[str, object]) -> bytes:
    """
    The line of a record, its newline included.

    :param fields: ASCII keys; values as the module says.
    """
    text = json.dumps(fields)
    if "\\ud" in text:
        text = _PAIR.sub(_character, text)
    body = _START + text[:-1].encode()
    return b'%b, "crc": %d}\n' % (body, zlib.crc32(body))


def _character(match: re.Match[str]) -> str:
    """JSON's pair of escapes beyond the BMP, which YAML takes for two characters, as the character itself."""
    high, low = match.groups()
    if high is None:
        return match.group()
    return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)


def parse(line: bytes) -> Record:
    """
    :param line: without its newline.
    :raises Damage: when it is not exactly what was written.
    """
    match = _CRC.search(line[-24:])
    if match is None or not line.startswith(_START):
        raise Damage("this is not a record")
    body = memoryview(line)[: len(line) - len(match.group())]
    if zlib.crc32(body) != int(match.group(1)):
        raise Damage("the record was changed after it was written (its CRC does not fit)")
    try:
        record = json.loads(line[len(_START) :].decode())
    except ValueError as error:
        raise Damage(f"the record is not JSON: {error}") from None
    if not isinstance(record, dict) or type(record.get("seq")) is not int:
        raise Damage("the record has no number")
    return record
