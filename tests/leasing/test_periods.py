"""The period follows demand and shrinks under pressure (1.7, 1.8)."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.leasing.periods import decayed, explain, pressure_of, span
from appliance.model import Periods
from tests import fakes
from tests.leasing.driver import Driver

PERIODS = Periods(base=30, minimum=5, maximum=300, offer=10)
FACTORS = st.floats(min_value=0, max_value=1)
COUNTS = st.floats(min_value=0, max_value=1e6)


class FormulaTests(SynchronousTestCase):
    def test_the_examples_of_the_documents(self) -> None:
        """docs/leases.rst has this table."""
        table = {0: 15, 1: 30, 3: 60, 9: 150, 19: 300, 1000: 300}
        self.assertEqual({n: span(PERIODS, requests=n, pressure=1, offered=False) for n in table}, table)
        self.assertEqual(span(PERIODS, requests=1, pressure=0.5, offered=False), 15)
        self.assertEqual(span(PERIODS, requests=1, pressure=0, offered=False), 5)
        self.assertEqual(span(PERIODS, requests=1000, pressure=1, offered=True), 10)

    def test_pressure(self) -> None:
        """1 while enough is free, then in proportion; 0 switches it off; a pool without addresses is no division."""
        self.assertEqual([pressure_of(free, 100, 0.25) for free in (100, 25, 20, 5, 0)], [1, 1, 0.8, 0.2, 0])
        self.assertEqual(pressure_of(0, 100, 0), 1)
        self.assertEqual(pressure_of(0, 0, 0.25), 1)

    def test_a_connection_counts_for_a_base_period(self) -> None:
        """On average: a constant rate of r a second comes to r times the base."""
        count = 0.0
        for _ in range(3000):
            count = decayed(count, 0.1, PERIODS) + 1
        self.assertLess(abs(count - 300), 1)

    @given(requests=COUNTS, more=COUNTS, pressure=FACTORS, less=FACTORS, offered=st.booleans())
    def test_bounds_and_direction(
        self, requests: float, more: float, pressure: float, less: float, offered: bool
    ) -> None:
        """Never below the minimum or above the maximum; demand never shortens, pressure never prolongs."""
        ttl = span(PERIODS, requests=requests, pressure=pressure, offered=offered)
        self.assertLessEqual(5, ttl)
        self.assertLessEqual(ttl, 10 if offered else 300)
        self.assertLessEqual(ttl, span(PERIODS, requests=requests + more, pressure=pressure, offered=offered))
        self.assertGreaterEqual(ttl, span(PERIODS, requests=requests, pressure=pressure * less, offered=offered))

    @given(requests=COUNTS, pressure=FACTORS, offered=st.booleans())
    def test_the_explanation_is_the_answer(self, requests: float, pressure: float, offered: bool) -> None:
        """The same TTL, and a limit is named exactly where the factors alone would give another one."""
        said = explain(PERIODS, requests=requests, pressure=pressure, offered=offered)
        self.assertEqual(said.ttl, span(PERIODS, requests=requests, pressure=pressure, offered=offered))
        if not said.limit:
            self.assertEqual(said.ttl, int(said.base * said.demand * said.pressure))


class TableTests(SynchronousTestCase):
    def test_periods_shrink_as_the_pool_fills(self) -> None:
        """1.7: for new and for renewed leases, and they grow again when addresses are free."""
        periods = attrs.evolve(fakes.PERIODS, base=40, offer=60)
        driver = Driver(10, periods)
        driver.table.configure(fakes.pool(10, periods, adequate=0.5), 0.0)
        ttls = [driver.ask(site, 0.0).ttl for site in "abcdefghij"]  # type: ignore[union-attr]
        self.assertEqual(ttls, [20, 20, 20, 20, 20, 20, 16, 12, 8, 5])
        self.assertEqual(driver.ask("a", 0.0).ttl, 5)  # type: ignore[union-attr]
        driver.reclaim(70.0, limit=99)
        driver.reclaim(200.0, limit=99)
        self.assertEqual(driver.ask("a", 200.0).ttl, 20)  # type: ignore[union-attr]

    def test_busy_and_idle_sites_part(self) -> None:
        """1.8: connections prolong the next promise, and when they stop it shortens again."""
        driver = Driver(2)
        driver.ask("busy", 0.0)
        driver.ask("idle", 0.0)
        driver.connect("idle", 0.0)
        for now in range(5):
            driver.connect("busy", float(now))
        self.assertEqual(driver.ask("busy", 5.0).ttl, 53)  # type: ignore[union-attr]
        self.assertEqual(driver.ask("idle", 5.0).ttl, 17)  # type: ignore[union-attr]
        self.assertEqual(driver.ask("busy", 200.0).ttl, 10)  # type: ignore[union-attr]

    def test_explained(self) -> None:
        """The table says which factor made the number."""
        driver = Driver(4)
        driver.table.configure(fakes.pool(4, adequate=0.5), 0.0)
        for site in "abc":
            driver.ask(site, 0.0)
        said = driver.table.explain("a", 0.0).span
        self.assertEqual((said.base, said.demand, said.pressure, said.limit, said.ttl), (20, 0.5, 0.5, "", 5))
