"""
One page over HTTP/1.1 (RFC 9112), asked for once: ``Connection: close``, no redirect followed, nothing kept.

What counts is the final answer: 1xx ones are read over, a 3xx is judged like any other code.  A head of more than
64 KiB, or a body of more than ``most_bytes``, is ``too-long``, and is read no further.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.model.health import Cause, Probe
from appliance.probe.bodies import Body, ChunkedBody, NotHttp, SizedBody, TooLong
from appliance.probe.conversation import Conversation, one_line, shown

MOST_HEAD_BYTES = 65536
"""Of all heads of an answer together, those of 1xx included."""

_BEGINNING = b"HTTP/1."
_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?\Z")
_FIELDS = "User-Agent: appliance\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n"
_BODILESS = frozenset({101, 204, 304})


def request(method: str, path: str, host: str) -> bytes:
    """:raises ValueError: for a path or a name that would begin another line."""
    target = one_line("the path", path or "/")
    if " " in target:
        raise ValueError("the path holds a space")
    asked = f"{method} {target} HTTP/1.1\r\nHost: {one_line('the host', host)}\r\n"
    return f"{asked}{_FIELDS}\r\n".encode()


def expected(code: int, runs: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in runs)


class Http(Conversation):
    """
    :param sent: the whole request, see :func:`request`.
    :param expect: runs of codes that are right.
    :param contains: what the body has to have; empty: anything.
    :param most_bytes: of the body.
    """

    __slots__ = ("_body", "_code", "_contains", "_expect", "_head", "_head_left", "_most_bytes", "_reason", "_sent")

    def __init__(self, sent: bytes, expect: Sequence[tuple[int, int]], contains: bytes, most_bytes: int) -> None:
        super().__init__()
        self._sent = sent
        self._expect = expect
        self._contains = contains
        self._most_bytes = most_bytes
        self._head = b""
        self._head_left = MOST_HEAD_BYTES
        self._body: Body | None = None
        self._code = 0
        self._reason = ""

    @classmethod
    def of(cls, probe: Probe, host: str) -> Http:
        """:raises ValueError: as :func:`request` does."""
        sent = request("GET", probe.path, probe.host or host)
        return cls(sent, probe.expect, probe.contains.encode(), probe.most_bytes)

    def opened(self, own: str) -> bytes:
        return self._sent

    def receive(self, data: bytes) -> bytes:
        try:
            if self._body is None:
                self._read_head(data)
            else:
                self._read_body(self._body, data)
        except TooLong:
            self.found(Cause.TOO_LONG, f"more than {self._most_bytes} bytes")
        except NotHttp as wrong:
            self.found(Cause.PROTOCOL, str(wrong))
        return b""

    def ended(self) -> None:
        body = self._body
        if self.finding is not None:
            return
        if body is None:
            self.found(Cause.CLOSED, f"ended before {'its head was whole' if self._head else 'anything came'}")
        elif body.ended():
            self._judge(body)
        else:
            self.found(Cause.CLOSED, "ended before its body was whole")

    def judged(self, code: int, reason: str, content: bytes) -> None:
        """What a whole answer of an expected code is worth; others may read more in it."""
        if self._contains and self._contains not in content:
            self.found(Cause.CONTENT, f"{code} {reason}".rstrip() + ", without what it has to contain")
        else:
            self.found(Cause.OK, f"{code} {reason}".rstrip())

    def wants_content(self) -> bool:
        return bool(self._contains)

    def _read_head(self, data: bytes) -> None:
        searched = max(0, len(self._head) - 2)
        head = self._head = self._head + data if self._head else data
        while self._body is None:
            if head[:7] != _BEGINNING[: len(head)]:
                raise NotHttp(f"not HTTP/1: {shown(head)}")
            end = _HEAD_END.search(head, searched)
            if (len(head) if end is None else end.end()) > self._head_left:
                self.found(Cause.TOO_LONG, f"a head of more than {MOST_HEAD_BYTES} bytes")
                return
            if end is None:
                self._head = head
                return
            lines = head[: end.start()].split(b"\n")
            self._head_left -= end.end()
            head, searched = head[end.end() :], 0
            self._read_status(lines[0])
            if self._code < 200 and self._code != 101:
                continue
            self._head = b""
            self._body = self._body_of(lines)
            self._read_body(self._body, head)

    def _read_status(self, line: bytes) -> None:
        found = _STATUS_LINE.match(line)
        if found is None:
            raise NotHttp(f"not a status line: {shown(line)}")
        self._code = int(found[1])
        self._reason = shown(found[2]) if found[2] else ""

    def _body_of(self, lines: list[bytes]) -> Body:
        if not expected(self._code, self._expect):
            # Its body could not change the finding any more.
            self.found(Cause.STATUS, f"{self._code} {self._reason}".rstrip())
        kept = self.wants_content()
        if self._code in _BODILESS:
            return SizedBody(0, self._most_bytes, kept=kept)
        sizes: set[bytes] = set()
        coding = b""
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon:
                raise NotHttp(f"not a field: {shown(line)}")
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                sizes.update(part.strip() for part in value.split(b","))
            elif size == 17 and name.lower() == b"transfer-encoding":
                coding = value.strip().lower()
        if coding:
            if coding.rpartition(b",")[2].strip() == b"chunked":
                return ChunkedBody(self._most_bytes, kept=kept)
            return Body(self._most_bytes, kept=kept)
        if not sizes:
            return Body(self._most_bytes, kept=kept)
        size_text = sizes.pop()
        if sizes or not size_text.isdigit() or len(size_text) > 18:
            raise NotHttp("a Content-Length that is none")
        return SizedBody(int(size_text), self._most_bytes, kept=kept)

    def _read_body(self, body: Body, data: bytes) -> None:
        if self.finding is None:
            body.take(data)
            if body.whole:
                self._judge(body)

    def _judge(self, body: Body) -> None:
        self.judged(self._code, self._reason, bytes(body.content))
