"""Passive FTP through a leased address and a run of ports, with two FTP servers and curl (5.12)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.integration.carried import LASTING, CarriedCase
from tests.integration.process import ROOT, own_address, tool, until

PORTS = 16
"""Of the run for data."""
LARGE = 60_000_000
"""Bytes, far more than all kernels on the way hold."""


class FtpTests(CarriedCase):
    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.curl = tool("curl", "curl")
        self.port = 20000 + self.port % 20000
        self.places = {name: own_address() for name in ("alpha", "beta")}
        for name, place in self.places.items():
            self.serve(name, place)

    def serve(self, name: str, place: str) -> None:
        """A server, whose files tell its name."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "name").write_text(name)
        with (folder / "large").open("wb") as file:
            file.truncate(LARGE)
        run = f"{self.port + 1}-{self.port + PORTS}"
        words = [sys.executable, "-m", "tests.integration.ftpd", place, str(self.port), run, str(folder)]
        server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.assertEqual(server.stdout.readline(), "listening\n")

    def carried(self, more: str) -> str:
        run = f"{self.port + 1}-{self.port + PORTS}"
        servers = ", ".join(f"{{address: {place}, port: 0}}" for place in self.places.values())
        services = f"[{{port: {self.port}}}, {{port: {run}}}]"
        keys = f"pool: public, services: {services}, servers: [{servers}], predictor: round-robin{more}"
        self.write({"www": keys}, addresses=1, pool=LASTING)
        address = self.carry()
        # The control and the data ports' turns would go in step: now whoever follows the turn is wrong.
        with self.visit(address):
            pass
        return address

    def fetch(self, address: str, source: str) -> str:
        """The file that tells whose it is."""
        url = f"ftp://{address}:{self.port}/name"
        words = (self.curl, "-sS", "-m", "20", "--ftp-skip-pasv-ip", "--interface", source, url)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    @property
    def buddies(self) -> str:
        return f", buddies: [[{self.port}, {self.port + 1}-{self.port + PORTS}]]"

    def test_twenty_transfers(self) -> None:
        """Of ten clients, five at once: each data connection finds the server that awaits it, at the first try."""
        address = self.carried(self.buddies)
        sources = [own_address() for _ in range(10)]
        with ThreadPoolExecutor(5) as pool:
            names = [name for _ in range(2) for name in pool.map(lambda each: self.fetch(address, each), sources)]
        self.assertEqual((names.count("alpha") + names.count("beta"), len(set(names))), (20, 2))
        self.empty()
        self.assertEqual(self.refusals(), 0)
        self.assertEqual([row["total"] >= 8 for row in self.told("servers")], [True, True])

    def test_one_client_at_once(self) -> None:
        """With ``sticky`` all of its transfers are at one server."""
        address = self.carried(f"{self.buddies}, sticky: 1m")
        source = own_address()
        first = self.fetch(address, source)
        with ThreadPoolExecutor(4) as pool:
            names = list(pool.map(lambda _: self.fetch(address, source), range(8)))
        self.assertEqual(set(names), {first})
        self.assertEqual(self.refusals(), 0)

    def test_who_follows_whom(self) -> None:
        """``appliance connections`` names the buddy: the control connection's number stands with the data's."""
        address = self.carried(self.buddies)
        slowly = ("--limit-rate", "100K", "-o", "/dev/null", "--interface", own_address())
        url = f"ftp://{address}:{self.port}/large"
        fetching = subprocess.Popen([self.curl, "-sS", "--ftp-skip-pasv-ip", *slowly, url])
        self.addCleanup(fetching.wait)
        self.addCleanup(fetching.kill)
        until(lambda: len(self.told("connections")) == 2, "control and data")
        rows = {row["port"] == self.port: row for row in self.told("connections")}
        control, data = rows[True], rows[False]
        self.assertEqual((control["buddy"], data["buddy"]), (None, control["number"]))
        self.assertEqual(control["server"], data["server"])
        shown = self.verb("connections").splitlines()
        self.assertIn("BUDDY", shown[0])
        self.assertTrue(any(line.split()[0] == str(data["number"]) for line in shown[1:]))
        self.assertTrue(any(f" {control['number']} " in line for line in shown[1:]))

    def test_without_buddies(self) -> None:
        """The servers take turns, so a data connection comes to the wrong one, which refuses it."""
        address = self.carried("")
        for _ in range(2):
            self.fetch(address, own_address())
        self.assertGreater(self.refusals(), 0)

    def refusals(self) -> int:
        """Connections that a server did not take: data came to one that did not await it."""
        return sum(row["ditched_total"] for row in self.told("servers"))
