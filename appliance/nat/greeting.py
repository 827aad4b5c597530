"""
Front ends that say for whom they speak: the PROXY header is read before anything is decided, and nothing behind it.

It is looked at in the kernel's buffer and taken from there when it is whole, so that what follows waits there for the
server as it does on any other connection.
"""

from __future__ import annotations

import socket
import typing
from ipaddress import IPv4Address

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.nat.fabric import Fabric
from appliance.nat.opening import SocketAddress
from appliance.nat.proxyheader import LONGEST, BadHeader, read
from appliance.nat.side import close_with_reset

PATIENCE = 3.0
"""Seconds that a header may take; it is the first thing that a front end sends."""
MOST_AT_ONCE = 4096
"""Each has a descriptor; beyond that front ends are reset."""
_NOT_IPV4 = 1 << 128
"""Set in the number of an IPv6 client, so that it is never taken for an IPv4 one."""


class Carrier(typing.Protocol):
    """Who carries the client when it is known."""

    def carry(self, client: socket.socket, peer: SocketAddress, number: int) -> None: ...


@implementer(IReadDescriptor)
class Greeting:
    """A connection from a front end, until its header is there."""

    log = Logger(namespace="appliance.nat")

    def __init__(self, fabric: Fabric, sock: socket.socket, peer: SocketAddress, carrier: Carrier) -> None:
        self._fabric = fabric
        self._sock = sock
        self._peer = peer
        self._carrier = carrier
        self._seen = 0
        self._ends_at: float | None = fabric.seconds() + PATIENCE
        self.fileno = sock.fileno

    def begin(self) -> None:
        fabric = self._fabric
        if len(fabric.greetings) >= MOST_AT_ONCE:
            close_with_reset(self._sock)
            return
        assert self._ends_at is not None
        fabric.greetings.add(self)
        fabric.timers.add(self._ends_at, self)
        fabric.poll.addReader(self)

    def logPrefix(self) -> str:
        return "nat"

    def doRead(self) -> None:
        if self._ends_at is None:
            return
        try:
            data = self._sock.recv(LONGEST, socket.MSG_PEEK)
            if not data:
                self._refuse("it ended before its header did")
                return
            found = read(data)
        except BlockingIOError:
            return
        except OSError as problem:
            self._refuse(str(problem.strerror))
            return
        except BadHeader as problem:
            self._refuse(str(problem))
            return
        if found is None:
            self._await_more(len(data))
            return
        client, size = found
        self._sock.recv(size)
        self._done()
        peer = (str(client.address), client.port) if client is not None else self._peer
        address = client.address if client is not None else IPv4Address(self._peer[0])
        try:
            self._carrier.carry(
                self._sock, peer, int(address) if isinstance(address, IPv4Address) else int(address) | _NOT_IPV4
            )
        except Exception:
            self.log.failure("{event}: a connection could not begin", event="nat-accept-failed")
            close_with_reset(self._sock)

    def _await_more(self, seen: int) -> None:
        """Be woken only when there is more than ``seen`` bytes, which stay readable, or the end has come."""
        if seen == self._seen:
            self._refuse("it ended before its header did")
            return
        self._seen = seen
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed us: reset, most likely."""
        self._refuse("the connection broke off")

    def deadline(self) -> float | None:
        return self._ends_at

    def expired(self) -> None:
        self._refuse("no whole header in time")

    def close(self) -> None:
        """Idempotent."""
        if self._ends_at is not None:
            self._done()
            close_with_reset(self._sock)

    def _refuse(self, why: str) -> None:
        if self._ends_at is not None:
            self._fabric.bad_header(f"{self._peer[0]}: {why}")
            self.close()

    def _done(self) -> None:
        self._ends_at = None
        self._fabric.greetings.discard(self)
        self._fabric.poll.removeReader(self)
        if self._seen:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
