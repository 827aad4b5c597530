"""Nobody ever reaches a site that he did not ask for."""

from __future__ import annotations

import asyncio
import shutil

from twisted.trial.unittest import TestCase

from tests.integration.process import Running
from tests.integration.setting import SharedSetting

CLIENTS = 200
SITES = 20
ADDRESSES = 5
SECONDS = 60.0


class MisdeliveryTests(TestCase):
    timeout = 180

    def test_a_crowd(self) -> None:
        """200 clients come and go for a minute over 20 sites and 5 addresses; misdelivered replies: 0."""
        setting = SharedSetting(SITES, ADDRESSES)
        self.addCleanup(shutil.rmtree, setting.folder)
        running = Running("--config", str(setting.file))
        self.addCleanup(running.stop)
        running.started()
        crowd = setting.crowd(seed=1)

        async def run() -> None:
            await setting.serve(crowd)
            await crowd.come_and_go(CLIENTS, SECONDS)

        asyncio.run(run())
        self.assertEqual(crowd.wrong, [])
        self.assertGreater(crowd.counts["right"], 1000, crowd.counts)
        self.assertEqual(len(crowd.reached), SITES, crowd.counts)
        self.assertGreater(running.output().count("lease-granted"), 20)
        self.assertNotIn("Traceback", running.output())
