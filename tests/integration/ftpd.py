"""
An FTP server as a program: Twisted's own, for anybody, passive.

::

    python -m tests.integration.ftpd ADDRESS PORT FIRST-LAST FOLDER
"""

from __future__ import annotations

import os
import sys

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.protocols.ftp import FTP, FTPFactory, FTPRealm


def serve(address: str, port: int, first: int, last: int, folder: str) -> None:
    """Until it is killed."""
    ftp = FTPFactory(Portal(FTPRealm(folder), [AllowAnonymousAccess()]))
    ftp.passivePortRange = range(first, last + 1)

    def listen(port: int, factory: ServerFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        """For data, too, at this address alone: the other server has the same ports."""
        return reactor.listenTCP(port, factory, backlog, address)

    class OnOneAddress(FTP):
        listenFactory = staticmethod(listen)

    ftp.protocol = OnOneAddress
    listen(port, ftp)
    os.write(1, b"listening\n")
    reactor.run()


if __name__ == "__main__":
    where, at, ports, place = sys.argv[1:]
    low, high = ports.split("-")
    serve(where, int(at), int(low), int(high), place)
