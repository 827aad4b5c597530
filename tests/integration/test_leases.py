"""The rules of docs/leases.rst, seen from outside on the running process: dig, sockets, the control socket."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from appliance.commands.socket import Control
from tests.integration.process import ROOT, Running, dig, free_port, own_address, own_subnet, until

ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"
OPEN = "pressure: {cookie: 1.0, tcp: 1.0, reputation: 1.0}"
PERIOD = "period: {base: 4s, minimum: 2s, maximum: 60s, offer: 4s, grace: 1s, cooling: 3s}"


class Echo:
    """A server that answers every connection with its name, and goes on until the client ends."""

    def __init__(self, name: str, address: str = "", port: int = 0) -> None:
        self.name = name
        self.address = address or own_address()
        self._listener = socket.create_server((self.address, port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client:
            try:
                client.sendall(self.name.encode() + b"\n")
                while client.recv(4096):
                    client.sendall(self.name.encode() + b"\n")
            except OSError:
                return

    def close(self) -> None:
        # Else the thread that accepts would keep it open for one connection more.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class LeaseCase(TestCase):
    """A process with ``pool`` as its pool's keys, and helpers to ask it."""

    limit = "rate_limit: {responses_per_second: 0}, "
    """One client asks for all of them here."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.dns = own_address()
        self.dns_port = free_port(self.dns)
        self.network = own_subnet()
        self.port = free_port(f"{self.network}.1")
        self.running: Running | None = None

    def address(self, number: int) -> str:
        return f"{self.network}.{number}"

    def server(self, name: str) -> Echo:
        echo = Echo(name)
        self.addCleanup(echo.close)
        return echo

    def write(self, sites: dict[str, str], *, addresses: int, pool: str = f"{PERIOD}, {OPEN}", more: str = "") -> None:
        lines = "".join(f"  {name}.example.test: {{{text}}}\n" for name, text in sites.items())
        (self.folder / "appliance.yaml").write_text(
            f"appliance: {{state_directory: state, stop_timeout: 0s{more}}}\n"
            f"dns: {{listen: ['{self.dns}:{self.dns_port}'], {self.limit}"
            f'zones: {{example.test: {{records: "{ZONE}"}}}}}}\n'
            f"pools: {{public: {{addresses: [{self.address(1)}-{self.address(addresses)}], {pool}}}}}\n"
            f"sites:\n{lines}"
        )

    def start(self, *words: str) -> Running:
        self.running = Running("--config", str(self.folder / "appliance.yaml"), *words)
        self.addCleanup(self.running.stop)
        return self.running.started()

    def to(self, *servers: Echo, port: int | None = None) -> str:
        """A site's services and servers."""
        listed = ", ".join(f"{{address: {server.address}, port: {server.port}}}" for server in servers)
        return f"pool: public, services: [{{port: {port or self.port}}}], servers: [{listed}]"

    def dig(self, name: str, *words: str) -> str:
        return dig(f"@{self.dns}", "-p", str(self.dns_port), f"{name}.example.test", *words)

    def ask(self, name: str) -> tuple[str, int] | None:
        """(address, TTL), or None where there is no address."""
        found = re.search(r"\s(\d+)\sIN\sA\s(\S+)", self.dig(name, "+noall", "+answer"))
        return (found[2], int(found[1])) if found else None

    @contextmanager
    def connected(self, address: str, port: int | None = None) -> Iterator[tuple[socket.socket, str]]:
        """A connection, and the name that the server behind it says."""
        with socket.create_connection((address, port or self.port), timeout=10) as client:
            yield client, client.recv(100).decode().strip()

    def reached(self, address: str, port: int | None = None) -> str:
        with self.connected(address, port) as (_, name):
            return name

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "appliance.commands", "--control", str(self.folder / "state/control.sock"), *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=30,
        )

    def rows(self, what: str, *words: str) -> list[dict[str, Any]]:
        done = self.control(what, *words, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def told(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        """As :meth:`rows`, without a process for it: for what is asked again and again."""
        return Control(str(self.folder / "state/control.sock")).items(what, **parameters)

    def lease(self, name: str) -> dict[str, Any] | None:
        """The newest lease of a site."""
        mine = [row for row in self.told("leases") if row["site"] == f"{name}.example.test"]
        return max(mine, key=lambda row: float(row["granted_at"]), default=None)


class RuleTests(LeaseCase):
    def test_several_addresses(self) -> None:
        """1.5: a site with three servers grows to three addresses under connections, and shrinks back."""
        servers = [self.server(f"s{number}") for number in range(3)]
        self.write({"www": self.to(*servers) + ", addresses: 3"}, addresses=6)
        self.start()
        open_now: dict[str, socket.socket] = {}

        def grown() -> bool:
            answer = self.ask("www")
            if answer is not None and answer[0] not in open_now:
                client = socket.create_connection((answer[0], self.port), timeout=10)
                open_now[answer[0]] = client
            return len(open_now) == 3

        until(grown, "three addresses")
        said = {client.recv(100).decode().strip() for client in open_now.values()}
        self.assertEqual(said, {"s0", "s1", "s2"}, "one server each")
        counted = [answer[0] for _ in range(30) if (answer := self.ask("www"))]
        self.assertEqual(set(counted), set(open_now), "every server gets its part of the answers")
        busy = next(iter(open_now))
        more = [socket.create_connection((busy, self.port), timeout=10) for _ in range(20)]
        self.assertEqual(len({client.recv(100) for client in more}), 1, "all have been carried by now")
        # Who asks in the quarter of a second in which it was answered last is told the same.
        until(lambda: (answer := self.ask("www")) and answer[0] != busy, "another answer")
        answered = [answer[0] for _ in range(9) if (answer := self.ask("www"))]
        self.assertNotIn(busy, answered, "the one with the most requests is left alone")
        for client in [*open_now.values(), *more]:
            client.close()
        until(lambda: self.ask("www") and len(self.active("www")) == 1, "one address again", 60)

    def active(self, name: str) -> list[dict[str, Any]]:
        rows = self.rows("leases")
        return [row for row in rows if row["site"].startswith(name) and row["state"] in ("offered", "bound")]

    def test_pressure(self) -> None:
        """1.7: TTLs shrink as the pool fills, and grow again."""
        server = self.server("s")
        pool = "period: {base: 16s, minimum: 2s, offer: 16s, grace: 1s, cooling: 2s}, adequate: 0.9, " + OPEN
        self.write({f"s{number}": self.to(server) for number in range(6)}, addresses=6, pool=pool)
        self.start()
        ttls = [answer[1] for number in range(6) if (answer := self.ask(f"s{number}"))]
        self.assertEqual(ttls, sorted(ttls, reverse=True))
        self.assertTrue(ttls[0] >= 7 and ttls[-1] <= 2, ttls)
        for number in range(1, 6):
            self.control("release", self.address(number + 1), "--now")
        until(lambda: (answer := self.ask("s0")) is not None and answer[1] >= 7, "a long TTL again", 60)

    def test_demand(self) -> None:
        """1.8: the TTLs of a busy and of an idle site part."""
        server = self.server("s")
        pool = "period: {base: 10s, minimum: 2s, maximum: 100s, offer: 5s, grace: 1s, cooling: 2s}, " + OPEN
        self.write({"busy": self.to(server), "idle": self.to(server)}, addresses=9, pool=pool)
        self.start()
        for name in ("busy", "idle"):
            address = self.ask(name)[0]  # type: ignore[index]
            for _ in range(12 if name == "busy" else 1):
                self.assertEqual(self.reached(address), "s")
        busy, idle = self.ask("busy"), self.ask("idle")
        assert busy is not None and idle is not None
        self.assertTrue(busy[1] > 40 and idle[1] <= 10, (busy, idle))

    def test_two_phases(self) -> None:
        """1.10: an unused offer comes back early, and a used one becomes bound."""
        server = self.server("s")
        pool = "period: {base: 60s, minimum: 2s, offer: 2s, grace: 1s, cooling: 2s}, " + OPEN
        self.write({"used": self.to(server), "unused": self.to(server)}, addresses=9, pool=pool)
        self.start()
        addresses = {name: self.ask(name) for name in ("used", "unused")}
        self.assertEqual([answer and answer[1] for answer in addresses.values()], [2, 2])
        self.assertEqual(self.reached(addresses["used"][0]), "s")  # type: ignore[index]
        self.assertGreater(self.ask("used")[1], 30, "the whole period now")  # type: ignore[index]
        self.assertEqual(self.lease("used")["state"], "bound")  # type: ignore[index]
        until(lambda: (row := self.lease("unused")) is None or row["state"] == "cooling", "the offer to come back", 8)
        self.assertEqual(self.lease("used")["state"], "bound")  # type: ignore[index]

    def test_cooling_and_affinity(self) -> None:
        """1.11: after cooling for another site, at once for the former one; a late client still reaches its own."""
        one, two = self.server("one"), self.server("two")
        pool = "period: {base: 4s, minimum: 2s, offer: 2s, grace: 1s, cooling: 6s}, " + OPEN
        self.write({"one": self.to(one), "two": self.to(two)}, addresses=1, pool=pool)
        self.start()
        address = self.ask("one")[0]  # type: ignore[index]
        until(lambda: (row := self.lease("one")) and row["state"] == "cooling", "the lease to cool")
        self.assertIsNone(self.ask("two"))
        self.assertIn("no address is free", self.dig("two"))
        self.assertEqual(self.reached(address), "one", "a late client")
        self.assertEqual(self.ask("one")[0], address, "the former site")  # type: ignore[index]
        began = time.monotonic()
        until(lambda: self.ask("two") is not None, "the other site to get it", 40)
        self.assertGreater(time.monotonic() - began, 6.0, "it had to cool")
        self.assertEqual(self.reached(address), "two")

    def test_sharing_by_service(self) -> None:
        """1.12: three sites on three ports share an address, and keep their traffic when one of them ends."""
        ports = {
            "ssh": free_port(self.address(1)),
            "mail": free_port(self.address(1)),
            "web": free_port(self.address(1)),
        }
        servers = {name: self.server(name) for name in ports}
        sites = {name: self.to(servers[name], port=ports[name]) for name in ports}
        self.write(sites, addresses=2, pool=f"{PERIOD}, {OPEN}, share_by_service: true")
        running = self.start()
        addresses = {self.ask(name)[0] for name in ports}  # type: ignore[index]
        self.assertEqual(len(addresses), 1)
        [address] = addresses
        with self.connected(address, ports["ssh"]) as (ssh, said), self.connected(address, ports["mail"]) as (mail, _):
            self.assertEqual(said, "ssh")
            self.write({name: sites[name] for name in ("ssh", "mail")}, addresses=2,
                       pool=f"{PERIOD}, {OPEN}, share_by_service: true")  # fmt: skip
            running.hang_up()
            until(lambda: all(row["site"][:3] != "web" for row in self.told("leases")), "web to be gone", 40)
            for client, name in ((ssh, "ssh"), (mail, "mail")):
                client.sendall(b"still there?")
                self.assertEqual(client.recv(100).decode().strip(), name)
            with self.assertRaises(OSError):
                self.reached(address, ports["web"])

    def test_a_used_site_that_nobody_asks_for(self) -> None:
        """1.6: its lease is reset again and again, and the first question after the silence is answered (1.2)."""
        server = self.server("s")
        pool = "period: {base: 2s, minimum: 1s, maximum: 2s, offer: 1s, grace: 1s, cooling: 2s}, " + OPEN
        self.write({"www": self.to(server)}, addresses=2, pool=pool)
        running = self.start()
        address = self.ask("www")[0]  # type: ignore[index]
        with self.connected(address):
            until(lambda: running.output().count("lease-reset: ") >= 5, "five resets")
            self.assertEqual(self.ask("www")[0], address)  # type: ignore[index]
            self.assertNotIn("pool-exhausted", running.output())

    def test_hold(self) -> None:
        """Connections reset a lease up to ``hold``; then it drains, and what is left is ended."""
        server = self.server("s")
        pool = "period: {base: 2s, minimum: 1s, maximum: 2s, offer: 1s, grace: 1s, cooling: 2s, hold: 4s}, " + OPEN
        self.write({"www": self.to(server) + ", timeouts: {drain: 2s}"}, addresses=2, pool=pool)
        self.start()
        address = self.ask("www")[0]  # type: ignore[index]
        with self.connected(address) as (client, _):
            # Asked for all the time: questions must not keep the lease from its end.
            until(lambda: (answer := self.ask("www")) is not None and answer[0] != address, "another address")
            client.settimeout(30)
            with self.assertRaises(ConnectionResetError):
                while client.recv(100):
                    pass


class GateTests(LeaseCase):
    """1.9: who may have a new lease when addresses are short."""

    def test_tiers(self) -> None:
        """A truncated answer, a cookie that opens the gate, and TCP that opens the next; what is leased is answered."""
        server = self.server("s")
        pool = f"{PERIOD.replace('base: 4s', 'base: 30s').replace('offer: 4s', 'offer: 30s')}, adequate: 0"
        pool += ", quota: {per_source: 99}"
        self.write({f"s{number}": self.to(server) for number in range(10)}, addresses=10, pool=pool)
        self.start()
        plain = ("+nocookie", "+ignore", "+noall", "+comments", "+answer")
        for number in range(5):
            self.assertIn("NOERROR", self.dig(f"s{number}", *plain))
        refused = self.dig("s5", *plain)
        self.assertIn(" tc", refused.split("flags:")[1].split(";")[0])
        self.assertIsNone(self.lease("s5"))
        self.assertIn("ANSWER: 1", self.dig("s0", *plain), "a name that is leased is answered to anyone")
        learnt = re.search(r"COOKIE: ([0-9a-f]{48})", self.dig("s5", "+cookie", "+ignore"))
        assert learnt is not None
        self.assertIn("ANSWER: 1", self.dig("s5", f"+cookie={learnt[1]}", "+ignore"))
        forged = learnt[1][:-2] + ("00" if learnt[1][-2:] != "00" else "11")
        self.assertIn(" tc", self.dig("s6", f"+cookie={forged}", "+ignore").split("flags:")[1].split(";")[0])
        self.assertIn("ANSWER: 1", self.dig("s6", "+nocookie"), "dig comes back over TCP")
        self.assertIn("ANSWER: 1", self.dig("s7", f"+cookie={learnt[1]}", "+ignore"))
        self.assertIn(" tc", self.dig("s8", f"+cookie={learnt[1]}", "+ignore").split("flags:")[1].split(";")[0])
        self.assertIn("ANSWER: 1", self.dig("s8", "+tcp"))
        said = json.loads(self.control("status", "--json").stdout)["grants"]
        self.assertEqual((said["granted"], said["cookie"] >= 2, said["tcp"]), (9, True, 1))

    def test_quota(self) -> None:
        """Offers that wait for a connection, per network; one that is used makes room for the next."""
        server = self.server("s")
        pool = f"{PERIOD.replace('offer: 4s', 'offer: 30s').replace('base: 4s', 'base: 60s')}, adequate: 0, {OPEN}"
        pool += ", quota: {per_source: 2}"
        self.write({f"s{number}": self.to(server) for number in range(4)}, addresses=9, pool=pool)
        self.start()
        address = self.ask("s0")[0]  # type: ignore[index]
        self.ask("s1")
        self.assertIn("too many unused leases", self.dig("s2"))
        self.assertIsNotNone(self.ask("s1"), "what is leased is renewed")
        self.reached(address)
        self.assertIsNotNone(self.ask("s2"))


class ControlTests(LeaseCase):
    """The commands."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.server("one"), self.server("two")
        self.write({"one": self.to(self.one), "two": self.to(self.two)}, addresses=3)

    def test_the_socket_is_private(self) -> None:
        """Mode 600, in a folder of mode 700."""
        self.start()
        path = self.folder / "state" / "control.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)

    def test_lists(self) -> None:
        """As a table, and as JSON with the API's fields.  The lease outlives the commands."""
        lasting = PERIOD.replace("4s", "60s")
        self.write({"one": self.to(self.one), "two": self.to(self.two)}, addresses=3, pool=f"{lasting}, {OPEN}")
        self.start()
        answer = self.ask("one")
        assert answer is not None
        [row] = self.rows("leases")
        self.assertLessEqual(
            {"address", "site", "server", "state", "granted_at", "promised_until", "ends_at", "connections", "keys"},
            row.keys(),
        )
        self.assertEqual(
            (row["address"], row["site"], row["keys"]), (answer[0], "one.example.test", [f"{self.port}/tcp"])
        )
        self.assertTrue(abs(row["granted_at"] - time.time()) < 5)
        self.assertRegex(self.control("leases").stdout, rf"(?m)^{answer[0]} +one\.example\.test +.* offered ")
        self.assertIn("all is well", self.control("status").stdout)
        self.assertEqual([row["pool"] for row in self.rows("pools")], ["public"])
        self.assertEqual([row["addresses"] for row in self.rows("sites")], [[answer[0]], []])
        before = self.rows("leases")[0]["promised_until"]
        said = self.control("explain", "one.example.test").stdout
        self.assertIn("base 60 s x demand 0.5 x pressure 1", said)
        self.assertEqual(self.rows("leases")[0]["promised_until"], before, "explaining changes nothing")
        self.assertIn("NXDOMAIN", self.control("explain", "no.example.test").stdout)

    def test_release(self) -> None:
        """Drain, or end at once; the site gets another address meanwhile."""
        self.start()
        address = self.ask("one")[0]  # type: ignore[index]
        with self.connected(address) as (client, _):
            self.assertIn("draining", self.control("release", address).stdout)
            self.assertNotEqual(self.ask("one")[0], address)  # type: ignore[index]
            client.sendall(b"x")
            self.assertEqual(client.recv(100), b"one\n")
            self.assertIn("ended", self.control("release", address, "--now").stdout)
            with self.assertRaises(ConnectionResetError):
                while client.recv(100):
                    pass
        refused = self.control("release", "192.0.2.1")
        self.assertEqual((refused.returncode, refused.stderr), (1, "appliance: nobody holds 192.0.2.1\n"))

    def test_pin(self) -> None:
        """It waits for the holder, is promised for the maximum, survives a restart, and cools when it is unpinned."""
        running = self.start()
        address = self.ask("two")[0]  # type: ignore[index]
        self.assertIn("waiting", self.control("pin", "one.example.test", address).stdout)
        until(lambda: self.ask("one") == (address, 60), "the pin to stand", 30)
        self.assertEqual(self.reached(address), "one")
        running.stop()
        self.start()
        self.assertEqual(self.ask("one"), (address, 60))
        self.assertIn("unpinned", self.control("unpin", "one.example.test").stdout)
        self.assertEqual(self.lease("one")["state"], "cooling")  # type: ignore[index]
        self.assertNotEqual(self.ask("two")[0], address, "it was promised for the maximum")  # type: ignore[index]

    def test_history(self) -> None:
        """Who held an address, also after a restart, and when."""
        running = self.start()
        began = time.time()
        address = self.ask("one")[0]  # type: ignore[index]
        self.reached(address)
        [row] = self.rows("history", address)
        self.assertEqual((row["site"], row["until"], row["used"]), ("one.example.test", None, True))
        self.control("release", address, "--now")
        running.stop()
        self.start()
        row = self.rows("history", address)[-1]
        self.assertEqual((row["site"], row["used"]), ("one.example.test", True))
        self.assertTrue(began - 1 <= row["from"] <= row["until"] <= time.time() + 1, row)
        at = (row["from"] + row["until"]) / 2
        self.assertEqual(len(self.rows("history", address, "--at", str(at))), 1)
        self.assertEqual(self.rows("history", address, "--at", str(began - 60)), [])

    def test_wrong_words(self) -> None:
        """Exit 1 and a reason; nothing is changed."""
        self.start()
        for words, said in {
            ("pin", "no.example.test", "192.0.2.1"): "no.example.test is no site of the configuration",
            ("pin", "one.example.test", "x"): "'x' is no IPv4 address",
            ("pin", "one.example.test", "192.0.2.1"): "address not on this host",
            ("pin", "one.example.test", self.dns): "where the name server listens",
            ("pin", "one.example.test", self.one.address): "the address of a server",
            ("unpin", "one.example.test"): "nothing is pinned for it",
            ("explain", "one.example.test", "XYZ"): "is no question",
            ("history", "::1"): "'::1' is no IPv4 address",
            ("history", "127.0.0.1", "--at", "noon"): "'noon' is no time",
            ("history", "127.0.0.1", "--at", "nan"): "'nan' is no Unix time",
            ("history", "127.0.0.1", "--at", "1e300"): "is no Unix time",
        }.items():
            done = self.control(*words)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(said, done.stderr)
        elsewhere = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "--control", "/nowhere/c.sock", "status"],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        self.assertEqual(elsewhere.returncode, 1)
        self.assertIn("is the process running", elsewhere.stderr)


class StateTests(LeaseCase):
    """What is on the disk is found again."""

    def setUp(self) -> None:
        super().setUp()
        self.echo = self.server("s")
        pool = (
            "period: {base: 60s, minimum: 2s, offer: 60s, grace: 1s, cooling: 3s}, adequate: 0, "
            "quota: {per_source: 99}, " + OPEN
        )
        self.write({f"s{number}": self.to(self.echo) for number in range(20)}, addresses=20, pool=pool)

    def test_after_kill_and_after_term(self) -> None:
        """The same addresses for the same sites; nobody else gets one."""
        running = self.start()
        held = {name: self.ask(name)[0] for name in ("s0", "s1")}  # type: ignore[index]
        for end in (signal.SIGKILL, signal.SIGTERM):
            running.process.send_signal(end)
            running.ended()
            running = self.start()
            self.assertEqual({row["site"][:2]: row["address"] for row in self.rows("leases")}, held)
            self.assertEqual(self.reached(held["s0"]), "s", "its data path stands")
        self.assertEqual(self.ask("s0")[0], held["s0"])  # type: ignore[index]
        self.assertNotIn(self.ask("s2")[0], held.values())  # type: ignore[index]

    def test_one_process_at_a_time(self) -> None:
        """A second one is refused, with the first one's pid."""
        running = self.start()
        other = own_address()
        text = (self.folder / "appliance.yaml").read_text().replace(self.dns, other)
        (self.folder / "second.yaml").write_text(text)
        second = Running("--config", str(self.folder / "second.yaml"))
        self.addCleanup(second.stop)
        self.assertEqual(second.ended(), 1)
        self.assertIn(str(running.process.pid), second.output())
        self.assertNotIn("Traceback", second.output())

    def test_a_torn_journal(self) -> None:
        """Half a record at the end is dropped with a warning."""
        running = self.start()
        self.ask("s0")
        running.process.kill()
        running.ended()
        with (self.folder / "state" / "journal.yaml").open("ab") as journal:
            journal.write(b'--- {"seq": 99, "boo')
        self.start()
        self.assertEqual(len(self.rows("leases")), 1)

    def test_a_damaged_journal(self) -> None:
        """Stops the start with file and line; with --recover what can be proved is kept, and the rest cools."""
        running = self.start()
        address = self.ask("s0")[0]  # type: ignore[index]
        self.ask("s1")
        running.process.kill()
        running.ended()
        path = self.folder / "state" / "journal.yaml"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[-1] = lines[-1].replace(b"s1.example", b"sX.example")
        path.write_bytes(b"".join(lines))
        refused = Running("--config", str(self.folder / "appliance.yaml"))
        self.addCleanup(refused.stop)
        self.assertEqual(refused.ended(), 1)
        self.assertIn(f"journal.yaml:{len(lines)}", refused.output())
        self.assertIn("--recover", refused.output())
        self.start("--recover")
        self.assertEqual(self.ask("s0")[0], address)  # type: ignore[index]
        self.assertIsNone(self.ask("s2"), "who knows who was promised the others")

    def test_usr1_and_snapshot(self) -> None:
        """Both write a snapshot that a person can read."""
        running = self.start()
        self.ask("s0")
        self.assertEqual(self.control("snapshot").stdout, "written\n")
        text = (self.folder / "state" / "snapshot.yaml").read_text()
        self.assertIn("s0.example.test", text)
        self.assertIn('"format": 1', text.splitlines()[0])
        running.process.send_signal(signal.SIGUSR1)
        running.wait_for("snapshot-written")

    def test_a_full_disk(self) -> None:
        """Existing leases go on, new ones are refused, it is said, and it heals by itself."""
        if os.geteuid() != 0:
            return
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(state)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(state)], check=True)
        running = self.start()
        address = self.ask("s0")[0]  # type: ignore[index]
        filler = state / "filler"
        with filler.open("wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(b"x" * 1024)
        # What is left of the journal's last page takes some records more.
        answers = [self.dig(f"s{number}", "+noall", "+comments") for number in range(1, 19)]
        self.assertTrue(any("SERVFAIL" in answer for answer in answers), answers)
        self.assertIn("Not Ready", self.dig("s19"))
        self.assertEqual(self.ask("s0")[0], address)
        self.assertEqual(self.reached(address), "s")
        self.assertIn("ALARM  no new leases", self.control("status").stdout)
        self.assertEqual(running.output().count("journal-failed"), 1)
        filler.unlink()
        running.wait_for("journal-recovered")
        self.assertIsNotNone(self.ask("s19"))
        self.assertNotIn("ALARM", self.control("status").stdout)
        self.assertNotIn("Traceback", running.output())
