"""What is set at run time, beside a file that changes and a disk that fails (5.10)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from shutil import rmtree

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.eventlog import EventLog
from appliance.errors import JournalError, RequestError
from appliance.events import Fsync, Override, Recovered
from appliance.shared import MISSING, Missing, SharedState, overrides
from tests import fakes
from tests.lives import Life
from tests.test_shared import Setting, zones

ALPHA, WWW = "server alpha-1", "virtual www.example.test:80:1"
ONE = fakes.pool(1)
Key = tuple[str, str]

FILE: dict[Key, str | None] = {(ALPHA, "weight"): "1", (ALPHA, "state"): "in-service", (WWW, "backup"): None}
"""What a configuration says."""


def said_by(file: Mapping[Key, str | None], subject: str, setting: str) -> str | Missing | None:
    if not any(known == subject for known, _ in file):
        return MISSING
    return file.get((subject, setting))


def values(state: SharedState) -> dict[Key, str | None]:
    """In the order in which they were set."""
    return {(each.subject, each.setting): each.value for each in state.overrides.current()}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.setting = Setting([ONE])
        self.state = self.setting.state
        self.clock = self.setting.clock

    def set_it(self, subject: str, setting: str, value: str | None) -> Deferred[None] | None:
        configured = FILE.get((subject, setting))
        return self.state.overriding.override(subject, setting, value, configured=configured)

    def reload(self, **changes: str | None) -> None:
        """The file says something else of alpha."""
        file = {**FILE, **{(ALPHA, setting): value for setting, value in changes.items()}}
        self.reload_with(file)

    def reload_with(self, file: Mapping[Key, str | None]) -> None:
        self.state.overriding.reconcile(partial(said_by, file))

    def heard(self) -> list[tuple[str, str | None]]:
        return [(event.setting, event.value) for event in self.setting.heard_of(Override)]


class SetTests(Case):
    def test_the_last_one_counts(self) -> None:
        """And one that is set again comes after those between."""
        self.set_it(ALPHA, "weight", "5")
        self.clock.advance(1)
        self.set_it(WWW, "client 198.51.100.0/24", "yes")
        self.set_it(ALPHA, "weight", "2")
        client = (WWW, "client 198.51.100.0/24")
        self.assertEqual(list(values(self.state).items()), [(client, "yes"), ((ALPHA, "weight"), "2")])
        counts = self.state.overrides.of(ALPHA, "weight")
        self.assertEqual(counts, Override(at=1.0, subject=ALPHA, setting="weight", value="2", configured="1"))
        self.assertIsNone(self.state.overrides.of(ALPHA, "state"))

    def test_taken_back(self) -> None:
        """Then the file's word counts; and there is nothing to take back a second time."""
        self.set_it(ALPHA, "weight", "5")
        self.set_it(ALPHA, "weight", None)
        self.assertEqual(values(self.state), {})
        error = self.assertRaises(RequestError, self.set_it, ALPHA, "weight", None)
        self.assertEqual(error.code, "not-found")
        self.assertEqual(self.heard(), [("weight", "5"), ("weight", None)])

    def test_there_is_a_bound(self) -> None:
        """Those that are set may still be changed, and taken back."""
        self.patch(overrides, "MOST", 2)
        self.set_it(ALPHA, "weight", "5")
        self.set_it(ALPHA, "state", "out-of-service")
        self.assertEqual(self.assertRaises(RequestError, self.set_it, WWW, "backup", "x").code, "too-many")
        self.set_it(ALPHA, "weight", "6")
        self.set_it(ALPHA, "weight", None)
        self.set_it(WWW, "backup", "x")
        self.assertEqual(values(self.state), {(ALPHA, "state"): "out-of-service", (WWW, "backup"): "x"})

    def test_the_log(self) -> None:
        """What is set and what the file says, and why it does not count any more."""
        logged: list[LogEvent] = []
        globalLogPublisher.addObserver(logged.append)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)  # type: ignore[arg-type]
        self.state.subscribe(EventLog())
        self.set_it(ALPHA, "weight", "5")
        self.set_it(WWW, "backup", "beta")
        self.set_it(WWW, "backup", None)
        self.reload(weight="3")
        self.assertEqual(
            [event["log_format"].format(**event) for event in logged],
            [
                "override-set: server alpha-1: weight is 5; the file says 1",
                "override-set: virtual www.example.test:80:1: backup is beta; the file says nothing",
                "override-ended: virtual www.example.test:80:1: backup is as configured, nothing: it was taken back",
                "override-ended: server alpha-1: weight is as configured, 3: the file was changed there",
            ],
        )


class ReloadTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.set_it(ALPHA, "weight", "5")
        self.set_it(WWW, "backup", "beta")

    def test_a_file_that_was_not_changed_there(self) -> None:
        """Whatever else it says; the override stands."""
        self.reload()
        self.reload(state="out-of-service")
        self.assertEqual(values(self.state), {(ALPHA, "weight"): "5", (WWW, "backup"): "beta"})
        self.assertEqual(len(self.heard()), 2)

    def test_a_file_that_was(self) -> None:
        """It has the last word, even if it says what was set."""
        for says in ("3", "5", None):
            self.set_it(ALPHA, "weight", "5")
            self.reload(weight=says)
            self.assertEqual(values(self.state), {(WWW, "backup"): "beta"})
            back = self.setting.heard_of(Override)[-1]
            self.assertEqual((back.value, back.configured), (None, says))
            self.assertIn("changed", back.reason)

    def test_what_the_file_did_not_say(self) -> None:
        """And says now."""
        self.reload_with({**FILE, (WWW, "backup"): "x"})
        self.assertEqual(values(self.state), {(ALPHA, "weight"): "5"})

    def test_a_subject_that_is_gone(self) -> None:
        """Is not found again when it comes back."""
        file = {key: value for key, value in FILE.items() if key[0] != ALPHA}
        for known in (file, FILE):
            self.reload_with(known)
            self.assertEqual(values(self.state), {(WWW, "backup"): "beta"})
        self.assertIn("not have it", self.setting.heard_of(Override)[-1].reason)
        self.assertEqual(self.heard()[2:], [("weight", None)])

    def test_set_again_beside_the_new_file(self) -> None:
        """It stands until that one changes."""
        self.state.overriding.override(ALPHA, "weight", "7", configured="3")
        self.reload(weight="3")
        self.assertEqual(values(self.state)[ALPHA, "weight"], "7")


class DiskTests(Case):
    def test_not_while_it_fails(self) -> None:
        """Nothing is changed then."""
        self.setting.journal.failure = "no space left on device"
        error = self.assertRaises(RequestError, self.set_it, ALPHA, "weight", "5")
        self.assertEqual((error.code, values(self.state), self.heard()), ("journal", {}, []))

    def slowly(self, setting: str, value: str | None) -> Deferred[None]:
        self.setting.journal.slow = True
        waiting = self.set_it(ALPHA, setting, value)
        assert waiting is not None
        return waiting

    def test_it_counts_at_once_and_is_told_when_it_is_written(self) -> None:
        waiting = self.slowly("weight", "5")
        self.assertEqual(values(self.state), {(ALPHA, "weight"): "5"})
        self.assertNoResult(waiting)
        self.setting.journal.write()
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(self.state.overriding._unwritten, {})

    def test_what_is_lost_was_never_set(self) -> None:
        """What counted before does again; taking back is undone likewise."""
        self.set_it(ALPHA, "state", "out-of-service")
        lost = [self.slowly("weight", "5"), self.slowly("state", None)]
        self.setting.journal.lose()
        for waiting in lost:
            self.failureResultOf(waiting, JournalError)
        self.assertEqual(values(self.state), {(ALPHA, "state"): "out-of-service"})
        self.assertEqual(self.heard()[-2:], [("weight", None), ("state", "out-of-service")])

    def test_several_that_are_lost(self) -> None:
        """None of them is the one before."""
        self.set_it(ALPHA, "weight", "2")
        lost = [self.slowly("weight", value) for value in ("3", "4", None, "5")]
        self.setting.journal.lose()
        for waiting in lost:
            self.failureResultOf(waiting, JournalError)
        self.assertEqual(values(self.state), {(ALPHA, "weight"): "2"})
        self.assertEqual(self.heard()[5:], [("weight", "2")], "said once")
        self.assertEqual(self.state.overriding._unwritten, {})

    def test_some_that_are_lost(self) -> None:
        """The last one that was written counts."""
        written = self.slowly("weight", "3")
        self.setting.journal.write()
        self.successResultOf(written)
        lost = self.slowly("weight", "4")
        self.setting.journal.lose()
        self.failureResultOf(lost, JournalError)
        self.assertEqual(values(self.state), {(ALPHA, "weight"): "3"})

    def test_a_reload_while_it_is_on_its_way(self) -> None:
        """What the file has overtaken does not come back."""
        self.set_it(ALPHA, "weight", "2")
        lost = self.slowly("weight", "3")
        self.reload(weight="9")
        self.setting.journal.lose()
        self.failureResultOf(lost, JournalError)
        self.assertEqual(values(self.state), {})

    def test_a_snapshot_that_is_being_taken(self) -> None:
        """Does not bring back what was taken back meanwhile, nor the value before the last."""
        for setting in ("a", "b", "c"):
            self.set_it(ALPHA, setting, "1")
        entries = self.state.entries()
        found = [next(entries)]
        self.set_it(ALPHA, "b", None)
        self.set_it(ALPHA, "c", "2")
        self.assertEqual([*found, *entries], found)
        self.assertEqual(len(list(self.state.entries())), 2)


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.life = Life(Path(self.mktemp()))
        self.life.start(ONE, [])

    def set_it(self, life: Life, setting: str, value: str | None) -> None:
        waiting = life.state.overriding.override(ALPHA, setting, value, configured=FILE.get((ALPHA, setting)))
        life.machine.settle()
        if waiting is not None:
            self.successResultOf(waiting)

    def test_after_a_kill_and_after_a_stop(self) -> None:
        """5.10: as they were, in their order; from the journal and from a snapshot."""
        for setting, value in (("weight", "5"), ("state", "out-of-service"), ("weight", "2"), ("x", "1"), ("x", None)):
            self.set_it(self.life, setting, value)
        before = list(self.life.state.overrides.current())
        for end in (self.life.kill, self.life.kill, self.life.stop, self.life.kill):
            end()
            self.life.start(ONE, [])
            self.assertEqual(list(self.life.state.overrides.current()), before)
        self.assertEqual([each.setting for each in before], ["state", "weight"])
        self.assertEqual([event for event in self.life.heard if isinstance(event, Override)][5:], [])

    def test_with_other_policies(self) -> None:
        """Nobody has to wait; an orderly end keeps all."""
        for fsync in (Fsync.INTERVAL, Fsync.NEVER):
            life = Life(Path(self.mktemp()), fsync=fsync)
            life.start(ONE, [])
            self.assertIsNone(life.state.overriding.override(ALPHA, "weight", "5", configured="1"))
            life.stop()
            life.start(ONE, [])
            self.assertEqual(values(life.state), {(ALPHA, "weight"): "5"})

    def test_a_file_that_changed_while_nobody_ran(self) -> None:
        """Is seen at the start, and what it overtakes is gone at the next one, too."""
        self.set_it(self.life, "weight", "5")
        self.set_it(self.life, "state", "out-of-service")
        for says in ("3", "1"):
            self.life.kill()
            self.life.start(ONE, [])
            file = {**FILE, (ALPHA, "weight"): says}
            self.life.state.overriding.reconcile(partial(said_by, file))
            self.life.machine.settle()
            self.assertEqual(values(self.life.state), {(ALPHA, "state"): "out-of-service"})

    def test_a_disk_that_was_full(self) -> None:
        """What was refused is not there, what stood is, also when nothing but the new snapshot could be written."""
        self.set_it(self.life, "weight", "5")
        self.life.machine.disk.room = 0
        waiting = self.life.state.overriding.override(ALPHA, "weight", "6", configured="1")
        assert waiting is not None
        self.life.machine.settle()
        self.failureResultOf(waiting, JournalError)
        self.assertEqual(values(self.life.state), {(ALPHA, "weight"): "5"})
        self.life.machine.disk.room = None
        self.life.wait(3.0)
        self.assertIsNone(self.life.state.failure)
        self.life.kill()
        self.life.start(ONE, [])
        self.assertEqual(values(self.life.state), {(ALPHA, "weight"): "5"})

    def test_a_disk_that_fills_up_between_two(self) -> None:
        """The first was written, and counts again when the second is lost."""
        told = []
        for value in ("5", "6"):
            waiting = self.life.state.overriding.override(ALPHA, "weight", value, configured="1")
            assert waiting is not None
            told.append(waiting)
            self.life.machine.clock.advance(0)
        self.life.machine.worker.step()
        self.assertIsNone(self.successResultOf(told[0]))
        self.life.machine.disk.room = 0
        self.life.machine.settle()
        self.failureResultOf(told[1], JournalError)
        self.assertEqual(values(self.life.state), {(ALPHA, "weight"): "5"})

    def test_a_start_without_any(self) -> None:
        """A folder from before there were any has none; nor has one that is new."""
        setting = Setting([])
        setting.state.configure({"public": ONE}, {}, zones(), Recovered(entries=()))
        self.assertEqual(values(setting.state), {})


CHANGES = st.tuples(st.sampled_from("abc"), st.none() | st.sampled_from("123"))
STEPS = st.lists(CHANGES | st.sampled_from(["turn", "job", "job", "snapshot", "crash"]), max_size=50)


class ModelTests(SynchronousTestCase):
    @given(STEPS)
    def test_a_crash_at_any_point(self, steps: list[str | tuple[str, str | None]]) -> None:
        """What is found is what counted at one moment, not before the last thing that somebody was told of."""
        root = Path(tempfile.mkdtemp())
        try:
            self.run_through(Life(root / "state"), steps)
        finally:
            rmtree(root)

    def run_through(self, life: Life, steps: list[str | tuple[str, str | None]]) -> None:
        life.start(ONE, [])
        machine, told = life.machine, [0]
        moments = [list(life.state.overrides.current())]
        for step in [*steps, "crash"]:
            match step:
                case "turn":
                    machine.clock.advance(0)
                case "job":
                    machine.worker.step()
                case "snapshot":
                    life.journal.snapshot()
                case "crash":
                    self.assertIn(self.found(life, "crash"), moments[max(told) :])
                case setting, value:
                    if value is None and life.state.overrides.of(ALPHA, setting) is None:
                        continue
                    waiting = life.state.overriding.override(ALPHA, setting, value, configured=None)
                    moments.append(list(life.state.overrides.current()))
                    assert waiting is not None
                    waiting.addCallback(self.note, told, len(moments) - 1)
        machine.settle()
        self.assertEqual(max(told), len(moments) - 1)
        life.stop()
        self.assertEqual(self.found(life, "stop"), moments[-1])

    def note(self, _: None, told: list[int], count: int) -> None:
        told.append(count)

    def found(self, life: Life, name: str) -> list[object]:
        """In the order in which they were set."""
        return list(life.machine.found(life.machine.copy(name)).entries)
