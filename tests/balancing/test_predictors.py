"""How a server is chosen (5.7)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing.predictors import SourceHash, Stand, WeightedRoundRobin
from appliance.balancing.real import Real
from appliance.model import Predictor
from tests.balancing.driver import NAME, Driver, client, name_of, server, servers, site


class LeastConnectionsTests(SynchronousTestCase):
    def test_the_fewest(self) -> None:
        """Ties in rotation, and those being opened count."""
        driver = Driver(site(servers=servers("abc")))
        tickets = [driver.route(number).ticket for number in range(6)]
        self.assertEqual([name_of(ticket) for ticket in tickets], ["a", "b", "c"] * 2)
        driver.end(tickets[1])
        self.assertEqual([name_of(driver.route().ticket) for _ in range(2)], ["b", "a"])

    def test_ties_take_turns(self) -> None:
        """When each connection ends before the next, all servers get some."""
        driver = Driver(site(servers=servers("abc")))
        names = []
        for _ in range(6):
            ticket = driver.open()
            names.append(name_of(ticket))
            driver.end(ticket)
        self.assertEqual(names, ["a", "b", "c"] * 2)

    def test_weights(self) -> None:
        """Twice the weight, twice the connections."""
        driver = Driver(site(servers=(server("a", weight=2), server("b"), server("c", weight=4))))
        self.assertEqual(Counter(driver.opened_at(70)), {"a": 20, "b": 10, "c": 40})


class RoundRobinTests(SynchronousTestCase):
    def test_in_turn(self) -> None:
        """Whatever their weights and connections."""
        driver = Driver(site(servers=(server("a", weight=9), *servers("bc")), predictor=Predictor.ROUND_ROBIN))
        self.assertEqual(driver.opened_at(7), [*"abcabca"])

    def test_who_is_full_is_passed_over(self) -> None:
        """And the turns go on from the one after."""
        full = server("b", max_connections=1)
        driver = Driver(site(servers=(server("a"), full, server("c")), predictor=Predictor.ROUND_ROBIN))
        self.assertEqual(driver.opened_at(6), [*"abcaca"])


class WeightedRoundRobinTests(SynchronousTestCase):
    def test_smooth(self) -> None:
        """The turns of the heavy one are spread, as nginx spreads them (5, 1, 1: a a b a c a a)."""
        driver = Driver(site(servers=(server("a", weight=5), *servers("bc")), predictor=Predictor.WEIGHTED_ROUND_ROBIN))
        self.assertEqual(driver.opened_at(14), [*"aabacaa"] * 2)

    @settings(max_examples=200)
    @given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 40))
    def test_shares(self, weights: list[int], skipped: int) -> None:
        """Each cycle gives each its weight, and no server is a whole turn ahead of its share, wherever one looks."""
        reals = [Real(server(f"a{number}", weight=weight)) for number, weight in enumerate(weights)]
        chooser = WeightedRoundRobin()
        chooser.arrange([(real, real) for real in reals])
        total = sum(weights)
        counts: Counter[Real | None] = Counter()
        for turn in range(1, total + 1):
            counts[chooser.pick(0, 0.0)] += 1
            for real in reals:
                exact = turn * real.weight / total
                self.assertLess(counts[real] - exact, 1.0)
        self.assertEqual([counts[real] for real in reals], weights)
        for _ in range(skipped):
            chooser.pick(0, 0.0)
        again = Counter(chooser.pick(0, 0.0) for _ in range(total))
        for real in reals:
            self.assertEqual(again[real], real.weight, "any cycle, not only from the first turn on")

    def test_two_never_differ_by_a_turn(self) -> None:
        """Of two servers neither is ahead or behind by one."""
        for weights in ((1, 1), (3, 2), (7, 1), (100, 99)):
            reals = [Real(server(f"a{number}", weight=weight)) for number, weight in enumerate(weights)]
            chooser = WeightedRoundRobin()
            chooser.arrange([(real, real) for real in reals])
            counts: Counter[Real | None] = Counter()
            for turn in range(1, 3 * sum(weights)):
                counts[chooser.pick(0, 0.0)] += 1
                self.assertLess(abs(counts[reals[0]] - turn * weights[0] / sum(weights)), 1.0)


class FastestResponseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver(site(servers=servers("abc"), predictor=Predictor.FASTEST_RESPONSE))
        self.times = {"a": 0.1, "b": 0.02, "c": 0.5}

    def visit(self) -> str:
        """One connection that takes as long as its server takes."""
        ticket = self.driver.route().ticket
        name = name_of(ticket)
        self.driver.now += self.times[name]
        self.driver.balancer.connected(ticket, self.driver.now)
        self.driver.now += self.times[name]
        self.driver.balancer.first_byte(ticket, self.driver.now)
        self.driver.end(ticket)
        return name

    def test_the_fastest_gets_most(self) -> None:
        """Once all were measured."""
        names = [self.visit() for _ in range(40)]
        self.assertEqual(set(names[:3]), {"a", "b", "c"})
        self.assertGreater(Counter(names)["b"], 30)

    def test_measurements_fade(self) -> None:
        """A slow server is tried again after a time."""
        for _ in range(10):
            self.visit()
        self.times["c"] = 0.001
        self.driver.pass_time(600.0)
        names = [self.visit() for _ in range(20)]
        self.assertGreater(Counter(names)["c"], 10)

    def test_unanswered_ones_weigh(self) -> None:
        """Connections that come together do not all go to the one that answered fastest before."""
        for _ in range(10):
            self.visit()
        names = Counter(name_of(self.driver.route().ticket) for _ in range(12))
        self.assertEqual(len(names), 3)
        self.assertGreater(names["b"], names["a"])
        self.assertGreater(names["a"], names["c"] - 1)

    def test_refusals_count_as_slow(self) -> None:
        """One that lets clients wait for nothing is not the fastest."""
        ticket = self.driver.route().ticket
        name = name_of(ticket)
        self.driver.now += 3.0
        self.driver.ditch(ticket)
        names = Counter(name_of(self.driver.open()) for _ in range(5))
        self.assertNotIn(name, names)


class SourceHashTests(SynchronousTestCase):
    def test_a_client_keeps_its_server(self) -> None:
        """And another appliance with the same servers sends it to the same one."""
        one = Driver(site(servers=servers("abcde"), predictor=Predictor.SOURCE_HASH))
        other = Driver(site(servers=servers("edcba"), predictor=Predictor.SOURCE_HASH))
        names = one.opened_at(200)
        self.assertEqual(one.opened_at(200), names)
        agreeing = sum(a == b for a, b in zip(names, other.opened_at(200), strict=True))
        self.assertGreater(agreeing, 190)
        self.assertGreater(min(Counter(names).values()), 20)

    def test_only_clients_of_a_failed_server_move(self) -> None:
        """And they are spread over all others; when it is back, so are they."""
        driver = Driver(site(servers=servers("abcd"), predictor=Predictor.SOURCE_HASH))
        before = driver.opened_at(200)
        driver.order("server b", "state", "out-of-service")
        during = driver.opened_at(200)
        moved = Counter(new for old, new in zip(before, during, strict=True) if old != new)
        self.assertEqual(moved.total(), before.count("b"))
        self.assertEqual(set(moved), {"a", "c", "d"})
        driver.order("server b", "state", None)
        self.assertEqual(driver.opened_at(200), before)

    def test_few_move_when_one_comes(self) -> None:
        """About a fifth, when a fifth one comes."""
        driver = Driver(site(servers=servers("abcd"), predictor=Predictor.SOURCE_HASH))
        before = driver.opened_at(500)
        driver.configure(site(servers=servers("abcde"), predictor=Predictor.SOURCE_HASH))
        after = driver.opened_at(500)
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        self.assertLess(len(moved), 150)
        self.assertGreater(sum(new == "e" for _, new in moved), 70)

    def test_weights(self) -> None:
        """A server that weighs three times as much has three times the clients."""
        driver = Driver(site(servers=(server("a", weight=3), server("b")), predictor=Predictor.SOURCE_HASH))
        self.assertApproximates(Counter(driver.opened_at(1000))["a"], 750, 45)

    def test_a_full_server_sheds(self) -> None:
        """Who finds no room goes elsewhere, down to the last place."""
        driver = Driver(site(servers=servers("ab", max_connections=30), predictor=Predictor.SOURCE_HASH))
        self.assertEqual(Counter(driver.opened_at(60)), {"a": 30, "b": 30})

    def test_one_that_grows_takes_a_part_of_its_clients(self) -> None:
        """And none of the others'."""
        a, b = Real(server("a", slow_start=100.0)), Real(server("b"))
        chooser = SourceHash()
        stands: list[Stand] = [(a, a), (b, b)]
        chooser.arrange(stands)
        whole = {number for number in range(1000) if chooser.pick(client(number), 0.0) is a}
        a.fail(0.0)
        a.begin_test()
        a.come_back(0.0)
        tenth = {number for number in range(1000) if chooser.pick(client(number), 0.0) is a}
        a.grow(50.0)
        half = {number for number in range(1000) if chooser.pick(client(number), 50.0) is a}
        self.assertTrue(tenth < half < whole)
        self.assertApproximates(len(tenth) / len(whole), 0.1, 0.05)
        self.assertApproximates(len(half) / len(whole), 0.5, 0.08)


class AllTests(SynchronousTestCase):
    def test_a_change_of_predictor(self) -> None:
        """Holds for new connections after a reload."""
        driver = Driver(site(servers=servers("ab"), predictor=Predictor.SOURCE_HASH))
        self.assertEqual(len({name_of(driver.open(7)) for _ in range(4)}), 1)
        driver.configure(site(servers=servers("ab"), predictor=Predictor.ROUND_ROBIN))
        self.assertEqual(len({name_of(driver.open(7)) for _ in range(4)}), 2)
        [row] = driver.balancer.virtuals(driver.now)
        self.assertEqual((row.name, row.predictor), (f"{NAME}:80:0", Predictor.ROUND_ROBIN))

    def test_nobody_is_given_more_than_its_limit(self) -> None:
        """Whatever the predictor; and with room at one, that one is found."""
        for predictor in Predictor:
            with self.subTest(predictor=predictor):
                pool = (server("a", max_connections=2), server("b", max_connections=5, weight=7), server("c"))
                driver = Driver(site(servers=pool, predictor=predictor))
                counts = Counter(driver.opened_at(60))
                self.assertEqual(counts.total(), 60)
                self.assertTrue(counts["a"] <= 2 and counts["b"] <= 5, counts)

    def test_weight_0_gets_none(self) -> None:
        """Whatever the predictor."""
        for predictor in Predictor:
            with self.subTest(predictor=predictor):
                pool = (server("a", weight=0), server("b"))
                self.assertEqual({*Driver(site(servers=pool, predictor=predictor)).opened_at(20)}, {"b"})
