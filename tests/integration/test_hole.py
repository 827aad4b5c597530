"""A server's host that is gone, between three hosts: no refusal comes back, and no connection ends (5.8)."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from appliance.commands.socket import Control
from tests.integration.hosts import APPLIANCE_OUTSIDE, CLIENTS, LEASED, SERVERS, Hosts, Pages
from tests.integration.process import Running, tool, until

CONFIGURATION = """
appliance: {{state_directory: {folder}/state, stop_timeout: 0s}}
dns:
  listen: ["{outside}:53"]
  zones: {{example.test: {{records: "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 192.0.2.1\\n"}}}}
pools: {{public: {{addresses: [{leased}8], period: {{base: 10m, minimum: 10m, maximum: 10m, offer: 10m}}}}}}
servers:
  alpha: {{address: {alpha}, threshold: 2, retries: 1, retry_after: 1s}}
  beta: {{address: {beta}}}
sites:
  www.example.test:
    {{pool: public, services: [{{port: 80}}], servers: [alpha, beta], predictor: round-robin,
     timeouts: {{connect: 300ms{timeouts}}}}}
"""
HOLE = f"table ip hole {{ chain in {{ type filter hook input priority 0; ip daddr {SERVERS[0]} drop; }}; }}"


class HoleTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        tool("curl", "curl")
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.hosts = Hosts(self)
        Pages(self, self.hosts.servers, SERVERS[0], (80,), "alpha")
        Pages(self, self.hosts.servers, SERVERS[1], (80,), "beta")

    def carry(self, timeouts: str = "") -> str:
        """Start it; :return: the leased address."""
        file = self.folder / "appliance.yaml"
        places = {"outside": APPLIANCE_OUTSIDE, "leased": LEASED, "alpha": SERVERS[0], "beta": SERVERS[1]}
        file.write_text(CONFIGURATION.format(folder=self.folder, timeouts=timeouts, **places))
        running = Running("--config", str(file), through=self.hosts.appliance.words())
        self.addCleanup(running.stop)
        running.started()
        words = (tool("dig", "dnsutils"), f"@{APPLIANCE_OUTSIDE}", "+short", "www.example.test")
        return self.hosts.clients.run(*words).strip()

    def known(self) -> dict[str, Any]:
        """What is known of the server that is gone."""
        rows = Control(str(self.folder / "state/control.sock")).items("servers")
        [row] = [row for row in rows if row["server"] == "alpha"]
        return row

    def page(self, address: str) -> str:
        """Whose page a client gets."""
        words = ("curl", "-sS", "-m", "5", "--interface", CLIENTS[0], f"http://{address}/")
        return self.hosts.clients.run(*words).split()[0]

    def stand(self, address: str) -> dict[str, socket.socket]:
        """A connection to each server."""
        standing: dict[str, socket.socket] = {}
        for _ in range(2):
            client = self.hosts.clients.connect(address, 80)
            self.addCleanup(client.close)
            client.sendall(b"who?\n")
            standing[client.recv(99).decode().split()[0]] = client
        self.assertEqual(standing.keys(), {"alpha", "beta"})
        return standing

    def test_a_black_hole(self) -> None:
        """Nobody notices but by the time it takes; what stood goes on when the host is back."""
        address = self.carry()
        standing = list(self.stand(address).values())
        self.hosts.servers.run("nft", HOLE)

        def failed() -> bool:
            self.assertEqual(self.page(address), "beta")
            return str(self.known()["state"]) == "failed"

        until(failed, "alpha has failed")
        self.assertEqual(self.known()["ditched_total"], 2)
        self.assertEqual(self.known()["connections"], 1)
        until(lambda: self.known()["state"] == "testing", "a test")
        self.assertEqual(self.page(address), "beta")
        self.assertEqual((self.known()["state"], self.known()["ditched_total"]), ("failed", 3))
        self.hosts.servers.run("nft", "delete", "table", "ip", "hole")
        for client in standing:
            client.sendall(b"still there?\n")
            self.assertIn(client.recv(99).split()[0], (b"alpha", b"beta"))
        until(lambda: self.page(address) == "alpha", "alpha is back")
        self.assertEqual(self.known()["state"], "in-service")

    def test_dead_ends(self) -> None:
        """A silent connection ends when three questions have no answer; one that is only idle does not."""
        standing = self.stand(self.carry(", keepalive: 1s"))
        self.hosts.servers.run("nft", HOLE)
        self.assertRaises(ConnectionResetError, standing["alpha"].recv, 1)
        standing["beta"].sendall(b"still there?\n")
        self.assertEqual(standing["beta"].recv(99).split()[0], b"beta")
        until(lambda: self.known()["connections"] == 0, "alpha has none")
