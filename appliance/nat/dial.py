"""
One attempt to reach one server over TCP.

Twisted's client transports are not used: they offer no place between ``socket()`` and ``connect()``, and they cost more
than the rest of a short connection.
"""

from __future__ import annotations

import errno
import socket
import typing

from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.model import Pair
from appliance.nat.fabric import Fabric
from appliance.nat.opening import SocketAddress, bind_source, family_of

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})


class Dialler(typing.Protocol):
    """Who asked; hears exactly one of these, perhaps before :meth:`Dial.start` returns."""

    def dialled(self, sock: socket.socket) -> None: ...
    def dial_failed(self, error: int) -> None: ...


@implementer(IWriteDescriptor)
class Dial:
    """
    A connect that is under way.  How long it may take is the dialler's matter.

    :param source: what the server is to see; None: what the routes say.

    ``connect`` is called again to ask how it went: it tells success, the error, or that it is not decided yet, where
    SO_ERROR cannot tell the last from the first when the reactor's event was of a former owner of the number.
    """

    __slots__ = ("_dialler", "_fabric", "_server", "_sock", "_source", "_writing", "fileno")

    def __init__(
        self,
        fabric: Fabric,
        server: SocketAddress,
        dialler: Dialler,
        source: Pair | None = None,
    ) -> None:
        self._fabric = fabric
        self._server = server
        self._dialler = dialler
        self._source = source
        self._writing = False

    def start(self) -> None:
        try:
            sock = socket.socket(family_of(self._server), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as problem:
            self._dialler.dial_failed(problem.errno or errno.EIO)
            return
        if sock.fileno() >= self._fabric.ceiling:
            sock.close()
            self._dialler.dial_failed(errno.EMFILE)
            return
        self._sock = sock
        self.fileno = sock.fileno
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._source is not None:
            try:
                bind_source(sock, self._source)
            except OSError as problem:
                sock.close()
                self._dialler.dial_failed(problem.errno or errno.EADDRNOTAVAIL)
                return
        sock.connect_ex(self._server)
        self._ask()  # a server on this host has answered by now, which saves two turns of the reactor

    def cancel(self) -> None:
        """Stop trying; the dialler hears nothing more."""
        self._forget()
        self._sock.close()

    def logPrefix(self) -> str:
        return "nat"

    def doWrite(self) -> None:
        if self._writing:
            self._ask()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw EPOLLHUP or EPOLLERR, and has removed us: refused, most likely."""
        self._writing = False
        self._ask()

    def _ask(self) -> None:
        error = self._sock.connect_ex(self._server)
        if error in _UNDER_WAY:
            if not self._writing:
                self._writing = True
                self._fabric.poll.addWriter(self)
            return
        self._forget()
        if error == 0:
            self._dialler.dialled(self._sock)
        else:
            self._sock.close()
            self._dialler.dial_failed(error)

    def _forget(self) -> None:
        if self._writing:
            self._writing = False
            self._fabric.poll.removeWriter(self)
