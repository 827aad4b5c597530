"""
A machine to run journals on: folders in place of its disk, clocks that are moved by hand, and a thread that does a job
when the test says so.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import JournalError
from appliance.events import (
    AddressFreed,
    Entry,
    Event,
    Fsync,
    LeaseBound,
    LeaseGranted,
    LeaseReclaimed,
    LeaseRecord,
    Recovered,
    State,
)
from appliance.model import Address
from appliance.store import FileJournal
from appliance.store.codec import Clocks
from appliance.store.files import Disk
from appliance.store.replay import Replayed, replay
from appliance.store.worker import Worker

BOOTED_AT = 1_700_000_000.0
"""Wall clock of the first boot."""


def lease(number: int = 1, *, site: str = "a.test", state: State = State.OFFERED, until: float = 500.0) -> LeaseRecord:
    return LeaseRecord(
        pool="public",
        address=Address("192.0.2.0") + number,
        site=site,
        server="alpha-1",
        state=state,
        granted_at=90.0,
        promised_until=until,
        ends_at=until + 5,
        longest=30,
        unused=1,
        requests=1.5,
    )


def granted(number: int = 1, **more: Any) -> LeaseGranted:
    return LeaseGranted(at=100.0, lease=lease(number, **more))


def bound(number: int = 1, **more: Any) -> LeaseBound:
    return LeaseBound(at=101.0, lease=lease(number, state=State.BOUND, **more))


def reclaimed(number: int = 1, *, at: float = 505.0, **more: Any) -> LeaseReclaimed:
    return LeaseReclaimed(at=at, lease=lease(number, state=State.COOLING, **more))


def freed(number: int = 1, site: str = "a.test") -> AddressFreed:
    return AddressFreed(at=600.0, pool="public", address=Address("192.0.2.0") + number, former=site)


class ByHand(Worker):
    """Does the oldest job when :meth:`step` is called."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.jobs.append((lambda: function(*args, **kwargs), done))
        return done

    def stop(self) -> None:
        """There is no thread to end."""

    def step(self) -> bool:
        """:return: there was something to do."""
        if not self.jobs:
            return False
        function, done = self.jobs.popleft()
        try:
            result = function()
        except Exception:
            result = Failure()
        done.callback(result)
        return True


class FlakyDisk(Disk):
    """
    :ivar room: bytes that can still be written; None: no end of them.
    :ivar broken: what every fsync raises.
    :ivar syncs: the fsyncs so far; ``fails_at`` counts down with every call there is, and that one fails.
    """

    def __init__(self) -> None:
        self.room: int | None = None
        self.broken: int | None = None
        self.truncates = True
        self.syncs = 0
        self.fails_at = 0

    def _count(self) -> None:
        self.fails_at -= 1
        if self.fails_at == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def open(self, path: Path, flags: int) -> int:
        self._count()
        return super().open(path, flags)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._count()
        if self.room is None:
            return super().write(fd, data)
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data[: self.room])
        self.room -= written
        return written

    def fsync(self, fd: int) -> None:
        self._count()
        self.syncs += 1
        if self.broken is not None:
            raise OSError(self.broken, os.strerror(self.broken))
        super().fsync(fd)

    def truncate(self, fd: int, length: int) -> None:
        self._count()
        if not self.truncates:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().truncate(fd, length)

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self._count()
        super().remove(path)


@attrs.define
class Machine:
    """
    :param folder: where the state is.
    :param stepped: seconds that the wall clock has been set forward, or back, since the boot.
    """

    folder: Path
    boot: str = "11111111-1111-1111-1111-111111111111"
    booted_at: float = BOOTED_AT
    stepped: float = 0.0
    clock: Clock = attrs.Factory(Clock)
    worker: ByHand = attrs.Factory(ByHand)
    disk: FlakyDisk = attrs.Factory(FlakyDisk)
    ticks: float = 0.0

    def wall(self) -> float:
        return self.booted_at + self.clock.seconds() + self.stepped

    def clocks(self) -> Clocks:
        return Clocks(self.boot, round(self.wall() * 1000), round(self.clock.seconds() * 1000))

    def perf_counter(self) -> float:
        """A row takes one millisecond."""
        self.ticks += 0.001
        return self.ticks

    def journal(self, fsync: Fsync = Fsync.GRANT, **more: Any) -> FileJournal:
        return FileJournal(
            self.clock,
            self.folder,
            fsync=fsync,
            snapshot_interval=more.pop("snapshot_interval", 300.0),
            history_seconds=more.pop("history_seconds", 90 * 86400.0),
            wall=self.wall,
            perf_counter=self.perf_counter,
            boot=lambda: self.boot,
            disk=self.disk,
            worker=self.worker,
            **more,
        )

    def opened(self, *entries: Entry, fsync: Fsync = Fsync.GRANT, **more: Any) -> FileJournal:
        """A journal that serves tables with these entries."""
        journal = self.journal(fsync, **more)
        journal.open()
        journal.serve(lambda: iter(entries))
        self.settle()
        return journal

    def settle(self) -> None:
        """Everything that can be done without time going by."""
        busy = True
        while busy:
            busy = self.worker.step()
            self.clock.advance(0)
            busy = busy or bool(self.worker.jobs)

    def reboot(self, *, after: float = 60.0) -> None:
        """The boot clock begins anew; the wall clock goes on from the right time."""
        self.booted_at += self.clock.seconds() + after
        self.boot, self.stepped, self.clock = "22222222-2222-2222-2222-222222222222", 0.0, Clock()

    def copy(self, name: str) -> Path:
        """What a crash at this instant leaves, in a folder of its own; kernels keep what was written."""
        target = self.folder.with_name(f"{self.folder.name}-{name}")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder, target)
        return target

    def replay(self, folder: Path | None = None, **more: Any) -> Replayed:
        return replay(folder or self.folder, self.clocks(), **more)

    def found(self, folder: Path | None = None, **more: Any) -> Recovered:
        return self.replay(folder, **more).recovered


def record_all(machine: Machine, journal: FileJournal, *events: Event) -> None:
    for event in events:
        journal.record(event)
    machine.settle()


class JournalCase(SynchronousTestCase):
    """A machine, what it logs, and what a test asks of it."""

    def setUp(self) -> None:
        self.machine = Machine(Path(self.mktemp()))
        self.machine.clock.advance(1000)
        self.logged: list[LogEvent] = []
        observer: ILogObserver = self.logged.append  # type: ignore[assignment]
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def events_logged(self) -> list[str]:
        return [event["event"] for event in self.logged if "event" in event]

    def durable(self, journal: FileJournal) -> Deferred[None]:
        waiting = journal.durable()
        assert waiting is not None
        return waiting

    def lost(self, waiting: Deferred[None]) -> str:
        return str(self.failureResultOf(waiting, JournalError).value)

    def found(self) -> set[Entry]:
        return set(self.machine.found(self.machine.copy("crash")).entries)
