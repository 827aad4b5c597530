"""Names of static content over figures that a test gives: each POP's, by its weight, and whose name it is (3.x)."""

from __future__ import annotations

import attrs

from appliance.model import ProbeType
from tests.network import HERE, DeliveringCase, customer, found, origin, pop, weights

A = "192.0.2.1"
ORIGINS = (origin("a", 1), origin("b", 2))
WWW, IMG = "www.shop.test", "img.shop.test"
AMS, FRA, NYC = "203.0.113.1", "203.0.113.2", "203.0.113.3"
POPS = (pop(HERE, 1), pop("fra", 2), pop("nyc", 3))


class StaticTests(DeliveringCase):
    def figures(
        self, address: str, *, latency: float = 0.01, cpu: float = 0.0, http: float = 0.0, ftp: float = 0.0
    ) -> None:
        for kind, seconds in ((ProbeType.HTTP, http), (ProbeType.FTP, ftp)):
            self.world.found[address, kind] = found(latency + seconds, latency)
        self.load(address, 0.0, latency, cpu)

    def test_each_figure_by_its_weight(self) -> None:
        """3.2, 3.5: one POP becomes worse in one figure, and only who weighs that goes elsewhere."""
        figures = {"cpu": 0.8, "http": 0.5, "ftp": 0.5, "latency": 0.4}
        shops = [customer(name, static=("img",), tolerance=0.0, pops=weights(**{name: 1.0})) for name in figures]
        for name, worse in figures.items():
            self.setUp()
            self.world.configure(*shops, pops=POPS[1:])
            self.figures(FRA)
            self.figures(NYC, latency=0.02, cpu=0.1, http=0.1, ftp=0.1)
            self.world.run(2)
            self.assertEqual([self.world.ask(f"img.{each}.test") for each in figures], [[FRA]] * 4)
            self.figures(FRA, **{name: worse})
            for _ in range(80):
                self.world.run(0.5)
                for each in figures:
                    self.world.ask(f"img.{each}.test")
            moved = [each for each in figures if self.world.ask(f"img.{each}.test") == [NYC]]
            # A longer way makes every answer later.
            self.assertEqual(moved, ["http", "ftp", "latency"] if name == "latency" else [name])

    def test_two_customers_side_by_side(self) -> None:
        """3.5: the same figures, other rules."""
        near = customer("near", static=("img",), pops=weights(latency=1.0), tolerance=0.0)
        idle = customer("idle", static=("img",), pops=weights(cpu=1.0), tolerance=0.0)
        self.world.configure(near, idle, pops=POPS[1:])
        self.figures(FRA, latency=0.01, cpu=0.7)
        self.figures(NYC, latency=0.09, cpu=0.1)
        self.world.run(2)
        self.assertEqual(self.world.ask("img.near.test"), [FRA])
        self.assertEqual(self.world.ask("img.idle.test"), [NYC])

    def test_a_shared_name(self) -> None:
        """3.3: a name of both kinds is answered with a POP; pages of the same customer are not."""
        both = customer(pages=("www", "img"), static=("img",), origins=ORIGINS[:1])
        self.world.configure(both, pops=POPS[1:2])
        self.world.run(2)
        self.assertEqual(self.world.ask(IMG), [FRA])
        self.assertEqual(self.world.ask(WWW), [A])

    def test_two_customers_with_one_static_name(self) -> None:
        """3.5: the rule of the first one holds."""
        first = customer("first", static=("img",), pops=weights(latency=1.0), tolerance=0.0)
        second = attrs.evolve(customer("second", pops=weights(cpu=1.0), tolerance=0.0), static=first.static)
        answers = []
        for customers in ((first, second), (second, first)):
            self.setUp()
            self.world.configure(*customers, pops=POPS[1:])
            self.figures(FRA, latency=0.01, cpu=0.7)
            self.figures(NYC, latency=0.09, cpu=0.1)
            self.world.run(2)
            answers.append(self.world.ask("img.first.test"))
        self.assertEqual(answers, [[FRA], [NYC]])

    def test_this_pop_is_the_nearest(self) -> None:
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0)), pops=POPS)
        self.world.run(2)
        self.assertEqual(self.world.ask(IMG), [AMS])

    def test_a_pop_that_is_down(self) -> None:
        """Not answered from the moment its checks say so; the next best is."""
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0), tolerance=0.0), pops=POPS[1:])
        self.figures(NYC, latency=0.1)
        self.world.run(2)
        self.assertEqual(self.world.ask(IMG), [FRA])
        self.world.down(FRA)
        while self.world.network.checking.pop("fra").up:
            self.assertEqual(self.world.ask(IMG), [FRA])
            self.world.run(0.1)
        self.assertEqual(self.world.ask(IMG), [NYC])

    def test_scope(self) -> None:
        """RFC 7871: what was chosen for a client's network, or promised to it, is of no use to another's."""
        name = customer(static=("img",), pages=("www",), origins=ORIGINS, pops=weights(cpu=1.0))
        for capacity in (0.0, 50.0):
            self.setUp()
            one = attrs.evolve(POPS[1], capacity=capacity)
            self.world.configure(name, pops=(one,))
            self.world.run(2)
            self.assertIs(self.world.answer(IMG).for_all, not capacity)
            answer = self.world.answer(IMG, subnet="192.0.2.0/24")
            self.assertEqual((answer.scope, answer.for_all), (24, False) if capacity else (0, True))
        self.setUp()
        self.world.configure(name, pops=POPS)
        self.world.run(2)
        answer = self.world.answer(IMG, subnet="192.0.2.0/24")
        self.assertEqual((answer.scope, answer.for_all), (24, False))
        self.assertEqual(self.world.answer(WWW, subnet="192.0.2.0/24").scope, 0)
