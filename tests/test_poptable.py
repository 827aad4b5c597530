"""What is believed of the POPs: this one's checks, what it says of itself, and what the others have seen (3.2)."""

from __future__ import annotations

import math

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import PopFigures
from appliance.events import Event
from appliance.health import PopsAgreed, PopsAlone, Standing
from appliance.health.observers import KEEP, PERIODS
from appliance.model import Forced, Load, ProbeType, Row
from appliance.shared.poptable import FIGURES_INTERVAL
from tests.network import HERE, World, customer, found, pop, weights

AMS, FRA, NYC = "203.0.113.1", "203.0.113.2", "203.0.113.3"
NAMES = (HERE, "fra", "nyc")
POPS = tuple(pop(name, number, capacity=50.0) for number, name in enumerate(NAMES, 1))
ALL_UP = dict.fromkeys(NAMES, True)
IMG = "img.shop.test"


class PopTableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.table = self.world.network.pops
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0), tolerance=0.0), pops=POPS)
        for address, latency in ((FRA, 0.02), (NYC, 0.1)):
            self.world.found |= {(address, kind): found(latency) for kind in ProbeType}

    def figures(self, name: str) -> PopFigures:
        [figures] = [each for each in self.table.figures() if each.pop.name == name]
        return figures

    def row(self, name: str) -> Row:
        [row] = [row for row in self.table.rows().rows if row.pop == name]
        return row

    def run_with_rows(self, seconds: float, **seen: dict[str, bool]) -> None:
        """Time goes by, and others say each second what they see."""
        for _ in range(round(seconds)):
            for observer, up in seen.items():
                self.assertTrue(self.world.observe(observer, up))
            self.world.run(1)

    def told(self, kind: type[Event]) -> int:
        return len(self.world.told(kind))

    # -- what it says ------------------------------------------------------------------------------------------------

    def test_rows(self) -> None:
        """What this POP has measured, of itself what it says, and what it has promised."""
        self.world.own_load = Load(cpu=0.25, connections=7.0)
        self.world.found[FRA, ProbeType.LOAD] = found(0.02, connections=3.0, cpu=0.5)
        self.world.found[FRA, ProbeType.HTTP] = found(0.3, 0.02)
        self.world.run(2)
        self.world.ask(IMG)
        rows = self.table.rows()
        self.assertEqual((rows.observer, rows.epoch, rows.age), (HERE, 1, 0.0))
        self.assertEqual([row.pop for row in rows.rows], list(NAMES))
        ours, fra = self.row(HERE), self.row("fra")
        self.assertEqual((ours.up, ours.latency, ours.load), (True, 0.0, self.world.own_load))
        self.assertTrue(0.9 < (ours.promised or 0.0) < 1.2, ours.promised)
        self.assertEqual((fra.up, fra.load), (True, Load(cpu=0.5, connections=3.0)))
        self.assertAlmostEqual(fra.latency or 0.0, 0.02)
        self.assertAlmostEqual(fra.http or 0.0, 0.3)
        self.assertEqual(fra.promised, 0.0)

    def test_rows_are_newer_each_time(self) -> None:
        """They are as of the moment, and whoever asks often takes no version twice."""
        self.world.run(2)
        before = self.table.rows()
        self.world.ask(IMG)
        after = self.table.rows()
        self.assertGreater(after.version, before.version)
        self.assertGreater(after.rows[0].promised, before.rows[0].promised)

    # -- what it believes --------------------------------------------------------------------------------------------

    def test_latency_is_our_own(self) -> None:
        self.world.run(2)
        self.world.observe("nyc", ALL_UP)
        latencies = [round(self.figures(name).latency or 0.0, 6) for name in NAMES]
        self.assertEqual(latencies, [0.0, 0.02, 0.1])

    def test_the_majority(self) -> None:
        """One that only we cannot reach is up; one that the others cannot reach either is down."""
        self.world.run(2)
        self.world.down(FRA)
        self.run_with_rows(6, nyc=ALL_UP, fra=ALL_UP)
        self.assertFalse(self.world.network.checking.pop("fra").up)
        # One against one: what we see ourselves counts.
        self.assertFalse(self.figures("fra").up)
        self.world.back(FRA)
        self.run_with_rows(4, nyc={**ALL_UP, "fra": False}, fra=ALL_UP)
        self.assertTrue(self.figures("fra").up)
        four = (*POPS, pop("lon", 4))
        self.world.configure(customer(static=("img",), pops=weights(latency=1.0)), pops=four)
        self.world.run(2)
        seen = {**ALL_UP, "lon": True, "fra": False}
        self.run_with_rows(2, nyc=seen, lon=seen)
        self.assertFalse(self.figures("fra").up)
        self.assertTrue(self.world.network.checking.pop("fra").up)

    def test_rows_of_others_end(self) -> None:
        self.world.run(2)
        seen = {**ALL_UP, HERE: False}
        self.run_with_rows(2, fra=seen, nyc=seen)
        self.assertFalse(self.figures(HERE).up)
        self.world.run(PERIODS + 0.2)
        self.assertTrue(self.figures(HERE).up)
        self.assertEqual(self.table.believe().observers, (HERE,))

    def test_a_choice_may_change_with_their_next_rows(self) -> None:
        """So no answer lives longer, whatever our own checks say."""
        alone = self.figures(HERE).until
        self.assertEqual(alone, math.inf)
        self.world.run(2)
        self.world.observe("nyc", ALL_UP)
        now = self.world.clock.seconds()
        self.assertEqual(self.figures(HERE).until, now + 1.0)
        self.assertLessEqual(self.figures("fra").until, now + 1.0)

    def test_who_was_heard(self) -> None:
        """And whoever waits for a deadline hears that there is one: rows run out."""
        nearer: list[None] = []
        self.world.state.call_when_nearer(lambda: nearer.append(None))
        self.assertIsNone(self.table.heard_at("fra"))
        self.world.observe("fra", ALL_UP)
        self.assertEqual(self.table.heard_at("fra"), self.world.clock.seconds())
        self.assertEqual(len(nearer), 1)
        self.assertFalse(self.world.observe("nobody", ALL_UP))
        self.assertIsNone(self.table.heard_at("nobody"))

    def test_many_customers_are_told_the_same(self) -> None:
        """For a quarter of a second, and no longer than nothing has come, however many ask."""
        self.world.run(3)
        told = self.table.figures()
        self.assertIs(self.table.figures(), told)
        self.world.clock.advance(FIGURES_INTERVAL)
        self.assertIsNot(self.table.figures(), told)
        told = self.table.figures()
        self.world.observe("fra", ALL_UP)
        self.assertIsNot(self.table.figures(), told)
        self.world.network.checking.force("pop fra", Forced.DOWN)
        self.assertFalse(self.figures("fra").up)
        self.world.network.checking.force("pop fra", None)
        self.assertTrue(self.figures("fra").up)

    # -- alone -------------------------------------------------------------------------------------------------------

    def test_cut_off(self) -> None:
        """The last good table is kept, and told; after a minute all are answered; then a network that is back."""
        self.world.run(2)
        self.world.down(NYC)
        self.run_with_rows(6, fra={**ALL_UP, "nyc": False})
        self.assertFalse(self.figures("nyc").up)
        self.world.down(FRA)
        self.world.run(6)
        self.assertIs(self.table.believe().standing, Standing.ALONE_KEPT)
        self.assertEqual([self.figures(name).up for name in NAMES], [True, True, False])
        self.assertEqual((self.told(PopsAlone), self.told(PopsAgreed)), (1, 0))
        self.assertEqual(self.world.ask(IMG), [AMS])
        now = self.world.clock.seconds()
        self.assertTrue(all(each.until <= now + 1.0 for each in self.table.figures()))
        self.world.run(KEEP + 1)
        self.assertIs(self.table.believe().standing, Standing.ALONE_ALL)
        self.assertTrue(all(each.up for each in self.table.figures()))
        told = self.world.told(PopsAlone)
        self.assertEqual([getattr(event, "everything", None) for event in told], [False, True])
        self.world.back(FRA)
        self.world.run(4)
        self.assertIs(self.table.believe().standing, Standing.AGREED)
        self.assertEqual([self.figures(name).up for name in NAMES], [True, True, False])
        self.assertEqual(self.told(PopsAgreed), 1)

    def test_it_is_said_though_nobody_asks(self) -> None:
        """When the rows of others have run out we are alone; whoever waits for the next deadline hears of it."""
        self.world.ask(IMG)
        self.run_with_rows(3, fra=ALL_UP, nyc=ALL_UP)
        for address in (FRA, NYC):
            self.world.down(address)
        while self.world.network.checking.pop("fra").up or self.world.network.checking.pop("nyc").up:
            self.run_with_rows(1, fra=ALL_UP, nyc=ALL_UP)
        self.assertEqual(self.told(PopsAlone), 0)
        for told in (1, 2):
            for _ in range(20):
                if self.told(PopsAlone) == told:
                    break
                at = self.world.state.next_deadline()
                assert at is not None
                self.world.clock.advance(max(0.0, at - self.world.clock.seconds()))
                self.world.state.reclaim(limit=100)
            self.assertEqual(self.told(PopsAlone), told)
        self.assertIsNone(self.world.network.next_deadline())

    # -- loads -------------------------------------------------------------------------------------------------------

    def age(self, name: str) -> float:
        standing = self.world.network.guard.standing(name, self.world.clock.seconds())
        assert standing is not None and standing.age is not None
        return standing.age

    def test_a_load_of_others_counts_once(self) -> None:
        """A figure that only others can read is not taken for a new one each time when somebody looks."""
        self.world.run(2)
        self.world.down(FRA)
        self.world.run(5)
        self.assertIsNone(self.row("fra").load)
        row = Row(pop="fra", up=True, load=Load(connections=30.0))
        for version, connections in ((1, 30.0), (2, 30.0), (3, 31.0)):
            load = Load(connections=connections)
            rows = attrs.evolve(
                self.table.rows(), observer="nyc", version=version, rows=(attrs.evolve(row, load=load),)
            )
            self.assertTrue(self.table.observe(rows))
            self.table.look(at_once=True)
            self.assertEqual(self.age("fra"), 0.5 if version == 2 else 0.0)
            self.world.clock.advance(0.5)

    def test_a_load_that_stays_is_read_again(self) -> None:
        """Two pages that say the same are two reports."""
        self.world.found[FRA, ProbeType.LOAD] = found(connections=30.0)
        self.world.run(2)
        ages = []
        for _ in range(40):
            self.world.run(0.3)
            self.table.look(at_once=True)
            ages.append(self.age("fra"))
        self.assertLess(max(ages), 1.3)
        self.assertGreater(max(ages), 0.5, "one that was read once counts once")

    def test_nothing_to_look_at(self) -> None:
        """Without POPs there is nothing to do, and nothing to say."""
        self.world.configure()
        self.world.run(5)
        self.assertEqual(self.table.rows().rows, ())
        self.assertEqual(self.table.figures(), ())
