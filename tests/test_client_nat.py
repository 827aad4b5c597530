"""Client NAT pools in SharedState: what time brings them on an appliance where nothing else happens (4.4)."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Transport
from appliance.ports import Block, Counts, Level
from appliance.reaper import Reaper
from tests.control.world import SNAT, WWW, World
from tests.test_shared import zones


class QuietTests(SynchronousTestCase):
    """No event wakes the reaper: the pool has to say that its deadline came nearer."""

    def setUp(self) -> None:
        self.world = World(sites=())
        self.world.configure()
        self.clock: Clock = self.world.clock
        reaper = Reaper(self.clock, self.world.state)
        reaper.startService()
        self.addCleanup(reaper.stopService)

    def counts(self) -> Counts:
        pools = self.world.state.carrying.nat_pools()
        [counts] = [counts for _, transport, counts in pools if transport is Transport.TCP]
        return counts

    def take(self) -> Block | None:
        return self.world.state.carrying.take_source(SNAT.name, Transport.TCP)

    def give(self, block: Block | None) -> None:
        assert block is not None
        self.world.state.carrying.give_source(SNAT.name, Transport.TCP, block)

    def test_shrinks(self) -> None:
        """All that was taken is given back: nothing is left of it, after the quarantine."""
        blocks = [self.take() for _ in range(SNAT.maximum)]
        self.assertEqual(self.counts().subpools, 1)
        self.clock.advance(1000)
        for block in blocks:
            self.give(block)
        self.clock.advance(SNAT.quarantine - 1)
        self.assertEqual(self.counts().subpools, 1)
        self.clock.advance(1)
        self.assertEqual((self.counts().subpools, self.counts().intervals), (0, 1))

    def test_is_well_again(self) -> None:
        """An alarm does not stand until somebody looks, or comes again: it ends when it does."""
        blocks = [self.take() for _ in range(SNAT.maximum + 1)]
        self.assertIs(self.counts().level, Level.EXHAUSTED)
        since = self.clock.seconds()
        for block in blocks[:-1]:
            self.give(block)
        self.clock.advance(SNAT.quarantine)
        self.clock.advance(30)
        self.assertIs(self.counts().level, Level.OK)
        self.assertEqual(self.counts().since, since + SNAT.quarantine)


class GoneTests(SynchronousTestCase):
    def test_of_a_site_that_is_gone(self) -> None:
        """A reload takes both away: clients who still come to the site's address are carried as they were before."""
        world = World(sites=(attrs.evolve(WWW, client_nat=SNAT.name),))
        world.lease(WWW.name)
        state = world.state
        state.configure({"public": world.pool}, {}, zones())
        block = state.carrying.take_source(SNAT.name, Transport.TCP)
        assert block is not None
        self.assertEqual([pool.name for pool, *_ in state.carrying.nat_pools()], [SNAT.name] * 2)
        state.carrying.give_source(SNAT.name, Transport.TCP, block)
        for _ in range(9):
            world.clock.advance(999)
            state.reclaim(limit=9)
        state.configure({"public": world.pool}, {}, zones())
        self.assertEqual(state.carrying.nat_pools(), [])
        self.assertIsNone(state.carrying.take_source(SNAT.name, Transport.TCP))
