"""
What takes minutes: more of the model, bulk through a real program, and a crowd while the configuration changes.

``make soak`` runs it, bounded; ``make test`` does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import TestCase

from tests.balancing.test_model import Model as BalancerModel
from tests.integration.process import Running, dig, tool, until
from tests.integration.setting import SharedSetting
from tests.integration.test_behaviour import BehaviourTests
from tests.integration.test_misdelivery import MisdeliveryTests
from tests.integration.test_storms import CrashTests, FloodTests, resident_bytes
from tests.ports.test_model import Machine as PortsModel
from tests.test_model import SETTINGS, HastyModel, Model, SharingModel

if os.environ.get("APPLIANCE_SOAK") != "1":
    skip = "long; run 'make soak'"


class SoakTests(TestCase):
    timeout = 900

    def test_the_models_for_longer(self) -> None:
        """Thousands of histories, the same ones every time; ``make fuzz`` tries others."""
        for model in (Model, SharingModel, HastyModel, BalancerModel, PortsModel):
            longer = settings(SETTINGS, max_examples=3_000)
            run_state_machine_as_test(model, settings=longer)

    def test_a_crowd_while_sites_come_and_go(self) -> None:
        """Three minutes with a reload every second: misdelivered replies 0, and no connection is cut by a reload."""
        setting = SharedSetting(20, 5)
        self.addCleanup(shutil.rmtree, setting.folder)
        running = Running("--config", str(setting.file))
        self.addCleanup(running.stop)
        running.started()
        crowd = setting.crowd(seed=2)

        async def reload() -> None:
            for turn in range(170):
                await asyncio.sleep(1)
                setting.write([site for n, site in enumerate(setting.sites) if (n + turn) % 5], base=f"{2 + turn % 3}s")
                running.hang_up()

        async def run() -> None:
            await setting.serve(crowd)
            await asyncio.gather(crowd.come_and_go(200, 180), reload())

        asyncio.run(run())
        self.assertEqual(crowd.wrong, [])
        self.assertEqual(crowd.counts["ConnectionResetError"], 0, crowd.counts)
        self.assertGreater(crowd.counts["right"], 3000, crowd.counts)
        self.assertGreater(running.output().count("reloaded: "), 100)
        self.assertNotIn("Traceback", running.output())

    def test_bulk_with_iperf3(self) -> None:
        """A gigabyte each way over TCP, and UDP; the process does not grow with what it carries."""
        iperf3 = tool("iperf3", "iperf3")
        setting = SharedSetting(1, 1)
        self.addCleanup(shutil.rmtree, setting.folder)
        server_address, server_port = setting.servers[0], setting.ports[0]
        running = Running("--config", str(setting.file))
        self.addCleanup(running.stop)
        running.started()
        words = [iperf3, "-s", "-B", server_address, "-p", str(server_port)]
        server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        asked = (f"@{setting.resolver}", "-p", str(setting.dns_port), setting.sites[0], "+short")
        address = dig(*asked).strip()

        def client(*more: str) -> dict[str, dict[str, float]]:
            base = [iperf3, "-c", address, "-p", str(setting.port), "-J"]
            done = subprocess.run([*base, *more], capture_output=True, text=True, check=False, timeout=120)
            said = json.loads(done.stdout)
            self.assertNotIn("error", said, said.get("error"))
            return dict(said["end"])

        until(
            lambda: (
                not subprocess.run(
                    [iperf3, "-c", server_address, "-p", str(server_port), "-t", "1"], capture_output=True, check=False
                ).returncode
            ),
            "iperf3 -s",
        )
        before = resident_bytes(running.process.pid)
        self.assertGreaterEqual(client("-n", "1G")["sum_received"]["bytes"], 1e9)
        self.assertGreaterEqual(client("-n", "1G", "-R")["sum_received"]["bytes"], 0.99e9)
        client("-u", "-b", "50M", "-t", "3", "-l", "1200")
        self.assertLess(resident_bytes(running.process.pid) - before, 32e6)
        self.assertNotIn("Traceback", running.output())


class CrowdTests(MisdeliveryTests):
    """A minute, with twice the clients and sites."""

    clients = 200
    sites = 20
    seconds = 60.0


class KillAgainTests(CrashTests):
    """Two hundred kills."""

    kills = 200
    timeout = 1800


class GreatFloodTests(FloodTests):
    """From two hundred thousand addresses."""

    sources = 200_000
    timeout = 1800


class UnwelcomeTests(BehaviourTests):
    """With the contract's own numbers: 100 connections in 10 s."""

    connections = "connections: 100, window: 10s, hold: 20s"


del BehaviourTests, CrashTests, FloodTests, MisdeliveryTests  # or trial would run them here once more
