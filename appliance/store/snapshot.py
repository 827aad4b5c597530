"""
Snapshots of tables that go on changing.

The journal is rotated first; then the rows are taken in slices, a few milliseconds in a turn of the reactor, and go
to the thread in chunks, of which a bounded number is on its way; then the snapshot gets its name, and only then the
previous journal is deleted.  Whatever fails or ends in between, what is on the disk is as good as before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.events import Entry
from appliance.store.files import Disk, JournalFile, Replacement
from appliance.store.replay import SNAPSHOT
from appliance.store.scribe import Scribe
from appliance.store.worker import Worker

SLICE = 0.002
"""Seconds of a turn that rows may take."""

MOST_OUTSTANDING = 2
"""Chunks on their way to the thread; while one is written the next one waits."""


class Snapshots:
    """
    :param perf_counter: measures the slices.
    :param written: when all that was recorded so far is in the journal; None: it is.
    :ivar entries: what the tables hold, each as it is when it is taken; None: they are not there yet.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        worker: Worker,
        disk: Disk,
        folder: Path,
        file: JournalFile,
        scribe: Scribe,
        perf_counter: Callable[[], float],
        written: Callable[[], Deferred[None] | None],
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._disk = disk
        self._path = folder / SNAPSHOT
        self._file = file
        self._scribe = scribe
        self._perf_counter = perf_counter
        self._written = written
        self._joined: list[Deferred[None]] = []
        self._taken_seq = -1
        self.entries: Callable[[], Iterable[Entry]] | None = None

    @property
    def is_running(self) -> bool:
        return bool(self._joined)

    @property
    def is_due(self) -> bool:
        """Has anything been recorded since the last one?"""
        return self._scribe.seq != self._taken_seq

    def take(self) -> Deferred[None]:
        """
        Write a snapshot, or join the one that is being written.

        :return: fires when it is on the disk; fails with what prevented it, mostly an OSError.
        """
        joined: Deferred[None] = Deferred()
        self._joined.append(joined)
        if len(self._joined) == 1:
            Deferred.fromCoroutine(self._take()).addBoth(self._done)
        return joined

    def _done(self, result: Failure | None) -> None:
        joined, self._joined = self._joined, []
        for deferred in joined:
            deferred.callback(result)

    async def _take(self) -> None:
        assert self.entries is not None, "served"
        await self._worker.call(self._file.rotate, self._scribe.head("journal"))
        draft = await self._worker.call(Replacement, self._disk, self._path)
        seq = self._scribe.seq
        try:
            await self._write(draft, self._scribe.snapshot(self.entries()))
            # Rows must not be newer than the journal, or one thing is known to have happened that followed from another
            # which is not.
            if (written := self._written()) is not None:
                await written
            await self._worker.call(draft.commit)
        except Exception:
            await self._worker.call(draft.discard)
            raise
        self._taken_seq = seq
        await self._worker.call(self._clear, draft)

    async def _write(self, draft: Replacement, lines: Iterator[bytes]) -> None:
        writing: deque[Deferred[None]] = deque()
        try:
            while chunk := self._slice(lines):
                if len(writing) == MOST_OUTSTANDING:
                    await writing.popleft()
                writing.append(self._worker.call(draft.write, chunk))
                await self._next_turn()
            while writing:
                await writing.popleft()
        finally:
            for rest in writing:
                rest.addErrback(lambda _: None)

    def _slice(self, lines: Iterator[bytes]) -> bytes:
        """As many lines as may be taken in this turn, at least one; empty at the end."""
        stop_at = self._perf_counter() + SLICE
        chunk = []
        for line in lines:
            chunk.append(line)
            if self._perf_counter() >= stop_at:
                break
        return b"".join(chunk)

    def _next_turn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._clock.callLater(0, turn.callback, None)
        return turn

    def _clear(self, draft: Replacement) -> None:
        """In the thread.  The snapshot is there; a previous journal that cannot be deleted does no harm."""
        try:
            draft.close()
            self._file.drop_previous()
        except OSError as error:
            self._log.warn("{event}: {reason}", event="journal-not-deleted", reason=str(error))
