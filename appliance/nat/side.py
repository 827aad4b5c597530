"""
One side of a TCP connection: the fast path.

Invariants.

1. Every byte that is read from a side is either handed to the other side's kernel buffer or stands in the other
   side's ``leftover``, in order; nothing else holds bytes.
2. While ``other.leftover`` is not empty this side is not read.  So ``leftover`` is at most one read
   (``Fabric.buffer``), and a receiver that does not read stops its sender through TCP's own window.  And so a side
   that has ``ended`` has nothing standing in ``other.leftover``.
3. ``reading`` and ``writing`` say what the reactor was told.  A poll may hold events that were true before an earlier
   event of the same poll changed that, hence ``doRead`` and ``doWrite`` ask first.
4. The writer is registered only while there is a leftover: a send is tried at once, and nearly always succeeds.
5. One wake-up moves at most one buffer, so that a fast peer does not starve the other descriptors of the reactor.

What an end or an error means for the connection is decided in :mod:`~appliance.nat.connection`.  Twisted's own
transports are not used: they queue each write, send from the next turn of the loop, and turn a reset into an end.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import typing

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

if typing.TYPE_CHECKING:
    from appliance.nat.connection import Connection

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NOTHING = memoryview(b"")


def close_with_reset(sock: socket.socket) -> None:
    """Close so that the peer sees a reset; what the kernel has not sent yet is thrown away."""
    with contextlib.suppress(OSError):  # the peer was quicker
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


@implementer(IReadWriteDescriptor)
class Side:
    """
    A socket of a connection, towards the client or towards the server.

    :ivar other: the opposite side.
    :ivar leftover: what is still to be sent to this socket; empty nearly always.
    :ivar received: how many bytes were read from this socket.
    :ivar ended: nothing more will be read from this socket.
    :ivar broken: the socket failed; nothing can be sent to it, and its end is a reset, whatever ``recv`` may say.
    :ivar shut: the end of the other side has been passed on to this socket.
    """

    __slots__ = (
        "broken",
        "connection",
        "ended",
        "fileno",
        "leftover",
        "other",
        "reading",
        "received",
        "recv_into",
        "send",
        "shut",
        "sock",
        "writing",
    )

    other: Side

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self.connection = connection
        self.sock = sock
        self.fileno = sock.fileno
        self.recv_into = sock.recv_into
        self.send = sock.send
        self.leftover = _NOTHING
        self.received = 0
        self.reading = False
        self.writing = False
        self.ended = False
        self.broken = False
        self.shut = False

    def logPrefix(self) -> str:
        return "nat"

    def doRead(self) -> None:
        if not self.reading:
            return
        connection = self.connection
        fabric = connection.fabric
        try:
            count = self.recv_into(fabric.buffer)
        except BlockingIOError:
            return
        except OSError:
            self.ended = True
            connection.failed(self)
            return
        if not count:
            connection.ended(self)
            return
        self.received += count
        connection.active_at = fabric.seconds()
        if self.received == count:
            connection.began(self)
        other = self.other
        data = fabric.view[:count]
        try:
            sent = other.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.failed(other)
            return
        if sent < count:
            other.leftover = memoryview(bytes(data[sent:]))
            self.pause_reading()
            other.start_writing()

    def doWrite(self) -> None:
        if not self.writing:
            return
        connection = self.connection
        try:
            sent = self.send(self.leftover)
        except BlockingIOError:
            return
        except OSError:
            connection.failed(self)
            return
        connection.active_at = connection.fabric.seconds()
        self.leftover = self.leftover[sent:]
        if not self.leftover:
            self.leftover = _NOTHING  # lets the bytes go
            self.stop_writing()
            connection.settle()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor saw EPOLLHUP or EPOLLERR without EPOLLIN, and has removed us; or ``doRead`` raised.

        That is no end yet: where we were not reading, what the peer sent before its reset still waits in the kernel.
        It may even be an event of a descriptor that had our number before.  So we go on: the socket itself will tell.
        """
        was_writing = self.writing
        self.reading = self.writing = False
        if reason.check(ConnectionDone, ConnectionLost) is None:
            self.connection.close(reset=True)
            return
        if was_writing:
            self.start_writing()
            self.doWrite()
        self.connection.settle()

    def start_reading(self) -> None:
        if not self.reading:
            self.reading = True
            self.connection.fabric.poll.addReader(self)

    def pause_reading(self) -> None:
        if self.reading:
            self.reading = False
            self.connection.fabric.poll.removeReader(self)

    def start_writing(self) -> None:
        if not self.writing:
            self.writing = True
            self.connection.fabric.poll.addWriter(self)

    def stop_writing(self) -> None:
        if self.writing:
            self.writing = False
            self.connection.fabric.poll.removeWriter(self)

    def discard(self) -> None:
        """Nothing can be sent any more."""
        self.leftover = _NOTHING
        self.stop_writing()

    def say_first(self, data: bytes) -> None:
        """What this socket gets before all that comes from the other side; before anything is read."""
        try:
            sent = self.send(data)
        except OSError:  # also when it is gone, which its first read will tell
            sent = 0
        if sent < len(data):
            self.leftover = memoryview(data)[sent:]
            self.start_writing()

    def pass_end_on(self) -> None:
        """
        Tell this socket that the other side has ended.

        :raises OSError: the peer is gone.
        """
        self.shut = True
        self.sock.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool) -> None:
        if self.reading or self.writing:
            self.reading = self.writing = False
            self.connection.fabric.poll.forget(self)
        self.leftover = _NOTHING
        if reset:
            close_with_reset(self.sock)
        else:
            self.sock.close()
        del self.other  # the two hold each other, and would wait for the garbage collector
