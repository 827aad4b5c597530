"""
The same clients and servers through HAProxy (tcp mode) and through us: bytes, order of ends, FIN or reset.

What differs is listed below, with why; a difference that is not there, and one that is there no more, fails.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.process import Running, free_port, own_address, tool, until

PATIENCE = 10.0
MANY = os.urandom(4_000_000)

DIFFERENCES = {
    "the server resets": "HAProxy says an end, as if all had come; what was cut off must not look whole",
    "the server resets after the client's end": "the same",
    "nobody listens": "the same: HAProxy says an end, which a client takes for an empty answer",
}
"""By scenario."""

HAPROXY = """
global
    nbthread 1
    maxconn 100
defaults
    mode tcp
    timeout connect 3s
    timeout client 20s
    timeout server 20s
    retries 0
listen one
    bind {address}:{port}
    server one {origin}:{origin_port}
"""
APPLIANCE = """
appliance: {{state_directory: none, stop_timeout: 0s}}
dns:
  listen: ['{dns}:{dns_port}']
  zones:
    example.test:
      records: |
        @ 60 SOA ns1 h 1 7200 3600 1209600 60
        @ 60 NS ns1
        ns1 60 A 127.0.0.1
sites:
  www.example.test:
    address: {address}
    services: [{{port: {port}, to: {origin_port}}}]
    servers: [{{address: {origin}, retries: 1}}]
"""


class Peer:
    """One end of a scenario: does things, and notes what it sees."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.sock = sock
        self.seen: list[str] = []

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            self.seen.append("cannot send")

    def read(self, count: int) -> None:
        """Exactly so many bytes."""
        data = b""
        while len(data) < count and (part := self.sock.recv(count - len(data))):
            data += part
        self.seen.append(_told(data))

    def read_to_the_end(self) -> None:
        data, end = b"", "end"
        try:
            while part := self.sock.recv(65536):
                data += part
        except ConnectionResetError:
            # How much of it was read before is chance: a reset throws away what waits.
            self.seen.append("reset")
            return
        self.seen.append(f"{_told(data)}, {end}")

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def _told(data: bytes) -> str:
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:8]}"


Script = Callable[[Peer], None]


def _echo(peer: Peer) -> None:
    peer.read(5)
    peer.send(b"HELLO")
    peer.read_to_the_end()
    peer.close()


def _asks(peer: Peer) -> None:
    peer.send(b"hello")
    peer.read(5)
    peer.half_close()
    peer.read_to_the_end()


def _asks_and_ends(peer: Peer) -> None:
    peer.send(b"x" * 1000)
    peer.half_close()
    peer.read_to_the_end()


def _answers_the_end(peer: Peer) -> None:
    peer.read_to_the_end()
    peer.send(MANY)
    peer.close()


def _ends_first(peer: Peer) -> None:
    peer.send(b"banner")
    peer.half_close()
    peer.read_to_the_end()
    peer.close()


def _talks_on(peer: Peer) -> None:
    peer.read_to_the_end()
    peer.send(MANY)
    peer.close()


def _resets(peer: Peer) -> None:
    peer.read(5)
    peer.send(b"half of the ans")
    peer.reset()


def _asks_once(peer: Peer) -> None:
    peer.send(b"hello")
    peer.read_to_the_end()


def _resets_after_the_end(peer: Peer) -> None:
    peer.read_to_the_end()
    peer.reset()


def _resets_as_client(peer: Peer) -> None:
    peer.send(b"hello")
    peer.read(5)
    peer.reset()


def _answers_and_waits(peer: Peer) -> None:
    peer.read(5)
    peer.send(b"HELLO")
    peer.read_to_the_end()


def _closes_at_once(peer: Peer) -> None:
    peer.close()


def _sends_much(peer: Peer) -> None:
    peer.send(MANY)
    peer.half_close()
    peer.read_to_the_end()


def _reads_all(peer: Peer) -> None:
    peer.read_to_the_end()
    peer.send(b"thanks")
    peer.close()


def _says_nothing(peer: Peer) -> None:
    peer.read_to_the_end()


SCENARIOS: dict[str, tuple[Script, Script | None]] = {
    "question and answer": (_asks, _echo),
    "the client ends before the answer": (_asks_and_ends, _answers_the_end),
    "the server ends first": (_talks_on, _ends_first),
    "the server resets": (_asks_once, _resets),
    "the server resets after the client's end": (_asks_and_ends, _resets_after_the_end),
    "the client resets": (_resets_as_client, _answers_and_waits),
    "the server closes at once": (_says_nothing, _closes_at_once),
    "much from the client": (_sends_much, _reads_all),
    "nobody listens": (_asks_once, None),
}


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin, self.haproxy, self.ours, dns = (own_address() for _ in range(4))
        self.listener = socket.create_server((self.origin, 0))
        self.addCleanup(lambda: self.listener.close())
        self.origin_port = int(self.listener.getsockname()[1])
        self.port = free_port(self.haproxy)
        places = {
            "port": self.port,
            "origin": self.origin,
            "origin_port": self.origin_port,
            "dns": dns,
            "dns_port": free_port(dns),
        }
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(lambda: subprocess.run(["rm", "-r", str(folder)], check=True))
        (folder / "haproxy.cfg").write_text(HAPROXY.format(address=self.haproxy, **places))
        (folder / "appliance.yaml").write_text(APPLIANCE.format(address=self.ours, **places))
        peer = subprocess.Popen([tool("haproxy", "haproxy"), "-db", "-f", str(folder / "haproxy.cfg")])
        self.addCleanup(peer.wait)
        self.addCleanup(peer.terminate)
        running = Running("--config", str(folder / "appliance.yaml")).started()
        self.addCleanup(running.stop)
        for address in (self.haproxy, self.ours):
            until(lambda address=address: self._listens(address), f"{address} listens")  # type: ignore[misc]

    def _listens(self, address: str) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex((address, self.port)):
                return False
        self.listener.settimeout(1)
        try:
            self.listener.accept()[0].close()
        except TimeoutError:
            return False
        return True

    def play(self, proxy: str, client: Script, server: Script | None) -> tuple[list[str], list[str]]:
        """:return: what the client and the server have seen."""
        if server is None:
            self.listener.close()
        try:
            ours = Peer(socket.create_connection((proxy, self.port), PATIENCE))
        except ConnectionResetError:
            # The reset came before the connect had returned; a client that reads sees it there.
            return ["reset"], []
        theirs: list[Peer] = []
        acting = threading.Thread(target=client, args=(ours,))
        acting.start()
        if server is not None:
            self.listener.settimeout(PATIENCE)
            theirs.append(Peer(self.listener.accept()[0]))
            server(theirs[0])
        acting.join(PATIENCE)
        self.assertFalse(acting.is_alive(), "the client is stuck")
        for peer in (ours, *theirs):
            peer.close()
        return ours.seen, [line for peer in theirs for line in peer.seen]

    def test_the_same_scripts(self) -> None:
        different = {}
        for name, (client, server) in SCENARIOS.items():
            theirs, ours = (self.play(proxy, client, server) for proxy in (self.haproxy, self.ours))
            if theirs != ours:
                different[name] = f"HAProxy {theirs}; ours {ours}"
        self.assertEqual(set(different), set(DIFFERENCES), different)
