"""
Clients that are turned away with a message: they get all of it, then the end.

What such a client says is read and thrown away for a while: closing a socket with unread bytes is a reset, which
destroys what is on its way to the client.  Both, the while and the bytes, are bounded.
"""

from __future__ import annotations

import contextlib
import socket

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.nat.fabric import Fabric
from appliance.nat.side import close_with_reset

PATIENCE = 5.0
"""Seconds from the beginning to the end, whatever the client does."""
MOST_READ = 256 * 1024
"""Bytes of the client that are thrown away; whoever sends more is cut off."""
MOST_AT_ONCE = 1024
"""Each has a descriptor; beyond that clients are reset."""


def turn_away(fabric: Fabric, client: socket.socket, message: bytes) -> None:
    """Send ``message`` and end the connection.  The socket is ours from here on."""
    if len(fabric.farewells) >= MOST_AT_ONCE:
        close_with_reset(client)
        return
    Farewell(fabric, client, message).begin()


@implementer(IReadWriteDescriptor)
class Farewell:
    """One of them."""

    __slots__ = ("_ended", "_ends_at", "_fabric", "_left", "_may_read", "_open", "_sock", "fileno")

    def __init__(self, fabric: Fabric, client: socket.socket, message: bytes) -> None:
        self._fabric = fabric
        self._sock = client
        self.fileno = client.fileno
        self._left = memoryview(message)
        self._may_read = MOST_READ
        self._open = True
        self._ended = False
        self._ends_at = fabric.seconds() + PATIENCE

    def begin(self) -> None:
        fabric = self._fabric
        fabric.farewells.add(self)
        fabric.timers.add(self._ends_at, self)
        fabric.poll.addReader(self)
        fabric.poll.addWriter(self)
        self.doWrite()

    def logPrefix(self) -> str:
        return "nat"

    def doWrite(self) -> None:
        if not self._open:
            return
        try:
            if self._left:
                self._left = self._left[self._sock.send(self._left) :]
            if not self._left:
                self._fabric.poll.removeWriter(self)
                self._sock.shutdown(socket.SHUT_WR)
                if self._ended:
                    self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def doRead(self) -> None:
        if not self._open:
            return
        try:
            count = self._sock.recv_into(self._fabric.buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        self._may_read -= count
        # Its end while the message is not all sent may be a half-close: it reads on.
        if (not count and not self._left) or self._may_read <= 0:
            self.close()
        elif not count:
            self._ended = True
            self._fabric.poll.removeReader(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw EPOLLHUP or EPOLLERR: the client has gone, or both directions have ended."""
        self.close()

    def deadline(self) -> float | None:
        return self._ends_at if self._open else None

    def expired(self) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if not self._open:
            return
        self._open = False
        fabric = self._fabric
        fabric.farewells.discard(self)
        fabric.poll.removeReader(self)
        fabric.poll.removeWriter(self)
        with contextlib.suppress(OSError):
            self._sock.close()
