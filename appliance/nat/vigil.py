"""
A client that waits for a place at a server is not read, so that its bytes stay in the kernel; but when it resets its
connection, its place is for others.  One that has only ended its side is still there: it may want an answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.python.failure import Failure

from appliance.nat.fabric import Fabric

_CLOSED = 7
"""``linux/tcp_states.h``: TCP_CLOSE, the first byte of what TCP_INFO tells."""


class Vigil:
    """
    Until it ends, ``gone`` is called when ``client`` has reset its connection.

    :ivar fileno: of the client, whom nobody else may hear of meanwhile.
    """

    __slots__ = ("_client", "_fabric", "_gone", "fileno")

    def __init__(self, fabric: Fabric, client: socket.socket, gone: Callable[[], None]) -> None:
        self._fabric = fabric
        self._client = client
        self._gone = gone
        self.fileno = client.fileno
        fabric.poll.watch(self)

    def end(self) -> None:
        """Idempotent."""
        self._fabric.poll.unwatch(self)

    def connectionLost(self, reason: Failure) -> None:
        """It may have been an event of a descriptor that had the number before, so ask."""
        if self._client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
            self._gone()
        else:
            self._fabric.poll.watch(self)
