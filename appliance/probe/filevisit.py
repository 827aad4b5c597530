"""A check of a file server that fetches a file: two connections, one deadline, one end."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from appliance.model.health import Cause, Result
from appliance.probe.conversation import Conversation, Finding
from appliance.probe.ftp import Ftp
from appliance.probe.ground import Ground
from appliance.probe.visit import Done, Visit

_LONGER = 60.0
"""Seconds that the data connection would have beyond the control connection, whose end is its own."""


class _File(Conversation):
    """What comes over the data connection: counted, not kept."""

    __slots__ = ("_control", "_ftp")

    def __init__(self, ftp: Ftp, control: FileVisit) -> None:
        super().__init__()
        self._ftp = ftp
        self._control = control

    def opened(self, own: str) -> bytes:
        self._control.send(self._ftp.data_opened())
        return b""

    def receive(self, data: bytes) -> bytes:
        self._ftp.data_received(len(data))
        self._control.look()
        return b""

    def ended(self) -> None:
        self.found(Cause.OK)


class FileVisit(Visit):
    """The control connection; it has the data connection made, to its own target, when the conversation says so."""

    __slots__ = ("_address", "_data", "_ftp")

    def __init__(
        self, ground: Ground, address: IPv4Address | IPv6Address, port: int, timeout: float, ftp: Ftp, done: Done
    ) -> None:
        super().__init__(ground, address, port, timeout, ftp, done)
        self._address = address
        self._ftp = ftp
        self._data: Visit | None = None

    def look(self) -> None:
        super().look()
        port, self._ftp.data_port = self._ftp.data_port, 0
        if port and self.deadline is not None:
            patience = self._timeout + _LONGER
            self._data = Visit(self._ground, self._address, port, patience, _File(self._ftp, self), self._data_over)
            self._data.start()

    def _data_over(self, result: Result, finding: Finding | None) -> None:
        if self.deadline is None:
            return
        self.send(self._ftp.data_ended() if result.ok else self._ftp.data_failed(str(result)))
        if self.deadline is not None:
            super().look()

    def _close(self) -> None:
        super()._close()
        data, self._data = self._data, None
        if data is not None:
            data.cancel()
