"""What is set at run time, and processes that end at any moment (5.10)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import rmtree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import Fsync, Override
from appliance.shared import SharedState
from tests import fakes
from tests.lives import Life

ONE = fakes.pool(1)
SERVER = f"server {fakes.site('www').servers[0].name}"
SETTINGS = ("weight", "threshold", "max_connections")


def values(state: SharedState) -> dict[str, str | None]:
    """In the order in which they were set."""
    return {each.setting: each.value for each in state.overrides.current()}


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.life = Life(Path(self.mktemp()))
        self.start()

    def start(self) -> None:
        self.life.start(ONE, ["www"])
        self.life.state.carrying.restore()

    def set_it(self, setting: str, value: str | None) -> None:
        self.life.state.carrying.override(SERVER, setting, value)
        waiting = self.life.state.carrying.durable()
        self.life.machine.settle()
        if waiting is not None:
            self.successResultOf(waiting)

    def test_after_a_kill_and_after_a_stop(self) -> None:
        """As they were, in their order; from the journal and from a snapshot."""
        for setting, value in (("weight", "5"), ("threshold", "3"), ("weight", "2")):
            self.set_it(setting, value)
        self.set_it("max_connections", "9")
        self.set_it("max_connections", None)
        before = list(self.life.state.overrides.current())
        for end in (self.life.kill, self.life.kill, self.life.stop, self.life.kill):
            end()
            self.start()
            self.assertEqual(list(self.life.state.overrides.current()), before)
            self.assertEqual([row.weight for row in self.life.state.carrying.servers()], [2])
        self.assertEqual(values(self.life.state), {"threshold": "3", "weight": "2"})

    def test_with_other_policies(self) -> None:
        """Nobody has to wait; an orderly end keeps all."""
        for fsync in (Fsync.INTERVAL, Fsync.NEVER):
            self.life = Life(Path(self.mktemp()), fsync=fsync)
            self.start()
            self.life.state.carrying.override(SERVER, "weight", "5")
            self.assertIsNone(self.life.state.carrying.durable())
            self.life.stop()
            self.start()
            self.assertEqual(values(self.life.state), {"weight": "5"})

    def test_a_snapshot_that_is_being_taken(self) -> None:
        """Does not bring back what was taken back meanwhile, nor the value before the last."""
        for setting in SETTINGS:
            self.set_it(setting, "3")
        entries = (entry for entry in self.life.state.entries() if isinstance(entry, Override))
        found = [next(entries)]
        self.set_it(SETTINGS[1], None)
        self.set_it(SETTINGS[2], "4")
        self.assertEqual([*found, *entries], found)
        self.assertEqual(values(self.life.state), {SETTINGS[0]: "3", SETTINGS[2]: "4"})


CHANGES = st.tuples(st.sampled_from(SETTINGS), st.none() | st.sampled_from("234"))
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
        life.start(ONE, ["www"])
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
                    if value is None and life.state.overrides.of(SERVER, setting) is None:
                        continue
                    life.state.carrying.override(SERVER, setting, value)
                    waiting = life.state.carrying.durable()
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
        found = life.machine.found(life.machine.copy(name)).entries
        return [entry for entry in found if isinstance(entry, Override)]
