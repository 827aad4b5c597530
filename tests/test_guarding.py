"""No POP is promised beyond its capacity, whoever asks for whatever, and however reports come (3.2)."""

from __future__ import annotations

from collections import Counter

import attrs
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import Standing, Verdict
from appliance.model import ProbeType
from appliance.shared.guarding import prefix
from tests.network import HERE, World, asker, customer, found, pop, weights

AMS, FRA, NYC = "203.0.113.1", "203.0.113.2", "203.0.113.3"
ADDRESSES = {HERE: AMS, "fra": FRA, "nyc": NYC}
POPS = tuple(pop(name, number, capacity=10.0) for number, name in enumerate(ADDRESSES, 1))
NEAREST = weights(latency=1.0)
STRANGERS = 9
"""Of them a POP takes at once: each may bring one session a second, which is one connection until it is measured."""


def client(number: int) -> str:
    """Each of a network of its own."""
    return f"198.18.{number}.1"


class PrefixTests(SynchronousTestCase):
    def test_who_asks(self) -> None:
        """The client's network where it is told, else that of the resolver; ourselves are nobody."""
        self.assertIsNone(prefix(None))
        for one, other, same in (
            (asker("198.51.100.7"), asker("198.51.100.250"), True),
            (asker("198.51.100.7"), asker("198.51.101.7"), False),
            (asker("2001:db8:0:1::1"), asker("2001:db8:0:2::1"), True),
            (asker("2001:db8:0:100::1"), asker("2001:db8:0:200::1"), False),
            (asker("198.51.100.7", "192.0.2.0/24"), asker("203.0.113.7", "192.0.2.0/24"), True),
            (asker("198.51.100.7", "192.0.2.0/24"), asker("198.51.100.7", "192.0.2.0/25"), False),
        ):
            world = World()
            guard = world.network.guard
            found_one, found_other = guard.asked("shop", one, 0.0)[0], guard.asked("shop", other, 0.0)[0]
            self.assertEqual(found_one == found_other, same, (one, other))


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.guard = self.world.network.guard
        for address, latency in ((FRA, 0.01), (NYC, 0.1)):
            self.world.found |= {(address, kind): found(latency) for kind in ProbeType}

    def crowd(self, name: str, count: int, first: int = 0) -> Counter[str]:
        """Answers to so many strangers, each asking once."""
        return Counter(self.world.ask(name, client=client(number))[0] for number in range(first, first + count))

    def standing(self, name: str) -> Standing:
        standing = self.guard.standing(name, self.world.clock.seconds())
        assert standing is not None
        return standing

    def test_the_next_best_when_the_best_is_full(self) -> None:
        """And somebody when nobody has room: an answer that names nobody brings nobody anywhere."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        answered = self.crowd("img.shop.test", 3 * STRANGERS)
        self.assertEqual(answered, dict.fromkeys(ADDRESSES.values(), STRANGERS))
        self.assertEqual(self.world.network.delivering.standing("shop")[2], 0)
        self.assertEqual(self.crowd("img.shop.test", 2, first=99), {AMS: 1, FRA: 1})
        self.assertEqual(self.world.network.delivering.standing("shop")[2], 2)
        self.assertEqual(self.standing(HERE).promised, STRANGERS)

    def test_nobody_has_room(self) -> None:
        """Not the best is named then, if it is overrun, but who has least too much."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.own_load = attrs.evolve(self.world.own_load, connections=30.0)
        self.world.found[FRA, ProbeType.LOAD] = found(connections=25.0)
        self.world.found[NYC, ProbeType.LOAD] = found(connections=12.0)
        self.world.run(2)
        self.assertEqual(self.crowd("img.shop.test", 3), {NYC: 3})
        self.assertEqual(self.world.network.delivering.standing("shop")[2], 3)

    def test_too_much_is_shared(self) -> None:
        """Who is left over goes to all of them in turn, not to the one that looked emptiest when it was measured."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        self.crowd("img.shop.test", 3 * STRANGERS)
        found = self.crowd("img.shop.test", 30, first=3 * STRANGERS)
        self.assertEqual(found, {AMS: 10, FRA: 10, NYC: 10})
        self.assertAlmostEqual(self.standing("fra").overbooked, 10.0)
        self.assertEqual([self.standing(name).promised for name in ADDRESSES], [STRANGERS] * 3)

    def test_who_is_overrun_comes_last(self) -> None:
        """Behind those who are full by what is promised alone, however much that is."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.own_load = attrs.evolve(self.world.own_load, connections=10.0)
        self.world.run(2)
        self.crowd("img.shop.test", 2 * STRANGERS)
        self.assertEqual(self.crowd("img.shop.test", 30, first=2 * STRANGERS), {FRA: 15, NYC: 15})

    def test_who_was_sent_beyond_stays(self) -> None:
        """As long as the others have not much more room: it is sent there again, and not to each in turn."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        self.crowd("img.shop.test", 3 * STRANGERS)
        at = self.world.ask("img.shop.test", client=client(99))
        self.assertEqual([self.world.ask("img.shop.test", client=client(99)) for _ in range(4)], [at] * 4)
        self.assertEqual(self.standing(HERE).overbooked, 1.0)
        self.assertEqual(at, [AMS])
        self.guard.overbook(HERE, "shop", 7, 5.0, 10.0, self.world.clock.seconds())
        self.assertEqual(self.world.ask("img.shop.test", client=client(99)), [FRA], "it has much less room")
        self.world.own_load = attrs.evolve(self.world.own_load, connections=20.0)
        self.world.network.pops.look(at_once=True)
        self.assertEqual(self.world.ask("img.shop.test", client=client(99)), [FRA])

    def test_who_has_a_place_keeps_it(self) -> None:
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        self.crowd("img.shop.test", 3 * STRANGERS)
        self.assertEqual(self.crowd("img.shop.test", STRANGERS), {AMS: STRANGERS})

    def test_backup_when_nobody_has_room(self) -> None:
        self.world.configure(
            customer(static=("img",), pops=NEAREST, tolerance=0.0, backup=("192.0.2.99", "2001:db8::99")), pops=POPS[:1]
        )
        self.world.run(2)
        self.assertEqual(self.crowd("img.shop.test", STRANGERS + 1), {AMS: STRANGERS, "192.0.2.99": 1})

    def test_without_a_capacity(self) -> None:
        """It has no ledger, and is answered as often as it is the best."""
        self.world.configure(
            customer(static=("img",), pops=NEAREST, tolerance=0.0),
            pops=(attrs.evolve(POPS[0], capacity=0.0), *POPS[1:]),
        )
        self.world.run(2)
        self.assertEqual(self.crowd("img.shop.test", 100), {AMS: 100})
        self.assertNotIn(HERE, self.guard)
        self.assertIsNone(self.guard.standing(HERE, 0.0))

    def test_one_resolver_of_two_customers(self) -> None:
        """It brings the clients of both; neither's answer takes the place of the other's."""
        shops = [customer(name, static=("img",), pops=NEAREST, tolerance=0.0) for name in ("one", "two")]
        self.world.configure(*shops, pops=POPS)
        self.world.run(2)
        self.world.ask("img.one.test")
        self.world.ask("img.two.test")
        self.assertEqual(self.standing(HERE).resolvers, 2)
        self.assertEqual(self.standing(HERE).promised, 2.0)
        self.world.configure(*shops[1:], pops=POPS)
        self.world.ask("img.two.test")
        self.assertEqual(self.standing(HERE).resolvers, 2)

    def test_a_measured_load_leaves_less(self) -> None:
        """What a POP says that it has counts at once, and so does what was promised since."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS[1:])
        self.world.run(2)
        self.world.found[FRA, ProbeType.LOAD] = found(connections=6.0)
        self.world.run(1)
        self.assertEqual(self.crowd("img.shop.test", 9), {FRA: 3, NYC: 6})

    def test_the_load_counts_from_when_it_is_read(self) -> None:
        """Answers between the reading of a load and anybody's next look at it are not in it."""
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS[1:])
        self.world.found[FRA, ProbeType.LOAD] = found(connections=0.0)
        self.world.run(2)
        for connections in range(60):
            self.world.found[FRA, ProbeType.LOAD] = found(connections=float(connections))
            self.world.run(0.1)
            load = self.world.network.checking.pop("fra").load
            assert load is not None
            self.assertEqual(self.standing("fra").load, load.connections)

    def test_what_others_have_promised(self) -> None:
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        self.assertTrue(self.world.observe("fra", dict.fromkeys(ADDRESSES, True), ams=4.0))
        self.world.run(1)
        self.crowd("img.shop.test", STRANGERS)
        standing = self.standing(HERE)
        self.assertEqual(standing.others, 4.0)
        self.assertGreater(standing.promised, 4.0)
        self.assertLessEqual(standing.promised, 5.0)

    def test_who_asks_often_weighs_more(self) -> None:
        """A resolver that comes back as soon as its answer has run out has many clients behind it."""
        self.world.configure(
            customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=(attrs.evolve(POPS[0], capacity=1000.0),)
        )
        self.world.run(2)
        self.world.ask("img.shop.test")
        before = self.standing(HERE).promised
        for _ in range(4):
            self.world.run(10.1)
            self.world.ask("img.shop.test")
        self.assertGreater(self.standing(HERE).promised, before)

    def test_a_heavy_one_is_led_away_sooner(self) -> None:
        """Who brings half of what a POP can take gets an answer that lives half as long."""
        self.world.configure(
            customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=(attrs.evolve(POPS[0], capacity=2.0),)
        )
        self.world.run(2)
        self.assertLessEqual(self.world.ttl("img.shop.test"), 5)
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS[:1])
        self.assertGreater(self.world.ttl("img.shop.test", client(1)), 5)

    def judge(self, customer: str, number: int) -> Verdict | None:
        """What would be said of a client, as heavy as it is known to be."""
        who = asker(client(number))
        return self.guard.judge(HERE, customer, who, self.guard.weight(customer, who), self.world.clock.seconds())

    def test_judging_promises_nothing(self) -> None:
        self.world.configure(customer(static=("img",), pops=NEAREST, tolerance=0.0), pops=POPS)
        self.world.run(2)
        self.assertIs(self.judge("shop", 1), Verdict.ADMITTED)
        self.assertEqual(self.standing(HERE).promised, 0.0)
        self.crowd("img.shop.test", STRANGERS, first=2)
        self.assertIs(self.judge("shop", 1), Verdict.FULL)
        self.assertIs(self.judge("shop", 2), Verdict.RENEWED)
        self.assertIs(self.judge("other", 2), Verdict.FULL)

    def test_a_reload(self) -> None:
        """A ledger stays with what was promised, with another capacity too; another interval makes a new one."""
        shop = customer(static=("img",), pops=NEAREST, tolerance=0.0)
        self.world.configure(shop, pops=POPS)
        self.world.run(2)
        self.crowd("img.shop.test", STRANGERS)
        self.world.configure(shop, pops=(attrs.evolve(POPS[0], capacity=20.0), *POPS[1:]))
        self.assertEqual(self.standing(HERE).promised, STRANGERS)
        self.assertGreaterEqual(self.crowd("img.shop.test", 4 * STRANGERS, first=50)[AMS], STRANGERS)
        self.assertGreater(self.standing(HERE).promised, STRANGERS)
        self.assertLessEqual(self.standing(HERE).promised, 18.0)
        self.world.configure(shop, pops=POPS[1:])
        self.assertNotIn(HERE, self.guard)
        self.assertGreater(self.standing("fra").promised, 1.0)
        self.world.configure(shop, pops=tuple(attrs.evolve(each, interval=5.0) for each in POPS[1:]))
        self.assertEqual(self.standing("fra").promised, 0.0)


def is_within(standing: Standing) -> bool:
    """As far as answers that live go."""
    return standing.kappa * (standing.promised + standing.others) <= standing.limit + 1e-6


class Traffic(RuleBasedStateMachine):
    """Questions, reports of loads, what others have promised, POPs that go and come, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.guard = self.world.network.guard
        shops = (
            customer("one", static=("img",), pops=weights(latency=1.0, connections=1.0), answers=1),
            customer("two", static=("img",), pops=weights(cpu=1.0), tolerance=1.0, answers=2, ttl=20.0),
        )
        self.world.configure(*shops, pops=POPS)
        self.world.run(1)

    def standings(self) -> dict[str, Standing]:
        now = self.world.clock.seconds()
        return {name: found for name in ADDRESSES if (found := self.guard.standing(name, now)) is not None}

    @rule(
        shop=strategies.sampled_from(("one", "two")),
        first=strategies.integers(0, 60),
        count=strategies.integers(1, 40),
    )
    def ask(self, shop: str, first: int, count: int) -> None:
        for number in range(first, first + count):
            # What is to be learned is learned now, so that nothing but the question changes a ledger.
            self.world.network.pops.look(at_once=True)
            before = self.standings()
            over = self.world.network.delivering.standing(shop)[2]
            named = self.world.ask(f"img.{shop}.test", client=client(number))
            assert named, "somebody is always answered"
            after = self.standings()
            if self.world.network.delivering.standing(shop)[2] > over:
                assert len(named) == 1
                assert all(after[name].promised <= before[name].promised for name in ADDRESSES), "nothing is promised"
                continue
            for name, address in ADDRESSES.items():
                if after[name].promised > before[name].promised:
                    assert address in named
                    assert is_within(after[name]) or not is_within(before[name]), "beyond the limit by this answer"
                if not is_within(before[name]):
                    assert after[name].resolvers <= before[name].resolvers, "a stranger where too much is promised"
                if before[name].load > before[name].limit:
                    assert after[name].resolvers <= before[name].resolvers, "no stranger where too many are"

    @rule(name=strategies.sampled_from(("fra", "nyc")), connections=strategies.integers(0, 15))
    def report(self, name: str, connections: int) -> None:
        self.world.found[ADDRESSES[name], ProbeType.LOAD] = found(0.02, connections=float(connections))

    @rule(connections=strategies.integers(0, 15))
    def own(self, connections: int) -> None:
        self.world.own_load = attrs.evolve(self.world.own_load, connections=float(connections))

    @rule(observer=strategies.sampled_from(("fra", "nyc")), promised=strategies.integers(0, 12))
    def observe(self, observer: str, promised: int) -> None:
        self.world.observe(observer, dict.fromkeys(ADDRESSES, True), ams=float(promised))

    @rule(name=strategies.sampled_from(("fra", "nyc")))
    def fail(self, name: str) -> None:
        self.world.down(ADDRESSES[name])

    @rule(name=strategies.sampled_from(("fra", "nyc")))
    def come_back(self, name: str) -> None:
        self.world.back(ADDRESSES[name])

    @rule(seconds=strategies.sampled_from((0.3, 1.0, 4.0, 15.0)))
    def wait(self, seconds: float) -> None:
        self.world.run(seconds, step=min(seconds, 0.5))

    @invariant()
    def promises_are_sums(self) -> None:
        for standing in self.standings().values():
            assert standing.promised >= 0.0 and standing.held >= 0.0
            assert standing.resolvers > 0 or standing.promised == standing.held == 0.0


class TrafficTests(SynchronousTestCase):
    def test_it(self) -> None:
        run_state_machine_as_test(Traffic, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
