"""A SharedState with its real journal on a machine that can be killed, stopped and started again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from appliance.events import Event, Fsync, Recovered, State
from appliance.leasing import Promise
from appliance.model import Address, Pool, Site
from appliance.shared import Refusal, SharedState
from tests import fakes
from tests.store.world import Machine
from tests.test_shared import zones

Wanted = Mapping[str, Site] | list[str]
"""Sites, or the names of plain ones."""


class Life:
    """
    One process after another; the clocks go on, what is not on the disk does not.

    :ivar state: of the process that runs; ``found`` is what it began with.
    """

    state: SharedState
    path: fakes.FakeDataPath
    found: Recovered

    def __init__(self, folder: Path, *, fsync: Fsync = Fsync.GRANT) -> None:
        self.machine = Machine(folder)
        self.machine.clock.advance(1000)
        self.fsync = fsync
        self.heard: list[Event] = []

    def start(self, pool: Pool, sites: Wanted, **more: Any) -> None:
        self.journal = self.machine.journal(self.fsync, snapshot_interval=1e9, **more)
        self.found = self.journal.open()
        self.path = fakes.FakeDataPath()
        self.state = SharedState(
            seconds=self.machine.clock.seconds, journal=self.journal, data_path=lambda state: self.path
        )
        self.state.subscribe(self.heard.append)
        self.configure([pool], sites, self.found)
        self.journal.serve(self.state.entries)
        self.machine.settle()

    def configure(self, pools: list[Pool], sites: Wanted, found: Recovered | None = None) -> None:
        wanted = sites if isinstance(sites, Mapping) else {name: fakes.site(name) for name in sites}
        self.state.configure({pool.name: pool for pool in pools}, wanted, zones(*wanted), found)
        self.machine.settle()

    def stop(self) -> None:
        """In order."""
        self.state.finish()
        self.journal.stop()
        self.machine.settle()

    def kill(self, *, lost_bytes: int = 0) -> None:
        """:param lost_bytes: of the journal's end, which the disk never got."""
        self.journal._timers.stop()
        self.journal._file.close()
        assert self.journal._lock is not None
        self.journal._lock.release()
        path = self.machine.folder / "journal.yaml"
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - lost_bytes])

    def ask(self, name: str) -> Promise | Refusal:
        outcome = self.state.lease(name, fakes.ASKER)
        if not isinstance(outcome, Deferred):
            self.machine.settle()
            return outcome
        results: list[Promise | Refusal] = []
        outcome.addCallback(results.append)
        self.machine.settle()
        [result] = results
        return result

    def promised(self, name: str) -> Promise:
        outcome = self.ask(name)
        assert isinstance(outcome, Promise), outcome
        return outcome

    def use(self, address: Address, name: str) -> None:
        """A connection that goes on."""
        self.state.connection_opened(address, name)
        self.machine.settle()

    def wait(self, seconds: float, step: float = 1.0) -> None:
        """With the reaper at work."""
        end = self.machine.clock.seconds() + seconds
        while (now := self.machine.clock.seconds()) < end:
            self.machine.clock.advance(min(step, end - now))
            self.state.reclaim(limit=99)
            self.machine.settle()

    def until_granted(self, name: str, step: float = 0.5) -> float:
        """:return: when ``name`` got an address."""
        while not isinstance(self.ask(name), Promise):
            self.wait(step, step)
        return self.machine.clock.seconds()

    def held(self) -> dict[str, tuple[State, float]]:
        """By site, what it has of the first pool; with one address each."""
        return {
            lease.site: (lease.state, lease.ends_at) for table in self.state.tables().values() for lease in table.held()
        }

    def history(self, address: Address) -> list[tuple[str, float, float, bool]]:
        """(site, from, until, used), in seconds of the boot clock."""
        found = self.journal.find(address)
        rows: list[dict[str, Any]] = []
        found.addCallback(rows.extend)
        self.machine.settle()
        booted = self.machine.booted_at
        return [(row["site"], row["from"] / 1000 - booted, row["until"] / 1000 - booted, row["used"]) for row in rows]
