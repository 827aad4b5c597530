"""The manhole over SSH, for those whose public key is in a file; needs the extra ``manhole``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.checkers import IAuthorizedKeysDB, SSHPublicKeyChecker, readAuthorizedKeyFile
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole_ssh import ConchFactory, TerminalRealm, TerminalSession
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import Portal
from zope.interface import implementer

from appliance.control.manhole import Prompt


@implementer(IAuthorizedKeysDB)
class _AuthorizedKeys:
    """The keys in one file, whatever name the person logs in with; read anew each time, so removing one works."""

    def __init__(self, path: str) -> None:
        self._path = path

    def getAuthorizedKeys(self, username: bytes) -> Iterable[Key]:
        with Path(self._path).open("rb") as file:
            return list(readAuthorizedKeyFile(file))


class _Session(TerminalSession):
    """A client that is a pipe says that its input is over; the prompt goes on until it is left."""

    def eofReceived(self) -> None:
        """Nothing to do: what was typed before counts, Ctrl-D included."""


def manhole_factory(namespace: dict[str, object], authorized_keys: str, host_key: Path | None) -> Any:
    """
    :param authorized_keys: path of a file as OpenSSH knows it.
    :param host_key: where the host's key is kept; made (mode 600) when it is missing.  None: a new key each start.
    :raises OSError: when the host key can be neither read nor written.
    """
    realm: Any = TerminalRealm()
    realm.sessionFactory = _Session
    realm.chainedProtocolFactory = lambda: ServerProtocol(Prompt, namespace=namespace)
    factory: Any = ConchFactory(Portal(realm, [SSHPublicKeyChecker(_AuthorizedKeys(authorized_keys))]))
    key = _host_key(host_key)
    factory.privateKeys = {key.sshType(): key}
    factory.publicKeys = {key.sshType(): key.public()}
    return factory


def _host_key(path: Path | None) -> Any:
    if path is not None and path.exists():
        return Key.fromFile(str(path))
    key = Key(Ed25519PrivateKey.generate())
    if path is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.toString("OPENSSH"))
    return key
