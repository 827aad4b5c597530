"""Recording, being sure of it, and what becomes of both while the disk does not do its part."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import JournalError, StateError
from appliance.events import Entry, Fsync, State
from appliance.interfaces import Journal
from appliance.store import FileJournal, MemoryJournal
from appliance.store.batches import MOST_WAITING_BYTES
from appliance.store.replay import JOURNAL, PREVIOUS, SNAPSHOT
from tests.store.world import Machine, bound, freed, granted, lease, reclaimed, record_all


class JournalCase(SynchronousTestCase):
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


class StartTests(JournalCase):
    def test_the_folder_is_made_for_its_owner_alone(self) -> None:
        self.machine.opened()
        self.assertEqual(stat.S_IMODE(self.machine.folder.stat().st_mode), 0o700)
        for path in self.machine.folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_a_second_process_is_refused(self) -> None:
        first = self.machine.opened()
        error = self.assertRaises(StateError, self.machine.journal().open)
        self.assertIn(f"process {os.getpid()} ", str(error))
        first.stop()
        self.machine.settle()
        self.machine.journal().open()

    def test_a_start_that_fails_leaves_the_lock(self) -> None:
        self.machine.opened().stop()
        self.machine.settle()
        (self.machine.folder / JOURNAL).write_bytes(b"rubbish\n")
        self.assertRaises(StateError, self.machine.journal().open)
        self.machine.journal().open(recover=True)

    def test_a_disk_that_is_full_from_the_start(self) -> None:
        self.machine.disk.room = 10
        error = self.assertRaises(StateError, self.machine.journal().open)
        self.assertIn("No space left on device; free some space", str(error))

    def test_a_start_heals_a_torn_tail(self) -> None:
        journal = self.machine.opened()
        record_all(self.machine, journal, granted(1), granted(2))
        folder = self.machine.copy("crash")
        with (folder / JOURNAL).open("r+b") as file:
            file.truncate((folder / JOURNAL).stat().st_size - 1)
        self.machine.folder = folder
        second = self.machine.journal()
        self.assertEqual(set(second.open().entries), {lease(1)})
        self.assertEqual(self.machine.replay().warnings, ())
        record_all(self.machine, second, granted(3))
        self.assertEqual(self.found(), {lease(1), lease(3)})

    def test_start_after_start(self) -> None:
        """Numbers go on, so nothing old is taken for new; and a crash during a start loses nothing."""
        for number in range(1, 4):
            journal = self.machine.opened(*map(lease, range(1, number)))
            record_all(self.machine, journal, granted(number))
            self.assertEqual(self.found(), set(map(lease, range(1, number + 1))))
            self.machine.folder = self.machine.copy("crash")

    def test_a_crash_at_any_point_of_a_start(self) -> None:
        first = self.machine.opened(lease(1))
        record_all(self.machine, first, granted(1), granted(2), freed(2))
        start = self.machine.copy("start")
        self.machine.disk.fails_at = step = 1
        while True:
            self.machine.folder = start
            self.machine.folder = self.machine.copy("again")
            self.machine.disk.fails_at = step
            try:
                self.machine.journal().open()
            except StateError:
                self.assertEqual(self.found(), {lease(1), freed(2)})
                step += 1
            else:
                break
        self.assertGreater(step, 10)


class DurableTests(JournalCase):
    def test_it_is_on_the_disk_when_the_deferred_fires(self) -> None:
        """1.4: nothing is promised that a crash can take back."""
        journal = self.machine.opened()
        self.assertIsNone(journal.durable())
        journal.record(granted())
        waiting = self.durable(journal)
        self.assertNoResult(waiting)
        syncs = self.machine.disk.syncs
        self.machine.settle()
        self.successResultOf(waiting)
        self.assertEqual((self.found(), self.machine.disk.syncs - syncs), ({lease()}, 1))
        self.assertIsNone(journal.durable())

    def test_who_comes_meanwhile_is_in_the_next_batch(self) -> None:
        journal = self.machine.opened()
        for number in range(1, 4):
            journal.record(granted(number))
        first = [self.durable(journal) for _ in range(3)]
        self.machine.clock.advance(0)
        late = self.durable(journal)
        journal.record(granted(4))
        second = self.durable(journal)
        self.assertEqual(len(self.machine.worker.jobs), 1)
        self.machine.worker.step()
        for waiting in (*first, late):
            self.successResultOf(waiting)
        self.assertNoResult(second)
        self.machine.settle()
        self.successResultOf(second)

    def test_one_who_waits_does_not_change_what_another_sees(self) -> None:
        journal = self.machine.opened()
        journal.record(granted())
        first, second = self.durable(journal), self.durable(journal)
        first.addBoth(lambda _: "mine")
        self.machine.disk.broken = errno.EIO
        self.machine.settle()
        self.lost(second)

    def test_less_strict_policies_do_not_wait(self) -> None:
        for fsync, syncs in ((Fsync.INTERVAL, 1), (Fsync.NEVER, 0)):
            self.machine.folder = Path(self.mktemp())
            journal = self.machine.opened(fsync=fsync)
            before = self.machine.disk.syncs
            for number in range(10):
                journal.record(granted(number))
                self.assertIsNone(journal.durable())
                self.machine.settle()
                self.machine.clock.advance(0.05)
            self.assertEqual(len(self.found()), 10)
            self.assertEqual(self.machine.disk.syncs, before)
            self.machine.clock.advance(1)
            self.machine.settle()
            self.assertEqual(self.machine.disk.syncs - before, syncs)

    def test_who_fires_may_record_more(self) -> None:
        journal = self.machine.opened()
        journal.record(granted(1))
        self.durable(journal).addCallback(lambda _: journal.record(granted(2)))
        self.machine.settle()
        self.assertEqual(self.found(), {lease(1), lease(2)})

    def test_memory_is_a_journal_too(self) -> None:
        memory: Journal = MemoryJournal()
        file: Journal = self.machine.journal()
        memory.record(granted())
        self.assertEqual((memory.durable(), memory.failure, file.durable(), file.failure), (None,) * 4)


class FullDiskTests(JournalCase):
    def setUp(self) -> None:
        super().setUp()
        self.tables: dict[int, Entry] = {}
        self.journal = self.machine.journal()
        self.journal.open()
        self.journal.serve(lambda: (self.tables[number] for number in list(self.tables)))
        self.machine.settle()

    def grant(self, number: int) -> Deferred[None]:
        self.tables[number] = lease(number)
        self.journal.record(granted(number))
        return self.durable(self.journal)

    def retry(self) -> None:
        self.machine.clock.advance(1)
        self.machine.settle()

    def test_full_and_well_again(self) -> None:
        """Who waits is told no, the rest of the file is as it was, and what was left out is made up for."""
        self.grant(1)
        self.machine.settle()
        for room in (0, 1, 200):
            self.machine.disk.room = room
            waiting = self.grant(2)
            self.machine.settle()
            self.assertIn("No space left on device; free some space", self.lost(waiting))
            self.assertIn(str(self.machine.folder / JOURNAL), self.journal.failure or "")
            self.assertEqual((self.found(), self.machine.replay().warnings), ({lease(1)}, ()))
            self.lost(self.grant(3))
            self.tables[1] = lease(1, state=State.BOUND)
            self.journal.record(bound(1))
            self.retry()
            self.assertIsNotNone(self.journal.failure)
            self.machine.disk.room = None
            self.retry()
            self.assertEqual((self.journal.failure, self.found()), (None, set(self.tables.values())))
            self.tables = {1: lease(1)}
            record_all(self.machine, self.journal, granted(1), freed(2), freed(3))
            self.take()
        self.assertEqual(self.events_logged(), ["journal-failed", "journal-recovered"] * 3)

    def take(self) -> None:
        done = self.journal.snapshot()
        self.machine.settle()
        self.successResultOf(done)

    def test_every_call_may_fail(self) -> None:
        """Whichever it is, the next try works, and a crash at that point finds what it should."""
        for fails_at in range(1, 25):
            self.tables[fails_at] = lease(fails_at)
            self.journal.record(granted(fails_at))
            waiting = self.durable(self.journal)
            waiting.addErrback(lambda failure: failure.trap(JournalError) and None)
            taken = self.journal.snapshot().addErrback(lambda failure: failure.trap(JournalError) and None)
            self.machine.disk.fails_at = fails_at
            self.machine.settle()
            self.machine.disk.fails_at = 0
            missing = set(self.tables.values()) - self.found()
            self.assertLessEqual(missing, {lease(fails_at)})
            if self.journal.failure is None:
                self.assertEqual(missing, set())
            for _ in range(3):
                self.retry()
            self.successResultOf(taken)
            self.assertEqual((self.journal.failure, self.found()), (None, set(self.tables.values())), fails_at)

    def test_a_tail_that_cannot_be_cut_off_at_once(self) -> None:
        self.machine.disk.room, self.machine.disk.truncates = 50, False
        waiting = self.grant(1)
        self.machine.settle()
        self.lost(waiting)
        self.retry()
        self.assertIsNotNone(self.journal.failure)
        self.machine.disk.room, self.machine.disk.truncates = None, True
        self.retry()
        self.assertEqual((self.journal.failure, self.found(), self.machine.replay().warnings), (None, {lease(1)}, ()))

    def test_an_fsync_that_fails(self) -> None:
        """Nobody knows what the disk has of it, so it is taken back."""
        self.machine.disk.broken = errno.EIO
        waiting = self.grant(1)
        self.machine.settle()
        self.assertIn("Input/output error; see what the kernel says", self.lost(waiting))
        self.assertEqual(self.found(), set())
        self.machine.disk.broken = None
        self.retry()
        self.assertEqual(self.found(), {lease(1)})

    def test_what_happens_while_it_is_mended(self) -> None:
        """It is recorded again from the first row on, for the rows before it do not know of it."""
        self.tables = {number: lease(number) for number in range(1, 9)}
        self.machine.disk.room = 0
        self.lost_now(self.grant(9))
        self.machine.disk.room = None
        self.machine.clock.advance(1)
        while not (self.machine.folder / f"{SNAPSHOT}.new").exists():
            self.machine.worker.step()
        self.machine.worker.step()
        self.tables[1] = lease(1, state=State.BOUND)
        self.journal.record(bound(1))
        self.lost_now(self.grant(10))
        self.assertIsNone(self.journal.failure)
        self.assertEqual(self.found(), set(self.tables.values()))

    def lost_now(self, waiting: Deferred[None]) -> None:
        self.machine.settle()
        self.lost(waiting)

    def test_it_fails_again_while_it_is_mended(self) -> None:
        """A snapshot that was begun before that does not count."""
        self.tables = {number: lease(number) for number in range(1, 9)}
        self.machine.disk.room = 0
        self.lost_now(self.grant(9))
        self.machine.disk.room = None
        self.machine.clock.advance(1)
        while not (self.machine.folder / f"{SNAPSHOT}.new").exists():
            self.machine.worker.step()
        self.machine.worker.step()
        self.journal._failed(OSError(errno.EIO, "again"))
        self.tables[1] = lease(1, state=State.BOUND)
        self.journal.record(bound(1))
        self.machine.settle()
        self.assertIsNotNone(self.journal.failure)
        self.retry()
        self.assertEqual((self.journal.failure, self.found()), (None, set(self.tables.values())))

    def test_memory_stays_flat(self) -> None:
        self.machine.disk.room = 0
        self.lost_now(self.grant(1))
        for number in range(1000):
            self.journal.record(granted(number))
        self.assertEqual((len(self.machine.worker.jobs), self.journal._batches._collecting.lines), (0, []))

    def test_a_full_disk_at_the_end(self) -> None:
        """The next start sees a crash, and finds what was there before."""
        self.grant(1)
        self.machine.settle()
        self.machine.disk.room = 0
        self.lost_now(self.grant(2))
        self.journal.stop()
        self.machine.settle()
        found = self.machine.found()
        self.assertEqual((set(found.entries), found.crashed), ({lease(1)}, True))
        self.assertIn("journal-not-finished", self.events_logged())

    def test_the_end_makes_up_for_what_was_left_out(self) -> None:
        self.machine.disk.room = 0
        self.lost_now(self.grant(1))
        self.machine.disk.room = None
        self.journal.stop()
        self.machine.settle()
        found = self.machine.found()
        self.assertEqual((set(found.entries), found.crashed), ({lease(1)}, False))


class SlowDiskTests(JournalCase):
    def test_who_waits_too_long_is_told_no(self) -> None:
        """The write goes on, and what it wrote is there."""
        journal = self.machine.opened()
        journal.record(granted(1))
        first = self.durable(journal)
        self.machine.clock.advance(0)
        journal.record(granted(2))
        second = self.durable(journal)
        self.machine.clock.advance(4.9)
        self.assertIsNone(journal.failure)
        self.assertNoResult(first)
        self.machine.clock.advance(0.2)
        for waiting in (first, second, self.durable(journal)):
            self.assertIn("the disk is slow", self.lost(waiting))
        self.assertIn("the disk is slow", journal.failure or "")
        journal.record(granted(3))
        self.machine.settle()
        self.assertEqual((journal.failure, self.found()), (None, {lease(1), lease(2), lease(3)}))
        self.assertEqual(self.events_logged(), ["journal-slow", "journal-recovered"])

    def test_nobody_waits_with_other_policies(self) -> None:
        journal = self.machine.opened(fsync=Fsync.INTERVAL)
        journal.record(granted(1))
        self.machine.clock.advance(0)
        self.machine.clock.advance(6)
        self.assertIsNone(journal.failure)

    def test_what_collects_is_bounded(self) -> None:
        """Beyond it the journal fails, as on a full disk, and is mended as there."""
        journal = self.machine.opened(lease(1), fsync=Fsync.NEVER)
        journal.record(granted(1))
        self.machine.clock.advance(0)
        long_name = "a" * 2**20
        for number in range(2 * MOST_WAITING_BYTES // 2**20):
            journal.record(granted(number, site=long_name))
        self.assertIn("more is recorded than the disk takes", journal.failure or "")
        self.machine.settle()
        self.machine.clock.advance(1)
        self.machine.settle()
        self.assertEqual((journal.failure, self.found()), (None, {lease(1)}))


class StopTests(JournalCase):
    def test_an_orderly_end(self) -> None:
        """What is on its way arrives, one snapshot is left, and the next start knows that nothing is missing."""
        journal = self.machine.opened(lease(1))
        journal.record(granted(1))
        waiting = self.durable(journal)
        done = journal.stop()
        self.assertIs(journal.stop(), done)
        self.machine.settle()
        self.successResultOf(done)
        self.successResultOf(waiting)
        found = self.machine.found()
        self.assertEqual((found.entries, found.crashed), ((lease(1),), False))
        self.assertFalse((self.machine.folder / PREVIOUS).exists())
        self.assertEqual((self.machine.folder / JOURNAL).read_bytes().count(b"\n"), 2)
        self.assertEqual(self.machine.clock.getDelayedCalls(), [])
        journal.record(reclaimed())
        self.lost(self.durable(journal))

    def test_a_stop_before_anything_is_served(self) -> None:
        journal = self.machine.journal()
        journal.open()
        journal.record(granted(1))
        journal.stop()
        self.machine.settle()
        found = self.machine.found()
        self.assertEqual((found.entries, found.crashed), ((lease(1),), False))
