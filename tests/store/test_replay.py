"""What is found after a crash, after damage, and in files of other formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import StateError
from appliance.events import Entry, Event, Fsync, Override, Pinned, State, Unpinned
from appliance.model import Address
from appliance.store import Bounds, FileJournal
from appliance.store.codec import fields_of
from appliance.store.lines import Record, line_of
from appliance.store.replay import JOURNAL, PREVIOUS, SNAPSHOT
from tests.store.world import Machine, bound, freed, granted, lease, reclaimed, record_all

PIN = Pinned(at=650.0, site="b.test", address=Address("192.0.2.9"))
UNPINNED = Unpinned(at=660.0, site="b.test", address=PIN.address)
WEIGHT = Override(at=670.0, subject="server alpha-1", setting="weight", value="5", configured="1")
LOWER = attrs.evolve(WEIGHT, at=680.0, value="2")
DRAINED = Override(at=690.0, subject="server alpha-1", setting="state", value="out-of-service")
WEIGHT_BACK = attrs.evolve(WEIGHT, at=700.0, value=None)
STORY: tuple[Event, ...] = (
    granted(1),
    bound(1),
    granted(2, site="b.test"),
    PIN,
    reclaimed(1),
    freed(1),
    UNPINNED,
    WEIGHT,
    DRAINED,
    LOWER,
    WEIGHT_BACK,
)
PREFIXES: tuple[set[Entry], ...] = (
    set(),
    {lease(1)},
    {lease(1, state=State.BOUND)},
    {lease(1, state=State.BOUND), lease(2, site="b.test")},
    {lease(1, state=State.BOUND), lease(2, site="b.test"), PIN},
    {lease(1, state=State.COOLING), lease(2, site="b.test"), PIN},
    {freed(1), lease(2, site="b.test"), PIN},
    {freed(1), lease(2, site="b.test")},
    {freed(1), lease(2, site="b.test"), WEIGHT},
    {freed(1), lease(2, site="b.test"), WEIGHT, DRAINED},
    {freed(1), lease(2, site="b.test"), LOWER, DRAINED},
    {freed(1), lease(2, site="b.test"), DRAINED},
)
"""What is to be found after so many of the STORY."""


class ReplayCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.machine = Machine(Path(self.mktemp()))
        self.machine.clock.advance(1000)

    def tell(self, *events: Event, fsync: Fsync = Fsync.GRANT) -> Path:
        """:return: what a crash leaves after these."""
        journal = self.machine.journal(fsync)
        journal.open()
        record_all(self.machine, journal, *events)
        return self.machine.copy("crash")


class CrashTests(ReplayCase):
    def test_each_prefix_of_the_story(self) -> None:
        for count, expected in enumerate(PREFIXES):
            self.machine.folder = Path(self.mktemp())
            found = self.machine.found(self.tell(*STORY[:count]))
            self.assertEqual((set(found.entries), found.crashed, found.unsure), (expected, True, False))

    def test_truncation_at_every_byte(self) -> None:
        """A torn record is dropped, and said so; what is before it is all there."""
        folder = self.tell(*STORY)
        whole = (folder / JOURNAL).read_bytes()
        for length in reversed(range(len(whole))):
            os.truncate(folder / JOURNAL, length)
            records = max(0, whole[:length].count(b"\n") - 1)
            replayed = self.machine.replay(folder)
            self.assertEqual(set(replayed.recovered.entries), PREFIXES[records], length)
            torn = length > 0 and whole[length - 1 : length] != b"\n"
            self.assertEqual([f"{JOURNAL}:" in line for line in replayed.warnings], [True] * torn)
            self.assertTrue(replayed.recovered.crashed)

    def test_a_flipped_bit_in_every_byte(self) -> None:
        """Damage is found wherever it is; only the very last newline makes a torn record of a whole one."""
        folder = self.tell(*STORY)
        whole = (folder / JOURNAL).read_bytes()
        for at in range(len(whole)):
            for byte in {whole[at] ^ 1, whole[at] ^ 0x80, 10, 0} - {whole[at]}:
                # In place, for some file systems write out at once what is written over from its beginning.
                with (folder / JOURNAL).open("r+b") as file:
                    file.write(whole[:at] + bytes([byte]) + whole[at + 1 :])
                if at == len(whole) - 1:
                    self.assertEqual(set(self.machine.found(folder).entries), PREFIXES[-2])
                else:
                    line = whole[:at].count(b"\n") + 1
                    error = self.assertRaises(StateError, self.machine.replay, folder)
                    self.assertIn(f"{JOURNAL}:{line}: ", str(error))
                    self.assertIn("--recover", str(error))

    def test_a_snapshot_is_whole_or_damaged(self) -> None:
        """It got its name when it was complete, so nothing of it can be torn."""
        machine = self.machine
        journal = machine.opened(lease(1), lease(2, site="b.test"))
        record_all(machine, journal, granted(1))
        self.successResultOf(self.stopped(journal))
        whole = (machine.folder / SNAPSHOT).read_bytes()
        self.assertEqual(whole.count(b"\n"), 4)
        for length in reversed(range(len(whole))):
            os.truncate(machine.folder / SNAPSHOT, length)
            self.assertRaises(StateError, machine.replay)
        lines = whole.splitlines(keepends=True)
        (machine.folder / SNAPSHOT).write_bytes(b"".join(lines[:1] + lines[2:]))
        self.assertIn("2 rows were written, 1 are here", str(self.assertRaises(StateError, machine.replay)))
        (machine.folder / SNAPSHOT).write_bytes(whole)
        self.assertEqual(set(machine.found().entries), {lease(1), lease(2, site="b.test")})

    def stopped(self, journal: FileJournal) -> Deferred[None]:
        done = journal.stop()
        self.machine.settle()
        return done

    def test_what_is_unsure(self) -> None:
        """Only with fsync: grant is all there that was promised; an orderly end is sure with any policy."""
        for fsync, unsure in ((Fsync.GRANT, False), (Fsync.INTERVAL, True), (Fsync.NEVER, True)):
            self.machine.folder = Path(self.mktemp())
            found = self.machine.found(self.tell(granted(), fsync=fsync))
            self.assertEqual((found.crashed, found.unsure), (True, unsure))
            self.machine.folder = Path(self.mktemp())
            journal = self.machine.opened(lease(), fsync=fsync)
            self.stopped(journal)
            found = self.machine.found()
            self.assertEqual((found.crashed, found.unsure, found.entries), (False, False, (lease(),)))

    def test_the_next_starts_know_no_more_than_an_unsure_one(self) -> None:
        """For as long as what is not known may have been promised."""
        self.tell(granted(), fsync=Fsync.NEVER)
        self.machine.folder = self.machine.folder.with_name(f"{self.machine.folder.name}-crash")
        for at, unsure in ((0.0, True), (40.0, True), (70.0, False), (1.0, False)):
            self.machine.clock.advance(at)
            journal = self.machine.journal(Fsync.GRANT, rest=100.0)
            found = journal.open()
            self.assertEqual(found.unsure, unsure, at)
            self.successResultOf(self.stopped(journal))

    def test_what_a_crash_leaves_in_doubt_outlasts_other_bounds(self) -> None:
        """For the starts after it, too, until one ends in order; a reload that raises them is known at once."""
        for fsync in (Fsync.GRANT, Fsync.NEVER):
            self.machine.folder = Path(self.mktemp())
            journal = self.machine.opened(fsync=fsync, bounds=Bounds(40.0, 5.0))
            journal.allow(Bounds(90.0, 2.5))
            self.machine.settle()
            for name in ("one", "two"):
                self.machine.folder = self.machine.copy(name)
                journal = self.machine.journal(Fsync.GRANT, rest=1.0, bounds=Bounds(1.0, 1.0))
                self.machine.clock.advance(30.0)
                found = journal.open()
                unsure = fsync is Fsync.NEVER
                self.assertEqual((found.minimum, found.unsure), (5.0, unsure))
                self.assertEqual(found.maximum, 90.0 if unsure or name == "one" else 1.0)
            self.successResultOf(self.stopped(journal))
            found = self.machine.journal(Fsync.GRANT, rest=1.0, bounds=Bounds(1.0, 1.0)).open()
            self.assertFalse(found.crashed)

    def test_nothing_there(self) -> None:
        self.machine.folder.mkdir()
        replayed = self.machine.replay()
        self.assertEqual((replayed.recovered.entries, replayed.recovered.crashed, replayed.seq), ((), False, 0))


class DamageTests(ReplayCase):
    def test_recover_keeps_what_can_be_read(self) -> None:
        folder = self.tell(*STORY[:4])
        lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
        lines[3] = lines[3].replace(b"192.0.2.2", b"192.0.2.3")
        damaged = b"".join(lines)
        (folder / JOURNAL).write_bytes(damaged)
        self.machine.folder = folder
        self.assertIn(f"{JOURNAL}:4: ", str(self.assertRaises(StateError, self.machine.journal().open)))
        journal = self.machine.journal()
        found = journal.open(recover=True)
        self.assertEqual((set(found.entries), found.unsure), ({lease(1, state=State.BOUND), PIN}, True))
        self.assertEqual((folder / f"{JOURNAL}.damaged").read_bytes(), damaged)
        self.assertEqual(self.machine.replay().warnings, ())

    def test_numbers_that_go_backwards(self) -> None:
        """A line that was copied or moved has a good CRC."""
        folder = self.tell(*STORY)
        head, *lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
        for wrong in ([*lines, lines[0]], [lines[0], *lines], lines[::-1]):
            (folder / JOURNAL).write_bytes(b"".join([head, *wrong]))
            self.assertIn("comes after", str(self.assertRaises(StateError, self.machine.replay, folder)))

    def test_warnings_are_bounded(self) -> None:
        folder = self.tell(*STORY)
        with (folder / JOURNAL).open("ab") as file:
            file.write(b"rubbish\n" * 1000)
        warnings = self.machine.replay(folder, recover=True).warnings
        self.assertEqual((len(warnings), warnings[-1]), (21, "and 980 more of the kind"))

    def test_a_file_without_its_head(self) -> None:
        folder = self.tell(*STORY)
        for name in (JOURNAL, SNAPSHOT):
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole.split(b"\n", 1)[1])
            self.assertIn("does not begin", str(self.assertRaises(StateError, self.machine.replay, folder)))
            (folder / name).write_bytes(whole)

    def test_a_file_in_place_of_another(self) -> None:
        folder = self.tell(*STORY)
        (folder / SNAPSHOT).write_bytes((folder / JOURNAL).read_bytes())
        self.assertIn("does not begin", str(self.assertRaises(StateError, self.machine.replay, folder)))


class FormatTests(ReplayCase):
    def write(self, name: str, *records: Record) -> None:
        self.machine.folder.mkdir(exist_ok=True)
        clocks = self.machine.clocks()
        lines = (line_of({**clocks.stamp(number), **record}) for number, record in enumerate(records))
        (self.machine.folder / name).write_bytes(b"".join(lines))

    def test_a_newer_format_is_refused(self) -> None:
        """Whatever else it holds, and with --recover too."""
        self.write(JOURNAL, {"format": 2, "kind": "journal", "fsync": "grant", "version": "7.1"}, {"kind": "spell"})
        for recover in (False, True):
            error = self.assertRaises(StateError, self.machine.replay, recover=recover)
            self.assertIn("written by appliance 7.1 in format 2", str(error))

    def test_an_older_format_is_brought_up(self) -> None:
        """Record by record, through the functions of all formats between."""
        old = {"kind": "loan", **(fields_of(lease(), self.machine.clocks()) or {}), "kind_": 0}
        old["kind"] = "loan"
        self.write(JOURNAL, {"format": 0, "kind": "journal", "fsync": "grant"}, old)
        self.assertIn("format 0", str(self.assertRaises(StateError, self.machine.replay)))
        self.write(SNAPSHOT, {"format": 0, "kind": "snapshot", "fsync": "grant"}, {"kind": "end", "rows": 0})

        def bring_up(record: dict[str, Any]) -> dict[str, Any]:
            return {**record, "kind": "lease"} if record["kind"] == "loan" else record

        self.assertEqual(self.machine.found(upgrades={0: bring_up}).entries, (lease(),))


class MergeTests(ReplayCase):
    """A snapshot and two journals say things about the same."""

    def write(self, name: str, kind: str, seq: int, *records: tuple[int, Event | Entry]) -> None:
        self.machine.folder.mkdir(exist_ok=True)
        clocks = self.machine.clocks()
        head = {"format": 1, "kind": kind, **clocks.stamp(seq), "fsync": "grant"}
        lines = [{**clocks.stamp(number), **(fields_of(what, clocks) or {})} for number, what in records]
        if kind == "snapshot":
            last = records[-1][0] if records else seq
            lines.append({**clocks.stamp(last), "kind": "end", "rows": len(records)})
        (self.machine.folder / name).write_bytes(b"".join(map(line_of, (head, *lines))))

    def found(self) -> set[Entry]:
        return set(self.machine.found().entries)

    def test_no_snapshot(self) -> None:
        """A file that is missing is damage: what it said may have been promised."""
        self.write(JOURNAL, "journal", 7, (8, granted(1)))
        error = self.assertRaises(StateError, self.machine.replay)
        self.assertIn("snapshot.yaml:1: the file is missing", str(error))
        found = self.machine.found(recover=True)
        self.assertEqual((set(found.entries), found.unsure), ({lease(1)}, True))

    def test_no_journal(self) -> None:
        self.write(SNAPSHOT, "snapshot", 7, (7, lease(1)))
        self.assertIn("journal.yaml:1: the file is missing", str(self.assertRaises(StateError, self.machine.replay)))
        self.assertTrue(self.machine.found(recover=True).unsure)

    def test_a_first_start_that_crashed(self) -> None:
        """It writes the snapshot before the journal, and has promised nothing yet."""
        self.write(SNAPSHOT, "snapshot", 0)
        self.assertEqual(self.machine.found().entries, ())

    def test_a_rotation_that_crashed(self) -> None:
        """The journal has its other name already, and the new one is not there yet."""
        self.write(SNAPSHOT, "snapshot", 0)
        self.write(PREVIOUS, "journal", 0, (1, granted(1)))
        self.assertEqual(self.found(), {lease(1)})

    def test_the_last_number_wins(self) -> None:
        """A row may be newer than records that come after it in a journal."""
        rows = (lease(1, state=State.DRAINING), lease(2, site="b.test"), lease(3), freed(4), PIN, LOWER)
        self.write(SNAPSHOT, "snapshot", 10, *((19, row) for row in rows))
        older = (granted(1), freed(2, "b.test"), freed(3), freed(4, "b.test"), granted(5), UNPINNED, freed(5))
        later = bound(2, site="b.test")
        self.write(JOURNAL, "journal", 9, *enumerate((*older, WEIGHT_BACK), 11), (20, later))
        known = {rows[0], bound(2, site="b.test").lease, rows[2], rows[3], PIN, LOWER, freed(5)}
        self.assertEqual(self.found(), known)

    def test_what_the_snapshot_knows_to_be_gone(self) -> None:
        """A journal from before the snapshot does not bring it back."""
        self.write(SNAPSHOT, "snapshot", 10)
        self.write(PREVIOUS, "journal", 0, (3, granted(1)), (4, PIN), (5, WEIGHT))
        self.write(JOURNAL, "journal", 5, (11, granted(2)))
        self.assertEqual(self.found(), {lease(2)})
        self.assertEqual(self.machine.replay().seq, 11)

    def test_what_was_set_stands_in_the_order_of_setting(self) -> None:
        """The later one may build on the earlier."""
        self.write(SNAPSHOT, "snapshot", 10, (10, WEIGHT), (10, DRAINED))
        self.assertEqual(self.machine.found(recover=True).entries, (WEIGHT, DRAINED))
        self.write(JOURNAL, "journal", 10, (11, LOWER))
        self.assertEqual(self.machine.found().entries, (DRAINED, LOWER))

    def test_an_address_has_one_last_holder(self) -> None:
        """The last one, in the order in which they were freed; and none while it is leased."""
        self.write(SNAPSHOT, "snapshot", 0)
        self.write(
            JOURNAL,
            "journal",
            0,
            (1, freed(1, "a.test")),
            (2, freed(2, "a.test")),
            (3, freed(1, "b.test")),
            (4, freed(3, "c.test")),
            (5, granted(3)),
        )
        self.assertEqual(self.machine.found().entries, (lease(3), freed(2, "a.test"), freed(1, "b.test")))
