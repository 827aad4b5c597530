"""What a POP does not need of its capacity, seen from outside: connections are held, and less is unused (2.1)."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

import yaml

from appliance.peering import parse_load
from tests.integration.balanced import BalancedCase
from tests.integration.process import PATIENCE, free_port, own_address, tool, until


class CapacityTests(BalancedCase):
    def setUp(self) -> None:
        super().setUp()
        self.origin("one")
        self.origin("two")
        self.site["servers"] = ["one", "two"]
        self.site["predictor"] = "round-robin"
        self.peers = own_address()
        self.peers_port = free_port(self.peers)
        self.configuration["control"] = {"peers": {"listen": f"{self.peers}:{self.peers_port}"}}

    def capacity(self, **keys: object) -> None:
        self.configuration["market"] = {"capacity": {"hard": 20, "reserve": 0.1, **keys}}

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.appliance("market", "--json"))["capacity"]
        return found

    def until_load(self, load: float) -> dict[str, Any]:
        """Within the second that a sample takes, and some more on a busy machine."""
        until(lambda: self.control.get("market")["capacity"]["load"] == load, f"a load of {load}")
        return self.seen()

    def hold(self, count: int) -> list[socket.socket]:
        return [self.connect() for _ in range(count)]

    def test_held_connections(self) -> None:
        """Those of the servers that are named count, and their end does; more than there is leaves nothing."""
        self.capacity(servers=["one"])
        self.start()
        self.assertEqual((self.until_load(0.0)["unused"], self.seen()["slot"]), (18.0, 900.0))
        held = self.hold(8)
        row = self.until_load(4.0)
        self.assertEqual((row["unused"], row["unit"], row["servers"]), (14.0, "connections", ["one"]))
        self.assertEqual(len(row["coming"]), 24)
        self.assertTrue(all(14.0 <= hour["unused"] <= 18.0 and hour["days"] == 0 for hour in row["coming"]), row)
        self.assertIn("capacity: 4 of 20 connections used, 14 unused", self.appliance("status"))
        lines = self.appliance("market").splitlines()
        self.assertEqual(lines[0], "4 of 20 connections used, 14 unused")
        self.assertEqual(len(lines), 3 + 1 + 24)
        held += self.hold(32)
        self.assertEqual(self.until_load(20.0)["unused"], 0.0)
        for sock in held[4:]:
            sock.close()
        self.assertEqual(self.until_load(2.0)["unused"], 16.0)

    def test_all_servers_and_reloads(self) -> None:
        """Where no server is named all that is carried counts; a reload states, counts elsewhere, or takes it away."""
        self.start()
        self.assertIn("no capacity is configured", self.appliance("market"))
        self.assertEqual(json.loads(self.appliance("market", "--json")), {"capacity": None})
        self.assertNotIn("capacity:", self.appliance("status"))
        self.assertEqual(self.load_capacity(), 0.0)
        self.hold(6)
        self.capacity()
        self.reload()
        self.assertEqual(self.until_load(6.0)["unused"], 12.0)
        self.assertEqual(self.load_capacity(), 20.0)
        self.capacity(stated=7)
        self.reload()
        row = self.seen()
        self.assertEqual({row["unused"], *(hour["unused"] for hour in row["coming"])}, {7.0})
        self.assertIn("6 of 20 connections used, 7 unused (stated)", self.appliance("status"))
        self.capacity(servers=["two"])
        self.reload()
        self.assertEqual(self.until_load(3.0)["unused"], 15.0)
        self.running.stop()
        self.assertNotIn("Traceback", self.running.output())

    def test_restart(self) -> None:
        """What was seen is in the state folder, for eyes too; a damaged file is set aside, and the process starts."""
        self.capacity()
        self.start()
        self.hold(5)
        self.until_load(5.0)
        self.running.stop()
        file = self.folder / "state" / "load.yaml"
        found = yaml.safe_load(file.read_text())
        self.assertEqual((found["format"], found["unit"], found["servers"]), (1, "connections", []))
        self.assertGreater(found["under_way"]["load"] + sum(map(max, found["past"].values())), 0.0)
        slots = {f"{hour:02}:{quarter:02}": [9.0, 3.0] for hour in range(24) for quarter in (0, 15, 30, 45)}
        file.write_text(f"--- {json.dumps({**found, 'past': slots})}\n")
        self.start()
        hours = self.seen()["coming"]
        self.assertEqual({(hour["expected"], hour["unused"]) for hour in hours[1:]}, {(9.0, 9.0)})
        self.assertTrue(all(hour["days"] >= 2 for hour in hours), hours)
        self.running.stop()
        file.write_text("--- {")
        self.start()
        self.running.wait_for("load-begun-anew: ")
        self.assertEqual(self.until_load(0.0)["unused"], 18.0)
        self.assertEqual((self.folder / "state" / "load.yaml.before").read_text(), "--- {")

    def load_capacity(self) -> float | None:
        """As other POPs are told."""
        words = [tool("curl", "curl"), "-s", "--noproxy", "*", "-m", "5", f"http://{self.peers}:{self.peers_port}/load"]
        said = subprocess.run(words, capture_output=True, check=True, timeout=PATIENCE).stdout
        return parse_load(said).capacity
