"""How long a session lasts, by which resolvers weigh, is learned from what POPs say, and not spoiled by it (3.2)."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.shared.guarding import SECONDS_OF_A_SESSION
from tests.network import HERE, World, customer, pop, weights

IMG = "img.shop.test"
POPS = tuple(pop(name, number, capacity=10.0) for number, name in enumerate((HERE, "fra", "nyc"), 1))


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.guard = self.world.network.guard
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0), tolerance=0.0), pops=POPS)

    def connections(self, number: float) -> None:
        self.world.own_load = attrs.evolve(self.world.own_load, connections=number)

    def promised(self) -> float:
        return self.guard.promised(HERE, self.world.clock.seconds())

    def test_a_session_is_measured(self) -> None:
        """POPs that have twice what was promised: sessions last longer than was thought, and resolvers weigh more."""
        self.assertEqual(self.guard.seconds_of_a_session, SECONDS_OF_A_SESSION)
        for _ in range(60):
            self.world.ask(IMG)
            self.connections(2.0 * self.promised())
            self.world.run(1)
        self.assertGreater(self.guard.seconds_of_a_session, 1.2)

    def test_one_that_says_too_much(self) -> None:
        """One POP with far more than it can have makes no session last for days."""
        for step in range(50):
            self.connections(1e9 * (step > 20))
            self.world.ask(IMG, client=f"198.18.{step}.1")
            self.world.run(0.1)
        self.assertLess(self.guard.seconds_of_a_session, 10.0)

    def test_one_that_has_promised_too_much(self) -> None:
        """Sessions do not last no time at all for it: with nobody of any weight there would be no limit any more."""
        for step in range(60):
            self.connections(self.promised())
            self.world.observe("fra", {HERE: True, "fra": True}, ams=1e9 * (9 < step < 20))
            for number in (step % 10, step % 10 + 1):
                self.world.ask(IMG, client=f"198.18.{number}.1")
            self.world.run(1, step=0.25)
        self.assertGreater(self.guard.seconds_of_a_session, 0.1)

    def test_too_long_for_anybody(self) -> None:
        """Connections that no answer of ours brought make sessions look long; that nobody is admitted, not for ever."""
        for step in range(240):
            self.connections(8.0)
            for number in range(3):
                self.world.ask(IMG, client=f"198.18.{(step + number) % 9}.1")
            self.world.run(0.25, step=0.05)
        self.assertGreater(long := self.guard.seconds_of_a_session, 1.4)
        self.connections(0.0)
        for step in range(1200):
            if step % 60 == 0:
                self.world.ask(IMG, client=f"198.18.{step % 9}.1")
            self.world.run(1, step=0.5)
        self.assertLess(self.guard.seconds_of_a_session, 1.0 + (long - 1.0) / 4.0)
