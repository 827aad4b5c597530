"""
DNS over UDP.

Theory of operation: :class:`QueryPort` takes a batch of queries off the socket, finds the responses to most of them in
the wire cache, and sends those together; the others go to :class:`QueryDatagrams`, one by one, as Twisted's own port
hands them over where there is no such call.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.udp import Port
from twisted.logger import Logger
from twisted.names.dns import DNSDatagramProtocol
from twisted.names.server import DNSServerFactory

from appliance.nameserver.mmsg import SLOT, Batch
from appliance.nameserver.responder import Responder
from appliance.nameserver.sources import Source, source_of
from appliance.nameserver.wirecache import WireCache

MAX_DATAGRAM = 65535
"""What one read may take in; a query that is cut off would only be malformed in a new way."""

BYTES_A_WAKE_UP = 4096
"""
Twisted reads up to this much from a UDP port before it looks at anything else; its default of 256 KiB answers for a
third of a second and starves the proxy.
"""

BATCHES_A_WAKE_UP = 4
"""Most batches before anything else is looked at, where the wire cache knew all responses so far: about 1 ms."""

MOST_WAITING = 10_000
"""Queries that may wait for the disk at once; one more is dropped, as a full socket would."""

RECEIVE_BUFFER = 2 * 2**20
"""Bytes that the kernel may keep for a socket while the reactor is busy; it allows what net.core.rmem_max allows."""


class QueryDatagrams(DNSDatagramProtocol):
    """Twisted Names' protocol, fed to a Responder instead of its decoder."""

    def __init__(
        self, factory: DNSServerFactory, responder: Responder, cache: WireCache | None, reactor: IReactorTime
    ) -> None:
        super().__init__(factory, reactor)
        self._responder = responder
        self.cache = cache
        self._waiting = 0

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if addr[1] == 0:
            # Nobody's.
            return
        source = source_of(addr[0])
        response = self.cache.answer(datagram, source) if self.cache is not None else None
        if response is None:
            self.answer_plainly(datagram, addr, source)
        else:
            self._send(response or None, addr)

    def answer_plainly(self, datagram: bytes, addr: tuple[str, int], source: Source) -> None:
        """Answer what the wire cache does not know."""
        if self._waiting >= MOST_WAITING:
            self._responder.happened["dropped"] += 1
            return
        plain = self._responder.respond(datagram, stream=False, source=source)
        if isinstance(plain, Deferred):
            self._waiting += 1
            plain.addCallback(self._late, addr)
        elif plain is None or isinstance(plain, bytes):
            self._send(plain, addr)

    def _late(self, response: bytes | None, addr: tuple[str, int]) -> None:
        self._waiting -= 1
        self._send(response, addr)

    def _send(self, response: bytes | None, addr: tuple[str, int]) -> None:
        # The port may have been closed meanwhile.
        if response is None or self.transport is None:
            return
        try:
            self.transport.write(response, addr)
        except OSError:
            # No way there, or no room: a forged source must not write a traceback a packet.
            self.unsent(1)

    def unsent(self, count: int) -> None:
        self._responder.happened["unsent"] += count


class QueryPort(Port):
    """
    Twisted's UDP port, reading and writing in batches.

    :param protocol: answers what its wire cache does not know.
    """

    _log = Logger()
    protocol: QueryDatagrams
    _batch: Batch | None = None

    def doRead(self) -> None:
        if self._batch is None:
            self._batch = Batch(self.socket.fileno())
        for _ in range(BATCHES_A_WAKE_UP):
            try:
                count = self._batch.receive()
            except OSError:
                # What came before was refused by its receiver; the next call has queries again.
                return
            # Asked again also after a batch that was not full: while it was answered, more have come.
            if not count or not self._answer(self._batch, count) or self._batch is None:
                return

    def _answer(self, batch: Batch, count: int) -> bool:
        """:return: whether the wire cache knew all responses."""
        cache = self.protocol.cache
        assert cache is not None
        exact, tick, inbox, lengths = cache.exact, cache.begin(), batch.inbox, batch.lengths
        places = missed = 0
        for index in range(count):
            start = index * SLOT
            data = bytes(inbox[start : start + lengths[index * 16]])
            entry = exact.get(data[2:])
            if entry is not None and entry.tick == tick and (tally := entry.tally).left > 0:
                tally.left -= 1
                response = data[:2] + entry.wire
            else:
                found = self._find(cache, data, batch.source(index))
                tick = cache.begin()
                if not found:
                    missed += found is None
                    continue
                response = found
            batch.put(places, index, response)
            places += 1
        lost = batch.send(places)
        if lost:
            self.protocol.unsent(lost)
        return not missed

    def _find(self, cache: WireCache, data: bytes, addr: tuple[str, int]) -> bytes | None:
        """What the cache has in another form; None where the plain path took it over."""
        try:
            source = source_of(addr[0])
            response = cache.answer(data, source)
            if response is None and addr[1]:
                self.protocol.answer_plainly(data, addr, source)
            return response
        except Exception:
            # A reactor edge: Twisted closes a port whose reading raises.
            self._log.failure("{event}", event="answer-failed")
            return None

    def connectionLost(self, reason: Any = None) -> None:
        self._batch = None
        super().connectionLost(reason)
