"""Addresses that one site has for good: by hand, by the configuration, over restarts and in trouble."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.events import State
from appliance.leasing import Promise
from tests import fakes
from tests.lives import Life

A, B = "a.example.test", "b.example.test"
[FIRST] = fakes.addresses(1)
ONE = fakes.pool(1)


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.life = Life(Path(self.mktemp()))
        self.life.start(ONE, [A, B])

    def test_unpinning_is_whole_or_did_not_happen(self) -> None:
        """Wherever the journal ends, nobody else gets what a was promised."""
        journal = self.life.machine.folder / "journal.yaml"
        self.life.state.by_hand.pin(A, FIRST)
        self.life.machine.settle()
        before = journal.stat().st_size
        until = self.life.promised(A).until
        self.life.state.by_hand.unpin(A)
        self.life.machine.settle()
        whole = journal.stat().st_size - before
        for lost_bytes in (whole, 40, 0):
            with self.subTest(lost_bytes=lost_bytes):
                life = Life(Path(self.mktemp()))
                life.start(ONE, [A, B])
                life.state.by_hand.pin(A, FIRST)
                life.machine.settle()
                life.promised(A)
                life.state.by_hand.unpin(A)
                life.machine.settle()
                life.kill(lost_bytes=lost_bytes)
                life.start(ONE, [A, B])
                self.assertEqual(life.path.sites_at(FIRST), [A])
                if lost_bytes:
                    self.assertEqual([pin.site for pin in life.state.pins], [A])
                    self.assertIsInstance(life.ask(A), Promise)
                else:
                    self.assertEqual(life.held()[A][0], State.COOLING)
                    self.assertGreaterEqual(life.held()[A][1], until)
                self.assertNotIsInstance(life.ask(B), Promise)
