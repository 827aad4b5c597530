"""
The control socket: the API over a UNIX socket.

Whoever can open it may do everything, so the socket has mode 600 in a folder of mode 700; the file's mode is the
permission, as with gdnsd's control socket.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from appliance.errors import ListenError

SOCKET_MODE = 0o600
FOLDER_MODE = 0o700


class PrivateSocket(Service):
    """
    :param key: of the configuration, for error messages.
    :param factory: what answers there.
    """

    name = "socket"

    def __init__(self, reactor: Any, key: str, path: Path, factory: IProtocolFactory) -> None:
        self._reactor = reactor
        self._key = key
        self._path = path
        self._factory = factory
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """:raises ListenError: when it cannot be opened, or others could reach it."""
        try:
            private_folder(self._path.parent)
            _remove_what_was_left(self._key, self._path)
            self._port = self._reactor.listenUNIX(str(self._path), self._factory, mode=SOCKET_MODE)
        except CannotListenError as error:
            why = getattr(error.socketError, "strerror", None) or error.socketError
            raise ListenError(f"{self._key}: cannot open {self._path}: {why}") from error
        except OSError as error:
            raise ListenError(f"{self._key}: {error.filename}: {error.strerror}") from error
        super().startService()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        port, self._port = self._port, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)


def _remove_what_was_left(key: str, path: Path) -> None:
    """
    A socket that a killed process left behind does not hinder the next start.

    Whether anybody listens there is asked of the socket.  Twisted's ``wantPID`` asks whether the process lives whose
    number is in a lock file; after a power cut that may be any other process, and the start would be refused.

    :raises ListenError: somebody listens there.
    """
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        error = probe.connect_ex(str(path))
    if error in (0, errno.EAGAIN):
        raise ListenError(f"{key}: {path}: another process listens there")
    if error == errno.ECONNREFUSED:
        path.unlink()


def private_folder(folder: Path) -> None:
    """
    Make a folder that only we can enter, or see that it is one.

    :raises ListenError: where others can enter it; changing the mode of a folder that we did not make could lock
        somebody out who needs it.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        raise ListenError(f"{folder}: others can enter this folder (mode {mode:o}); chmod 700 {folder}")
