"""
Queries read and answered without parsing all of them.

Nearly all have the plain form: one question, and beside it at most an OPT with at most a cookie.  What has another
form, or only seems to, is for dnspython; what that cannot read is answered with :func:`brief`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

import attrs

SHORTEST = 17
"""Bytes of a header and the shortest question."""
OPT = b"\0\0\x29"
"""How an OPT record begins: the root's name and the type."""
COOKIE = b"\0\x0a"
CLASS_IN = b"\0\1"

AA, TC = 0x04, 0x02
"""Bits of the header's third byte."""

CLASSIC_LIMIT = 512
"""Longest UDP response to a query without EDNS (RFC 1035 s4.2.1)."""

_HEADER = 12
_LONGEST_LABEL = 63
_LONGEST_NAME = 255
_ONE_QUESTION = b"\0\1\0\0\0\0"
"""QDCOUNT, ANCOUNT, NSCOUNT."""


@attrs.frozen
class Form:
    """
    A query of the plain form.

    :param key: what finds its response.
    :param common: the same for all names and types: flags and OPT.
    :param end: where its question ends.
    :param cookie: the client's and the server's cookie, None without a COOKIE option.
    :param opt: it has an OPT.
    """

    key: bytes
    common: tuple[bytes, bytes]
    end: int
    cookie: tuple[bytes, bytes] | None
    opt: bool

    def limit(self, payload: int) -> int:
        """
        Most bytes of a response over UDP.

        :param payload: the most that we send.
        """
        return (
            min(max(int.from_bytes(self.common[1][2:4], "big"), CLASSIC_LIMIT), payload) if self.opt else CLASSIC_LIMIT
        )


def question_end(data: bytes) -> int:
    """Where the first question ends; 0 where its name is compressed, too long or cut off.  Never raises."""
    end, size = _HEADER, len(data)
    while end < size and (length := data[end]):
        if length > _LONGEST_LABEL:
            return 0
        end += length + 1
    end += 5
    return end if end <= size and end - 4 - _HEADER <= _LONGEST_NAME else 0


def brief(data: bytes, rcode: int, payload: int, *, flags: int = 0, options: bytes = b"") -> bytes:
    """
    A response without records: the query's id, opcode and RD, its question where it can be read, an OPT for an OPT.

    :param data: at least a header.
    :param payload: what the OPT says.
    :param flags: more bits of the header's third byte, such as ``TC``.
    :param options: of the OPT.
    """
    end = question_end(data) if data[4:6] != b"\0\0" else 0
    opt = b""
    at = end or _HEADER
    if data[10:12] != b"\0\0" and data[at : at + 3] == OPT and len(data) >= at + 11:
        opt = OPT + struct.pack("!HBBBBH", payload, rcode >> 4, 0, data[at + 7] & 0x80, 0, len(options)) + options
    head = struct.pack("!BBHHHH", 0x80 | data[2] & 0x79 | flags, rcode & 0xF, int(end > 0), 0, 0, int(bool(opt)))
    return data[:2] + head + (data[_HEADER:end] if end else b"") + opt


def slim(data: bytes, used: Collection[int]) -> bytes:
    """
    The query with the first of each of the ``used`` options only; as it is where there is something behind its OPT,
    which may be a signature, or where the options are no options.
    """
    end = question_end(data)
    at = end + 11
    if not end or data[6:12] != b"\0\0\0\0\0\1" or data[end : end + 3] != OPT or len(data) <= at:
        return data
    stop = at + int.from_bytes(data[at - 2 : at], "big")
    kept: dict[int, bytes] = {}
    while at + 4 <= stop <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        option = data[at : at + 4 + size]
        at += 4 + size
        if kind in used:
            kept.setdefault(kind, option)
    if at != stop:
        return data
    options = b"".join(kept.values())
    return data[: end + 9] + struct.pack("!H", len(options)) + options


def name_of(data: bytes, form: Form) -> bytes:
    """The name that is asked for, in lower case."""
    return data[_HEADER : form.end - 4].lower()


def form_of(data: bytes) -> Form | None:
    """The form of a query, None where it has another one; costs a step for each label.  Never raises."""
    if len(data) < SHORTEST or data[2] & 0xF8 or data[4:10] != _ONE_QUESTION:
        return None
    end, size = question_end(data), len(data)
    if not end:
        return None
    cookie, rest = None, data[10:12]
    if rest == b"\0\1":
        options = end + 11
        if options > size or data[end : end + 3] != OPT:
            return None
        rest += data[end + 3 : options]
        if size > options:
            length = size - options
            if not 12 <= length <= 44 or data[options - 2 : options] != struct.pack("!H", length):
                return None
            if data[options : options + 4] != COOKIE + struct.pack("!H", length - 4) or 12 < length < 20:
                return None
            cookie = data[options + 4 : options + 12], data[options + 12 :]
            # All cookies are one here.
            rest = rest[:-2] + COOKIE
    elif rest != b"\0\0" or size != end:
        return None
    flags = data[2:4]
    key = flags + data[12 : end - 4].lower() + data[end - 4 : end] + rest
    return Form(key, (flags, rest), end, cookie, len(rest) > 2)
