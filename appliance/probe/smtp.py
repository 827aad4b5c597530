"""A mail server: its banner, EHLO (or HELO, where it is that old), QUIT (RFC 5321); no mail is begun."""

from __future__ import annotations

from appliance.model.health import Cause
from appliance.probe.conversation import one_line
from appliance.probe.replies import Replies, Reply


class Smtp(Replies):
    """
    :param host: the name that EHLO says; empty: this end's address, as a literal (RFC 5321 s4.1.4).
    :param contains: what the banner has to have.
    """

    __slots__ = ("_asked", "_contains", "_host")

    def __init__(self, host: str, contains: bytes) -> None:
        super().__init__()
        self._host = one_line("the host", host)
        self._contains = contains
        self._asked = ""

    def opened(self, own: str) -> bytes:
        if not self._host:
            self._host = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        return b""

    def replied(self, reply: Reply) -> bytes:
        if not self._asked:
            if reply.code != 220:
                return self.over(Cause.STATUS, str(reply))
            if self._contains not in reply.text:
                return self.over(Cause.CONTENT, f"{reply}, without what it has to contain")
            self._asked = "EHLO"
        elif reply.code == 250:
            return self.over(Cause.OK, str(reply))
        elif self._asked == "EHLO" and reply.code in (500, 502, 504, 550):
            self._asked = "HELO"
        else:
            return self.over(Cause.STATUS, str(reply))
        return f"{self._asked} {self._host}\r\n".encode()
