"""
Questions to other name servers, over UDP and over a stream; every wait has an end.

A response is only believed when it comes from who was asked, with the id and the question that were sent, and signed
with the same key if those were; whatever else arrives is passed over.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, TypeVar

import dns.exception
import dns.message
import dns.tsig
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.protocol import ClientCreator, DatagramProtocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from appliance.model import Endpoint

SLICE = 0.002
"""Seconds of work before the reactor turns."""
MOST_READ = 4
"""Messages that may wait to be looked at; with so many, no more are read."""

T = TypeVar("T")


class PeerFailed(Exception):
    """
    Another server did not do what it was asked for; ``str()`` says what, for people.

    :ivar why: the reason alone; empty where nothing is known.
    """

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.why = why


async def in_slices(reactor: Any, work: Generator[None, None, T]) -> T:
    """Do it, and let the reactor turn whenever it has taken long enough."""
    end = reactor.seconds() + SLICE
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        if reactor.seconds() >= end:
            await deferLater(reactor, 0)
            end = reactor.seconds() + SLICE


async def exchange(
    reactor: Any, to: Endpoint, query: dns.message.Message, waits: Sequence[float]
) -> dns.message.Message:
    """
    Ask over UDP, again after each of ``waits`` (seconds).

    :raises PeerFailed: when no good response came.
    """
    protocol = _Exchange(query)
    try:
        for wait in waits:
            if protocol.transport is None:
                # The first time, and after a refusal, which may end Twisted's port.
                _open(reactor, protocol, to)
            response = await protocol.ask(reactor, wait)
            if response is not None:
                return response
    finally:
        if protocol.transport is not None:
            protocol.transport.stopListening()
    raise PeerFailed("no answer over UDP", protocol.reason)


def _open(reactor: Any, protocol: DatagramProtocol, to: Endpoint) -> None:
    interface = "" if to.address.version == 4 else "::"
    try:
        port = reactor.listenUDP(0, protocol, interface=interface, maxPacketSize=65535)
        port.connect(str(to.address), to.port)
    except (CannotListenError, OSError) as error:
        raise PeerFailed("no socket", str(error)) from None


class _Exchange(DatagramProtocol):
    noisy = False
    transport: Any = None

    def __init__(self, query: dns.message.Message) -> None:
        self._query = query
        self._wire = query.to_wire()
        self._waiting: Deferred[dns.message.Message | None] | None = None
        self.reason = ""

    async def ask(self, reactor: Any, wait: float) -> dns.message.Message | None:
        self._waiting = Deferred()
        timer = reactor.callLater(wait, self._answered, None)
        try:
            self.transport.write(self._wire)
        except OSError as error:
            self.reason = error.strerror or str(error)
        try:
            return await self._waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()

    def _answered(self, response: dns.message.Message | None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(response)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        response, self.reason = read_response(datagram, self._query)
        if response is not None:
            self._answered(response)

    def connectionRefused(self) -> None:
        # It may be starting: asked again after the wait.
        self.reason = "connection refused"

    def stopProtocol(self) -> None:
        if self._waiting is not None:
            # Depending on the reactor, this is how it tells of a refusal.
            self.connectionRefused()


def read_response(data: bytes, query: dns.message.Message) -> tuple[dns.message.Message | None, str]:
    """A response to ``query``; None, and why, where it is none or not signed as it should be."""
    try:
        response = dns.message.from_wire(data, keyring=query.keyring, request_mac=query.mac or b"")
    except dns.tsig.PeerError as error:
        return None, f"it refuses what key {query.keyname} has signed ({_REFUSALS.get(type(error), error)})"
    except (dns.exception.DNSException, ValueError, struct.error, IndexError) as error:
        return None, f"{type(error).__name__}: {error}"
    return (response, "") if query.is_response(response) else (None, "a response to something else")


_REFUSALS: dict[type[dns.tsig.PeerError], str] = {
    dns.tsig.PeerBadKey: "BADKEY: it has no key of this name and algorithm",
    dns.tsig.PeerBadSignature: "BADSIG: its secret is another",
    dns.tsig.PeerBadTime: "BADTIME: its clock is another",
}


async def open_stream(reactor: Any, to: Endpoint, timeout: float) -> Stream:
    """:raises PeerFailed: when there is no connection within ``timeout`` seconds."""
    connecting: Deferred[Stream] = ClientCreator(reactor, Stream).connectTCP(str(to.address), to.port, timeout)
    try:
        return await connecting
    except (ConnectError, OSError) as error:
        raise PeerFailed("no connection", str(error)) from None


class Stream(Int16StringReceiver):
    """A connection to another server, its messages taken one by one."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._waiting: Deferred[None] | None = None
        self._ended = ""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def send(self, data: bytes) -> None:
        self.sendString(data)

    async def next(self, reactor: Any, timeout: float) -> bytes:
        """
        The next message, complete within ``timeout`` seconds.

        :raises PeerFailed: when there is none.
        """
        if not self._messages and not self._ended:
            self._waiting = Deferred()
            self._waiting.addTimeout(timeout, reactor)
            try:
                await self._waiting
            except TimeoutError:
                raise PeerFailed(f"no message for {timeout:g} s") from None
            finally:
                self._waiting = None
        if not self._messages:
            raise PeerFailed(f"the connection ended{self._ended}")
        message = self._messages.popleft()
        if self.paused and not self._ended:
            self.resumeProducing()
        return message

    def abort(self) -> None:
        """Idempotent."""
        self.transport.abortConnection()

    def stringReceived(self, data: bytes) -> None:
        self._messages.append(data)
        if len(self._messages) >= MOST_READ:
            self.pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = " too early" if reason.check(type(connectionDone.value)) else f": {reason.getErrorMessage()}"
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


async def within(reactor: Any, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """
    :param work: a coroutine, which is cancelled after ``seconds``.
    :raises PeerFailed: when it took longer.
    """
    doing = Deferred.fromCoroutine(work)
    doing.addTimeout(seconds, reactor)
    try:
        return await doing
    except TimeoutError:
        raise PeerFailed(f"not done within {seconds:g} s") from None
