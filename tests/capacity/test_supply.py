"""What is left to sell: now, and in a coming window (2.1); and what a session is in connections."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.capacity import Forecast, Holding, Supply

DAY = 86400.0
HOUR = 3600.0


def days(forecast: Forecast, loads: list[float], hour: int = 9) -> float:
    """A load in the hour of each day, else nothing; :return: the midnight after."""
    for day, load in enumerate(loads):
        for minute in range(24 * 60):
            now = day * DAY + minute * 60.0
            forecast.measured(load if int(now % DAY // HOUR) == hour else 0.0, now)
    return len(loads) * DAY


class ForecastTests(SynchronousTestCase):
    def test_same_slot_of_past_days(self) -> None:
        """The hour's load is foretold for that hour, and for windows that touch it."""
        forecast = Forecast(slot=HOUR)
        midnight = days(forecast, [30.0, 50.0, 40.0])
        nine, ten = midnight + 9 * HOUR, midnight + 10 * HOUR
        self.assertEqual(forecast.expected(nine, ten, 7.0), 50.0)
        self.assertEqual(forecast.expected(ten, ten + HOUR, 7.0), 0.0)
        self.assertEqual(forecast.expected(nine - HOUR, nine + 1.0, 7.0), 50.0)
        self.assertEqual(forecast.expected(nine - HOUR, nine, 7.0), 0.0)
        self.assertEqual(forecast.expected(ten, ten + 40 * DAY, 7.0), 50.0)

    def test_no_past(self) -> None:
        forecast = Forecast(slot=HOUR)
        self.assertEqual(forecast.expected(0.0, HOUR, 7.0), 7.0)
        forecast.measured(50.0, 0.0)
        self.assertEqual(forecast.expected(DAY, DAY + HOUR, 7.0), 7.0, "the slot is not over")
        forecast.measured(0.0, HOUR)
        self.assertEqual(forecast.expected(DAY, DAY + HOUR, 7.0), 50.0)
        self.assertEqual(forecast.expected(DAY, DAY + 2 * HOUR, 70.0), 70.0)

    def test_highest_part(self) -> None:
        """A rise of minutes within a slot counts, a single report of it does not."""
        forecast = Forecast()
        for second in range(0, 1800, 5):
            forecast.measured(600.0 if second == 300 else 20.0 if 420 <= second < 480 else 10.0, float(second))
        self.assertEqual(forecast.past()[0], ((600.0 + 11 * 10.0) / 12,))

    @given(loads=st.lists(st.floats(0, 100), min_size=1, max_size=40), quantile=st.sampled_from([0.5, 0.9, 0.95, 1.0]))
    def test_quantile(self, loads: list[float], quantile: float) -> None:
        """At least that part of the days that are remembered was not above it, and no lower day would do."""
        forecast = Forecast(quantile=quantile, days=28)
        for day, load in enumerate(loads):
            forecast.measured(load, day * DAY)
        forecast.measured(0.0, len(loads) * DAY)
        said = forecast.expected(0.0, 900.0, -1.0)
        kept = loads[-28:]
        self.assertIn(said, kept)
        self.assertGreaterEqual(sum(load <= said for load in kept) / len(kept), quantile - 1e-9)
        self.assertLess(sum(load < said for load in kept) / len(kept), quantile)

    def test_bounded(self) -> None:
        forecast = Forecast(slot=HOUR, days=3)
        days(forecast, [1.0] * 6)
        self.assertEqual({len(loads) for loads in forecast.past().values()}, {3})
        self.assertEqual(len(forecast.past()), 24)

    def test_kept_over_a_restart(self) -> None:
        forecast, later = Forecast(slot=HOUR), Forecast(slot=HOUR)
        midnight = days(forecast, [30.0, 50.0])
        later.recall({**forecast.past(), 24: (9.0,)})
        self.assertEqual(later.past(), forecast.past())
        self.assertEqual(later.expected(midnight + 9 * HOUR, midnight + 10 * HOUR, 0.0), 50.0)

    def test_clock_set_back(self) -> None:
        """What is measured in a part that was over is not counted, and nothing is lost."""
        forecast = Forecast(slot=HOUR)
        forecast.measured(10.0, 2 * HOUR)
        forecast.measured(99.0, HOUR)
        forecast.measured(10.0, 3 * HOUR)
        self.assertEqual(forecast.past(), {2: (10.0,)})

    def test_clock_set_back_far(self) -> None:
        """It was a year ahead: the forecast does not wait for that year, and the slot under way is nobody's."""
        forecast = Forecast(slot=HOUR)
        forecast.measured(70.0, 365 * DAY + 2 * HOUR)
        forecast.measured(10.0, 5 * HOUR)
        forecast.measured(20.0, 5 * HOUR + 1.0)
        forecast.measured(30.0, 6 * HOUR)
        self.assertEqual(forecast.past(), {5: (15.0,)})

    def test_slot_under_way_over_a_restart(self) -> None:
        """It goes on with the highest so far; where nothing goes on in it, it is remembered as far as it came."""
        before = Forecast(slot=HOUR)
        self.assertEqual(before.under_way(), None)
        before.measured(50.0, 26 * HOUR)
        before.measured(70.0, 26 * HOUR)
        self.assertEqual(before.under_way(), (26, 60.0))
        before.measured(10.0, 26 * HOUR + 600.0)
        self.assertEqual(before.under_way(), (26, 60.0))
        for after in ((26 * HOUR + 1200.0, 27 * HOUR), (40 * HOUR,)):
            later = Forecast(slot=HOUR)
            later.recall({}, before.under_way())
            for now in after:
                self.assertEqual(later.past(), {})
                later.measured(20.0, now)
            self.assertEqual(later.past(), {2: (60.0,)})

    def test_days_known(self) -> None:
        """Of the slot that is known least; a window may be longer than a day."""
        forecast = Forecast(slot=HOUR)
        forecast.recall({9: [1.0, 2.0], 10: [1.0]})
        self.assertEqual(forecast.known(9 * HOUR, 10 * HOUR), 2)
        self.assertEqual(forecast.known(DAY + 9 * HOUR, DAY + 10 * HOUR + 1.0), 1)
        self.assertEqual(forecast.known(0.0, 3 * DAY), 0)


class SupplyTests(SynchronousTestCase):
    def supply(self, **more: float) -> Supply:
        return Supply(hard=500.0, reserve=0.2, forecast=Forecast(slot=HOUR), **more)

    def test_now(self) -> None:
        """Hard - measured - reserve; nothing where nothing is known."""
        supply = self.supply()
        self.assertEqual((supply.load(0.0), supply.unused(0.0)), (None, 0.0))
        supply.measured(150.0, 0.0)
        self.assertEqual((supply.load(180.0), supply.unused(180.0)), (150.0, 250.0))
        self.assertEqual((supply.load(180.1), supply.unused(180.1)), (None, 0.0))
        supply.measured(450.0, 200.0)
        self.assertEqual(supply.unused(200.0), 0.0)

    def test_window(self) -> None:
        """The slot's past, or else the load as it is now, smoothed."""
        supply = self.supply()
        self.assertEqual(supply.unused_in(0.0, HOUR), 0.0)
        supply.measured(100.0, 0.0)
        self.assertEqual(supply.unused_in(HOUR, 2 * HOUR), 300.0)
        supply.measured(400.0, 5.0)
        self.assertGreater(supply.unused_in(HOUR, 2 * HOUR), 290.0)
        for minute in range(1, 61):
            supply.measured(400.0, minute * 60.0)
        self.assertLess(supply.unused_in(HOUR, 2 * HOUR), 0.01)
        self.assertEqual(supply.unused_in(DAY, DAY + HOUR), 0.0)
        self.assertEqual(supply.forecast.past(), {0: (400.0,)})

    def test_stated(self) -> None:
        """The operator's figure is taken as it is, but nobody sells more than there is."""
        supply = self.supply(stated=120.0)
        supply.measured(499.0, 0.0)
        self.assertEqual((supply.unused(1e9), supply.unused_in(0.0, DAY)), (120.0, 120.0))
        self.assertEqual(supply.expected(0.0, DAY), 499.0)
        self.assertEqual(self.supply(stated=900.0).unused(0.0), 500.0)


class HoldingTests(SynchronousTestCase):
    def measure(self, holding: Holding, reports: range, connections: float, rate: float) -> None:
        for report in reports:
            holding.measured("ams", connections, rate, report * 5.0)

    def test_prior_then_measured(self) -> None:
        holding = Holding(prior=2.0)
        self.assertEqual(holding.connections(10.0), 20.0)
        self.measure(holding, range(100), 150.0, 30.0)
        self.assertTrue(4.9 < holding.seconds < 5.1, holding.seconds)
        self.measure(holding, range(100, 400), 30.0, 30.0)
        self.assertTrue(1.0 < holding.seconds < 1.1, holding.seconds)

    def test_a_crowd_comes(self) -> None:
        """Sessions of 30 s, of which none has ended when most reports come; nobody is let in for they look short."""
        for lasts in (3.0, 30.0):
            for period in (0.5, 10.0):
                holding, now = Holding(prior=lasts), 0.0
                while now < 120.0:
                    # Connections come half a second after their answer.
                    there = lasts * 50.0 * -math.expm1(-max(0.0, now - 0.5) / lasts)
                    holding.measured("ams", there, 50.0, now)
                    self.assertTrue(0.9 * lasts < holding.seconds < 1.1 * lasts, (now, holding.seconds))
                    now += period

    def test_a_quiet_place(self) -> None:
        """A session in three seconds is enough for its length to be learned."""
        holding = Holding(prior=1.0)
        self.measure(holding, range(200), 10.0, 1.0 / 3.0)
        self.assertTrue(20.0 < holding.seconds < 30.0, holding.seconds)

    def test_each_target_by_itself(self) -> None:
        """Whose first report comes says nothing yet, and takes nothing from what the others say."""
        holding = Holding(prior=2.0)
        self.measure(holding, range(100), 60.0, 30.0)
        before = holding.seconds
        holding.measured("fra", 1e6, 30.0, 495.0)
        self.assertEqual(holding.seconds, before)
        holding.only(["fra"])
        holding.measured("ams", 1e6, 30.0, 495.0)
        self.assertEqual(holding.seconds, before)

    def test_nothing_comes(self) -> None:
        """Then the prior is all that there is, again."""
        holding = Holding(prior=2.0)
        self.measure(holding, range(2), 1500.0, 30.0)
        self.assertGreater(before := holding.seconds, 10.0)
        self.measure(holding, range(2, 50), 1500.0, 0.0)
        self.assertLess(holding.seconds, before)
        holding.measured("ams", 0.0, 0.0, 10_000.0)
        self.assertAlmostEqual(holding.seconds, 2.0)
