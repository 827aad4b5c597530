"""
Group commit: while a batch is on its way to the disk, the next one collects.

Costs one turn of the reactor a batch, not a record, and one wait for the disk however many wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from appliance.errors import JournalError
from appliance.store.scribe import HistoryRow
from appliance.store.worker import Worker

SLOW_AFTER = 5.0
"""Seconds that a query may wait for the disk; a resolver has asked somebody else by then."""

MOST_WAITING_BYTES = 16 * 2**20
"""What collects while the disk is slow: some forty thousand records."""


@attrs.define
class _Batch:
    lines: list[bytes] = attrs.Factory(list)
    history: list[HistoryRow] = attrs.Factory(list)
    waiting: list[Deferred[None]] = attrs.Factory(list)
    size_bytes: int = 0


class Batches:
    """
    :param write: called in the thread with the lines and the rows of the history; raises when it cannot.
    :param failed: told why a batch, or one that could not even wait, is lost; it then calls :meth:`lose`.
    :param slow: told when a batch takes longer than may be waited for, and
    :param returned: when any batch came back well.
    """

    def __init__(
        self,
        clock: IReactorTime,
        worker: Worker,
        write: Callable[[Sequence[bytes], Sequence[HistoryRow]], None],
        *,
        failed: Callable[[Exception], None],
        slow: Callable[[], None],
        returned: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._write = write
        self._failed = failed
        self._slow = slow
        self._returned = returned
        self._collecting = _Batch()
        self._written: _Batch | None = None
        self._starting: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []

    def add(self, line: bytes, row: HistoryRow | None) -> None:
        """Put it after what was added before; it starts when this turn of the reactor is over, or the disk is free."""
        batch = self._collecting
        if batch.size_bytes + len(line) > MOST_WAITING_BYTES:
            self._failed(JournalError("more is recorded than the disk takes"))
            return
        batch.lines.append(line)
        batch.size_bytes += len(line)
        if row is not None:
            batch.history.append(row)
        self._start_soon()

    def durable(self) -> Deferred[None] | None:
        """
        :return: the caller's own, so that nobody sees what another made of the result; None when nothing is on its way.
        """
        batch = self._collecting if self._collecting.lines else self._written
        if batch is None:
            return None
        waiting: Deferred[None] = Deferred()
        batch.waiting.append(waiting)
        return waiting

    def lose(self, error: Exception, *, keep: bool = False) -> None:
        """
        Nobody may rely on what is on its way.

        :param keep: it is written nevertheless; else what has not begun is forgotten.
        """
        waiting = self._collecting.waiting + (self._written.waiting if self._written is not None else [])
        self._collecting.waiting = []
        if self._written is not None:
            self._written.waiting = []
        if not keep:
            self._collecting = _Batch()
        for deferred in waiting:
            deferred.errback(Failure(error))

    def flush(self) -> Deferred[None]:
        """Fires when nothing is on its way, well or lost."""
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        self._start_soon()
        return idle

    def _start_soon(self) -> None:
        if self._written is None and self._starting is None:
            self._starting = self._clock.callLater(0, self._start)

    def _start(self) -> None:
        self._starting = None
        batch = self._collecting
        if not batch.lines:
            idle, self._idle = self._idle, []
            for deferred in idle:
                deferred.callback(None)
            return
        self._collecting, self._written = _Batch(), batch
        patience = self._clock.callLater(SLOW_AFTER, self._slow)
        done = self._worker.call(self._write, batch.lines, batch.history)
        done.addBoth(self._done, patience)

    def _done(self, result: Failure | None, patience: IDelayedCall) -> None:
        if patience.active():
            patience.cancel()
        if isinstance(result, Failure):
            assert isinstance(result.value, Exception)
            self._failed(result.value)
        batch, self._written = self._written, None
        assert batch is not None
        if self._collecting.lines or self._idle:
            self._start_soon()
        if not isinstance(result, Failure):
            self._returned()
            for deferred in batch.waiting:
                deferred.callback(None)
