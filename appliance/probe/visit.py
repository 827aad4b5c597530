"""
One check over one socket: any conversation, or none (``tcp``), within one deadline.

::

    CONNECTING --it is there--> TALKING --finding--> DONE
        |                         |  deadline: the finding, where it is leaving; else timeout
        +--refused, unreachable, timeout--> DONE

Sockets are given to the reactor as they are: Twisted's client transports cost more than the rest of a short check, and
do not tell a reset from an end.

A check ends with a reset, unless the target ended first, as HAProxy's do (its ``FD_LINGER_RISK``, ``nolinger``): a
thousand checks a second would leave 60 000 sockets in TIME_WAIT here, and a thousand targets none the wiser.  A mere
``tcp`` check also delays the handshake's last acknowledgement (TCP_QUICKACK off, HAProxy's, too), so that the reset
takes its place: the kernel of the target has shown that somebody listens, and its program is not even woken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from twisted.python.failure import Failure

from appliance.model.health import Cause, Layer, Result
from appliance.probe.causes import EXHAUSTED, UNDER_WAY, finding_of, silence
from appliance.probe.conversation import Conversation, Finding
from appliance.probe.descriptor import Descriptor
from appliance.probe.ground import Ground

_ANSWERED = frozenset({Cause.OK, Cause.STATUS, Cause.CONTENT})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Done = Callable[[Result, Finding | None], None]
"""Told once what came of it: the result, and the finding it was made from where the target had something to say."""


class Visit(Descriptor):
    """
    :param timeout: seconds, for all of it.
    :param conversation: None: that the connection is there is all that is wanted.
    :param datagrams: over UDP.
    :ivar deadline: see :class:`~appliance.probe.ground.Underway`.
    """

    __slots__ = (
        "_began_at",
        "_connected_at",
        "_conversation",
        "_datagrams",
        "_done",
        "_ended",
        "_found_at",
        "_ground",
        "_leftover",
        "_peer",
        "_sock",
        "_timeout",
        "deadline",
    )

    def __init__(
        self,
        ground: Ground,
        address: IPv4Address | IPv6Address,
        port: int,
        timeout: float,
        conversation: Conversation | None,
        done: Done,
        *,
        datagrams: bool = False,
    ) -> None:
        super().__init__(ground.reactor)
        self._ground = ground
        self._peer = (str(address), port)
        self._timeout = timeout
        self._conversation = conversation
        self._done: Done | None = done
        self._datagrams = datagrams
        self._sock: socket.socket | None = None
        self._connected_at: float | None = None
        self._found_at: float | None = None
        self._ended = False
        self._leftover = b""
        self.deadline: float | None = None

    def start(self) -> None:
        """``done`` may be told before this returns."""
        self.contained(self._connect)

    def cancel(self) -> None:
        self._close()

    def expire(self) -> None:
        conversation = self._conversation
        if conversation is not None and conversation.finding is not None:
            self._conclude(conversation)
        else:
            self._report(silence(self._layer()))

    def broke(self, failure: Failure) -> None:
        """A fault of ours: the target is not to suffer for it."""
        self._ground.log.failure("{event}: a check failed by itself", failure, event="probe-failed")
        self._report(Finding(Cause.ERROR, "the check itself failed; the log says where", layer=Layer.LOCAL))

    # -- connecting ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        ground = self._ground
        self._began_at = ground.stopwatch()
        family = socket.AF_INET6 if ":" in self._peer[0] else socket.AF_INET
        kind = socket.SOCK_DGRAM if self._datagrams else socket.SOCK_STREAM
        try:
            sock = self._sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        except OSError as problem:
            self._failed(problem.errno or errno.EIO)
            return
        if sock.fileno() >= ground.ceiling:
            self._failed(errno.EMFILE)
            return
        self.fileno = sock.fileno
        if self._conversation is None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        error = sock.connect_ex(self._peer)
        if error in UNDER_WAY:
            error = sock.connect_ex(self._peer)  # a target on this host has answered by now
        if error in UNDER_WAY:
            self.deadline = ground.seconds() + self._timeout
            ground.begin(self, self.deadline)
            self.write_on(True)
        elif error:
            self._failed(error)
        elif self._conversation is None:
            self._connected_at = ground.stopwatch()
            self._report(Finding(Cause.OK, layer=Layer.CONNECT), self._connected_at)
        else:
            self.deadline = ground.seconds() + self._timeout
            ground.begin(self, self.deadline)
            self._connected()

    def writable(self) -> None:
        if self._connected_at is None:
            self._ask()
        else:
            data, self._leftover = self._leftover, b""
            self.write_on(False)
            self.send(data)

    def _ask(self) -> None:
        assert self._sock is not None
        error = self._sock.connect_ex(self._peer)
        if error in UNDER_WAY:
            return
        if error and error != errno.EISCONN:
            self._failed(error)
            return
        self.write_on(False)
        self._connected()

    def _connected(self) -> None:
        conversation, sock = self._conversation, self._sock
        assert sock is not None
        self._connected_at = self._ground.stopwatch()
        if conversation is None:
            self._report(Finding(Cause.OK, layer=Layer.CONNECT), self._connected_at)
            return
        self.send(conversation.opened(sock.getsockname()[0]))
        if self.deadline is not None:
            self.read_on(True)

    # -- talking -------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Say this, as soon as the target takes it."""
        if not data or self._sock is None:
            return
        if self._leftover:
            self._leftover += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as problem:
            self._failed(problem.errno or errno.EIO)
            return
        if sent < len(data):
            self._leftover = data[sent:]
            self.write_on(True)

    def readable(self) -> None:
        conversation, sock, ground = self._conversation, self._sock, self._ground
        assert conversation is not None
        assert sock is not None
        try:
            count = sock.recv_into(ground.buffer)
        except BlockingIOError:
            return
        except OSError as problem:
            self._failed(problem.errno or errno.EIO)
            return
        if count or self._datagrams:
            answer = conversation.receive(bytes(ground.view[:count]))
            if answer:
                self.send(answer)
        else:
            self._ended = True
            conversation.leaving = False
            conversation.ended()
        self.look()

    def look(self) -> None:
        """Whether the conversation has come to its end."""
        conversation = self._conversation
        assert conversation is not None
        if conversation.finding is None or self.deadline is None:
            return
        if self._found_at is None:
            self._found_at = self._ground.stopwatch()
        if not conversation.leaving:
            self._conclude(conversation)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _failed(self, error: int) -> None:
        """The socket says that it is over."""
        conversation = self._conversation
        if conversation is not None and conversation.finding is not None:
            self._conclude(conversation)
            return
        if error in EXHAUSTED:
            self._ground.exhausted(os.strerror(error))
        # Over UDP a connection is nothing: whether anybody listens is told when something has been sent.
        self._report(finding_of(error, Layer.CONNECT if self._datagrams else self._layer()))

    def _layer(self) -> Layer:
        """How far it has come."""
        if self._connected_at is None or self._conversation is None:
            return Layer.CONNECT
        return self._conversation.layer

    def _conclude(self, conversation: Conversation) -> None:
        assert conversation.finding is not None
        found_at = self._ground.stopwatch() if self._found_at is None else self._found_at
        self._report(conversation.finding, found_at)

    def _report(self, finding: Finding, found_at: float | None = None) -> None:
        done = self._done
        if done is None:
            return
        self._close()
        answered = found_at if finding.cause in _ANSWERED else None
        done(
            Result(
                layer=finding.layer,
                cause=finding.cause,
                latency=None if answered is None else answered - self._began_at,
                connect=None if self._connected_at is None else self._connected_at - self._began_at,
                detail=finding.detail,
                load=finding.load,
            ),
            finding,
        )

    def _close(self) -> None:
        self.read_on(False)
        self.write_on(False)
        self.deadline = None
        self._done = None
        self._ground.over(self)
        sock, self._sock = self._sock, None
        if sock is not None:
            if not self._ended and not self._datagrams:
                with contextlib.suppress(OSError):  # it is gone already
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()
