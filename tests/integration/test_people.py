"""What a person sees and does of POPs and customers' names, on the running process, also after kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.process import ROOT, Running, dig, free_port, own_address, until
from tests.integration.test_leases import Echo

CONFIGURATION = """
appliance: {{name: ams1, state_directory: state, stop_timeout: 0s}}
dns:
  listen: ['{dns}:{port}']
  rate_limit: {{responses_per_second: 0}}
  zones: {{example.test: {{records: "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"}}}}
probes:
  any: {{type: tcp, interval: 500ms, timeout: 400ms, rise: 1, fall: 1}}
servers:
  web-1: {{address: {web.address}, port: {web.port}, probes: [any]}}
  web-2: {{address: {web.address}, port: {closed}, probes: [any]}}
pops:
  ams1: {{address: 203.0.113.1, capacity: 500}}
  fra1: {{address: 203.0.113.2, ftp: '{web.address}:{closed}', capacity: 500, interval: 1s}}
  nyc1: {{address: 203.0.113.3, capacity: 500}}
delivery:
  shop:
    pages: [www.example.test]
    static: [img.example.test]
    origins: [web-1, web-2]
    # By latency alone: how busy the machine is that runs these tests is no matter.
    rule: {{pops: {{latency: 1.0, cpu: 0, memory: 0, connections: 0, http: 0, ftp: 0}}}}
"""


class PeopleTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.dns = own_address()
        self.port = free_port(self.dns)
        web = Echo("web")
        self.addCleanup(web.close)
        text = CONFIGURATION.format(dns=self.dns, port=self.port, web=web, closed=free_port(web.address))
        (self.folder / "appliance.yaml").write_text(text)
        self.start()

    def start(self) -> None:
        self.running = Running("--config", "appliance.yaml", folder=self.folder)
        self.addCleanup(self.running.stop)
        self.running.started()

    def order(self, *words: str) -> str:
        """What a command prints that succeeds."""
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "--control", "state/control.sock", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def rows(self, what: str) -> dict[str, dict[str, Any]]:
        """By their first column."""
        return {next(iter(row.values())): row for row in json.loads(self.order(what, "--json"))}

    def ask(self, name: str) -> list[str]:
        return sorted(dig(f"@{self.dns}", "-p", str(self.port), f"{name}.example.test", "+short").split())

    def test_looking(self) -> None:
        """POPs and their checks, names and their answers, every number behind one; and what is wrong."""
        until(lambda: self.rows("servers")["web-2"]["measured"] == "down", "the check of web-2")
        until(lambda: self.rows("pops")["fra1"]["measured"] == "down", "the check of fra1")
        pops = self.rows("pops")
        self.assertEqual([pops["ams1"][key] for key in ("own", "state", "by")], [True, "up", "own"])
        self.assertEqual([pops["fra1"][key] for key in ("state", "by")], ["down", "own"])
        [check] = pops["fra1"]["checks"]
        self.assertEqual((check["type"], check["ok"]), ("ftp", False))
        [www] = [row for row in json.loads(self.order("delivery", "--json")) if row["kind"] == "page"]
        self.assertEqual([www["a"]], [self.ask("www")] * (www["a_why"] == "best"))
        found = json.loads(self.order("explain", "img.example.test", "--client", "127.0.0.1", "--json"))
        self.assertEqual((found["why"], found["answer"]), ("best", self.ask("img")))
        self.assertIn("VERDICT", self.order("explain", "img.example.test"))
        self.assertIn("agreed; believed: ams1; doubted: nobody", self.order("pops"))
        self.assertIn("ALARM  pop fra1: down, own: fra1.ftp of ", self.order("status"))
        self.running.wait_for("subject-down: pop fra1: ")
        self.running.wait_for("server-failed: web-2, ")
        self.assertNotIn("subject-down: server", self.running.output())

    def test_an_order(self) -> None:
        """A POP that a person takes out is answered no more, also after kill -9, until it is put back."""
        until(lambda: self.rows("pops")["fra1"]["measured"] == "down", "the check of fra1")
        addresses = {row["address"]: name for name, row in self.rows("pops").items()}
        [first] = self.ask("img")
        name = addresses[first]
        self.assertIn(name, ("ams1", "nyc1"))
        self.assertEqual(self.order("out-of-service", name), f"{name}: state out-of-service (file: in-service)\n")
        [second] = self.ask("img")
        self.assertEqual({addresses[first], addresses[second]}, {"ams1", "nyc1"})
        self.running.process.send_signal(signal.SIGKILL)
        self.running.ended()
        self.start()
        self.assertEqual([self.rows("pops")[name][key] for key in ("state", "by")], ["down", "forced"])
        self.assertNotIn(first, self.ask("img"))
        self.assertIn(f"by hand: pop {name}: state out-of-service (file: in-service)", self.order("status"))
        self.assertEqual(self.order("revert", name), f"{name}: state in-service, as in the file\n")
        self.assertEqual(self.rows("pops")[name]["by"], "own")
