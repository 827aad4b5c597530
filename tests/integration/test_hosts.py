"""The process between clients and servers on other hosts: ``port: all`` (5.1)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.hosts import (
    APPLIANCE_INSIDE,
    APPLIANCE_OUTSIDE,
    CLIENTS,
    LEASED,
    SERVERS,
    Hosts,
    Pages,
    table_names,
)
from tests.integration.process import ROOT, Running, tool, until

CONFIGURATION = """
appliance: {{state_directory: {folder}/state, stop_timeout: 0s}}
dns:
  listen: ["{outside}:53"]
  zones: {{example.test: {{records: "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 192.0.2.1\\n"}}}}
pools:
  public:
    addresses: [{addresses}]
    period: {{base: 2s, minimum: 1s, offer: 2s, grace: 1s, cooling: 1s, unused_renewals: 0}}
    pressure: {{cookie: 1.0, tcp: 1.0, reputation: 1.0}}
servers:
  alpha: {{address: {alpha}}}
  beta: {{address: {beta}}}
sites:
  a.example.test: {{pool: public, servers: [alpha], services: [{services}]}}
  b.example.test: {{pool: public, servers: [beta], services: [{{port: all}}, {{port: 8080, to: 80}}]}}
"""
PORTS = (22, 80, 8080, 50000)
WITHOUT_RIGHT = ("setpriv", "--bounding-set", "-net_admin", "--")
NO_RIGHT = "sites.a.example.test: port: all needs CAP_NET_ADMIN to set up nftables"


class EveryPortTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        tool("curl", "curl")
        tool("setpriv", "util-linux")
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "appliance.yaml"
        self.hosts = Hosts(self)
        Pages(self, self.hosts.servers, SERVERS[0], PORTS, "alpha")
        Pages(self, self.hosts.servers, SERVERS[1], PORTS, "beta")
        self.write()

    def write(self, addresses: str = f"{LEASED}8, {LEASED}9", services: str = "{port: all}") -> None:
        values = {"folder": self.folder, "outside": APPLIANCE_OUTSIDE, "alpha": SERVERS[0], "beta": SERVERS[1]}
        self.file.write_text(CONFIGURATION.format(addresses=addresses, services=services, **values))

    def run_it(self, *before: str) -> Running:
        running = Running("--config", str(self.file), through=[*self.hosts.appliance.words(), *before])
        self.addCleanup(running.stop)
        return running

    def ask(self, site: str) -> str:
        """The address that a client is told, or nothing."""
        words = (tool("dig", "dnsutils"), f"@{APPLIANCE_OUTSIDE}", "+short", "+time=2", "+tries=1")
        return self.hosts.clients.tried(*words, f"{site}.example.test").stdout.strip()

    def address_of(self, site: str) -> str:
        return until(lambda: self.ask(site), f"an address for {site}")

    def page(self, address: str, port: int, client: str = CLIENTS[0]) -> str:
        words = ("curl", "-sS", "-m", "5", "--interface", client, f"http://{address}:{port}/")
        return self.hosts.clients.run(*words).strip()

    def appliance(self, *words: str) -> list[dict[str, object]]:
        command = [sys.executable, "-m", "appliance.commands", "--control", f"{self.folder}/state/control.sock", *words]
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=ROOT, check=True)
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    def test_every_port(self) -> None:
        """Curl, netcat, any client, any port: the server gets the port that was asked for, and it can be watched."""
        self.run_it().started()
        address = self.address_of("a")
        for port in (80, 8080, 50000):
            for client in CLIENTS:
                self.assertEqual(self.page(address, port, client), f"alpha at {port} for {APPLIANCE_INSIDE}")
        said = self.hosts.clients.tried(tool("nc", "netcat-openbsd"), "-N", "-w", "5", address, "22", given="hello\n")
        self.assertEqual(said.stdout.strip(), f"alpha at 22 for {APPLIANCE_INSIDE}")
        with self.hosts.clients.connect(address, 50000, (CLIENTS[2], 0)) as sock:
            [row] = until(lambda: self.appliance("connections"), "a row of it")
            self.assertEqual((row["address"], row["port"], row["site"]), (address, 50000, "a.example.test"))
            self.assertEqual(row["client"], f"{CLIENTS[2]}:{sock.getsockname()[1]}")
        self.assertEqual(self.appliance("leases")[0]["keys"], ["1-65535/tcp"])

    def test_an_exact_port_wins(self) -> None:
        """Of the two services that a site has."""
        self.run_it().started()
        address = self.address_of("b")
        for port, reached in ((80, 80), (8080, 80), (50000, 50000)):
            self.assertEqual(self.page(address, port), f"beta at {reached} for {APPLIANCE_INSIDE}")

    def test_the_next_site(self) -> None:
        """Gets all of the only address, some time after the first one has ceased to use it; no client is misled."""
        self.write(addresses=f"{LEASED}8")
        running = self.run_it().started()
        for site, server in (("a", "alpha"), ("b", "beta"), ("a", "alpha")):
            address = self.address_of(site)
            self.assertEqual(self.page(address, 50000), f"{server} at 50000 for {APPLIANCE_INSIDE}")
        self.assertNotIn("Traceback", running.output())

    def test_killed(self) -> None:
        """kill -9 leaves no table, and a new start makes one; whoever has the address, has it with all ports."""
        running = self.run_it().started()
        address = self.address_of("a")
        self.assertEqual(len(table_names(self.hosts.appliance)), 1)
        running.process.send_signal(signal.SIGKILL)
        self.assertEqual(running.ended(), -signal.SIGKILL)
        self.assertEqual(table_names(self.hosts.appliance), [])
        again = self.run_it().started()
        self.assertEqual(self.address_of("a"), address)
        self.assertEqual(self.page(address, 50000), f"alpha at 50000 for {APPLIANCE_INSIDE}")
        [table] = table_names(self.hosts.appliance)
        self.assertRegex(table, rf"^appliance_{again.process.pid}_")
        again.stop()
        self.assertEqual(table_names(self.hosts.appliance), [])

    def test_without_the_right(self) -> None:
        """It does not start, and says in one line what is missing; a reload is refused likewise."""
        running = self.run_it(*WITHOUT_RIGHT)
        self.assertEqual(running.ended(), 1)
        [line] = [line for line in running.lines if line.startswith("appliance: ")]
        self.assertIn(NO_RIGHT, line)
        self.assertNotIn("Traceback", running.output())
        text = self.file.read_text().replace("{port: all}", "{port: 80}")
        self.file.write_text(text)
        running = self.run_it(*WITHOUT_RIGHT).started()
        self.write()
        running.hang_up()
        running.wait_for(f"reload-refused: {NO_RIGHT}")
        self.assertEqual(self.page(self.address_of("a"), 80), f"alpha at 80 for {APPLIANCE_INSIDE}")

    def test_a_reload(self) -> None:
        """Brings all ports, and takes them away."""
        self.write(services="{port: 80}")
        running = self.run_it().started()
        address = self.address_of("a")
        refused = ("curl", "-sS", "-m", "5", f"http://{address}:50000/")
        for services, code in (("{port: all}", 0), ("{port: 80}", 7)):
            self.write(services=services)
            seen = len(running.lines)
            running.hang_up()
            until(lambda seen=seen: any("reloaded" in line for line in running.lines[seen:]), "reloaded")  # type: ignore[misc]
            self.assertEqual(self.hosts.clients.tried(*refused).returncode, code)
            self.assertEqual(self.page(address, 80), f"alpha at 80 for {APPLIANCE_INSIDE}")

    def test_on_the_host_itself(self) -> None:
        """Clients there, and leased addresses of loopback."""
        self.write(addresses="127.0.9.8, 127.0.9.9")
        self.run_it().started()
        address = self.address_of("a")
        for port in (80, 50000):
            said = self.hosts.appliance.run("curl", "-sS", "-m", "5", f"http://{address}:{port}/").strip()
            self.assertEqual(said, f"alpha at {port} for {APPLIANCE_INSIDE}")
