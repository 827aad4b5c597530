"""The states of a real server, one pair at a time (5.2, 5.8)."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Administrative, Operational
from appliance.balancing.measured import GUESS
from appliance.balancing.real import FULL, Real
from tests.balancing.driver import server

UP, FAILED, TESTING = Operational.UP, Operational.FAILED, Operational.TESTING


def real_in(state: Operational) -> Real:
    real = Real(server("a"))
    if state is not UP:
        real.fail(0.0)
    if state is TESTING:
        real.begin_test()
    return real


class StateTests(SynchronousTestCase):
    def test_every_pair(self) -> None:
        """What leads where; whatever is not listed cannot be."""
        listed = {
            (UP, "fail"): FAILED,
            (FAILED, "begin_test"): TESTING,
            (TESTING, "come_back"): UP,
            (TESTING, "fail"): FAILED,
        }
        for state in Operational:
            for verb in ("fail", "begin_test", "come_back"):
                with self.subTest(state=state, verb=verb):
                    real = real_in(state)
                    arguments = () if verb == "begin_test" else (1.0,)
                    if (state, verb) in listed:
                        getattr(real, verb)(*arguments)
                        self.assertIs(real.operational, listed[state, verb])
                        self.assertEqual(real.wake_at is not None, real.operational is FAILED)
                    else:
                        self.assertRaises(AssertionError, getattr(real, verb), *arguments)

    def test_what_takes_connections(self) -> None:
        """Only who is up, in service, configured, and has a weight; each state with each order."""
        for state in Operational:
            for order in Administrative:
                for weight in (0, 1):
                    for gone in (False, True):
                        with self.subTest(state=state, order=order, weight=weight, gone=gone):
                            real = real_in(state)
                            real.administrative, real.weight, real.gone = order, weight, gone
                            real.settle()
                            wanted = order is Administrative.IN_SERVICE and weight == 1 and not gone
                            self.assertEqual(real.takes(), wanted and state is UP)
                            self.assertEqual(real.load < FULL, wanted and state is UP)
                            self.assertEqual(real.is_testable(), wanted and state is TESTING)
                            out = order is Administrative.OUT_OF_SERVICE
                            self.assertEqual(real.keeps_company(), state is UP and not out and not gone)

    def test_another_machine_under_its_name(self) -> None:
        """Has no past; the same one has, whatever else the file says now."""
        real = real_in(FAILED)
        real.configure(server("a", weight=7))
        self.assertEqual((real.operational, real.weight), (FAILED, 7))
        real.configure(server("a", port=81))
        self.assertEqual((real.operational, real.wake_at, real.ditched), (UP, None, 0))


class GrowthTests(SynchronousTestCase):
    def test_slow_start(self) -> None:
        """Ten steps from a tenth to the whole, of the weight and of the limit."""
        real = Real(server("a", weight=10, max_connections=20, slow_start=50.0))
        self.assertEqual((real.share, real.limit), (1.0, 20))
        real.fail(0.0)
        real.begin_test()
        real.come_back(100.0)
        shares = [(100.0, real.share, real.limit, real.strength)]
        while real.wake_at is not None:
            at = real.wake_at
            real.grow(at)
            shares.append((at, real.share, real.limit, real.strength))
        self.assertEqual(shares[:3], [(100.0, 0.1, 2, 1.0), (105.0, 0.1, 2, 1.0), (110.0, 0.2, 4, 2.0)])
        self.assertEqual(shares[-1], (150.0, 1.0, 20, 10.0))
        self.assertEqual(len(shares), 11)

    def test_no_slow_start(self) -> None:
        """It has all at once."""
        real = real_in(TESTING)
        real.come_back(5.0)
        self.assertEqual((real.share, real.limit, real.wake_at), (1.0, math.inf, None))


class ResponseTests(SynchronousTestCase):
    def test_decay(self) -> None:
        """A measurement halves every 30 s, towards what is thought of the unknown."""
        real = Real(server("a"))
        self.assertEqual(real.response, GUESS)
        for _ in range(60):
            real.answered(1.0, 0.0)
            real.spoke(3.0, 0.0)
        self.assertAlmostEqual(real.response, 4.0, places=2)
        real.fade(30.0)
        self.assertAlmostEqual(real.response, 2.0, places=2)
        real.fade(60.0)
        self.assertAlmostEqual(real.response, 1.0, places=2)


class DitchedTests(SynchronousTestCase):
    def test_in_a_row(self) -> None:
        """Up to the threshold; a success begins anew."""
        real = Real(server("a", threshold=3))
        self.assertEqual([real.ditch(1), real.ditch(1)], [False, False])
        real.succeed()
        self.assertEqual([real.ditch(1) for _ in range(3)], [False, False, True])
        self.assertEqual((real.ditched, real.ditched_total), (3, 5))

    def test_distinct_clients(self) -> None:
        """Of one client only the first counts, until a success."""
        real = Real(server("a", threshold=2, distinct_clients=True))
        self.assertEqual([real.ditch(1) for _ in range(5)], [False] * 5)
        self.assertTrue(real.ditch(2))
        real.succeed()
        self.assertFalse(real.ditch(1))
        self.assertEqual(real.ditched, 1)
