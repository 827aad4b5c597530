"""
A file server: its banner, a log-in, and the size of a file or the file itself (RFC 959, 2428, 3659).

::

    BANNER -> [USER -> PASS] -> [TYPE -> SIZE | EPSV (-> PASV) -> RETR -> file] -> QUIT

What is in brackets is done where it is asked for.  The data connection goes to the address of the control connection,
whatever PASV may say: a target must not send its checker elsewhere (RFC 2577 s3).
"""

from __future__ import annotations

import re

from appliance.model.health import Cause, Probe
from appliance.probe.conversation import one_line
from appliance.probe.replies import Replies, Reply

_EPSV = re.compile(rb"\((.)\1\1([0-9]{1,5})\1\)")
_PASV = re.compile(rb"[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},([0-9]{1,3}),([0-9]{1,3})")


class Ftp(Replies):
    """
    :param user: empty: nobody logs in.
    :param path: empty: no file is asked for.
    :param transfer: the file itself is.
    :param contains: what the banner has to have.
    :param most_bytes: of the file.
    :ivar data_port: where the driver is to connect, as soon as it is not 0; it clears it.
    """

    __slots__ = (
        "_contains",
        "_file_ended",
        "_file_left",
        "_file_said",
        "_most_bytes",
        "_password",
        "_path",
        "_step",
        "_transfer",
        "_user",
        "data_port",
    )

    def __init__(
        self, user: str, password: str, path: str, contains: bytes, most_bytes: int, *, transfer: bool
    ) -> None:
        super().__init__()
        self._user = one_line("the user", user)
        self._password = one_line("the password", password)
        self._path = one_line("the path", path)
        self._transfer = transfer
        self._contains = contains
        self._most_bytes = self._file_left = most_bytes
        self._file_ended = False
        self._file_said: Reply | None = None
        self._step = self._banner
        self.data_port = 0

    @classmethod
    def of(cls, probe: Probe, password: str) -> Ftp:
        """:raises ValueError: for words that would begin another command."""
        contains = probe.contains.encode()
        return cls(probe.user, password, probe.path, contains, probe.most_bytes, transfer=probe.transfer)

    def replied(self, reply: Reply) -> bytes:
        return self._step(reply)

    # -- the file ------------------------------------------------------------------------------------------------------

    def data_opened(self) -> bytes:
        """The data connection is there."""
        self._step = self._retrieved
        return f"RETR {self._path}\r\n".encode()

    def data_received(self, size: int) -> None:
        """So many bytes of the file came."""
        self._file_left -= size
        if self._file_left < 0:
            self.found(Cause.TOO_LONG, f"more than {self._most_bytes} bytes")

    def data_ended(self) -> bytes:
        """All of the file came, or the connection broke, which the control connection tells."""
        self._file_ended = True
        return self._fetched()

    def data_failed(self, why: str) -> bytes:
        """The data connection did not come about, or was reset."""
        return self.over(Cause.CLOSED, f"data connection: {why}")

    # -- replies -------------------------------------------------------------------------------------------------------

    def _banner(self, reply: Reply) -> bytes:
        if reply.code == 120:  # ready in so many minutes: the next reply says that it is
            return b""
        if reply.code != 220:
            return self.over(Cause.STATUS, str(reply))
        if self._contains not in reply.text:
            return self.over(Cause.CONTENT, f"{reply}, without what it has to contain")
        if self._user:
            self._step = self._named
            return f"USER {self._user}\r\n".encode()
        return self._in(reply)

    def _named(self, reply: Reply) -> bytes:
        if reply.code == 331:
            self._step = self._authenticated
            return f"PASS {self._password}\r\n".encode()
        return self._authenticated(reply)

    def _authenticated(self, reply: Reply) -> bytes:
        return self._in(reply) if reply.code in (202, 230) else self.over(Cause.STATUS, str(reply))

    def _in(self, reply: Reply) -> bytes:
        if not self._path:
            return self.over(Cause.OK, str(reply))
        self._step = self._typed
        return b"TYPE I\r\n"

    def _typed(self, reply: Reply) -> bytes:
        if reply.code != 200:
            return self.over(Cause.STATUS, str(reply))
        if self._transfer:
            self._step = self._extended_passive
            return b"EPSV\r\n"
        self._step = self._sized
        return f"SIZE {self._path}\r\n".encode()

    def _sized(self, reply: Reply) -> bytes:
        if reply.code != 213:
            return self.over(Cause.STATUS, str(reply))
        if not reply.text.strip().isdigit():
            return self.over(Cause.PROTOCOL, f"not a size: {reply}")
        return self.over(Cause.OK, f"{reply} bytes")

    def _extended_passive(self, reply: Reply) -> bytes:
        if reply.code >= 500:  # it may be older than RFC 2428
            self._step = self._passive
            return b"PASV\r\n"
        found = _EPSV.search(reply.text) if reply.code == 229 else None
        return self._connect(reply, int(found[2]) if found else 0)

    def _passive(self, reply: Reply) -> bytes:
        found = _PASV.search(reply.text) if reply.code == 227 else None
        return self._connect(reply, int(found[1]) << 8 | int(found[2]) if found else 0)

    def _connect(self, reply: Reply, port: int) -> bytes:
        if not 0 < port < 65536:
            return self.over(Cause.STATUS if reply.code >= 400 else Cause.PROTOCOL, f"no port for data: {reply}")
        self.data_port = port
        self._step = self._unasked
        return b""

    def _unasked(self, reply: Reply) -> bytes:
        return self.over(Cause.STATUS if reply.code >= 400 else Cause.PROTOCOL, f"unasked: {reply}")

    def _retrieved(self, reply: Reply) -> bytes:
        if reply.code in (125, 150):
            return b""
        if reply.code not in (226, 250):
            return self.over(Cause.STATUS, str(reply))
        self._file_said = reply
        return self._fetched()

    def _fetched(self) -> bytes:
        """The reply may come before the file's last bytes, or after."""
        if self._file_said is None or not self._file_ended or self.finding is not None:
            return b""
        return self.over(Cause.OK, f"{self._most_bytes - self._file_left} bytes; {self._file_said}")
