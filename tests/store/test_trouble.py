"""What becomes of recording while the disk is full, broken or slow."""

from __future__ import annotations

import errno

from twisted.internet.defer import Deferred

from appliance.errors import JournalError
from appliance.events import Entry, Fsync, State
from appliance.store.batches import MOST_WAITING_BYTES
from appliance.store.replay import JOURNAL, SNAPSHOT
from tests.store.world import JournalCase, bound, freed, granted, lease, record_all


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
        self.machine.disk.room = None
        self.machine.clock.advance(1)
        self.journal.record(granted(1))
        self.machine.clock.advance(0)
        self.machine.settle()
        self.assertIsNotNone(self.journal.failure)
        self.assertEqual((self.found(), len(self.machine.replay().warnings)), (set(), 1))
        self.machine.disk.truncates = True
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
        self.machine.clock.advance(1)
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

    def test_a_last_snapshot_that_fails(self) -> None:
        """The disk takes the end of the journal again, but not all of it is there."""
        self.machine.disk.room = 0
        self.lost_now(self.grant(1))
        self.machine.disk.room = None
        self.journal.serve(lambda: (lease(1 // 0) for _ in range(1)))
        self.journal.stop()
        self.machine.settle()
        self.assertTrue(self.machine.found().crashed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

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
