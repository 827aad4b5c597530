"""A snapshot of tables that change while it is taken."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import JournalError
from appliance.events import AddressFreed, Entry, Event, LeaseGranted, LeaseRecord, Override, Pinned, State, Unpinned
from appliance.model import Address
from appliance.store.replay import JOURNAL, PREVIOUS
from tests.store.world import Machine, bound, freed, granted, lease, reclaimed, record_all

SITES = ("a.test", "b.test")


class Tables:
    """What SharedState would hold; every change is an event."""

    def __init__(self) -> None:
        self.leases: dict[tuple[int, str], LeaseRecord] = {}
        self.freed: dict[int, AddressFreed] = {}
        self.pins: dict[str, Pinned] = {}
        self.overrides: dict[str, Override] = {}

    def entries(self) -> Iterator[Entry]:
        """As SharedState does: the keys as they are at the beginning, each entry as it is when its turn comes."""
        for key in list(self.leases):
            if key in self.leases:
                yield self.leases[key]
        yield from list(self.freed.values())
        yield from (pin for pin in list(self.pins.values()) if self.pins.get(pin.site) is pin)
        yield from (each for each in list(self.overrides.values()) if self.overrides.get(each.subject) is each)

    def everything(self) -> frozenset[Entry]:
        return frozenset(self.entries())

    def change(self, verb: str, number: int, site: str) -> Event:
        key = number, site
        if verb == "pin":
            address = Address("198.51.100.0") + number
            if site in self.pins:
                pin = self.pins.pop(site)
                return Unpinned(at=pin.at, site=site, address=pin.address)
            self.pins[site] = Pinned(at=700.0, site=site, address=address)
            return self.pins[site]
        if verb in ("set", "take back"):
            value = str(number) if verb == "set" else None
            self.overrides.pop(site, None)
            override = Override(at=700.0, subject=site, setting="weight", value=value)
            if verb == "set":
                self.overrides[site] = override
            return override
        if key in self.leases and verb == "free":
            del self.leases[key]
            self.freed.pop(number, None)
            self.freed[number] = freed(number, site)
            return self.freed[number]
        make = {"grant": granted, "bind": bound, "free": granted, "reclaim": reclaimed}[verb]
        event = make(number, site=site, until=500.0 + len(self.leases))
        assert hasattr(event, "lease")
        self.leases[key] = event.lease
        self.freed.pop(number, None)
        return event


CHANGES = st.tuples(
    st.sampled_from(["grant", "bind", "reclaim", "free", "free", "pin", "set", "take back"]),
    st.integers(1, 4),
    st.sampled_from(SITES),
)
STEPS = st.lists(CHANGES | st.sampled_from(["turn", "turn", "job", "job", "job", "snapshot", "crash"]), max_size=60)


class InterleavingTests(SynchronousTestCase):
    @settings(max_examples=300)
    @given(STEPS)
    def test_a_crash_at_any_point(self, steps: list[str | tuple[str, int, str]]) -> None:
        """
        What is found is the tables as they were at one moment, and that is not before the last thing that was
        durable.
        """
        root = Path(tempfile.mkdtemp())
        try:
            self.run_through(Machine(root / "state"), steps)
        finally:
            shutil.rmtree(root)

    def run_through(self, machine: Machine, steps: list[str | tuple[str, int, str]]) -> None:
        machine.clock.advance(1000)
        tables = Tables()
        journal = machine.journal()
        journal.open()
        journal.serve(tables.entries)
        moments, durable = [tables.everything()], [0]
        for step in [*steps, "crash"]:
            if step == "turn":
                machine.clock.advance(0)
            elif step == "job":
                machine.worker.step()
            elif step == "snapshot":
                journal.snapshot()
            elif isinstance(step, tuple):
                journal.record(tables.change(*step))
                moments.append(tables.everything())
                waiting = journal.durable()
                assert waiting is not None
                waiting.addCallback(self.note, durable, len(moments) - 1)
            else:
                found = frozenset(machine.found(machine.copy("crash")).entries)
                self.assertIn(found, moments[max(durable) :], step)
        machine.settle()
        self.assertEqual(frozenset(machine.found().entries), moments[-1])
        self.assertEqual(max(durable), len(moments) - 1)
        journal.stop()
        machine.settle()
        recovered = machine.found()
        self.assertEqual((frozenset(recovered.entries), recovered.crashed), (moments[-1], False))

    def test_rows_are_not_newer_than_the_journal(self) -> None:
        """The first row is from before the last two changes, the second from after them; both are on their way."""
        machine, tables = Machine(Path(self.mktemp())), {1: lease(1), 2: lease(2)}
        machine.clock.advance(1000)
        journal = machine.journal()
        journal.open()
        journal.serve(lambda: (tables[number] for number in (1, 2)))
        record_all(machine, journal, granted(1), granted(2))
        journal.snapshot()
        machine.worker.step()
        journal.record(granted(2))
        machine.clock.advance(0)
        machine.worker.step()
        moments = [frozenset(tables.values())]
        for number in tables:
            tables[number] = lease(number, state=State.BOUND)
            journal.record(bound(number))
            moments.append(frozenset(tables.values()))
        machine.clock.advance(0)
        while machine.worker.step():
            self.assertIn(frozenset(machine.found(machine.copy("crash")).entries), moments)
        machine.settle()
        self.assertEqual(frozenset(machine.found().entries), moments[-1])

    def note(self, _: None, durable: list[int], count: int) -> None:
        durable.append(count)


class SnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machine = Machine(Path(self.mktemp()))
        self.machine.clock.advance(1000)

    def test_from_time_to_time_when_there_is_news(self) -> None:
        journal = self.machine.opened(lease(1), snapshot_interval=10.0)
        record_all(self.machine, journal, granted(1))
        size = (self.machine.folder / JOURNAL).stat().st_size
        self.machine.clock.advance(10)
        self.machine.settle()
        begun = (self.machine.folder / JOURNAL).stat()
        self.assertLess(begun.st_size, size)
        syncs = self.machine.disk.syncs
        self.machine.clock.advance(10)
        self.machine.settle()
        self.assertEqual(self.machine.disk.syncs, syncs)
        record_all(self.machine, journal, granted(1))
        self.machine.clock.advance(10)
        self.machine.settle()
        self.assertGreater(self.machine.disk.syncs, syncs + 2)

    def test_a_second_call_joins(self) -> None:
        taken = []
        journal = self.machine.journal()
        journal.open()
        journal.serve(lambda: taken.append(1) or iter([lease(1)]))  # type: ignore[func-returns-value]
        both = [journal.snapshot(), journal.snapshot()]
        self.machine.settle()
        for done in both:
            self.successResultOf(done)
        self.assertEqual(taken, [1])

    def test_a_slice_is_short_and_chunks_do_not_pile_up(self) -> None:
        """A row takes a millisecond here, so two are a turn; and the thread does nothing at first."""
        asked: list[int] = []

        def entries() -> Iterator[Entry]:
            for number in range(100):
                asked.append(number)
                yield lease(number)

        journal = self.machine.journal()
        journal.open()
        journal.serve(entries)
        done = journal.snapshot()
        while not asked:
            self.machine.worker.step()
        self.assertLessEqual(len(asked), 2)
        for _ in range(20):
            self.machine.clock.advance(0)
        self.assertLessEqual(len(asked), 6)
        self.machine.settle()
        self.successResultOf(done)
        self.assertEqual(len(self.machine.found().entries), 100)

    def test_one_that_fails_leaves_what_was_there(self) -> None:
        """The journal goes on, nothing is lost, and the next one works."""
        journal = self.machine.opened(lease(1), lease(2))
        record_all(self.machine, journal, granted(1), granted(2))
        for fails_at in range(1, 12):
            done = journal.snapshot()
            self.machine.disk.fails_at = fails_at
            self.machine.settle()
            self.machine.disk.fails_at = 0
            self.assertEqual(set(self.machine.found().entries), {lease(1), lease(2)}, fails_at)
            self.flushLoggedErrors()
            self.outcome(done)
            record_all(self.machine, journal, bound(2))
            self.assertEqual(set(self.machine.found().entries), {lease(1), bound(2).lease}, fails_at)
            record_all(self.machine, journal, granted(2))
            self.assertIsNone(journal.failure)
        done = journal.snapshot()
        self.machine.settle()
        self.successResultOf(done)
        self.assertFalse((self.machine.folder / PREVIOUS).exists())
        record_all(self.machine, journal, bound(2))
        self.assertEqual(set(self.machine.found().entries), {lease(1), bound(2).lease})

    def outcome(self, done: Deferred[None]) -> None:
        done.addErrback(lambda failure: failure.trap(JournalError) and None)
        self.successResultOf(done)

    def test_tables_that_raise_do_no_harm(self) -> None:
        """Our own bug: it is told to who asked, and the journal goes on."""
        journal = self.machine.journal()
        journal.open()
        journal.serve(lambda: (1 / 0 for _ in range(1)))  # type: ignore[misc]
        done = journal.snapshot()
        self.machine.settle()
        self.failureResultOf(done, ZeroDivisionError)
        record_all(self.machine, journal, LeaseGranted(at=1.0, lease=lease(3, state=State.BOUND)))
        self.assertEqual(self.machine.found().entries, (lease(3, state=State.BOUND),))
