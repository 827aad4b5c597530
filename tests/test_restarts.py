"""Several starts in a row on one state folder: what one of them did, the next one finds."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.events import LeaseReclaimed, State
from tests import fakes
from tests.lives import Life

A, B, C = "a.example.test", "b.example.test", "c.example.test"
[FIRST] = fakes.addresses(1)
ONE = fakes.pool(1)


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.life = Life(Path(self.mktemp()))

    def stopped_for(self, seconds: float) -> None:
        self.life.stop()
        self.life.machine.clock.advance(seconds)
        self.life.start(ONE, [A, B, C])

    def test_what_was_over_at_one_start_is_not_back_at_the_next(self) -> None:
        """a's lease ended while nobody ran; b has the address since, and a crash does not take it away."""
        life = self.life
        life.start(ONE, [A, B, C])
        life.ask(A)
        self.stopped_for(3600.0)
        life.promised(B)
        life.use(FIRST, B)
        life.kill()
        life.machine.clock.advance(1.0)
        life.start(ONE, [A, B, C])
        self.assertEqual([(site, state) for site, (state, _) in life.held().items()], [(B, State.BOUND)])
        self.assertEqual(life.path.sites_at(FIRST), [B])

    def test_what_ended_while_nobody_ran_is_in_the_history(self) -> None:
        """Until its recorded end, whether it cools at the start or has cooled."""
        life = self.life
        life.start(ONE, [A, B, C])
        for pause in (15.0, 3600.0):
            began = life.machine.clock.seconds()
            end = life.promised(A).until + fakes.PERIODS.grace
            life.use(FIRST, A)
            self.stopped_for(pause)
            self.assertEqual(life.history(FIRST)[0], (A, began, end, True))
            self.assertEqual([event.at for event in life.heard if isinstance(event, LeaseReclaimed)][-1], end)
            life.wait(60.0)

    def test_the_newest_record_of_an_address_counts(self) -> None:
        """Even if the disk should know of two holders."""
        life = self.life
        life.start(ONE, [A, B, C])
        life.promised(A)
        del life.state.tables()["public"]._book.addresses._held[int(FIRST)]
        life.state.tables()["public"]._book.addresses._free[int(FIRST)] = FIRST
        life.path.close(FIRST, A)
        life.promised(B)
        life.kill()
        life.start(ONE, [A, B, C])
        self.assertEqual(list(life.held()), [B])
        self.flushLoggedErrors()
