"""What is cheap to ask after every connection: whether there is anything to be told, or to wake for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Balancer
from appliance.balancing.real import Real
from tests.balancing.driver import server


class NewsTests(SynchronousTestCase):
    def test_a_deadline_without_an_event(self) -> None:
        """It is news until somebody has asked when it is."""
        balancer = Balancer()
        self.assertFalse(balancer.has_news())
        balancer._board.timers.add(5.0, Real(server("alpha")))
        self.assertTrue(balancer.has_news())
        self.assertEqual(balancer.next_deadline(), 5.0)
        self.assertFalse(balancer.has_news())
