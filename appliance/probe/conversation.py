"""
What is said to a target and what it says, without sockets: bytes in, bytes out, a finding in the end.

::

    opened() -> bytes to send
        receive(bytes) -> bytes to send, as often as something comes
            finding is set      the check has found what it looked for; ``leaving``: a good-bye is still to be heard
        ended()                 the target ended: a finding there is by now, ``closed`` where it had not said enough

How the bytes are cut into pieces makes no difference to the finding.  Time, sockets and deadlines are the driver's
(:mod:`~appliance.probe.visit`); nothing of this imports them.
"""

from __future__ import annotations

import attrs

from appliance.model.health import Cause, Layer, Load, Rows

_MOST_DETAIL = 120


@attrs.frozen
class Finding:
    """What a conversation came to; the driver adds how long it took."""

    cause: Cause
    detail: str = ""
    load: Load | None = None
    rows: Rows | None = None
    layer: Layer = Layer.APPLICATION


def shown(said: bytes | str) -> str:
    """What a target said, for a log line: its first line, printable, at most 120 characters."""
    text = said if isinstance(said, str) else said[: 4 * _MOST_DETAIL].decode("utf-8", "replace")
    line = text.lstrip("\r\n").partition("\n")[0].strip()
    return "".join(sign if sign.isprintable() else "?" for sign in line[:_MOST_DETAIL])


def one_line(what: str, text: str) -> str:
    """
    ``text``, which may stand in a command of a protocol of lines.

    :param what: which it is, for people.
    :raises ValueError: when it holds the end of a line, which would begin another command.
    """
    if any(sign in text for sign in "\r\n\0"):
        raise ValueError(f"{what} holds the end of a line")
    return text


class Conversation:
    """
    One side of a protocol.

    :ivar layer: where it stands, for a check that ends in silence.
    :ivar finding: None while it goes on.  It is not changed once it is there.
    :ivar leaving: the finding is there, and the target is taken leave of; an end or silence changes nothing any more.
    """

    __slots__ = ("finding", "layer", "leaving")

    def __init__(self) -> None:
        self.finding: Finding | None = None
        self.leaving = False
        self.layer = Layer.APPLICATION

    def opened(self, own: str) -> bytes:
        """
        The connection is there.

        :param own: this end's address.
        :return: what to send.
        """
        return b""

    def receive(self, data: bytes) -> bytes:
        """
        :param data: what came: any piece of a stream, or one datagram.
        :return: what to send.
        """
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing more comes, and a finding there is."""
        if self.finding is None:
            self.found(Cause.CLOSED, "ended before it had answered")

    def found(self, cause: Cause, detail: str = "", load: Load | None = None, rows: Rows | None = None) -> None:
        if self.finding is None:
            self.finding = Finding(cause, detail, load, rows, self.layer)
