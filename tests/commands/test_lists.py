"""The command line's lists: what is read, as a table and as JSON."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.commands import lists, main
from tests.control.network import World


class FakeControl:
    """The running process."""

    def __init__(self, world: World) -> None:
        self._delivered = world.delivered

    def get(self, what: str) -> Any:
        assert what == "pops", what
        return {"items": self._delivered.pops(), "next": None, **self._delivered.standing()}

    def items(self, what: str) -> Any:
        assert what == "delivery", what
        return self._delivered.delivery(limit=99)


class ListTests(SynchronousTestCase):
    def setUp(self) -> None:
        control = FakeControl(World())
        self.patch(lists, "Control", lambda path: control)

    def run_it(self, *words: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(main(words), 0)
        return out.getvalue()

    def test_pops(self) -> None:
        """Whose word counts is above the table; programs get the rows, as of any list."""
        lines = self.run_it("pops").splitlines()
        self.assertEqual(lines[0], "agreed; believed: ams; doubted: nobody")
        self.assertEqual([line.split()[0] for line in lines[1:]], ["POP", "ams", "fra", "nyc"])
        self.assertEqual([row["pop"] for row in json.loads(self.run_it("pops", "--json"))], ["ams", "fra", "nyc"])

    def test_delivery(self) -> None:
        lines = self.run_it("delivery").splitlines()
        self.assertEqual(lines[0].split()[:3], ["CUSTOMER", "NAME", "KIND"])
        self.assertEqual(len(lines), 5)
        self.assertEqual(len(json.loads(self.run_it("delivery", "--json"))), 4)
