"""
The journal on the disk: what has been promised is found again by the next start.

Wires the parts: ``scribe`` makes lines of events, ``batches`` collects them, ``files`` writes them in the ``worker``'s
thread, ``snapshot`` keeps the files short, ``history`` remembers for people, ``health`` says what can be relied on.

While the disk cannot be written nothing is recorded, and nothing piles up: every second it is tried to write a new
snapshot, which, being all there is to know, makes up for what was left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.errors import JournalError, StateError
from appliance.events import Entry, Event, Fsync, Recovered
from appliance.model import Address
from appliance.store.batches import SLOW_AFTER, Batches
from appliance.store.beginning import begin
from appliance.store.files import Disk, JournalFile, Lock
from appliance.store.health import Cause, Health, State, explained
from appliance.store.history import History
from appliance.store.scribe import NONE, Bounds, HistoryRow, Scribe, boot_id
from appliance.store.snapshot import Snapshots
from appliance.store.timers import Timers
from appliance.store.worker import Worker

RETRY_INTERVAL = 1.0
SYNC_INTERVAL = 1.0
EXPIRE_INTERVAL = 86_400.0


class FileJournal:
    """
    :param reactor: its ``seconds`` is the boot clock.
    :param folder: the state folder; made when missing.
    :param snapshot_interval: seconds between snapshots, while anything is recorded.
    :param history_seconds: how long it is known who held an address.
    :param rest: how long after a start that was unsure another one is unsure too: the longest period of any pool.
    :param bounds: what answers may promise beyond what is on the disk; see :meth:`allow`.
    :param wall: seconds since 1970.
    :param perf_counter: measures what takes milliseconds; ``worker`` is the thread, one of its own unless given.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        *,
        fsync: Fsync,
        snapshot_interval: float,
        history_seconds: float,
        rest: float = 3600.0,
        bounds: Bounds = NONE,
        wall: Callable[[], float] = time.time,
        perf_counter: Callable[[], float] = time.perf_counter,
        boot: Callable[[], str] = boot_id,
        disk: Disk | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._fsync = fsync
        self._snapshot_interval = snapshot_interval
        self._rest = rest
        self._disk = disk = disk if disk is not None else Disk()
        self._worker = worker = worker if worker is not None else Worker(reactor)
        self._file = JournalFile(disk, folder)
        self._scribe = Scribe(boot(), wall, reactor.seconds, fsync)
        self._scribe.bounds = bounds
        self._health = Health()
        self._history = History(
            folder / "history", worker, disk, wall, keep=history_seconds, synced=fsync is Fsync.GRANT
        )
        self._batches = Batches(
            reactor, worker, self._write, failed=self._failed, slow=self._late, returned=self._returned
        )
        self._snapshots = Snapshots(
            reactor, worker, disk, folder, self._file, self._scribe, perf_counter, self._batches.durable
        )
        self._timers = Timers(reactor)
        self._lock: Lock | None = None
        self._stopped: Deferred[None] | None = None
        self._closed = self._was_finished = False

    # -- the start -------------------------------------------------------------------------------------------------

    def open(self, *, recover: bool = False) -> Recovered:
        """
        Take the folder, read what is there, and begin from it; blocks, for some seconds where there is much.

        :param recover: leave out what is damaged; the files as they were are kept under ``.damaged``.
        :raises StateError: the folder cannot be used, or another process uses it.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = Lock(self._folder)
            try:
                return self._begin(recover=recover)
            except BaseException:
                self._file.close()
                self._lock.release()
                raise
        except OSError as error:
            raise StateError(explained(error, self._folder)) from error

    def _begin(self, *, recover: bool) -> Recovered:
        found = begin(self._folder, self._disk, self._file, self._scribe, recover=recover, rest=self._rest)
        self._history.head = self._scribe.head("history")
        self._was_finished = not found.recovered.crashed
        return found.recovered

    def abandon(self) -> None:
        """The start has failed elsewhere, before anybody was told of anything: a folder that was in order still is."""
        self._closed, self._stopped = True, succeed(None)
        self._timers.stop()
        self._batches.lose(JournalError("the start has failed"))
        if self._was_finished and self._file.is_empty:
            with suppress(OSError):
                self._file.finish(self._scribe.end())
        self._close()

    def serve(self, entries: Callable[[], Iterable[Entry]]) -> None:
        """
        The tables are there: snapshots can be taken from now on.

        :param entries: all that has to be known; what is in the tables from its call to its end must come, as it is
            when it comes.
        """
        self._snapshots.entries = entries
        self._expire()
        self._timers.later(self._snapshot_interval, self._snapshot_is_due)

    def allow(self, bounds: Bounds) -> None:
        """A reload may have raised what answers promise: the disk is to know, in the head of another journal."""
        before, self._scribe.bounds = self._scribe.bounds, self._scribe.bounds.joined(bounds)
        if self._scribe.bounds != before:
            self.snapshot().addErrback(self._complain, event="snapshot-failed")

    # -- recording -------------------------------------------------------------------------------------------------

    @property
    def failure(self) -> str | None:
        """Why nothing can be recorded now, for people; None while all is well."""
        return self._health.failure

    def record(self, event: Event) -> None:
        """Put an event on its way to the disk; while the disk fails it is left to the next snapshot."""
        row = self._scribe.held(event)
        if self._closed or self._health.state is State.FAILED:
            return
        line = self._scribe.event(event)
        if line is not None:
            self._batches.add(line, row)

    def durable(self) -> Deferred[None] | None:
        """When it cannot be lost any more; None where it is so already, or is not asked for."""
        if self._closed:
            return fail(JournalError("the journal is closed"))
        if self._health.failure is not None:
            return fail(JournalError(self._health.failure))
        return self._batches.durable() if self._fsync is Fsync.GRANT else None

    def _write(self, lines: Sequence[bytes], rows: Sequence[HistoryRow]) -> None:
        """In the thread."""
        self._history.append(rows)
        self._file.append(b"".join(lines))
        if self._fsync is Fsync.GRANT:
            self._file.sync()

    def _returned(self) -> None:
        self._health.turn(Cause.RETURNED)
        if self._fsync is Fsync.INTERVAL:
            self._timers.later(SYNC_INTERVAL, self._sync)

    def _sync(self) -> None:
        self._worker.call(self._file.sync).addErrback(self._lost)

    # -- trouble ---------------------------------------------------------------------------------------------------

    def _late(self) -> None:
        """Who waits is told no; what is being written may still come to a good end."""
        if self._fsync is Fsync.GRANT:
            reason = f"the disk is slow: {self._file.path} is being written for more than {SLOW_AFTER:g} s"
            self._health.turn(Cause.LATE, reason)
            self._batches.lose(JournalError(reason), keep=True)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, OSError | JournalError):
            self._log.failure("{event}", Failure(error), event="journal-bug")
        reason = f"{explained(error, self._file.path)}; no new lease until then, tried again every second"
        self._health.turn(Cause.ERROR, reason)
        self._batches.lose(JournalError(reason))
        self._timers.later(RETRY_INTERVAL, self._mend)

    def _mend(self) -> None:
        if self._snapshots.is_running or self._snapshots.entries is None:
            # What runs began before records were dropped, so it does not make up for them.
            self._timers.later(RETRY_INTERVAL, self._mend)
            return
        self._health.turn(Cause.TRY)
        self._snapshots.take().addCallbacks(lambda _: self._health.turn(Cause.COMPLETE), self._lost)

    def _lost(self, failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        self._failed(failure.value)

    # -- from time to time -----------------------------------------------------------------------------------------

    def snapshot(self) -> Deferred[None]:
        """
        Write a snapshot now, or join the one that is being written.

        :return: fails with a JournalError when it could not be written; the journal goes on without it.
        """
        return self._snapshots.take().addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.value
        return Failure(JournalError(explained(error, self._folder))) if isinstance(error, OSError) else failure

    def find(self, address: Address, at: float | None = None) -> Deferred[list[dict[str, Any]]]:
        """Who held ``address``; see :meth:`History.find`."""
        return Deferred.fromCoroutine(self._history.find(address, at))

    def _snapshot_is_due(self) -> None:
        if self._snapshots.is_due and self._health.state is State.WELL:
            self.snapshot().addErrback(self._complain, event="snapshot-failed")
        self._timers.later(self._snapshot_interval, self._snapshot_is_due)

    def _expire(self) -> None:
        self._worker.call(self._history.expire).addErrback(self._complain, event="history-not-expired")
        self._timers.later(EXPIRE_INTERVAL, self._expire)

    def _complain(self, failure: Failure, event: str) -> None:
        if failure.check(JournalError, OSError):
            self._log.error("{event}: {reason}", event=event, reason=str(failure.value))
        else:
            self._log.failure("{event}", failure, event=event)

    # -- the stop --------------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """
        Write what there is and close; to be called when nobody records any more.  Idempotent.

        Where the disk does not take it, that is logged, and the next start sees a crash.
        """
        if self._stopped is None:
            self._stopped = Deferred()
            self._timers.stop()
            Deferred.fromCoroutine(self._stop()).chainDeferred(self._stopped)
        return self._stopped

    async def _stop(self) -> None:
        await self._batches.flush()
        try:
            if self._snapshots.entries is not None:
                await self._last_snapshot()
            self._closed = True
            await self._batches.flush()
            if self._health.state in (State.WELL, State.SLOW):
                await self._worker.call(self._file.finish, self._scribe.end())
        except Exception:
            self._complain(Failure(), event="journal-not-finished")
        self._closed = True
        self._close()

    def _close(self) -> None:
        self._worker.stop()
        self._file.close()
        if self._lock is not None:
            self._lock.release()

    async def _last_snapshot(self) -> None:
        """It makes up for what a failing disk has not taken; where nothing was left out it is only good to have."""
        if self._snapshots.is_running:
            await self._snapshots.take().addErrback(lambda _: None)
        if self._health.state is State.FAILED:
            self._health.turn(Cause.TRY)
        try:
            await self._snapshots.take()
        except Exception:
            self._complain(Failure(), event="snapshot-failed")
            if self._health.state is State.MENDING:
                raise
        if self._health.state is State.MENDING:
            self._health.turn(Cause.COMPLETE)
