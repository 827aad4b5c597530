"""Three POPs at different distances: each answers by what it measures; one is lost, cut off, or overrun (3.2)."""

from __future__ import annotations

import time
from collections import Counter

from tests.integration.pops import ADDRESSES, INTERVAL, TTL, PopsCase
from tests.integration.process import until

FALL = 3
"""Checks that have to fail; of those that hang each takes an interval at most."""


class NetworkTests(PopsCase):
    def test_each_by_its_own_measure(self) -> None:
        """The nearest is each one's own, the middle the same for all; who is lost is answered by nobody."""
        self.until_known()
        for at in ADDRESSES:
            self.until_asked(at, "near", at)
            self.until_asked(at, "middle", "fra")
        ways = {other: float(row["latency"]) for other, row in self.rows("ams").items()}
        self.assertLess(ways["ams"], ways["fra"])
        self.assertLess(ways["fra"], ways["nyc"])
        self.assertGreaterEqual(ways["fra"], 0.02)
        self.assertGreaterEqual(ways["nyc"], 0.12)
        self.running["fra"].process.kill()
        killed_at = time.monotonic()
        until(lambda: "fra" not in self.asked("ams", "middle"), "fra is not answered by ams")
        until(lambda: "fra" not in self.asked("nyc", "middle"), "fra is not answered by nyc")
        self.assertLess(time.monotonic() - killed_at, 1.1 * INTERVAL * FALL + 1)
        self.assertEqual([self.asked(at, "near") for at in ("ams", "nyc")], ["ams", "nyc"])
        self.running["fra"].ended()
        self.run_pop("fra").started()
        for at in ("ams", "nyc"):
            until(lambda at=at: self.rows(at)["fra"]["up"], f"fra is up again for {at}")  # type: ignore[misc]

    def test_cut_off(self) -> None:
        """Its last good table is kept, and said so; the others go on without it."""
        self.until_known()
        self.until_asked("nyc", "middle", "fra")
        said = self.happened("nyc").get("PopsAlone", 0)
        before = self.happened("ams").get("PopsAlone", 0)
        self.cut("nyc")
        until(lambda: self.happened("nyc").get("PopsAlone", 0) > said, "nyc says that it is alone")
        kept = {row["pop"]: (row["state"], row["by"]) for row in self.control("nyc").get("pops")["items"]}
        self.assertEqual(kept, dict.fromkeys(ADDRESSES, ("up", "kept")))
        # Who was found down before it knew may have moved the choice, which stays then for as long as any does.
        self.assertIn(self.asked("nyc", "middle"), ADDRESSES)
        self.assertEqual(self.asked("nyc", "near"), "nyc")
        until(lambda: not self.rows("ams")["nyc"]["up"], "ams sees it down")
        self.assertIn(self.asked("ams", "middle"), ("ams", "fra"))
        self.assertEqual(self.happened("ams").get("PopsAlone", 0), before)
        self.cut("nyc", "up")
        until(lambda: self.happened("nyc").get("PopsAgreed", 0) > said, "nyc is not alone any more")


class OverloadTests(PopsCase):
    capacity = 20

    def crowd(self, at: str, first: int, count: int) -> Counter[str]:
        """So many clients, each of a network of its own: each connects to the POP that it is answered with."""
        found: Counter[str] = Counter()
        for number in range(first, first + count):
            pop = self.asked(at, "middle", f"+subnet=198.18.{number}.0/24")
            self.connect(pop)
            found[pop] += 1
        return found

    def test_an_overload(self) -> None:
        """New answers go elsewhere within a TTL and an interval, and nobody else is driven beyond what it can take."""
        self.until_known()
        self.until_asked("ams", "middle", "fra")
        self.assertEqual(self.crowd("ams", 0, 4), {"fra": 4})
        for _ in range(17):
            self.connect("fra")
        overrun_at = time.monotonic()
        number = 100
        while "fra" in self.asked("ams", "middle", f"+subnet=198.18.{number}.0/24"):
            number += 1
            self.assertLess(time.monotonic() - overrun_at, TTL + INTERVAL)
        self.crowd("ams", 10, 26)
        for name, server in self.servers.items():
            self.assertLessEqual(server.most, 21 if name == "fra" else self.capacity, name)
        self.assertEqual(sum(server.most for server in self.servers.values()), 4 + 17 + 26)
        self.assertEqual(self.servers["fra"].most, 21)
