"""Nobody ever reaches a site that he did not ask for."""

from __future__ import annotations

import asyncio
import shutil

from twisted.trial.unittest import TestCase

from tests.integration.process import Running
from tests.integration.setting import SharedSetting


class MisdeliveryTests(TestCase):
    timeout = 180
    clients = 100
    sites = 10
    addresses = 5
    seconds = 30.0
    """Three waves: every address goes from site to site at least once; ``make soak`` has a minute, and more of all."""

    def test_a_crowd(self) -> None:
        """Many clients come and go over more sites than addresses; misdelivered replies: 0."""
        setting = SharedSetting(self.sites, self.addresses)
        self.addCleanup(shutil.rmtree, setting.folder)
        running = Running("--config", str(setting.file))
        self.addCleanup(running.stop)
        running.started()
        crowd = setting.crowd(seed=1)

        async def run() -> None:
            await setting.serve(crowd)
            await crowd.come_and_go(self.clients, self.seconds)

        asyncio.run(run())
        self.assertEqual(crowd.wrong, [])
        self.assertGreater(crowd.counts["right"], 5 * self.clients, crowd.counts)
        self.assertEqual(len(crowd.reached), self.sites, crowd.counts)
        self.assertGreater(running.output().count("lease-granted"), self.sites)
        self.assertNotIn("Traceback", running.output())
