"""A descriptor that is given to the reactor as it is, and whose faults stay its own."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.polling import Reactor


@implementer(IReadWriteDescriptor)
class Descriptor:
    """
    What :meth:`readable` and :meth:`writable` raise goes to :meth:`broke`.

    A poll may hold events that were true before an earlier event of the same poll changed that, or of a descriptor
    that had our number before; hence both are called only while they are wanted, and may find nothing.
    """

    __slots__ = ("_reactor", "_reading", "_writing", "fileno")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._reading = self._writing = False
        self.fileno: Callable[[], int] = lambda: -1

    def readable(self) -> None:
        raise NotImplementedError

    def writable(self) -> None:
        raise NotImplementedError

    def broke(self, failure: Failure) -> None:
        raise NotImplementedError

    def contained(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            self.broke(Failure())

    def logPrefix(self) -> str:
        return "probe"

    def doRead(self) -> None:
        if self._reading:
            self.contained(self.readable)

    def doWrite(self) -> None:
        if self._writing:
            self.contained(self.writable)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw EPOLLHUP or EPOLLERR without EPOLLIN, and has removed us: the descriptor itself will tell."""
        reading, writing = self._reading, self._writing
        self._reading = self._writing = False
        if reason.check(ConnectionDone, ConnectionLost) is None:
            self.broke(reason)
            return
        # First both, for what the one finds out may be the end of the other.
        self.read_on(reading)
        self.write_on(writing)
        self.doRead()
        self.doWrite()

    def read_on(self, on: bool) -> None:  # a setter: what it sets is in its name
        if on is not self._reading:
            self._reading = on
            (self._reactor.addReader if on else self._reactor.removeReader)(self)

    def write_on(self, on: bool) -> None:
        if on is not self._writing:
            self._writing = on
            (self._reactor.addWriter if on else self._reactor.removeWriter)(self)
