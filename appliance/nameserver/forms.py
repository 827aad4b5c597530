"""
Queries of the plain form, read without parsing them: one question, and beside it at most an OPT with at most a cookie.

Nearly all queries have it.  What has another form, or only seems to, is for dnspython.
"""

from __future__ import annotations

import struct

import attrs

SHORTEST = 17
"""Bytes of a header and the shortest question."""
OPT = b"\0\0\x29"
"""How an OPT record begins: the root's name and the type."""
COOKIE = b"\0\x0a"
CLASS_IN = b"\0\1"

_ONE_QUESTION = b"\0\1\0\0\0\0"
"""QDCOUNT, ANCOUNT, NSCOUNT."""


@attrs.frozen
class Form:
    """
    A query of the plain form.

    :param key: what finds its response.
    :param end: where its question ends.
    :param cookie: the client's and the server's cookie, None without a COOKIE option.
    :param opt: it has an OPT.
    """

    key: bytes
    end: int
    cookie: tuple[bytes, bytes] | None
    opt: bool


def form_of(data: bytes) -> Form | None:
    """The form of a query, None where it has another one; costs a step for each label.  Never raises."""
    if len(data) < SHORTEST or data[2] & 0xF8 or data[4:10] != _ONE_QUESTION:
        return None
    end = 12
    size = len(data)
    while end < size and (length := data[end]):
        if length > 63:
            return None
        end += length + 1
    end += 5
    if end > size:
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
    key = data[2:4] + data[12 : end - 4].lower() + data[end - 4 : end] + rest
    return Form(key, end, cookie, len(rest) > 2)
