"""What takes time in a network of POPs, since answers do not swing: a return, and being alone for long (3.2)."""

from __future__ import annotations

from appliance.delivery.dwell import RESIDENCE
from appliance.health.observers import KEEP
from tests.integration.pops import ADDRESSES, PopsCase
from tests.integration.process import until

AWHILE = 10.0
"""Seconds for checks, rows and a start."""


class SlowlyTests(PopsCase):
    timeout = 240

    def test_it_comes_back(self) -> None:
        """One that was lost is answered again, by others and by itself, when half a minute went by without a change."""
        self.until_known()
        self.until_asked("ams", "middle", "fra")
        self.running["fra"].process.kill()
        until(lambda: self.asked("ams", "middle") != "fra", "fra is not answered by ams")
        self.running["fra"].ended()
        self.run_pop("fra").started()
        self.until_asked("fra", "near", "fra", RESIDENCE + AWHILE)
        self.until_asked("ams", "middle", "fra", 2 * RESIDENCE + AWHILE)

    def heard_at(self, at: str, pop: str) -> float:
        """When the POP at ``at`` read the rows of another last."""
        [found] = [row["heard_at"] for row in self.control(at).get("pops")["items"] if row["pop"] == pop]
        return float(found)

    def test_alone_for_long(self) -> None:
        """After a minute all POPs count as up, whatever they were: one that was down before is answered again."""
        self.until_known()
        self.running["fra"].process.kill()
        until(lambda: not self.rows("nyc")["fra"]["up"], "fra is down for nyc")
        until(lambda: self.asked("nyc", "middle") != "fra", "fra is not answered by nyc")
        # That it was not the cut that took fra away is known when ams has been heard after it.
        for _ in range(3):
            before = self.heard_at("nyc", "ams")
            until(lambda before=before: self.heard_at("nyc", "ams") > before, "nyc hears ams")  # type: ignore[misc]
        said = self.happened("nyc").get("PopsAlone", 0)
        self.cut("nyc")
        until(lambda: self.happened("nyc").get("PopsAlone", 0) == said + 1, "nyc says that it is alone")
        self.assertNotEqual(self.asked("nyc", "middle"), "fra")
        until(lambda: self.happened("nyc").get("PopsAlone", 0) == said + 2, "nyc answers everybody", KEEP + AWHILE)
        answers = set()

        def has_come() -> bool:
            answers.add(self.asked("nyc", "middle"))
            return "fra" in answers

        until(has_come, "fra is answered again", RESIDENCE + AWHILE)
        self.assertLessEqual(answers, set(ADDRESSES))
