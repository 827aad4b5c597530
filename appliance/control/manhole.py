"""
The manhole: a Python prompt inside the running process.

Whoever reaches it owns the process, so it is a UNIX socket of mode 600 in a folder of mode 700, or SSH with public
keys.  The socket carries plain terminal bytes; there is nothing to log in to, because the file's mode is the
permission, as with gdnsd's control socket.  Import this module late: Twisted's terminal code installs the global
reactor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole import Manhole
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from appliance.config import ManholeSocket, ManholeSSH
from appliance.errors import ListenError

SOCKET_MODE = 0o600
FOLDER_MODE = 0o700


class ManholeService(Service):
    """
    :param namespace: what a person finds at the prompt.
    :param keys: the folder where the SSH host key is kept; None makes a new one each start.  Used for SSH only.
    """

    name = "manhole"

    def __init__(
        self, reactor: Any, where: ManholeSocket | ManholeSSH, namespace: dict[str, object], keys: Path | None
    ) -> None:
        self._reactor = reactor
        self._where = where
        self._namespace = namespace
        self._keys = keys
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """:raises ListenError: when the socket cannot be opened, or others could reach it."""
        try:
            self._port = self._listen()
        except CannotListenError as error:
            raise ListenError(f"control.manhole: cannot open {self._where}: {error.socketError}") from error
        except ImportError as error:
            raise ListenError(
                f"control.manhole.ssh: {error}; install the extra: pip install appliance[manhole]"
            ) from error
        except OSError as error:
            raise ListenError(f"control.manhole: {error.filename}: {error.strerror}") from error
        super().startService()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        port, self._port = self._port, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)

    def _listen(self) -> Any:
        if isinstance(self._where, ManholeSocket):
            path = Path(self._where.path)
            private_folder(path.parent)
            factory = Factory()
            factory.protocol = lambda: ServerProtocol(Manhole, namespace=self._namespace)  # type: ignore[assignment]
            # wantPID: a socket that a killed process left behind does not hinder the next start.
            return self._reactor.listenUNIX(str(path), factory, mode=SOCKET_MODE, wantPID=True)
        from appliance.control.ssh import manhole_factory  # needs the extra 'manhole'

        host_key = None
        if self._keys is not None:
            private_folder(self._keys)
            host_key = self._keys / "manhole_host_key"
        factory = manhole_factory(self._namespace, self._where.authorized_keys, host_key)
        listen = self._where.listen
        return self._reactor.listenTCP(listen.port, factory, interface=str(listen.address))


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
