"""
An SSH server as a program: Twisted's own, which runs what the owner of a listed key asks for.

::

    python -m tests.integration.sshd ADDRESS PORT HOST_KEY AUTHORIZED_KEYS NAME

``name`` is NAME; every other command is the shell's.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import ISession
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import SSHSession
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.python.components import registerAdapter
from zope.interface import implementer


class User(ConchUser):
    """:param name: of the server."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.channelLookup[b"session"] = SSHSession


@implementer(ISession)
class Commands:
    """Runs them, without a terminal."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._process: Any = None

    def getPty(self, term: object, windowSize: object, modes: object) -> None:
        """There is none; a command does without."""

    def openShell(self, proto: Any) -> None:
        self.execCommand(proto, b"cat")

    def execCommand(self, proto: Any, command: bytes) -> None:
        words = ["echo", self._user.name] if command == b"name" else ["sh", "-c", command.decode()]
        self._process = reactor.spawnProcess(proto, words[0], words, env=dict(os.environ))

    def windowChanged(self, newWindowSize: object) -> None:
        """There is no window."""

    def eofReceived(self) -> None:
        if self._process is not None:
            self._process.closeStdin()

    def closed(self) -> None:
        if self._process is not None:
            self._process.loseConnection()


@implementer(IRealm)
class Realm:
    """:param name: of the server."""

    def __init__(self, name: str) -> None:
        self._name = name

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> tuple[Any, Any, Any]:
        return interfaces[0], User(self._name), lambda: None


def serve(address: str, port: int, host_key: str, authorized_keys: str, name: str) -> None:
    """Until it is killed."""
    key = Key.fromFile(host_key)
    listed = [Key.fromFile(authorized_keys)]
    factory: Any = SSHFactory()
    factory.publicKeys = {key.sshType(): key.public()}
    factory.privateKeys = {key.sshType(): key}
    factory.portal = Portal(Realm(name), [SSHPublicKeyChecker(InMemorySSHKeyDB({b"operator": listed}))])
    registerAdapter(Commands, User, ISession)
    reactor.listenTCP(port, factory, interface=address)
    os.write(1, b"listening\n")
    reactor.run()


if __name__ == "__main__":
    where, at, own_key, their_keys, called = sys.argv[1:]
    serve(where, int(at), own_key, their_keys, called)
