"""
Many datagrams with one system call: recvmmsg(2) and sendmmsg(2), which CPython does not offer, through ctypes.

The buffers are made once; each batch only reads and writes numbers in them.  Linux with 64 bits only:
:func:`is_supported` says whether this is one, and who asks does without otherwise.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys

BATCH = 32
"""Datagrams of one call.  When all of them need the plain path, the reactor is away for about 10 ms."""

SLOT = 4096 + 64
"""Bytes for one datagram: the largest ``dns.udp_payload``.  A longer query is cut, and then malformed.  The 64 keep the
slots from meeting in the same lines of the processor's cache."""

_NAME_SIZE = 28
"""Of a sockaddr_in6; a sockaddr_in has 16."""


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("length", ctypes.c_uint),
        ("more_padding", ctypes.c_int),
    ]
    """struct mmsghdr with the struct msghdr in it, 64 bytes; ``length`` is what the call sets."""


_libc = ctypes.CDLL(None, use_errno=True)


def is_supported() -> bool:
    return (
        sys.platform == "linux"
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and ctypes.sizeof(_Header) == 64
        and hasattr(_libc, "recvmmsg")
        and hasattr(_libc, "sendmmsg")
    )


class Batch:
    """
    Room for one batch of queries and one of responses.

    :ivar inbox: query ``i`` begins at ``i * SLOT`` and has ``lengths[i * 16]`` bytes.
    :ivar outbox: response ``i`` is written at ``i * SLOT``.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._in = (ctypes.c_char * (BATCH * SLOT))()
        self._out = (ctypes.c_char * (BATCH * SLOT))()
        self._names = (ctypes.c_char * (BATCH * _NAME_SIZE))()
        self._in_vectors, self._out_vectors = (_Vector * BATCH)(), (_Vector * BATCH)()
        self._in_headers, self._out_headers = (_Header * BATCH)(), (_Header * BATCH)()
        for index in range(BATCH):
            self._in_vectors[index] = _Vector(ctypes.addressof(self._in) + index * SLOT, SLOT)
            self._out_vectors[index] = _Vector(ctypes.addressof(self._out) + index * SLOT, 0)
            for headers, vectors in ((self._in_headers, self._in_vectors), (self._out_headers, self._out_vectors)):
                headers[index].vectors = ctypes.addressof(vectors) + index * ctypes.sizeof(_Vector)
                headers[index].vector_count = 1
            self._in_headers[index].name = ctypes.addressof(self._names) + index * _NAME_SIZE
            self._in_headers[index].name_length = _NAME_SIZE
        self.inbox = memoryview(self._in).cast("B")
        self.outbox = memoryview(self._out).cast("B")
        self.lengths = memoryview(self._in_headers).cast("B").cast("I")[_Header.length.offset // 4 :]
        self._name_lengths = memoryview(self._in_headers).cast("B").cast("I")[_Header.name_length.offset // 4 :]
        self._out_lengths = memoryview(self._out_vectors).cast("B").cast("Q")[1:]
        self._out_names = memoryview(self._out_headers).cast("B").cast("Q")
        self._out_name_lengths = memoryview(self._out_headers).cast("B").cast("I")[_Header.name_length.offset // 4 :]
        self._name_bytes = memoryview(self._names).cast("B")
        self._first_name = ctypes.addressof(self._names)

    def receive(self) -> int:
        """
        :return: how many queries there were; 0 where none waits.
        :raises OSError: for anything else.
        """
        for index in range(BATCH):
            # The kernel writes how long each name is; it does not change on a socket of one family, but may be 0.
            self._name_lengths[index * 16] = _NAME_SIZE
        count = _libc.recvmmsg(self._descriptor, self._in_headers, BATCH, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return int(count)
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
            return 0
        raise OSError(number, "recvmmsg")

    def query(self, index: int) -> bytes:
        start = index * SLOT
        return bytes(self.inbox[start : start + self.lengths[index * 16]])

    def source(self, index: int) -> tuple[str, int]:
        """Host and port of a query's sender, as a socket gives them."""
        name = bytes(self._name_bytes[index * _NAME_SIZE : (index + 1) * _NAME_SIZE])
        family, port = struct.unpack_from("=H", name)[0], struct.unpack_from("!H", name, 2)[0]
        if family == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, name[4:8]), port
        return socket.inet_ntop(socket.AF_INET6, name[8:24]), port

    def put(self, place: int, index: int, response: bytes) -> None:
        """The ``place``-th response of this batch goes to the sender of query ``index``."""
        start, length = place * SLOT, len(response)
        self.outbox[start : start + length] = response
        self._out_lengths[place * 2] = length
        self._out_names[place * 8] = self._first_name + index * _NAME_SIZE
        self._out_name_lengths[place * 16] = self._name_lengths[index * 16]

    def send(self, count: int) -> int:
        """
        Send the first ``count`` responses.

        :return: how many could not be sent: no way there, or no room.
        """
        done = lost = 0
        while done < count:
            headers = ctypes.byref(self._out_headers, done * ctypes.sizeof(_Header))
            sent = _libc.sendmmsg(self._descriptor, headers, count - done, socket.MSG_DONTWAIT)
            if sent < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                # It is the first one that cannot be sent; the others may.
                lost += 1
                sent = 1
            done += sent
        return lost
