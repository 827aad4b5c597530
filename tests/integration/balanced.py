"""
A site, its servers and its clients, for what is seen of balancing from outside: all on loopback, where every client may
have an address of its own.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from appliance.commands.socket import Control
from tests.integration.hosts import Host
from tests.integration.process import PATIENCE, ROOT, Running, dig, free_port, own_address, tool, until

SITE = "www.example.test"
ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\n@ 60 NS ns1\nns1 60 A 127.0.0.1\n"
PERIOD = {"base": "60s", "offer": "60s", "grace": "1s", "cooling": "1s"}


class Origin:
    """
    A server that answers each request with its name, over HTTP or plain lines.

    :param address: its own, on ``host``; by default one of loopback.
    :ivar greeting: what it says to everybody at once, ``pause``: and how long it thinks about a request.
    :ivar peers: address and port of each connection that it had.
    :ivar live: how many it has, ``most``: and had at once.
    """

    def __init__(self, case: TestCase, name: str, address: str = "", host: Host | None = None) -> None:
        self.name = name
        self.address = address or own_address()
        self.port = 0
        self._host = host
        self.greeting = b""
        self.pause = 0.0
        self.peers: list[tuple[str, int]] = []
        self.live = self.most = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.rise()
        case.addCleanup(self.fall)
        case.addCleanup(self._ended.set)

    def rise(self) -> None:
        """Listen, where it did before."""
        place = self.address, self.port
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET

        def listen() -> socket.socket:
            return socket.create_server(place, family=family, backlog=1024)

        self._listener = listen() if self._host is None else self._host.do(listen)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def fall(self) -> None:
        """Refuse from now on; what is there goes on.  Idempotent."""
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def configured(self, **keys: object) -> dict[str, object]:
        """An entry of ``servers``: refused once is refused."""
        return {"address": self.address, "port": self.port, "retries": 1, **keys}

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            with self._lock:
                self.peers.append(peer)
                self.live += 1
                self.most = max(self.most, self.live)
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        try:
            client.sendall(self.greeting)
            while request := client.recv(65536):
                self._ended.wait(self.pause)
                said = f"{self.name}\n".encode()
                if request.startswith(b"GET "):
                    said = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
                client.sendall(said)
        except OSError:
            pass
        finally:
            with self._lock:
                self.live -= 1
            client.close()


class BalancedCase(TestCase):
    """
    :ivar configuration: what the file says, as written by :meth:`write`; ``site`` is a part of it.
    :ivar address: the one that the site leases, ``through``: and what the process is run by.
    """

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "appliance.yaml"
        self.dns = own_address()
        self.dns_port = free_port(self.dns)
        self.address = own_address()
        self.port = free_port(self.address)
        self.site: dict[str, Any] = {"pool": "public", "services": [{"port": self.port}], "servers": []}
        self.configuration: dict[str, Any] = {
            "appliance": {"state_directory": "state", "stop_timeout": "0s", "fsync": "never"},
            "dns": {"listen": [f"{self.dns}:{self.dns_port}"], "zones": {"example.test": {"records": ZONE}}},
            "pools": {"public": {"addresses": [self.address], "period": PERIOD}},
            "servers": {},
            "sites": {SITE: self.site},
        }
        self.through: list[str] = []
        self.control = Control(str(self.folder / "state" / "control.sock"))

    # -- the process -------------------------------------------------------------------------------------------------

    def origin(self, name: str, **keys: object) -> Origin:
        """A server that the configuration knows under its name."""
        origin = Origin(self, name)
        self.configuration["servers"][name] = origin.configured(**keys)
        return origin

    def write(self) -> None:
        """JSON is YAML."""
        self.file.write_text(json.dumps(self.configuration, indent=1))

    def start(self) -> Running:
        """Run it until the site has its address."""
        self.write()
        self.running = Running("--config", str(self.file), through=self.through)
        self.addCleanup(self.running.stop)
        self.running.started()
        until(lambda: self.lookup() == self.address, "the site's address")
        return self.running

    def reload(self) -> None:
        self.write()
        self.appliance("reload")

    def lookup(self, site: str = SITE) -> str:
        return dig(f"@{self.dns}", "-p", str(self.dns_port), site, "+short").strip()

    def appliance(self, *words: str) -> str:
        """What the command prints."""
        socket_words = ("--control", str(self.folder / "state" / "control.sock"))
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", *socket_words, *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def row(self, what: str, **wanted: object) -> Mapping[str, Any]:
        """The one row of a list that has these values."""
        [found] = [row for row in self.control.items(what) if wanted.items() <= row.items()]
        return found

    def until_row(self, what: str, wanted: Mapping[str, object], **values: object) -> None:
        """Wait until the row that has the values of ``wanted`` has ``values`` too."""
        seen: list[object] = []

        def has_come() -> bool:
            row = self.row(what, **wanted)
            seen[:] = [row]
            return values.items() <= row.items()

        try:
            until(has_come, f"{values} in {what} of {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None

    def alarms(self) -> list[str]:
        found: list[str] = self.control.get("status")["alarms"]
        return found

    # -- clients -----------------------------------------------------------------------------------------------------

    def connect(self, source: str = "127.0.0.1", address: str = "", port: int = 0) -> socket.socket:
        """A client that says nothing yet; by default of the leased address."""
        place = address or self.address, port or self.port
        sock = socket.create_connection(place, PATIENCE, source_address=(source, 0))
        self.addCleanup(sock.close)
        return sock

    def ask(self, source: str = "127.0.0.1") -> str:
        """The name of the server that answers, ``reset``, or nothing where the end comes."""
        try:
            with self.connect(source) as client:
                return said_to(client)
        except ConnectionResetError:
            return "reset"

    def curl(self, source: str = "127.0.0.1", *words: str) -> subprocess.CompletedProcess[str]:
        """As a person would ask: by the site's name, which dig looked up."""
        place = f"{SITE}:{self.port}:{self.lookup()}"
        command = [tool("curl", "curl"), "-sS", "-m", "9", "--interface", source, "--resolve", place, *words]
        return subprocess.run(
            [*command, f"http://{SITE}:{self.port}/"], capture_output=True, text=True, check=False, timeout=PATIENCE
        )


def said_to(client: socket.socket) -> str:
    """What the server says when it is asked."""
    try:
        client.sendall(b"who\n")
        return client.recv(65536).decode().strip()
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
