"""Addresses that one site has for good: by hand, by the configuration, over restarts and in trouble."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.events import Pinned, State
from appliance.leasing import Promise
from appliance.model import Address
from tests import fakes
from tests.lives import Life
from tests.test_shared import Setting, zones

A, B, C = "a.example.test", "b.example.test", "c.example.test"
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

    def test_what_a_start_ends_is_not_there_at_the_next(self) -> None:
        """A pin of a site that was gone once is not back when the site is."""
        self.life.state.by_hand.pin(A, FIRST)
        self.life.machine.settle()
        for sites in ([B], [A, B]):
            self.life.kill()
            self.life.start(ONE, sites)
            self.assertEqual(list(self.life.state.pins), [])
        self.assertEqual(self.life.held()[A][0], State.COOLING)

    def test_a_snapshot_that_is_being_taken_does_not_bring_it_back(self) -> None:
        """Rows are taken one by one, and each wins over what was recorded before it."""
        life = Life(Path(self.mktemp()))
        life.start(fakes.pool(3), [A, B, C])
        for name, address in zip((A, B, C), fakes.addresses(3), strict=True):
            life.state.by_hand.pin(name, address)
        entries = life.state.entries()
        found = [next(each for each in entries if isinstance(each, Pinned))]
        life.state.by_hand.unpin(B)
        found += [each for each in entries if isinstance(each, Pinned)]
        self.assertEqual([pin.site for pin in found], [A, C])


LONG = attrs.evolve(fakes.PERIODS, maximum=3600)
[FAR] = [Address("192.0.2.99")]


class PromiseTests(SynchronousTestCase):
    """What a pinned address was promised counts, not what it would be promised now."""

    def until_b_has_it(self, setting: Setting) -> float:
        while not isinstance(setting.state.lease(B), Promise):
            setting.clock.advance(1)
            setting.state.reclaim(limit=9)
        return setting.clock.seconds()

    def test_in_another_pool(self) -> None:
        """The site's pool promises for longer than that of the address."""
        setting = Setting([])
        far = attrs.evolve(fakes.pool(0, LONG), name="far", addresses=(FAR,))
        sites = {A: fakes.site(A, pool="far"), B: fakes.site(B)}
        setting.state.configure({"public": ONE, "far": far}, sites, zones(A, B))
        setting.state.by_hand.pin(A, FIRST)
        until = setting.state.lease(A).until  # type: ignore[union-attr]
        setting.state.by_hand.unpin(A)
        self.assertGreaterEqual(self.until_b_has_it(setting), until)

    def test_before_a_reload(self) -> None:
        """Which shortened the maximum."""
        setting = Setting([fakes.pool(1, LONG)], A, B)
        setting.state.by_hand.pin(A, FIRST)
        until = setting.state.lease(A).until  # type: ignore[union-attr]
        setting.configure([ONE], A, B)
        self.assertEqual(setting.state.lease(A).ttl, 60)  # type: ignore[union-attr]
        setting.clock.advance(9)
        setting.state.by_hand.unpin(A)
        [lease] = setting.state.tables()["public"].held()
        self.assertGreaterEqual(lease.ends_at, 9 + 3600, "cooling is never shorter than the longest promise")
        self.assertGreaterEqual(self.until_b_has_it(setting), until)

    def test_over_restarts(self) -> None:
        """Whether the pin is still there at the start or not."""
        for orderly, gone in ((True, True), (False, True), (True, False), (False, False)):
            life = Life(Path(self.mktemp()))
            life.start(ONE, [A, B])
            life.state.by_hand.pin(A, FIRST)
            life.configure([fakes.pool(1, LONG)], [A, B])
            life.machine.settle()
            self.assertEqual(life.promised(A).ttl, 60, "until the disk knows")
            until = life.promised(A).until
            self.assertEqual(until, life.machine.clock.seconds() + 3600)
            if orderly:
                life.stop()
            else:
                life.kill()
            life.start(ONE, [B] if gone else [A, B])
            if not gone:
                life.state.by_hand.unpin(A)
            self.assertGreaterEqual(life.until_granted(B, 30.0), until, (orderly, gone))

    def test_of_the_lease_before(self) -> None:
        """A pin takes over what its site was promised."""
        periods = attrs.evolve(LONG, base=3600, offer=3600)
        setting = Setting([fakes.pool(1, periods)], A, B)
        until = setting.state.lease(A).until  # type: ignore[union-attr]
        setting.configure([ONE], A, B)
        setting.state.by_hand.pin(A, FIRST)
        setting.state.by_hand.unpin(A)
        self.assertGreaterEqual(self.until_b_has_it(setting), until)


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
