"""Changes while clients come and go: a server drains (5.2), the file is loaded anew, a server fails; nobody is lost."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

from tests.integration.carried import CarriedCase, echoes, line
from tests.integration.process import PATIENCE, ROOT, until


class Visitors:
    """
    Clients who come and go: each connects, hears who is there, says some things, and leaves.

    :ivar met: how often each server was.
    :ivar problems: what should not have happened.
    """

    def __init__(self, where: tuple[str, int], count: int) -> None:
        self._where = where
        self._over = threading.Event()
        self.met: Counter[str] = Counter()
        self.problems: list[str] = []
        self._threads = [threading.Thread(target=self._come, args=(number,)) for number in range(count)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Until so many more have been served."""
        enough = sum(self.met.values()) + count
        until(lambda: sum(self.met.values()) >= enough or self.problems, f"{count} more visits")

    def _come(self, number: int) -> None:
        rng = random.Random(number)
        while not self._over.is_set():
            try:
                with socket.create_connection(self._where, PATIENCE) as client:
                    name = line(client)
                    for _ in range(rng.randrange(3)):
                        self._over.wait(rng.uniform(0, 0.05))
                        if not echoes(client):
                            self.problems.append(f"{name} was cut off")
                if name not in ("alpha", "beta", "gamma"):
                    self.problems.append(f"nobody, but {name!r}")
                self.met[name] += 1
            except OSError as problem:
                self.problems.append(repr(problem))
            self._over.wait(rng.uniform(0, 0.05))


class LoadCase(CarriedCase):
    def setUp(self) -> None:
        super().setUp()
        self.alpha, self.beta, self.gamma = (self.origin(name) for name in ("alpha", "beta", "gamma"))
        self.edit()

    def edit(self, alpha: str = "", site: str = "predictor: round-robin", services: str = "", others: str = "") -> None:
        """The file; alpha fails after two, and is tried again after half a second."""
        keys = "threshold: 2, retries: 1, retry_after: 500ms"
        self.configure({self.alpha: f"{keys}{alpha}", self.beta: others, self.gamma: others}, site, services=services)


class DrainTests(LoadCase):
    def drain(self, *words: str) -> subprocess.Popen[str]:
        """``appliance drain ... --wait``, which goes on."""
        control = str(self.folder / "state/control.sock")
        command = [sys.executable, "-m", "appliance.commands", "--control", control, "drain", *words, "--wait"]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.addCleanup(waiting.communicate)
        self.addCleanup(waiting.kill)
        return waiting

    def test_a_server(self) -> None:
        """It takes none of fifty clients who come and go; the command ends when its last connection does."""
        address = self.carry()
        with Visitors((address, self.port), 50) as visitors:
            named = [(line(client), client) for client in [self.client(address) for _ in range(6)]]
            stays = [client for name, client in named if name == "alpha"]
            self.assertTrue(stays)
            visitors.more(100)
            self.assertGreater(visitors.met["alpha"], 0)
            waiting = self.drain("alpha")
            self.settled(server="alpha", state="draining", connections=len(stays))
            total = self.known("alpha")["total"]
            visitors.more(200)
            self.assertEqual(self.known("alpha")["total"], total)
            self.assertIsNone(waiting.poll())
            self.assertTrue(all(map(echoes, stays)))
            for client in stays:
                client.close()
            said, _ = waiting.communicate(timeout=PATIENCE)
            self.assertEqual(waiting.returncode, 0)
            self.assertIn("alpha: state draining (file: in-service)", said)
            self.assertTrue(said.endswith("alpha: empty\n"), said)
            self.verb("in-service", "alpha")
            met = visitors.met["alpha"]
            until(lambda: visitors.met["alpha"] > met, "alpha is visited again")
        self.assertEqual(visitors.problems, [])
        assert self.running is not None
        self.running.wait_for("server-drained: alpha")

    def test_one_that_is_put_back(self) -> None:
        """The command that waits says so and ends with 1."""
        address = self.carry()
        with self.visit(address) as (_, name):
            waiting = self.drain(name)
            self.settled(server=name, state="draining")
            self.verb("in-service", name)
            waiting.communicate(timeout=PATIENCE)
            self.assertEqual(waiting.returncode, 1)


class ReloadTests(LoadCase):
    def test_reloads(self) -> None:
        """Ten, with other weights, predictors, ports, limits and servers: no connection is lost, new or old."""
        address = self.carry()
        named = [(line(client), client) for client in [self.client(address) for _ in range(6)]]
        second = f"{{port: {self.port}}}, {{port: {self.port + 1}}}"
        changes: list[dict[str, Any]] = [
            {"alpha": ", weight: 5"},
            {"site": "predictor: source-hash"},
            {"site": "predictor: fastest-response, max_per_client: 1000"},
            {"services": second},
            {"site": "predictor: weighted-round-robin", "services": second},
        ]
        with Visitors((address, self.port), 20) as visitors:
            for change in changes * 2:
                visitors.more(20)
                self.edit(**change)
                self.reload()
            without = self.gamma
            self.configure({self.alpha: "", self.beta: ""})
            self.reload()
            visitors.more(20)
            total = without.clients[:]
            visitors.more(60)
            self.assertEqual(len(without.clients), len(total))
            self.edit()
            self.reload()
            until(lambda: len(without.clients) > len(total), "gamma is back")
        self.assertEqual(visitors.problems, [])
        self.assertEqual({name for name, client in named if echoes(client)}, {"alpha", "beta", "gamma"})

    def test_a_server_fails(self) -> None:
        """
        And comes back, twice: no client notices.

        But one may whose connection the server's kernel has taken, and the server has not, when it stops to listen.
        """
        address = self.carry()
        with Visitors((address, self.port), 20) as visitors:
            for _ in range(2):
                visitors.more(30)
                self.alpha.refuse()
                self.settled(server="alpha", state="failed")
                visitors.more(30)
                self.alpha.serve()
                self.settled(server="alpha", state="in-service")
        self.assertEqual(set(visitors.problems) - {"nobody, but 'reset'"}, set())
        self.assertLessEqual(len(visitors.problems), 2)
        self.assertGreaterEqual(self.known("alpha")["ditched_total"], 4)

    def test_a_server_fails_while_clients_wait(self) -> None:
        """For a place: nobody is stranded, and the queue is gone when the last of them is."""
        limits = "max_connections: 2, queue: 10"
        self.edit(f", {limits}", "predictor: round-robin, timeouts: {connect: 500ms}", others=limits)
        address = self.carry()
        with Visitors((address, self.port), 20) as visitors:
            until(lambda: self.told("virtuals")[0]["waiting"] > 5, "some wait")
            self.alpha.ignore()
            self.settled(server="alpha", state="failed")
            visitors.more(50)
            self.alpha.serve()
            self.settled(server="alpha", state="in-service")
            visitors.more(50)
        self.assertEqual(visitors.problems, [])
        self.empty()
        self.assertEqual([row["waiting"] for row in self.told("virtuals")], [0])
