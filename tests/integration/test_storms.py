"""Killed at any moment, and flooded: what was promised holds (docs/leases.rst, docs/security.rst)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.integration.process import dig
from tests.integration.storm import contradictions, flood, kill_again_and_again
from tests.integration.test_leases import OPEN, LeaseCase

SITES = 12
ADDRESSES = 5
SHORT = "period: {base: 2s, minimum: 1s, maximum: 4s, offer: 2s, grace: 1s, cooling: 2s}"


class CrashTests(LeaseCase):
    kills = 8

    def test_kill(self) -> None:
        """SIGKILL at random moments: no answer contradicts one whose TTL still runs, and every start works."""
        server = self.server("s")
        names = [f"s{number}" for number in range(SITES)]
        sites = {name: self.to(server, port=9) for name in names}
        self.write(sites, addresses=ADDRESSES, pool=f"{SHORT}, adequate: 0, quota: {{per_source: 99}}, {OPEN}",
                   more=", snapshot_interval: 1s")  # fmt: skip
        answers, outputs = kill_again_and_again(
            self.folder / "appliance.yaml",
            (self.dns, self.dns_port),
            [f"{name}.example.test" for name in names],
            self.kills,
            seed=3,
        )
        self.assertEqual(contradictions(answers), [])
        self.assertGreater(len(answers), 20 * self.kills)
        # Addresses went from site to site; that no two had one at a time is what was looked at.
        self.assertGreater(len({answer.site for answer in answers}), 4 if self.kills < 20 else ADDRESSES)
        for output in outputs:
            self.assertNotIn("Traceback", output)


class FloodTests(LeaseCase):
    sources = 6_000
    limit = ""

    def test_flood(self) -> None:
        """From many addresses for every site: a client with a cookie still gets an address, and memory stays flat."""
        server = self.server("s")
        pool = "period: {base: 30s, offer: 30s, minimum: 5s, cooling: 30s}, adequate: 0"
        self.write({f"s{number}": self.to(server) for number in range(60)}, addresses=20, pool=pool)
        running = self.start()
        resolver, sites = (self.dns, self.dns_port), [f"s{number}.example.test" for number in range(50)]
        flood(resolver, sites, 500)
        before = resident_bytes(running.process.pid)
        sent = flood(resolver, sites, self.sources)
        self.assertGreater(sent, 0.9 * self.sources)
        [pool_row] = self.rows("pools")
        self.assertLessEqual(pool_row["used"], 0.55, "no more than half of it without proof")
        said = dig(f"@{self.dns}", "-p", str(self.dns_port), "s55.example.test", "+noall", "+answer")
        self.assertIn("IN\tA", said, "dig learns a cookie or comes over TCP")
        self.assertLess(resident_bytes(running.process.pid) - before, 8e6)
        grants = json.loads(self.control("status", "--json").stdout)["grants"]
        self.assertGreater(grants["cookie"], 0.5 * self.sources)
        self.assertNotIn("Traceback", running.output())


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
