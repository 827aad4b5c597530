"""Who held an address when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Address
from appliance.store import FileJournal
from appliance.store.history import MOST_ROWS
from tests.store.world import BOOTED_AT, Machine, bound, freed, granted, lease, reclaimed, record_all

DAY = 86400.0
FIRST = Address("192.0.2.1")


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machine = Machine(Path(self.mktemp()))
        self.machine.clock.advance(1000)
        self.journal = self.machine.opened()

    def find(self, at: float | None = None, journal: FileJournal | None = None) -> list[dict[str, Any]]:
        found = (journal or self.journal).find(FIRST, at)
        self.machine.settle()
        return self.successResultOf(found)

    def hold(self, site: str, at: float, *, used: bool = False) -> None:
        """``site`` has the first address until ``at``."""
        more = [bound(site=site)] if used else []
        record_all(self.machine, self.journal, granted(site=site), *more, reclaimed(at=at, site=site), freed(1, site))

    def test_a_lease_is_there_when_it_has_ended(self) -> None:
        record_all(self.machine, self.journal, granted(), bound())
        self.assertEqual(self.find(), [])
        record_all(self.machine, self.journal, reclaimed(at=505.25), reclaimed(2))
        row = {
            "site": "a.test",
            "server": "alpha-1",
            "address": "192.0.2.1",
            "pool": "public",
            "from": int((BOOTED_AT + 90) * 1000),
            "until": int((BOOTED_AT + 505.25) * 1000),
            "used": True,
        }
        self.assertEqual(self.find(), [row])

    def test_used_is_said_of_this_lease(self) -> None:
        """Not of one before it; and it is remembered over a crash."""
        self.hold("a.test", 200.0, used=True)
        self.hold("a.test", 300.0)
        record_all(self.machine, self.journal, granted(), bound())
        self.machine.folder = self.machine.copy("crash")
        self.journal = self.machine.journal()
        self.journal.open()
        record_all(self.machine, self.journal, reclaimed(at=400.0))
        self.assertEqual([row["used"] for row in self.find()], [True, False, True])

    def test_the_newest_first_over_days(self) -> None:
        for day in range(3):
            self.hold(f"{day}.test", 1000.0 + day * DAY)
            self.hold(f"{day}-late.test", 2000.0 + day * DAY)
        self.assertEqual(len(list((self.machine.folder / "history").iterdir())), 3)
        self.assertEqual(
            [row["site"] for row in self.find()],
            [f"{day}{late}.test" for day in (2, 1, 0) for late in ("-late", "")],
        )

    def test_at_a_time(self) -> None:
        """From 90 to the end, which is not in it."""
        self.hold("a.test", 200.0)
        self.hold("b.test", 200.0 + 2 * DAY)
        for at, sites in ((89, ""), (90, "ba"), (199.999, "ba"), (200, "b"), (DAY, "b"), (200 + 2 * DAY, "")):
            self.assertEqual([row["site"] for row in self.find(BOOTED_AT + at)], [f"{site}.test" for site in sites])

    def test_bounded(self) -> None:
        """A thousand rows and more in one day, and the day before."""
        self.hold("old.test", 200.0)
        for number in range(MOST_ROWS + 5):
            self.journal.record(reclaimed(at=DAY + number, site=f"{number}.test"))
        self.machine.settle()
        rows = self.find()
        self.assertEqual((len(rows), rows[0]["site"], rows[-1]["site"]), (1000, "1004.test", "5.test"))

    def test_expiry(self) -> None:
        """At the start, and daily; files that are not ours stay."""
        folder = self.machine.folder / "history"
        journal = self.machine
        self.hold("a.test", 1000.0)
        self.hold("b.test", 1000.0 + DAY)
        (folder / "notes.yaml").write_text("mine")
        self.journal.stop()
        journal.settle()
        self.journal = journal.journal(history_seconds=5 * DAY)
        self.journal.open()
        self.journal.serve(lambda: ())
        journal.settle()
        self.assertEqual(len(self.find()), 2)
        for day in range(1, 8):
            journal.clock.advance(DAY)
            journal.settle()
            self.assertEqual(len(self.find()), 2 if day <= 5 else 1 if day == 6 else 0, day)
        self.assertEqual([path.name for path in folder.iterdir()], ["notes.yaml"])

    def test_a_torn_line_is_cut_off(self) -> None:
        """By the next one that is written; until then it is passed over."""
        self.hold("a.test", 200.0)
        (path,) = (self.machine.folder / "history").iterdir()
        whole = path.read_bytes()
        path.write_bytes(whole + whole.splitlines()[-1][:-9])
        self.assertEqual([row["site"] for row in self.find()], ["a.test"])
        self.hold("b.test", 300.0)
        self.assertEqual([row["site"] for row in self.find()], ["b.test", "a.test"])
        kinds = [record["kind"] for record in yaml.safe_load_all(path.read_text())]
        self.assertEqual(kinds, ["history", "held", "held"])

    def test_it_is_written_before_the_journal(self) -> None:
        """So no lease is over that the history does not know of; a full disk leaves neither torn."""
        self.hold("a.test", 200.0)
        (path,) = (self.machine.folder / "history").iterdir()
        before = path.read_bytes()
        self.journal.record(reclaimed(at=300.0))
        self.machine.disk.room = 100
        self.machine.settle()
        self.assertEqual(path.read_bytes(), before)
        self.assertIn(str(path), self.journal.failure or "")
        self.assertNotIn(lease(), self.machine.found().entries)

    def test_damage_is_passed_over(self) -> None:
        self.hold("a.test", 200.0)
        self.hold("b.test", 300.0)
        (path,) = (self.machine.folder / "history").iterdir()
        path.write_bytes(path.read_bytes().replace(b"a.test", b"x.test"))
        self.assertEqual([row["site"] for row in self.find()], ["b.test"])
