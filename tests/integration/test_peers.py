"""
The listener for other POPs and the vital signs, on the running process, with curl and with peers that misbehave.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from appliance.commands.socket import Control
from appliance.peering import parse_load, parse_rows
from tests.integration.hosts import Host, need_namespaces
from tests.integration.process import PATIENCE, Running, free_port, own_address, tool, until

CONFIGURATION = """
appliance: {{name: ams1, state_directory: {folder}/state, stop_timeout: 0s}}
dns:
  listen: [{address}:{dns_port}]
  zones:
    example.test:
      records: |
        @ 60 SOA ns1 hostmaster 1 7200 3600 1209600 5
        @ 60 NS ns1
        ns1 60 A 127.0.0.1
pops:
  ams1: {{address: 192.0.2.1, capacity: 500}}
control:
  peers: {{listen: "{listen}", allow: [{allow}]}}
"""


class Setting(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.folder)], check=True)
        self.file = self.folder / "appliance.yaml"
        self.address = own_address()
        self.port = free_port(self.address)
        self.values = {
            "folder": self.folder,
            "address": self.address,
            "dns_port": free_port(self.address),
            "listen": f"{self.address}:{self.port}",
            "allow": "",
        }
        self.write()

    def write(self, **values: object) -> None:
        self.values.update(values)
        self.file.write_text(CONFIGURATION.format(**self.values))

    def run_it(self, through: tuple[str, ...] = ()) -> Running:
        running = Running("--config", str(self.file), through=through)
        self.addCleanup(running.stop)
        return running.started()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = Control(str(self.folder / "state" / "control.sock")).get("status")
        return found

    def curl(self, path: str, *words: str, through: tuple[str, ...] = (), host: str = "") -> tuple[int, str, str]:
        """(status, head, body); status 0 where there was no answer."""
        command = [*through, tool("curl", "curl"), "-s", "-i", "--max-time", "5", "--noproxy", "*", *words]
        where = f"http://{host or self.address}:{self.port}{path}"
        said = subprocess.run([*command, where], capture_output=True, check=False, timeout=PATIENCE).stdout.decode()
        head, _, body = said.replace("\r\n", "\n").partition("\n\n")
        return int(head.split()[1]) if head else 0, head.lower(), body

    def connect(self) -> socket.socket:
        sock = socket.create_connection((self.address, self.port), PATIENCE)
        self.addCleanup(sock.close)
        return sock


class PeersTests(Setting):
    def test_pages(self) -> None:
        """With curl: what there is, what there is not, and that what is known is not sent again."""
        self.run_it()
        status, _, body = self.curl("/load")
        load = parse_load(body.encode())
        self.assertEqual((status, load.connections, load.capacity), (200, 0.0, 500.0))
        assert load.memory is not None
        self.assertTrue(0 < load.memory < 1)
        self.assertEqual(set(json.loads(body)) - {"cpu", "lag", "egress"}, {"memory", "connections", "capacity"})
        status, head, body = self.curl("/ping")
        self.assertEqual((status, body), (200, "pong\n"))
        self.assertIn("cache-control: no-store", head)
        status, head, body = self.curl("/rows")
        rows = parse_rows(body.encode())
        self.assertEqual((status, rows.observer), (200, "ams1"))
        self.assertTrue(abs(rows.epoch - time.time()) < 60)
        self.assertGreater(parse_rows(self.curl("/rows")[2].encode()).version, rows.version, "nobody takes one twice")
        self.assertEqual(self.curl("/api/v1/status")[0], 404)
        self.assertEqual(self.curl("/load", "-d", "x")[0], 405)
        self.assertEqual(self.curl("/load", "-I")[0], 200)

    def test_kept_alive(self) -> None:
        """Requests share a connection; one that is idle does not hold up the end of the process."""
        running = self.run_it()
        url = f"http://{self.address}:{self.port}"
        words = [tool("curl", "curl"), "-s", "-o", "/dev/null", "-w", "%{num_connects} ", "--noproxy", "*"]
        done = subprocess.run(
            [*words, f"{url}/ping", "-o", "/dev/null", f"{url}/load", "-o", "/dev/null", f"{url}/rows"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(done.stdout, "1 0 0 ")
        idle = self.connect()
        idle.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"pong", idle.recv(4096))
        began = time.monotonic()
        running.stop()
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("stopped", running.output())

    def test_misbehaviour(self) -> None:
        """Garbage, a head without end, a byte now and then, many connections: they end, and others are served."""
        running = self.run_it()
        slow, began = self.connect(), time.monotonic()
        slow.sendall(b"GET /ping HTTP/1.1\r\n")
        for said in (os.urandom(4096) + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * (1 << 20), b"\r\n" * 999):
            with self.connect() as sock:
                sock.settimeout(PATIENCE)
                try:
                    sock.sendall(said)
                    while sock.recv(65536):
                        pass
                except ConnectionError:
                    pass
        crowd = [self.connect() for _ in range(300)]
        until(lambda: sum(self.is_closed(sock) for sock in crowd) == 300 - 63, "64 of one address are let in")
        for sock in crowd:
            sock.close()
        until(lambda: self.curl("/ping")[0] == 200, "it answers again")
        while not self.is_closed(slow) and time.monotonic() - began < 20:
            self.assertEqual(self.curl("/ping")[0], 200)
            with contextlib.suppress(ConnectionError):
                slow.sendall(b"x")
            time.sleep(0.5)
        self.assertTrue(9 < time.monotonic() - began < 15, time.monotonic() - began)
        self.assertNotIn("Traceback", running.output())

    def is_closed(self, sock: socket.socket) -> bool:
        sock.setblocking(False)
        try:
            return sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def test_a_port_in_use(self) -> None:
        with socket.create_server((self.address, self.port)):
            running = Running("--config", str(self.file))
            self.addCleanup(running.stop)
            self.assertEqual(running.ended(), 1)
        self.assertIn(f"control.peers: cannot open {self.address}:{self.port}", running.output())
        self.assertNotIn("Traceback", running.output())


class AccessTests(Setting):
    """On a host of its own, with addresses that are no loopback ones."""

    def test_who_is_let_in(self) -> None:
        """Who is not in the list is closed without a word; a reload lets others in; this host always is."""
        need_namespaces()
        host = Host()
        self.addCleanup(host.close)
        for address in ("192.0.2.1", "192.0.2.7", "192.0.2.66"):
            host.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        through = tuple(host.words())
        self.write(listen=f"0.0.0.0:{self.port}", allow="192.0.2.7")
        running = self.run_it(through)

        def seen_by(source: str, target: str = "192.0.2.1") -> int:
            return self.curl("/ping", "--interface", source, through=through, host=target)[0]

        self.assertEqual(
            [seen_by("192.0.2.7"), seen_by("192.0.2.66"), seen_by("127.0.0.2", "127.0.0.1")], [200, 0, 200]
        )
        self.write(allow="192.0.2.64/26")
        running.hang_up()
        running.wait_for("reloaded: all of it")
        self.assertEqual([seen_by("192.0.2.7"), seen_by("192.0.2.66")], [0, 200])
        self.write(listen=f"127.0.0.1:{self.port}")
        running.hang_up()
        running.wait_for("reloaded: at the next start: control.peers")


class VitalsTests(Setting):
    def test_status(self) -> None:
        """In JSON and for people; and a process that is stopped for a while was late."""
        running = self.run_it()
        until(lambda: self.status()["vitals"]["cpu"] is not None, "it has looked at the processors twice")
        vitals = self.status()["vitals"]
        self.assertTrue(0 <= vitals["process_cpu"] <= 1 and 0 < vitals["memory"] < 1, vitals)
        self.assertTrue(1e6 < vitals["resident_bytes"] < 1e9, vitals)
        self.assertTrue(3 < vitals["open_files"] < vitals["most_files"], vitals)
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        running.process.send_signal(signal.SIGCONT)
        lag = until(lambda: (found := self.status()["lag"])["worst"] > 0.8 and found, "the lateness shows")
        self.assertTrue(0.5 < lag["p99"] <= lag["worst"], lag)
        until(lambda: (parse_load(self.curl("/load")[2].encode()).lag or 0) > 0.5, "others are told")
