"""How long a session lasts, by which resolvers weigh, is learned from what POPs say, and not spoiled by it (3.2)."""

from __future__ import annotations

import random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity.holding import SHORTEST
from appliance.model import ProbeType
from appliance.naming import from_text
from appliance.shared.guarding import SECONDS_OF_A_SESSION
from tests.network import HERE, World, asker, customer, found, pop, weights

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

    def test_what_others_have_promised(self) -> None:
        """Their part of the connections is not what our sessions make."""
        for _ in range(240):
            self.world.ask(IMG)
            promised = self.promised()
            self.world.observe("fra", {HERE: True, "fra": True}, ams=2.0 * promised)
            self.connections(3.0 * promised)
            self.world.run(0.25, step=0.25)
        self.assertTrue(0.8 < self.guard.seconds_of_a_session < 1.2, self.guard.seconds_of_a_session)

    def test_what_a_pop_said_stays_what_it_said(self) -> None:
        """Though sessions are known better since, by what another one says."""
        self.guard.learn({}, {HERE: 4.0}, 0.0)
        for second in range(60):
            self.guard.admit("fra", "shop", 1, 1.0, 100.0, float(second))
            self.guard.learn({}, {"fra": 8.0}, float(second))
        self.assertGreater(self.guard.seconds_of_a_session, 2.0)
        standing = self.guard.standing(HERE, 1.0)
        assert standing is not None
        self.assertAlmostEqual(standing.load, 4.0)

    def test_a_weight_is_told_in_connections(self) -> None:
        self.test_a_session_is_measured()
        foretold = self.world.network.delivering.foretell(from_text(IMG), 4, asker("198.51.100.7"))
        assert foretold is not None
        sessions = self.guard.weight("shop", asker("198.51.100.7"))
        self.assertAlmostEqual(foretold.weight, sessions * self.guard.seconds_of_a_session)

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
        self.assertGreater(long := self.guard.seconds_of_a_session, 1.1)
        self.connections(0.0)
        for step in range(1200):
            if step % 60 == 0:
                self.world.ask(IMG, client=f"198.18.{step % 9}.1")
            self.world.run(1, step=0.5)
        self.assertLess(self.guard.seconds_of_a_session, 1.0 + (long - 1.0) / 4.0)

    def test_nothing_ever_comes(self) -> None:
        """A flood of questions that brings nobody does not make those who have clients weigh nothing."""
        self.connections(0.0)
        for step in range(800):
            for number in range(20):
                self.world.ask(IMG, client=f"198.{18 + number}.{step % 200}.1")
            self.world.run(0.25, step=0.25)
        self.assertEqual(self.guard.seconds_of_a_session, SHORTEST)


class Crowd:
    """
    Clients behind resolvers: each session asks where it is to go, unless its resolver knows, and is there for a while.

    :ivar there: ends of the connections of each POP; ``most``: as many as there ever were at one.
    """

    def __init__(self, world: World, addresses: dict[str, str], resolvers: int) -> None:
        self.world = world
        self.addresses = addresses
        self.rng = random.Random(4)
        self.known: list[tuple[float, str]] = [(0.0, "")] * resolvers
        self.there: dict[str, list[float]] = {name: [] for name in addresses.values()}
        self.most = 0

    def come(self, sessions: float, lasting: float, seconds: float) -> None:
        """So many a second, at random."""
        clock = self.world.clock
        for _ in range(round(4 * seconds)):
            for resolver, (until, _) in enumerate(self.known):
                if self.rng.random() >= 0.25 * sessions / len(self.known):
                    continue
                if until <= clock.seconds():
                    found = self.world.answer(IMG, client=f"198.18.{resolver}.1").answer[0]
                    self.known[resolver] = clock.seconds() + found.ttl, self.addresses[str(found.rdatas[0])]
                self.there[self.known[resolver][1]].append(clock.seconds() + self.rng.expovariate(1.0 / lasting))
            self.say()
            self.world.run(0.25, step=0.25)

    def say(self) -> None:
        """All load pages."""
        for address, name in self.addresses.items():
            ends = self.there[name] = [end for end in self.there[name] if end > self.world.clock.seconds()]
            self.most = max(self.most, len(ends))
            if name == HERE:
                self.world.own_load = attrs.evolve(self.world.own_load, connections=float(len(ends)))
            else:
                self.world.found[address, ProbeType.LOAD] = found(connections=float(len(ends)))


class CrowdTests(SynchronousTestCase):
    """Answers, sessions, connections, what is learned of them, answers."""

    def setUp(self) -> None:
        self.world = World()

    def crowd(self, capacity: float) -> Crowd:
        names = {"203.0.113.1": HERE, "203.0.113.2": "fra", "203.0.113.3": "nyc"}
        pops = tuple(
            pop(name, number, capacity=capacity, interval=5.0) for number, name in enumerate(names.values(), 1)
        )
        crowd = Crowd(self.world, names, 60)
        crowd.say()
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0), tolerance=0.0, ttl=10), pops=pops)
        self.world.run(2)
        return crowd

    def over(self) -> int:
        return self.world.network.delivering.standing("shop")[2]

    def test_after_an_overload(self) -> None:
        """There is room for everybody again, and nobody is told that there is not, for what was learned in it."""
        crowd = self.crowd(15.0)
        crowd.come(60.0, 1.0, 60.0)
        self.assertGreater(self.over(), 100)
        crowd.come(12.0, 1.0, 30.0)
        before = self.over()
        crowd.come(12.0, 1.0, 120.0)
        self.assertLess(self.over() - before, 10)

    def test_sessions_that_last(self) -> None:
        """Half a minute instead of the second that was thought: learned before anybody is overrun."""
        crowd = self.crowd(300.0)
        crowd.come(12.0, 30.0, 180.0)
        self.assertLessEqual(crowd.most, 300)
        self.assertGreater(self.world.network.guard.seconds_of_a_session, 10.0)
        self.assertLess(self.over(), 60)
