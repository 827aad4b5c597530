"""What people and programs are shown of a client NAT pool (4.6)."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Transport
from appliance.views import for_people, nat_pool_row
from tests.ports.driver import Driver


class RowTests(SynchronousTestCase):
    def test_an_exhausted_pool(self) -> None:
        """Since when, and how many were refused; in Unix time for programs, as a span for people."""
        driver = Driver()
        driver.take(7.0, 10)
        driver.give(8.0, 1)
        counts = driver.counts(9.0)
        row = nat_pool_row(driver.configuration, Transport.UDP, counts, lambda at: at + 1_700_000_000)
        self.assertEqual(json.loads(json.dumps(row)), row)
        self.assertEqual((row["pool"], row["transport"], row["first"], row["last"]), ("snat", "udp", *["10.9.0.1"] * 2))
        self.assertEqual((row["level"], row["level_since"], row["refusals"]), ("exhausted", 1_700_000_007.0, 2))
        self.assertEqual((row["taken"], row["free"], row["resting"], row["leaving"]), (7, 0, 1, 0))
        self.assertEqual((row["maximum"], row["pairs"], row["subpools"], row["intervals"]), (8, 999, 3, 4))
        [shown] = for_people("nat-pools", [row], 1_700_000_000 + 99)
        self.assertEqual((shown["level"], shown["for"], shown["taken"]), ("exhausted", "1m32s", 7))
