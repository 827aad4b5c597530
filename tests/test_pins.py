"""Addresses that one site has for good: by hand, by the configuration, over restarts and in trouble."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.events import State
from appliance.leasing import Promise
from tests import fakes
from tests.lives import Life
from tests.test_shared import Setting

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


class RefusalTests(SynchronousTestCase):
    def test_a_pin_that_cannot_be_opened_changes_nothing(self) -> None:
        """The site's own address cools on as it did, and its late clients still reach it."""
        setting = Setting([fakes.pool(1)], A, B)
        setting.state.by_hand.pin(A, FIRST)
        setting.state.by_hand.unpin(A)
        setting.state.connection_opened(FIRST, A)
        [lease] = setting.state.tables()["public"].held()
        before, heard = lease.ends_at, len(setting.heard)
        setting.path.broken.add(FIRST)
        setting.clock.advance(1)
        error = self.assertRaises(RequestError, setting.state.by_hand.pin, A, FIRST)
        self.assertEqual(error.code, "data-path")
        self.assertEqual(setting.heard[heard:], [])
        [lease] = setting.state.tables()["public"].held()
        self.assertEqual((lease.state, lease.ends_at), (State.COOLING, before))
        self.assertEqual(setting.path.sites_at(FIRST), [A])
