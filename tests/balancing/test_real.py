"""The states of a real server, one pair at a time (5.2, 5.8)."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Administrative, Operational
from appliance.balancing.measured import GUESS
from appliance.balancing.real import FULL, Real
from tests.balancing.driver import PROBES, server

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

    def test_every_pair_with_probes(self) -> None:
        """What counts in each state, while probes fail and after they pass; what was found by itself stays."""
        for state in Operational:
            with self.subTest(state=state):
                real = real_in(state)
                wake_at = real.wake_at
                real.probes_fail("refused")
                self.assertEqual((real.operational, real.verdict(), real.wake_at), (state, FAILED, wake_at))
                self.assertEqual((real.takes(), real.is_testable(), real.keeps_company()), (False, False, False))
                self.assertEqual((real.load, real.limit), (FULL, 0.0))
                self.assertFalse(real.ditch(1), "it is down anyway")
                self.assertEqual((real.ditched, real.ditched_total), (0, 1))
                real.failure = "no answer"
                self.assertEqual(real.why(), "refused" if state is UP else "refused; no answer")
                real.probes_pass(5.0)
                self.assertEqual((real.operational, real.verdict(), real.wake_at), (state, state, wake_at))
                self.assertEqual((real.takes(), real.is_testable()), (state is UP, state is TESTING))
                self.assertEqual(real.load < FULL, state is UP)

    def test_verbs_while_probes_fail(self) -> None:
        """What leads where is as ever; but nothing of it counts, and nothing grows."""
        for state, verb, to in ((UP, "fail", FAILED), (FAILED, "begin_test", TESTING), (TESTING, "come_back", UP)):
            with self.subTest(state=state, verb=verb):
                real = real_in(state)
                real.configure(server("a", slow_start=50.0, probes=PROBES))
                real.probes_fail("refused")
                getattr(real, verb)(*(() if verb == "begin_test" else (1.0,)))
                self.assertEqual((real.operational, real.verdict(), real.load), (to, FAILED, FULL))
                self.assertEqual(real.wake_at is not None, to is FAILED)

    def test_whose_probes_are_gone(self) -> None:
        """Nobody would say that they pass; what it had grown to when they failed counts no more either."""
        real = Real(server("a", weight=10, slow_start=50.0, probes=PROBES))
        real.fail(0.0)
        real.begin_test()
        real.come_back(100.0)
        real.probes_fail("refused")
        real.configure(server("a", weight=10, slow_start=50.0, probes=PROBES, threshold=3))
        self.assertEqual((real.verdict(), real.share), (FAILED, 0.1))
        real.configure(server("a", weight=10, slow_start=50.0))
        self.assertEqual((real.verdict(), real.share, real.load), (UP, 1.0, 0.1))

    def test_another_machine_under_its_name(self) -> None:
        """Has no past but what its probes say; the same one has, whatever else the file says now."""
        real = real_in(FAILED)
        real.configure(server("a", weight=7))
        self.assertEqual((real.operational, real.weight), (FAILED, 7))
        real.configure(server("a", port=81))
        self.assertEqual((real.operational, real.wake_at, real.ditched), (UP, None, 0))
        real.configure(server("a", port=81, probes=PROBES))
        real.probes_fail("refused")
        real.configure(server("a", port=82, probes=PROBES))
        self.assertEqual((real.operational, real.verdict(), real.fault, real.load), (UP, FAILED, "refused", FULL))
        real.probes_pass(0.0)
        self.assertEqual((real.verdict(), real.fault, real.load), (UP, None, 1.0))


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

    def test_after_probes(self) -> None:
        """From the beginning, however far it had come when they failed; ditched connections are forgotten."""
        real = Real(server("a", weight=10, slow_start=50.0, threshold=3))
        real.fail(0.0)
        real.begin_test()
        real.come_back(100.0)
        real.grow(110.0)
        real.ditch(1)
        real.probes_fail("refused")
        self.assertIsNone(real.wake_at)
        real.probes_pass(120.0)
        self.assertEqual((real.share, real.wake_at, real.strength, real.ditched), (0.1, 125.0, 1.0, 0))

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
