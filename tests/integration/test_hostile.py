"""Clients and servers without manners, on the running process: what others get, and what it costs."""

from __future__ import annotations

import selectors
import signal
import socket
import time

from tests.integration.carried import CarriedCase, Origin, abort, line
from tests.integration.process import PATIENCE, own_address, until

LARGE = 1 << 30
FEW = 16 << 20
"""Bytes that the process may grow by; what it holds for one connection is far less, what passes is far more."""


class Quiet(Origin):
    """It takes connections, and says nothing."""

    def receive(self, client: socket.socket) -> None:
        pass


class Source(Origin):
    """It sends what was asked for, one line with a number of bytes, and ends."""

    def talk(self, client: socket.socket) -> None:
        left = int(line(client))
        block = memoryview(bytes(1 << 20))
        while left:
            left -= client.send(block[:left])


class Replier(Origin):
    """It waits for the end of what it is told, and then says how much that was and repeats it."""

    def talk(self, client: socket.socket) -> None:
        said = b"".join(iter(lambda: client.recv(65536), b""))
        client.sendall(b"%d\n" % len(said) + said)


class Quitter(Origin):
    """It resets the connection after the request, and a part of the answer."""

    def talk(self, client: socket.socket) -> None:
        client.recv(100)
        client.sendall(b"partly\n")
        abort(client)


class ClientTests(CarriedCase):
    """Of one's own making; a client with manners is served beside it."""

    def test_one_that_never_reads(self) -> None:
        """Ten, who asked for a gigabyte each: the server is stopped, and next to nothing is held for them."""
        self.configure({self.origin("source", Source): ""})
        address = self.carry()
        self.grown()
        with self.asking():
            lazy = [self.client(address) for _ in range(10)]
            for client in lazy:
                client.sendall(b"%d\n" % LARGE)

            def moved() -> list[int]:
                return [row["from_server_bytes"] for row in self.told("connections")]

            until(lambda: len(moved()) == 10 and min(moved()) > 0 and moved() == moved(), "all is full")
            with self.client(address) as other:
                other.sendall(b"100000\n")
                self.assertEqual(received(other), 100_000)
            self.assertLess(self.grown(), FEW)
            for client in lazy:
                client.close()
            self.empty()

    def test_dribbles(self) -> None:
        """Fifty, a byte at a time: each byte arrives, and the others do not wait."""
        self.configure({self.origin("alpha"): ""})
        address = self.carry()
        clients = [self.client(address) for _ in range(50)]
        with self.asking():
            for client in clients:
                self.assertEqual(line(client), "alpha")
            for number in range(8):
                byte = bytes([65 + number])
                for client in clients:
                    client.sendall(byte)
                self.assertEqual({client.recv(9) for client in clients}, {byte})
                self.assertEqual(self.reaches(address), "alpha")

    def test_resets_in_the_middle(self) -> None:
        """Two hundred: the server sees each of them, and nothing is left."""
        source = self.origin("source", Source)
        self.configure({source: ""})
        address = self.carry()
        with self.asking():
            for _ in range(200):
                with self.client(address) as client:
                    client.sendall(b"%d\n" % LARGE)
                    client.recv(1000)
                    abort(client)
            self.empty()
        self.assertEqual(len(source.clients), 200)
        until(lambda: all(client.fileno() < 0 for client in source.clients), "the server has seen them all")
        self.assertEqual(self.known("source")["connections"], 0)

    def test_half_closes_first(self) -> None:
        """It gets the whole answer, and the end."""
        self.configure({self.origin("replier", Replier): ""})
        address = self.carry()
        said = b"0123456789" * 300_000
        client = self.client(address)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(line(client), str(len(said)))
        self.assertEqual(received(client), len(said))
        self.empty()

    def test_idle_ones(self) -> None:
        """2 000: they cost little, and nobody else notices."""
        self.configure({self.origin("quiet", Quiet): "", self.origin("other"): ""}, "predictor: least-connections")
        address = self.carry()
        self.verb("out-of-service", "other")
        self.grown()
        with self.asking():
            clients = [self.client(address) for _ in range(2000)]
            until(lambda: self.known("quiet")["connections"] == 2000, "all are there")
            size = self.grown()
            self.verb("in-service", "other")
            begun = time.monotonic()
            for _ in range(20):
                self.assertEqual(self.reaches(address), "other")
            self.assertLess(time.monotonic() - begun, 2.0)
            self.assertIn("2000", self.verb("servers"))
        self.assertLess(size, 40 << 20)
        for client in clients:
            abort(client)
        self.empty()

    def test_turned_away_at_once(self) -> None:
        """500 clients with a long message, of whom half say something first: each reads all of it."""
        alpha, message = self.origin("alpha"), "Go away, please. " * 2000
        (self.folder / "message").write_text(message)
        unwelcome = own_address()
        instance = f"{{bind_id: 2, name: unwelcome, clients: [{unwelcome}], answer: ./message}}"
        self.configure({alpha: ""}, f"instances: [{instance}]")
        address = self.carry()
        self.grown()
        assert self.running is not None
        self.running.process.send_signal(signal.SIGSTOP)  # so that all are there when it looks, with what they say
        clients = [self.narrow(address, unwelcome) for _ in range(500)]
        for client in clients[::2]:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.running.process.send_signal(signal.SIGCONT)
        with self.asking():
            self.assertEqual(self.reaches(address), "alpha")
            self.assertEqual({received(client) for client in clients}, {len(message)})
            for client in clients:
                client.close()
        self.assertEqual(self.status()["nat"]["turned_away"], 500)
        self.assertEqual(len(alpha.clients), 1)
        self.assertLess(self.grown(), FEW)

    def narrow(self, address: str, source: str) -> socket.socket:
        """A client whose kernel takes little, so that most of what it gets is still on its way when all is sent."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.bind((source, 0))
        client.connect((address, self.port))
        return client


class ServerTests(CarriedCase):
    def test_one_that_is_silent(self) -> None:
        """Its clients are reset after ``idle``; it is no reason to think that it has failed."""
        self.configure({self.origin("quiet", Quiet): ""}, "timeouts: {idle: 1s}")
        address = self.carry()
        client = self.client(address)
        begun = time.monotonic()
        self.assertEqual(line(client), "reset")
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.assertEqual(self.known("quiet")["ditched_total"], 0)

    def test_one_that_resets(self) -> None:
        """Its client gets what came before, and sees a reset: never an end, which would say that this was all."""
        self.configure({self.origin("quitter", Quitter): ""})
        address = self.carry()
        for _ in range(20):
            with self.client(address) as client:
                client.sendall(b"please\n")
                self.assertEqual((line(client), line(client)), ("partly", "reset"))
        self.empty()

    def test_a_gigabyte(self) -> None:
        """Arrives, holds nobody up, and leaves no trace."""
        self.configure({self.origin("source", Source): ""})
        address = self.carry()
        self.grown()
        with self.asking(), self.client(address) as client:
            client.sendall(b"%d\n" % LARGE)
            self.assertEqual(received(client), LARGE)
        self.assertLess(self.grown(), FEW)


def received(client: socket.socket) -> int:
    """How many bytes come until the end; a reset is an error."""
    buffer = bytearray(1 << 20)
    count = 0
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        while selector.select(PATIENCE):
            more = client.recv_into(buffer)
            if not more:
                return count
            count += more
    raise AssertionError(f"nothing more came after {count} bytes")
