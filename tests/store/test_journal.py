"""Beginning, recording, being sure of it, and ending."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from appliance.errors import StateError
from appliance.events import Entry, Fsync
from appliance.interfaces import Journal
from appliance.store import FileJournal, MemoryJournal
from appliance.store.replay import JOURNAL, PREVIOUS, SNAPSHOT
from tests.store.world import JournalCase, freed, granted, lease, reclaimed, record_all


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
        last = 0
        for number in range(1, 4):
            journal = self.machine.opened(*map(lease, range(1, number)))
            self.assertFalse((self.machine.folder / PREVIOUS).exists())
            record_all(self.machine, journal, granted(number))
            self.assertEqual(self.found(), set(map(lease, range(1, number + 1))))
            self.machine.folder = self.machine.copy("crash")
            before, last = last, self.machine.replay().seq
            self.assertGreater(last, before)
            shutil.copy(self.machine.folder / JOURNAL, self.machine.folder / PREVIOUS)

    def test_after_an_orderly_end_the_snapshot_stays(self) -> None:
        """It says all there is, so a start with many leases need not write it anew; after a crash it is."""
        journal = self.machine.opened(lease(1))
        record_all(self.machine, journal, granted(1))
        journal.stop()
        self.machine.settle()
        path = self.machine.folder / SNAPSHOT
        before = path.stat().st_ino
        second = self.machine.journal()
        self.assertEqual(second.open().entries, (lease(1),))
        self.assertEqual(path.stat().st_ino, before)
        record_all(self.machine, second, granted(2))
        self.machine.folder = self.machine.copy("crash")
        path, before = self.machine.folder / SNAPSHOT, (self.machine.folder / SNAPSHOT).stat().st_ino
        third = self.machine.journal()
        self.assertEqual(set(third.open().entries), {lease(1), lease(2)})
        self.assertNotEqual(path.stat().st_ino, before)

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

    def test_a_failure_before_anything_is_served(self) -> None:
        journal = self.machine.journal()
        journal.open()
        journal.record(granted(1))
        self.machine.disk.room = 0
        self.machine.settle()
        self.machine.disk.room = None
        journal.stop()
        self.machine.settle()
        self.assertTrue(self.machine.found().crashed)


class AbandonTests(JournalCase):
    """A start that comes to nothing has promised nothing, and the next one knows as much as it did."""

    def found_after(self, journal: FileJournal, fsync: Fsync) -> tuple[bool, bool, tuple[Entry, ...]]:
        journal.abandon()
        found = self.machine.journal(fsync).open()
        return found.crashed, found.unsure, found.entries

    def test_after_an_orderly_end(self) -> None:
        for fsync in Fsync:
            self.machine.folder = Path(self.mktemp())
            self.machine.opened(lease(), fsync=fsync).stop()
            self.machine.settle()
            journal = self.machine.journal(fsync)
            journal.open()
            journal.record(reclaimed())
            self.assertEqual(self.found_after(journal, fsync), (False, False, (lease(),)))

    def test_after_a_crash(self) -> None:
        """What that has left in doubt still is."""
        for fsync, unsure in ((Fsync.GRANT, False), (Fsync.NEVER, True)):
            self.machine.folder = Path(self.mktemp())
            self.machine.opened(lease(), fsync=fsync)
            self.machine.folder = self.machine.copy("crash")
            journal = self.machine.journal(fsync)
            journal.open()
            self.assertEqual(self.found_after(journal, fsync)[:2], (True, unsure))

    def test_what_was_recorded_meanwhile(self) -> None:
        """Then it was no start that failed."""
        self.machine.opened().stop()
        self.machine.settle()
        journal = self.machine.opened()
        record_all(self.machine, journal, granted())
        self.assertEqual(self.found_after(journal, Fsync.GRANT), (True, False, (lease(),)))
