"""
The manhole: a Python prompt inside the running process.

Whoever reaches it owns the process, so it is a UNIX socket of mode 600 in a folder of mode 700, or SSH with public
keys.  The socket carries plain terminal bytes; there is nothing to log in to, because the file's mode is the
permission, as with gdnsd's control socket.  Import this module late: Twisted's terminal code installs the global
reactor.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole import CTRL_C, Manhole, ManholeInterpreter
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.config import ManholeSocket, ManholeSSH
from appliance.control.socket import PrivateSocket, private_folder
from appliance.errors import ListenError


def manhole_service(
    reactor: Any, where: ManholeSocket | ManholeSSH, namespace: dict[str, object], keys: Path | None
) -> Service:
    """
    :param namespace: what a person finds at the prompt.
    :param keys: the folder where the SSH host key is kept; None makes a new one each start.  Used for SSH only.
    """
    if isinstance(where, ManholeSSH):
        return SSHManhole(reactor, where, namespace, keys)
    factory = Factory()
    factory.protocol = lambda: ServerProtocol(Prompt, namespace=namespace)  # type: ignore[assignment]
    return PrivateSocket(reactor, "control.manhole", Path(where.path), factory)


class _Interpreter(ManholeInterpreter):
    def displayhook(self, obj: Any) -> None:
        if isinstance(obj, Deferred):
            self.handler.wait(obj)
        else:
            super().displayhook(obj)


class Prompt(Manhole):
    """
    What is typed, or piped in, while a verb is not done yet is heard after it, the end of the input included.

    A verb that takes a while returns a Deferred of its text.  Ctrl-C ends the waiting, not the verb.
    """

    _log = Logger()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.interpreter = _Interpreter(self, self.namespace)
        self._is_running = self._is_gone = False
        self._awaited: list[Deferred[Any]] = []
        self._typed: deque[tuple[Any, Any]] = deque()

    def connectionLost(self, reason: Failure) -> None:
        self._is_gone = True
        super().connectionLost(reason)

    def keystrokeReceived(self, keyID: Any, modifier: Any) -> None:
        if self._awaited and keyID == CTRL_C:
            self._awaited.clear()
            self._typed.clear()
            self.addOutput("still under way")
            self._ask()
        elif self._awaited:
            self._typed.append((keyID, modifier))
        else:
            super().keystrokeReceived(keyID, modifier)

    def lineReceived(self, line: bytes) -> None:
        self._is_running = True
        self.pn = bool(self.interpreter.push(line))
        self._is_running = False
        if not self._awaited:
            self._ask()

    def wait(self, found: Deferred[Any]) -> None:
        """What comes of the line that was typed last; no prompt before all of it."""
        self._awaited.append(found)
        found.addBoth(self._done, found)

    def _done(self, result: object, found: Deferred[Any]) -> None:
        if isinstance(result, Failure):
            self._log.failure("{event}", result, event="manhole-failed")
        if self._is_gone or found not in self._awaited:
            return
        self._awaited.remove(found)
        self.addOutput(_in_words(result))
        if self._needsNewline():
            self.terminal.nextLine()
        if self._awaited or self._is_running:
            return
        self._ask()
        while self._typed and not self._awaited:
            self.keystrokeReceived(*self._typed.popleft())

    def _ask(self) -> None:
        if self._needsNewline():
            self.terminal.nextLine()
        self.terminal.write(self.ps[self.pn])


def _in_words(result: object) -> str:
    if isinstance(result, Failure):
        return str(result.getBriefTraceback())
    try:
        return "" if result is None else str(result)
    except Exception as error:
        return f"{type(result).__name__}, which cannot be shown: {type(error).__name__}"


class SSHManhole(Service):
    """The prompt over SSH; see :func:`manhole_service`."""

    name = "manhole"

    def __init__(self, reactor: Any, where: ManholeSSH, namespace: dict[str, object], keys: Path | None) -> None:
        self._reactor = reactor
        self._where = where
        self._namespace = namespace
        self._keys = keys
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """:raises ListenError: when it cannot listen, or the extra is not installed."""
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
        from appliance.control.ssh import manhole_factory  # needs the extra 'manhole'

        host_key = None
        if self._keys is not None:
            private_folder(self._keys)
            host_key = self._keys / "manhole_host_key"
        factory = manhole_factory(self._namespace, self._where.authorized_keys, host_key)
        listen = self._where.listen
        return self._reactor.listenTCP(listen.port, factory, interface=str(listen.address))
