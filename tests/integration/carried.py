"""
A running process that carries the traffic of one leased address, and the servers behind it, each with its own manners.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dns.message
import dns.query

from appliance.commands.socket import Control
from tests.integration.process import PATIENCE, own_address, until
from tests.integration.test_leases import OPEN, LeaseCase

LASTING = f"period: {{base: 10m, minimum: 10m, maximum: 10m, offer: 10m}}, {OPEN}"
"""Of a pool: leases that no test outlives."""


class Origin:
    """
    A server: says its name, and then repeats what it is told, until the client ends.

    :ivar clients: those that it has accepted, in their order.
    """

    def __init__(self, name: str, address: str = "", port: int = 0) -> None:
        self.name = name
        self.address = address or own_address()
        self.port = port
        self.clients: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.serve()

    def serve(self) -> None:
        """Take connections; also after :meth:`refuse` and :meth:`ignore`."""
        if self._listener is None:
            self._listener = socket.create_server((self.address, self.port), backlog=1024)
            self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._empty()

    def refuse(self) -> None:
        """Connections that are there go on, new ones are refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):  # it never accepted
                listener.shutdown(socket.SHUT_RDWR)  # wakes its thread
            listener.close()
        self._empty()

    def ignore(self) -> None:
        """Connections that are there go on, new ones are not answered: the queue of those to be accepted is full."""
        self.refuse()
        self._listener = socket.create_server((self.address, self.port), backlog=0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.address, self.port))
            self._fillers.append(filler)

    def close(self) -> None:
        self.refuse()
        for client in self.clients:
            client.close()

    def talk(self, client: socket.socket) -> None:
        """In a thread of its own, with a client that has just come."""
        client.sendall(self.name.encode() + b"\n")
        while said := client.recv(65536):
            client.sendall(said)

    def _empty(self) -> None:
        while self._fillers:
            self._fillers.pop().close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.clients.append(client)
            self.receive(client)

    def receive(self, client: socket.socket) -> None:
        """One that has just come."""
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            self.talk(client)


class CarriedCase(LeaseCase):
    """A site ``www`` that leases, and what a test wants to know of it."""

    def origin(self, name: str, kind: type[Origin] = Origin, **more: Any) -> Origin:
        origin = kind(name, **more)
        self.addCleanup(origin.close)
        return origin

    def configure(
        self, servers: dict[Origin, str], site: str = "", *, services: str = "", sections: str = "", process: str = ""
    ) -> None:
        """
        :param servers: all that are configured, with their keys.
        :param site: more keys of the site.
        :param services: the site's; default: the one port.
        :param sections: more of the file.
        :param process: more of what is said of the process, with a comma in front.
        """
        names = ", ".join(origin.name for origin in servers)
        keys = f"pool: public, services: [{services or f'{{port: {self.port}}}'}], servers: [{names}]"
        self.write({"www": f"{keys}, {site}" if site else keys}, addresses=1, pool=LASTING, more=process)
        with (self.folder / "appliance.yaml").open("a") as file:
            file.write("servers:\n")
            for origin, its in servers.items():
                place = f"address: {origin.address}, port: {origin.port}"
                file.write(f"  {origin.name}: {{{place}{', ' + its if its else ''}}}\n")
            file.write(sections)

    def carry(self) -> str:
        """Start it; :return: the leased address."""
        self.start()
        found = self.ask("www")
        assert found is not None, self.dig("www")
        return found[0]

    def restart(self) -> None:
        """kill -9, and a new start."""
        assert self.running is not None
        self.running.process.kill()
        self.running.ended()
        self.start()

    def reload(self, *said: str) -> None:
        """HUP, and until the log says what became of it."""
        assert self.running is not None
        seen = len(self.running.lines)
        self.running.hang_up()
        running = self.running
        until(lambda: any("reloaded" in line for line in running.lines[seen:]), "reloaded")

    def verb(self, *words: str) -> str:
        """What a command of ``appliance`` prints."""
        done = self.control(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = Control(str(self.folder / "state/control.sock")).get("status")
        return found

    def known(self, server: str) -> dict[str, Any]:
        """What is known of a server."""
        [row] = [row for row in self.told("servers") if row["server"] == server]
        return row

    def settled(self, **wanted: Any) -> None:
        """Until the only server's row, or that of ``server``, is as wanted."""
        name = wanted.pop("server")
        until(lambda: all(self.known(name)[key] == value for key, value in wanted.items()), f"{name}: {wanted}")

    def empty(self) -> None:
        """Until nothing is carried."""
        until(lambda: not self.told("connections"), "no connections")

    def client(self, address: str, source: str = "", port: int | None = None) -> socket.socket:
        """A connection to the leased address."""
        client = socket.create_connection((address, port or self.port), PATIENCE, source_address=(source, 0))
        self.addCleanup(client.close)
        return client

    @contextmanager
    def asking(self, most: float = 1.0) -> Iterator[None]:
        """DNS is asked all the while, fifty times a second; each question is answered, within ``most`` seconds."""
        query = dns.message.make_query("ns1.example.test", "A")
        over = threading.Event()
        took: list[float] = []
        problems: list[BaseException] = []

        def ask() -> None:
            while not over.wait(0.02):
                begun = time.monotonic()
                try:
                    dns.query.udp(query, self.dns, 5.0, self.dns_port)
                except Exception as problem:
                    problems.append(problem)
                took.append(time.monotonic() - begun)

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            yield
        finally:
            over.set()
            asker.join()
        self.assertEqual(problems, [])
        self.assertTrue(took)
        self.assertLess(max(took), most)

    def grown(self) -> int:
        """How many bytes the process has become larger by since the first call."""
        assert self.running is not None
        pages = int(Path(f"/proc/{self.running.process.pid}/statm").read_text().split()[1])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        self._size = getattr(self, "_size", size)
        return size - self._size

    @contextmanager
    def visit(self, address: str, source: str = "", port: int | None = None) -> Iterator[tuple[socket.socket, str]]:
        """A connection, and the name that the server behind it says; empty for an end without one."""
        with self.client(address, source, port) as client:
            yield client, line(client)

    def reaches(self, address: str, source: str = "", port: int | None = None) -> str:
        """The name of the server behind it, or ``reset``."""
        try:
            with self.visit(address, source, port) as (_, name):
                return name
        except ConnectionResetError:  # before the client knew that it was connected
            return "reset"


def line(client: socket.socket) -> str:
    """The next line, without its end; a reset is ``reset``, and an end what came before it."""
    got = b""
    with suppress(ConnectionResetError):
        while not got.endswith(b"\n"):
            more = client.recv(1)
            if not more:
                break
            got += more
        return got.decode().removesuffix("\n")
    return "reset"


def echoes(client: socket.socket, said: bytes = b"still here\n") -> bool:
    """Does the server behind it answer?"""
    client.sendall(said)
    return line(client) == said.decode().strip()


def abort(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
