"""
Where the body of an HTTP answer ends (RFC 9112 s6.3): by its length, its chunks, or the end of the connection.

A body takes bytes until it is ``whole``, keeps them only where somebody wants to read them, and says
:class:`TooLong` as soon as it is certain, so that a gigabyte costs no more than the bound.
"""

from __future__ import annotations

import re

_MOST_LINE = 1024
_MOST_TRAILER = 16384
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?\r?\Z", re.DOTALL)


class TooLong(Exception):
    """More than was allowed."""


class NotHttp(Exception):
    """It breaks the rules of its own form."""


class Body:
    """
    One that goes on until the connection ends.

    :param most: bytes.
    :param kept: what came is wanted, not only how much it was.
    :ivar whole: nothing more belongs to it.
    """

    __slots__ = ("_left", "content", "kept", "whole")

    def __init__(self, most: int, *, kept: bool) -> None:
        self._left = most
        self.content = bytearray()
        self.kept = kept
        self.whole = False

    def take(self, data: bytes) -> None:
        """:raises TooLong: :raises NotHttp: as they say."""
        self._add(data)

    def ended(self) -> bool:
        """Whether the end of the connection is its end, too."""
        return True

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise TooLong
        if self.kept:
            self.content += data


class SizedBody(Body):
    """:param size: bytes, as Content-Length says."""

    __slots__ = ("_awaited",)

    def __init__(self, size: int, most: int, *, kept: bool) -> None:
        super().__init__(most, kept=kept)
        if size > most:
            raise TooLong
        self._awaited = size
        self.whole = not size

    def take(self, data: bytes) -> None:
        piece = data if len(data) <= self._awaited else data[: self._awaited]
        self._add(piece)
        self._awaited -= len(piece)
        self.whole = not self._awaited

    def ended(self) -> bool:
        return self.whole


class ChunkedBody(Body):
    """
    Chunks (RFC 9112 s7.1); extensions and trailers are read over.

    ::

        SIZE --n>0--> DATA --n bytes--> its end of line --> SIZE
        SIZE --0--> TRAILER --an empty line--> whole
    """

    __slots__ = ("_in_chunk", "_pending", "_state", "_trailer")

    def __init__(self, most: int, *, kept: bool) -> None:
        super().__init__(most, kept=kept)
        self._pending = bytearray()
        self._state = self._size
        self._in_chunk = 0
        self._trailer = 0

    def take(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.whole:
            if self._in_chunk:
                piece = data[at : at + self._in_chunk]
                self._add(piece)
                self._in_chunk -= len(piece)
                at += len(piece)
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end
            if len(self._pending) + stop - at > _MOST_LINE:
                raise TooLong
            self._pending += data[at:stop]
            at = stop + 1
            if end >= 0:
                line = bytes(self._pending)
                self._pending.clear()
                self._state(line)

    def ended(self) -> bool:
        return self.whole

    def _size(self, line: bytes) -> None:
        found = _CHUNK.match(line)
        if found is None:
            raise NotHttp("a chunk without a size")
        self._in_chunk = int(found[1], 16)
        if self._in_chunk > self._left:
            raise TooLong
        self._state = self._after_data if self._in_chunk else self._trailers

    def _after_data(self, line: bytes) -> None:
        if line.rstrip(b"\r"):
            raise NotHttp("a chunk longer than it says")
        self._state = self._size

    def _trailers(self, line: bytes) -> None:
        self._trailer += len(line) + 1
        if self._trailer > _MOST_TRAILER:
            raise TooLong
        self.whole = not line.rstrip(b"\r")
