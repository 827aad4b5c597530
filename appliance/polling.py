"""
Many descriptors behind one of the reactor's: an epoll within its epoll.

The reactor takes some microseconds of its own for each event of a descriptor (a logging context, checks, two sets and a
dict for each change of interest), which is more than a small ``recv`` costs.  Here an event costs a look into one dict.
What it promises otherwise is what the reactor promises: the same calls in the same cases.  Who has few descriptors, or
seldom anything to do, gives them to the reactor.

Invariants.

1. ``_items`` has exactly those descriptors that somebody wants to hear of, each with who does and the mask that the
   kernel was told.
2. A number may be closed and given out again while events of its former owner are still in a batch.  So whoever is
   called may find that there is nothing to read or write after all, and must bear it.
3. One turn takes at most ``MOST_EVENTS``; the kernel puts what was ready to the end of its queue, so everybody's turn
   comes, and the reactor's other descriptors (DNS above all) have theirs in between.
"""

from __future__ import annotations

import contextlib
import select
import typing

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

MOST_EVENTS = 64
"""In one turn: with one buffer of a bulk flow for each it is a few milliseconds."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR


class Readers(typing.Protocol):
    """The part of a reactor that :class:`Poll` stands on."""

    def addReader(self, reader: IReadDescriptor) -> None: ...
    def removeReader(self, reader: IReadDescriptor) -> None: ...


class Reactor(Readers, typing.Protocol):
    """The part of a reactor that who works with descriptors uses: IReactorFDSet and IReactorTime."""

    def addWriter(self, writer: IWriteDescriptor) -> None: ...
    def removeWriter(self, writer: IWriteDescriptor) -> None: ...
    def seconds(self) -> float: ...
    def callLater(
        self,
        delay: float,
        callable: typing.Callable[..., object],  # noqa: A002 - the interface's name for it
        *args: object,
        **kw: object,
    ) -> IDelayedCall: ...


class _Item:
    __slots__ = ("mask", "owner")

    def __init__(self, owner: typing.Any) -> None:
        self.owner = owner
        self.mask = 0


@implementer(IReadDescriptor)
class Poll:
    """
    IReactorFDSet for those whose descriptors do not change their number while they are here.

    :param reactor: knows of this only while there is somebody here.
    """

    _log = Logger()

    def __init__(self, reactor: Readers) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._items: dict[int, _Item] = {}
        self.fileno = self._epoll.fileno

    def __len__(self) -> int:
        return len(self._items)

    def addReader(self, reader: IReadDescriptor) -> None:
        self._want(reader, _IN)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        self._want(writer, _OUT)

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Idempotent."""
        self._leave(reader, _IN)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Idempotent."""
        self._leave(writer, _OUT)

    def watch(self, owner: typing.Any) -> None:
        """Its ``connectionLost`` alone is called, when its peer has gone; not for one that reads or writes here."""
        self._want(owner, select.EPOLLERR)

    def unwatch(self, owner: typing.Any) -> None:
        """Idempotent."""
        self._leave(owner, select.EPOLLERR)

    def forget(self, owner: typing.Any) -> None:
        """
        Its descriptor is about to be closed, by which the kernel forgets it, too: no call to the kernel is needed.

        Idempotent.
        """
        number = owner.fileno()
        item = self._items.get(number)
        if item is not None and item.owner is owner:
            del self._items[number]
            if not self._items:
                self._reactor.removeReader(self)

    def logPrefix(self) -> str:
        return "poll"

    def doRead(self) -> None:
        """Call those for whom there is something."""
        items = self._items
        for number, event in self._epoll.poll(0, MOST_EVENTS):
            item = items.get(number)
            if item is None:
                continue
            owner = item.owner
            try:
                if event & _IN:
                    owner.doRead()
                elif event & _GONE:
                    self._drop(number)
                    owner.connectionLost(Failure(ConnectionLost()))
                    continue
                if event & _OUT and items.get(number) is item:
                    owner.doWrite()
            except Exception:
                self._contain(number, item)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed this; with anybody left here it goes on."""
        if self._items:
            self._log.failure("{event}: an epoll was given up", failure=reason, event="poll-lost")
            self._reactor.addReader(self)

    def _contain(self, number: int, item: _Item) -> None:
        """A bug of one owner ends its descriptor, not the others'."""
        failure = Failure()
        self._log.failure("{event}: {owner!r}", failure=failure, event="descriptor-failed", owner=item.owner)
        if self._items.get(number) is item:
            self._drop(number)
        try:
            item.owner.connectionLost(failure)
        except Exception:
            self._log.failure("{event}: {owner!r}", event="descriptor-failed", owner=item.owner)

    def _want(self, owner: typing.Any, what: int) -> None:
        number = owner.fileno()
        item = self._items.get(number)
        if item is None:
            item = _Item(owner)
            item.mask = what
            self._epoll.register(number, what)
            if not self._items:
                self._reactor.addReader(self)
            self._items[number] = item
        elif item.owner is not owner:
            raise ValueError(f"descriptor {number} is {item.owner!r}'s, which must leave before {owner!r} comes")
        elif not item.mask & what:
            item.mask |= what
            self._epoll.modify(number, item.mask)

    def _leave(self, owner: typing.Any, what: int) -> None:
        number = owner.fileno()
        item = self._items.get(number)
        if item is None or item.owner is not owner or not item.mask & what:
            return
        if item.mask == what:
            self._drop(number)
        else:
            item.mask &= ~what
            self._epoll.modify(number, item.mask)

    def _drop(self, number: int) -> None:
        del self._items[number]
        with contextlib.suppress(OSError):  # it is closed already
            self._epoll.unregister(number)
        if not self._items:
            self._reactor.removeReader(self)
