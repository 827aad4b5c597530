"""What a person sees and changes of servers and clients on the running process, also after kill -9 (5.10)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from appliance.commands.socket import Control
from tests.integration.carried import LASTING
from tests.integration.process import ROOT, own_address, tool, until
from tests.integration.test_leases import ZONE, Echo, LeaseCase

SITE = "www.example.test"
MESSAGE = "You are not welcome here."

CONFIGURATION = """
appliance: {{state_directory: state, stop_timeout: 0s}}
dns: {{listen: ['{dns}'], rate_limit: {{responses_per_second: 0}}, zones: {{example.test: {{records: "{zone}"}}}}}}
pools: {{public: {{addresses: [{leased}], {lasting}}}}}
servers:
  alpha: {{address: {alpha.address}, port: {alpha.port}, threshold: 1, retries: 1, retry_after: 500ms{alpha_more}}}
  beta: {{address: {beta.address}, port: {beta.port}}}
  spare: {{address: {spare.address}, port: {spare.port}}}
sites:
  www.example.test:
    pool: public
    services: [{{port: {port}}}]
    servers: [alpha, beta]
    timeouts: {{connect: 1s}}
    instances:
      - {{bind_id: 2, name: unwelcome, clients: [198.51.100.1], answer: "{message}"}}
control: {{manhole: {{}}}}
"""


class ControlCase(LeaseCase):
    def setUp(self) -> None:
        super().setUp()
        self.alpha, self.beta, self.spare = (self.server(name) for name in ("alpha", "beta", "spare"))
        self.configure()

    def configure(self, alpha_more: str = "") -> None:
        text = CONFIGURATION.format(
            dns=f"{self.dns}:{self.dns_port}",
            zone=ZONE,
            leased=self.address(1),
            lasting=LASTING,
            port=self.port,
            message=MESSAGE,
            alpha=self.alpha,
            beta=self.beta,
            spare=self.spare,
            alpha_more=alpha_more,
        )
        (self.folder / "appliance.yaml").write_text(text)

    def begin(self) -> str:
        """The process runs; :return: the leased address."""
        self.start()
        asked = self.ask("www")
        assert asked is not None
        return asked[0]

    def order(self, *words: str) -> str:
        """What a command prints that succeeds."""
        done = self.control(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def refused(self, *words: str) -> str:
        """The reason."""
        done = self.control(*words)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    def row(self, what: str, name: str) -> dict[str, Any]:
        [row] = [row for row in self.rows(what) if row[what.removesuffix("s")] == name]
        return row

    @contextmanager
    def client(self, address: str, source: str = "127.0.0.1") -> Iterator[str]:
        """A connection; what it reads first."""
        with socket.create_connection((address, self.port), 10, (source, 0)) as sock:
            yield sock.recv(100).decode().strip()

    def reached_by(self, address: str, source: str = "127.0.0.1") -> str:
        with self.client(address, source) as name:
            return name

    def spread(self, address: str, count: int = 6) -> Counter[str]:
        """Where so many connections at once are, when there were none before."""
        control = Control(str(self.folder / "state/control.sock"))
        until(lambda: not any(row["connections"] for row in control.items("servers")), "the last ones have ended")
        with ExitStack() as clients:
            return Counter(clients.enter_context(self.client(address)) for _ in range(count))

    @property
    def virtual(self) -> str:
        return f"{SITE}:{self.port}:0"

    @property
    def unwelcome(self) -> str:
        return f"{SITE}:{self.port}:2"


class DrainTests(ControlCase):
    def test_drain_and_wait(self) -> None:
        """No new connections, those that exist go on; the wait ends with the last one, and the log says so."""
        address = self.begin()
        with self.client(address) as first, self.client(address) as second:
            self.assertEqual({first, second}, {"alpha", "beta"})
            said = self.order("drain", "alpha").splitlines()
            self.assertEqual(said, ["alpha: state draining (file: in-service)", "alpha: 1 connection left"])
            self.assertEqual({self.reached_by(address) for _ in range(4)}, {"beta"})
            self.assertEqual(self.row("servers", "alpha")["connections"], 1)
            words = [sys.executable, "-m", "appliance.commands", "--control", str(self.folder / "state/control.sock")]
            waiting = subprocess.Popen(
                [*words, "drain", "alpha", "--wait"], stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            self.addCleanup(waiting.stdout.close if waiting.stdout is not None else lambda: None)
            assert waiting.stdout is not None
            for line in waiting.stdout:
                if "left" in line:
                    break
            self.assertIsNone(waiting.poll())
        self.assertEqual(waiting.stdout.read(), "alpha: empty\n")
        self.assertEqual(waiting.wait(10), 0)
        assert self.running is not None
        self.running.wait_for("server-drained: alpha")
        self.assertEqual(self.order("in-service", "alpha"), "alpha: state in-service, as in the file\n")
        self.assertEqual(self.spread(address), {"alpha": 3, "beta": 3})

    def test_a_virtual_server(self) -> None:
        """By the leased address: new connections are refused, then carried again."""
        address = self.begin()
        with self.client(address):
            self.assertIn("1 connection left", self.order("drain", f"{address}:{self.port}"))
            self.assertRaises(ConnectionResetError, self.reached_by, address)
            self.assertIn("out-of-service (file: in-service)", self.order("virtuals"))
        self.order("revert", self.virtual)
        self.reached_by(address)


class OrderTests(ControlCase):
    def test_clients(self) -> None:
        """A client becomes unwelcome, a subnet does, and they are let back; others are served all the while."""
        address, other = self.begin(), own_address()
        self.order("assign", self.unwelcome, other)
        self.assertEqual(self.reached_by(address, other), MESSAGE)
        self.assertIn(self.reached_by(address), ("alpha", "beta"))
        self.order("unassign", self.unwelcome, other)
        self.assertIn(self.reached_by(address, other), ("alpha", "beta"))
        network = f"{other.rsplit('.', 1)[0]}.0"
        self.order("assign", self.unwelcome, network, "255.255.255.0")
        self.assertEqual(self.reached_by(address, other), MESSAGE)
        [row] = [row for row in self.rows("clients") if row["client"] == f"{network}/24"]
        self.assertEqual((row["virtual"], row["by"], row["state"]), (self.unwelcome, "by hand", "in-use"))
        self.order("revert", self.unwelcome)
        self.assertIn(self.reached_by(address, other), ("alpha", "beta"))

    def test_unknown_virtual_servers(self) -> None:
        """An error that says what there is, and nothing is stored."""
        self.begin()
        for virtual in (f"{SITE}:{self.port}:7", "no.example.test:80:2", f"{self.address(9)}:80"):
            self.assertIn("appliance: ", self.refused("assign", virtual, "192.0.2.1"))
        self.assertIn(self.unwelcome, self.refused("assign", f"{SITE}:{self.port}:7", "192.0.2.1"))
        status = json.loads(self.order("status", "--json"))
        self.assertEqual(status["overrides"], [])
        self.assertNotIn('"override"', (self.folder / "state/journal.yaml").read_text())

    def test_weights_and_limits(self) -> None:
        """Weight 0 gets nothing; a limit is kept; one wrong value, and nothing has changed."""
        address = self.begin()
        self.assertEqual(self.order("real", "alpha", "--weight", "0"), "alpha: weight 0 (file: 1)\n")
        self.assertEqual(self.spread(address), {"beta": 6})
        self.assertIn("threshold", self.refused("real", "alpha", "--weight", "7", "--threshold", "0"))
        self.assertEqual(self.row("servers", "alpha")["weight"], 0)
        self.order("revert", "alpha", "weight")
        self.order("real", f"{self.beta.address}:{self.beta.port}", "--max-connections", "1")
        with self.client(address) as one, self.client(address) as two, self.client(address) as three:
            self.assertEqual(Counter((one, two, three)), {"alpha": 2, "beta": 1})

    def test_bindings_and_backups(self) -> None:
        """A server of the file, and one that it does not know; a backup takes over from one that is out of service."""
        address = self.begin()
        self.order("bind", self.virtual, "spare")
        self.assertEqual(self.spread(address), {"alpha": 2, "beta": 2, "spare": 2})
        self.assertIn("alpha beta spare (file: alpha beta)", self.order("virtuals"))
        self.order("unbind", self.virtual, "spare")
        self.order("backup", "alpha", "spare")
        self.order("out-of-service", "alpha")
        self.assertEqual(self.spread(address), {"beta": 3, "spare": 3})
        self.order("in-service", "alpha")
        self.assertEqual(self.spread(address), {"alpha": 3, "beta": 3})
        made = self.server("made")
        name = f"{made.address}:{made.port}"
        self.assertIn("no server", self.refused("real", name, "out-of-service"))
        self.order("real", name, "in-service", "--weight", "2")
        self.order("bind", SITE, name)
        self.assertEqual(self.spread(address, 8), {"alpha": 2, "beta": 2, "made": 4})
        self.order("revert", name)
        self.assertEqual(self.spread(address), {"alpha": 3, "beta": 3})

    def test_no_circle(self) -> None:
        """Neither is a server made of an address of ours, nor one of ours of a server's, whoever made that."""
        address = self.begin()
        made = own_address()
        self.order("real", made, "in-service")
        for words in (("real", f"{address}:80", "in-service"), ("pin", SITE, made), ("pin", SITE, self.spare.address)):
            done = self.control(*words)
            self.assertIn("come back", done.stderr, words)
            self.assertEqual(done.returncode, 1, words)

    def test_after_a_kill(self) -> None:
        """5.10: 'assign', 'real', 'drain' and weights hold after kill -9 and a start, also after the next one."""
        address, other = self.begin(), own_address()
        self.order("assign", self.unwelcome, other)
        self.order("drain", "alpha")
        self.order("real", "beta", "--weight", "7", "--threshold", "3")
        self.order("bind", self.virtual, "spare")
        self.order("real", "spare", "out-of-service")
        expected = json.loads(self.order("status", "--json"))["overrides"]
        self.assertEqual(len(expected), 6)
        for _ in range(2):
            assert self.running is not None
            self.running.process.kill()
            self.running.ended()
            self.start()
            self.assertEqual(json.loads(self.order("status", "--json"))["overrides"], expected)
        self.assertEqual(self.ask("www"), (address, self.ask("www")[1]))  # type: ignore[index]
        self.assertEqual(self.spread(address), {"beta": 6})
        self.assertEqual(self.reached_by(address, other), MESSAGE)
        row = self.row("servers", "beta")
        self.assertEqual((row["weight"], row["threshold"]), (7, 3))
        self.assertEqual(row["configured"], {"weight": 1, "threshold": 8})
        for name in ("alpha", "beta", "spare", SITE, self.unwelcome):
            self.order("revert", name)
        self.assertEqual(self.spread(address), {"alpha": 3, "beta": 3})

    def test_a_reload(self) -> None:
        """What the file says anew wins, and is said in the log; the rest holds."""
        address = self.begin()
        self.order("real", "alpha", "--weight", "0", "--threshold", "5")
        self.configure(", weight: 2")
        self.order("reload")
        assert self.running is not None
        self.running.wait_for("override-ended: server alpha: weight is as configured")
        row = self.row("servers", "alpha")
        self.assertEqual((row["weight"], row["threshold"], row["configured"]), (2, 5, {"threshold": 1}))
        self.assertEqual(self.spread(address), {"alpha": 4, "beta": 2})


class FailureTests(ControlCase):
    def test_failed_and_back(self) -> None:
        """Alarms and lines in the log when a server fails, when the virtual server does, and when they are back."""
        address = self.begin()
        self.alpha.close()
        self.assertEqual(self.spread(address), {"beta": 6})
        assert self.running is not None
        self.running.wait_for("server-failed: alpha")
        self.assertIn("ALARM  server alpha: failed", self.order("status"))
        self.assertEqual(self.reached_by(address), "beta")
        self.order("out-of-service", "beta")
        self.running.wait_for(f"virtual-failed: {self.virtual}")
        self.assertIn(f"ALARM  virtual server {self.virtual}: failed", self.order("status"))
        self.assertEqual(self.row("virtuals", self.virtual)["state"], "failed")
        again = Echo("alpha", self.alpha.address, self.alpha.port)
        self.addCleanup(again.close)
        until(lambda: self.answers(address), "the test is passed")
        self.running.wait_for("server-back: alpha")
        self.running.wait_for(f"virtual-back: {self.virtual}")
        self.assertNotIn("ALARM", self.order("status"))
        self.assertEqual(self.spread(address), {"alpha": 6})

    def answers(self, address: str) -> bool:
        try:
            return self.reached_by(address) == "alpha"
        except ConnectionResetError:
            return False


class ApiTests(ControlCase):
    def test_curl(self) -> None:
        """The same over HTTP: rows, orders, and errors that say which field."""
        curl = tool("curl", "curl")
        self.begin()

        def ask(path: str, *words: str) -> Any:
            socket_path = str(self.folder / "state/control.sock")
            url = f"http://localhost/api/v1/{path}"
            done = subprocess.run(
                [curl, "-s", "--unix-socket", socket_path, url, *words], capture_output=True, check=True
            )
            return json.loads(done.stdout)

        [row] = ask(f"virtuals?name={self.virtual}")["items"]
        self.assertEqual((row["state"], row["addresses"]), ("in-service", [self.address(1)]))
        found = ask("real", "-d", json.dumps({"real": "alpha", "weight": 3}))
        self.assertEqual(found["changed"], [{"setting": "weight", "value": "3", "configured": "1"}])
        self.assertEqual(found["warning"], None)
        error = ask("assign", "-d", json.dumps({"virtual": "x", "client": "192.0.2.1"}))["error"]
        self.assertEqual((error["code"], error["field"]), ("not-found", "virtual"))

    def test_the_manhole(self) -> None:
        """The verbs are there as functions."""
        self.begin()
        path = str(self.folder / "state/manhole.sock")
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "shell", path],
            input="real('alpha', weight=4)\nservers()\nassign('x', '192.0.2.1')\nnat_pools()\nhelp()\n",
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=20,
        )
        self.assertIn("alpha: weight 4 (file: 1)", done.stdout)
        self.assertRegex(done.stdout, r"alpha +\S+ +in-service +4 \(file: 1\)")
        self.assertIn("no site 'x'", done.stdout)
        self.assertIn("drain()", done.stdout)
        self.assertNotIn("Traceback", done.stdout)
