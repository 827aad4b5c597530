"""
Replies of three digits and a text, over one line or several: FTP's (RFC 959 s4.2) and SMTP's (RFC 5321 s4.2).

``220-first``, any lines (FTP), or such of the same code (SMTP), and ``220 last`` are one reply.
"""

from __future__ import annotations

import re

import attrs

from appliance.model.health import Cause
from appliance.probe.conversation import Conversation, shown

MOST_TALK_BYTES = 65536
"""What a target may say in a conversation; more is ``too-long``."""

_FIRST = re.compile(rb"([1-5][0-9]{2})(?:([- ])(.*))?\Z", re.DOTALL)


@attrs.frozen
class Reply:
    """:param text: its lines, joined by line ends, without their codes where they are first or last."""

    code: int
    text: bytes

    def __str__(self) -> str:
        return f"{self.code} {shown(self.text)}".rstrip()


class Replies(Conversation):
    """Cuts what comes into replies, and gives each to :meth:`replied` in its turn."""

    __slots__ = ("_code", "_heard", "_lines", "_pending")

    def __init__(self) -> None:
        super().__init__()
        self._pending = b""
        self._heard = 0
        self._code: bytes | None = None
        self._lines: list[bytes] = []

    def replied(self, reply: Reply) -> bytes:
        """:return: what to send."""
        raise NotImplementedError

    def receive(self, data: bytes) -> bytes:
        room = max(0, MOST_TALK_BYTES - self._heard)
        self._heard += len(data)
        *lines, self._pending = (self._pending + data[:room]).split(b"\n")
        sent = [self._line(line.removesuffix(b"\r")) for line in lines]
        if len(data) > room:
            self.found(Cause.TOO_LONG, f"more than {MOST_TALK_BYTES} bytes")
            self.leaving = False
        if self._code is None and self.finding is None and not self._pending[:3].ljust(3, b"2").isdigit():
            self.found(Cause.PROTOCOL, f"not a reply: {shown(self._pending)}")
        return b"".join(sent)

    def ended(self) -> None:
        if self.finding is None:
            self.found(Cause.CLOSED, "ended in the middle of the talk" if self._heard else "ended before anything came")

    def over(self, cause: Cause, detail: str) -> bytes:
        """The finding is there, and what remains is to take leave."""
        self.found(cause, detail)
        self.leaving = True
        return b"QUIT\r\n"

    def _line(self, line: bytes) -> bytes:
        if self.finding is not None and not self.leaving:
            return b""
        found = _FIRST.match(line)
        if self._code is None:
            if found is None:
                self.found(Cause.PROTOCOL, f"not a reply: {shown(line)}")
                self.leaving = False
                return b""
            self._lines = [found[3] or b""]
            if found[2] == b"-":
                self._code = found[1]
                return b""
        elif found is not None and found[1] == self._code and found[2] != b"-":
            self._lines.append(found[3] or b"")
            self._code = None
        else:
            self._lines.append(line)
            return b""
        assert found is not None
        reply = Reply(int(found[1]), b"\n".join(self._lines))
        if self.leaving:
            self.leaving = False  # whatever it says: it has heard the good-bye
            return b""
        return self.replied(reply)
