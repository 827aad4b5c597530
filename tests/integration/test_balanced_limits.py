"""Limits, queues, spilling and lending, seen from outside on the running process (5.2, 5.6)."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.integration.balanced import SITE, BalancedCase, reset, said_to
from tests.integration.process import until

GENERAL, PREFERRED = "127.0.0.1", "127.0.0.11"
PATIENT = {"connect": "9s"}


class LimitCase(BalancedCase):
    def setUp(self) -> None:
        super().setUp()
        self.alpha = self.origin("alpha", max_connections=1)
        self.best = self.origin("best", max_connections=1)
        self.preferred = {"bind_id": 1, "clients": [PREFERRED], "servers": ["best"]}
        self.site |= {"servers": ["alpha"], "instances": [self.preferred], "timeouts": PATIENT}

    def allow(self, name: str, **keys: object) -> None:
        self.configuration["servers"][name] |= keys

    def asked(self, source: str, name: str) -> socket.socket:
        """A client that is answered by a server, and stays."""
        client = self.connect(source)
        self.assertEqual(said_to(client), name)
        return client

    def waiting(self, source: str) -> socket.socket:
        """A client that asks, and waits; those before it wait as well."""
        before = self.count_waiting()
        client = self.connect(source)
        client.sendall(b"who\n")
        until(lambda: self.count_waiting() == before + 1, "it waits")
        return client

    def count_waiting(self) -> int:
        return sum(row["waiting"] for row in self.control.items("virtuals"))

    def until_at(self, **connections: int) -> None:
        """Wait until each of these servers has so many."""
        for name, count in connections.items():
            self.until_row("servers", {"server": name}, connections=count)


class SpillTests(LimitCase):
    def test_when(self) -> None:
        """As ``spill`` says: when an own server is busy, one has failed, all have; or never."""
        self.allow("alpha", max_connections=0)
        failing = {"threshold": 1, "retry_after": "60s"}
        instances: list[dict[str, Any]] = []
        fallen = []
        for number, spill in enumerate(("busy", "one-failed", "all-failed", "never"), 1):
            instances.append({"bind_id": number, "spill": spill, "clients": [f"127.0.0.{10 + number}"]})
            instances[-1]["servers"] = [f"{spill}-{part}" for part in (1, 2)]
            for name in instances[-1]["servers"]:
                fallen.append(self.origin(name, max_connections=1, **failing))
        self.site["instances"] = instances
        self.start()
        for number, spill in enumerate(("busy", "one-failed", "all-failed", "never"), 1):
            source = f"127.0.0.{10 + number}"
            own = {f"{spill}-1", f"{spill}-2"}
            pair = [self.connect(source) for _ in range(2)]
            self.assertEqual({said_to(client) for client in pair}, own)
            self.assertEqual(self.ask(source), "alpha" if spill == "busy" else "reset", f"{spill}: both are busy")
            for client in pair:
                client.close()
            self.until_at(**dict.fromkeys(own, 0))
            first, second = fallen[2 * number - 2 : 2 * number]
            first.fall()
            with self.asked(source, second.name):
                self.until_row("servers", {"server": first.name}, operational="failed")
                general = spill in ("busy", "one-failed")
                self.assertEqual(self.ask(source), "alpha" if general else "reset", f"{spill}: one has failed")
            self.until_at(**{second.name: 0})
            second.fall()
            last = [self.ask(source) for _ in range(3)]
            self.assertEqual(last, ["reset" if spill == "never" else "alpha"] * 3, f"{spill}: both have failed")
        states = {row["bind_id"]: row["state"] for row in self.control.items("virtuals")}
        self.assertEqual([bind_id for bind_id, state in states.items() if state == "failed"], [4])

    def test_lending(self) -> None:
        """General clients get an instance's server while it has nobody, if it lends."""
        self.preferred["lend"] = True
        self.allow("best", max_connections=2)
        self.start()
        general = [self.asked(GENERAL, "alpha"), self.asked(GENERAL, "best")]
        self.assertEqual(self.ask(GENERAL), "reset", "it is not idle")
        preferred = self.asked(PREFERRED, "best")
        general[1].close()
        self.until_at(best=1)
        self.assertEqual(self.ask(GENERAL), "reset", "it is not idle")
        preferred.close()
        self.until_at(best=0)
        self.preferred["lend"] = False
        self.reload()
        self.assertEqual(self.ask(GENERAL), "reset", "it does not lend")
        self.assertEqual(self.ask(PREFERRED), "best")


class QueueTests(LimitCase):
    def test_preferred_clients_go_first(self) -> None:
        """Whoever came before them; then those who came first."""
        self.allow("alpha", queue=8)
        self.start()
        held = [self.asked(GENERAL, "alpha"), self.asked(PREFERRED, "best")]
        general = [self.waiting(GENERAL) for _ in range(2)]
        preferred = [self.waiting(PREFERRED) for _ in range(2)]
        table = self.appliance("virtuals")
        self.assertRegex(table, rf"{SITE}:{self.port}:0 .* 2/8 ")
        self.assertRegex(table, rf"{SITE}:{self.port}:1 .* 2/8 ")
        served = []
        for client in (*preferred, *general):
            held[0].close()
            self.assertEqual(client.recv(99), b"alpha\n")
            served.append(client)
            held[0] = client
        self.assertEqual((self.alpha.most, len(self.alpha.peers)), (1, 5))

    def test_their_own_server_is_theirs(self) -> None:
        """A place there is nothing to general clients who wait."""
        self.allow("alpha", queue=8)
        self.start()
        held = [self.asked(GENERAL, "alpha"), self.asked(PREFERRED, "best")]
        general, preferred = self.waiting(GENERAL), self.waiting(PREFERRED)
        held[1].close()
        self.assertEqual(preferred.recv(99), b"best\n")
        self.assertEqual(self.count_waiting(), 1)
        preferred.close()
        self.until_at(best=0)
        self.assertEqual(self.count_waiting(), 1)
        held[0].close()
        self.assertEqual(general.recv(99), b"alpha\n")

    def test_no_place_in_time(self) -> None:
        """Who waits too long is reset, and who finds no place is so at once; the log says that the queue is full."""
        self.site["timeouts"] = {"connect": "1s"}
        self.allow("alpha", queue=1)
        running = self.start()
        self.asked(GENERAL, "alpha")
        late = self.waiting(GENERAL)
        self.assertEqual(self.ask(GENERAL), "reset")
        running.wait_for("queue-full")
        self.assertRaises(ConnectionResetError, late.recv, 99)
        self.assertEqual(self.count_waiting(), 0)


class CrowdTests(LimitCase):
    """Two hundred at once, each of which asks once."""

    def all_ask(self, sources: Sequence[str]) -> Counter[str]:
        with ThreadPoolExecutor(len(sources)) as threads:
            return Counter(threads.map(self.ask, sources))

    def assertNobodyIsLeft(self) -> None:
        self.until_at(alpha=0, best=0)
        self.assertEqual(self.count_waiting(), 0)
        self.assertEqual(self.control.items("connections"), [])
        self.assertEqual(self.ask(PREFERRED), "best")

    def test_all_are_served(self) -> None:
        """With a place for each who waits; never more of them at a server than it may have."""
        self.allow("alpha", max_connections=5, queue=200)
        self.allow("best", max_connections=2)
        self.alpha.pause = self.best.pause = 0.01
        self.start()
        found = self.all_ask([GENERAL, GENERAL, GENERAL, PREFERRED] * 50)
        self.assertEqual((found["alpha"] + found["best"], set(found)), (200, {"alpha", "best"}))
        self.assertEqual((self.alpha.most, self.best.most), (5, 2))
        self.assertEqual(len(self.alpha.peers) + len(self.best.peers), 200)
        self.assertNobodyIsLeft()

    def test_some_are_refused(self) -> None:
        """With too few places: those who got one are served, the others reset at once, and no place is lost."""
        self.allow("alpha", max_connections=3, queue=20)
        self.alpha.pause = self.best.pause = 0.05
        self.start()
        for _ in range(2):
            found = self.all_ask([GENERAL] * 200)
            self.assertEqual((found["alpha"] + found["reset"], set(found)), (200, {"alpha", "reset"}))
            self.assertGreaterEqual(found["alpha"], 23)
            self.until_at(alpha=0)
        self.assertEqual(self.alpha.most, 3)
        self.assertNobodyIsLeft()

    def test_some_give_up(self) -> None:
        """Half of them reset while they wait; the places are for the others."""
        self.allow("alpha", max_connections=2, queue=200)
        self.alpha.pause = 0.01
        self.start()
        held = [self.asked(GENERAL, "alpha"), self.asked(GENERAL, "alpha")]
        clients = [self.connect(GENERAL) for _ in range(200)]
        until(lambda: self.count_waiting() == 200, "all wait")
        for client in clients[::2]:
            reset(client)
        for client in held:
            client.close()

        def asks(client: socket.socket) -> str:
            with client:
                return said_to(client)

        with ThreadPoolExecutor(100) as threads:
            self.assertEqual(Counter(threads.map(asks, clients[1::2])), {"alpha": 100})
        self.assertNobodyIsLeft()
