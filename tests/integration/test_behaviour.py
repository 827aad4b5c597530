"""Clients who become unwelcome by what they do (5.11), filters and limits (5.13), sticky clients, dead ones."""

from __future__ import annotations

import socket
import subprocess

from tests.integration.carried import CarriedCase, Origin, echoes, line
from tests.integration.process import own_address, tool, until

UNWELCOME = "bind_id: 2, name: unwelcome, answer: go away"


class BehaviourTests(CarriedCase):
    most = 100
    connections = "connections: 100, window: 1500ms, hold: 3s"
    """The hold is two windows, so that nothing of what it did counts when it is let back."""

    def unwelcome(self, behaviour: str) -> tuple[str, Origin]:
        alpha = self.origin("alpha")
        self.configure({alpha: ""}, f"instances: [{{{UNWELCOME}, behaviour: {{{behaviour}}}}}]")
        return self.carry(), alpha

    def held(self) -> list[str]:
        """Who is, because of what they did."""
        return [row["client"] for row in self.told("clients") if row["by"] == "behaviour"]

    def check_let_back(self, address: str, source: str) -> None:
        """It is unwelcome now, others are not; and after the hold it is not any more."""
        other = own_address()
        self.assertEqual(self.held(), [f"{source}/32"])
        self.assertEqual(self.reaches(address, other), "alpha")
        with self.visit(address, source) as (client, said):
            self.assertEqual((said, client.recv(1)), ("go away", b""))
        self.assertIn("behaviour", self.verb("clients"))
        until(lambda: not self.held(), "it is let back")
        self.assertEqual(self.reaches(address, source), "alpha")
        assert self.running is not None
        output = self.running.output()
        self.assertIn("client-assigned", output)
        self.assertIn("client-released", output)

    def test_connections(self) -> None:
        """So many in a window: the last of them is not carried any more; those that are there go on."""
        address, _ = self.unwelcome(self.connections)
        source = own_address()
        client = self.client(address, source)
        self.assertEqual(line(client), "alpha")
        said = list(iter(lambda: self.reaches(address, source), "go away"))
        self.assertGreaterEqual(len(said), self.most - 2)  # more, where they took longer than the window
        self.assertEqual(set(said), {"alpha"})
        self.assertTrue(echoes(client))
        self.check_let_back(address, source)

    def test_bytes(self) -> None:
        """From and to the client together; they count when the connection ends."""
        address, _ = self.unwelcome("connections: 0, bytes: 100K, window: 10s, hold: 2s")
        source, modest = own_address(), own_address()
        for who, amount in ((modest, 40_000), (source, 60_000)):
            with self.visit(address, who) as (client, _):
                self.assertTrue(echoes(client, b"x" * amount + b"\n"))
        self.empty()
        self.check_let_back(address, source)
        self.assertEqual(self.reaches(address, modest), "alpha")

    def test_short(self) -> None:
        """Connections that say nothing; one that does is none of them."""
        address, _ = self.unwelcome("connections: 0, short: 5, window: 10s, hold: 2s")
        source, talker = own_address(), own_address()
        for _ in range(6):
            with self.visit(address, talker) as (client, _):
                self.assertTrue(echoes(client))
        self.assertEqual([self.reaches(address, source) for _ in range(5)], ["alpha"] * 5)
        until(self.held, "somebody is held")
        self.check_let_back(address, source)

    def test_who_is_assigned_by_hand(self) -> None:
        """To bind id 0: is welcome, whatever it does."""
        address, _ = self.unwelcome("connections: 5, window: 10s, hold: 2s")
        source = own_address()
        self.verb("assign", "www.example.test", source)
        self.assertEqual([self.reaches(address, source) for _ in range(9)], ["alpha"] * 9)


class FilterTests(CarriedCase):
    def test_allow_and_deny(self) -> None:
        """Per service; who is not admitted is reset, and counted.  A reload changes it."""
        alpha = self.origin("alpha")
        friend, denied, other = "127.77.1.5", "127.77.1.66", "127.78.1.5"
        second = self.port + 1
        filtered = "allow: [127.77.1.0/24], deny: [127.77.1.66]"
        services = f"{{port: {self.port}, {filtered}}}, {{port: {second}}}"
        self.configure({alpha: ""}, services=services)
        address = self.carry()
        found = [self.reaches(address, each) for each in (friend, denied, other)]
        self.assertEqual(found, ["alpha", "reset", "reset"])
        self.assertEqual([self.reaches(address, each, second) for each in (friend, denied, other)], ["alpha"] * 3)
        self.assertEqual(self.status()["nat"]["refused"], 2)
        with self.visit(address, friend) as (client, _):
            self.configure({alpha: ""}, services=services.replace("127.77", "127.78"))
            self.reload()
            self.assertTrue(echoes(client))
            found = [self.reaches(address, each) for each in (friend, denied, other)]
        self.assertEqual(found, ["reset", "reset", "alpha"])

    def test_datagrams(self) -> None:
        """Whose are not admitted, and whose are one session too many, hear nothing."""
        echo = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(echo.close)
        alpha = self.origin("alpha")
        echo.bind((alpha.address, alpha.port))
        service = f"{{port: {self.port}, protocol: udp, allow: [127.77.1.0/24]}}"
        self.configure({alpha: ""}, "max_per_client: 2", services=service)
        address = self.carry()
        sources = ("127.78.1.5", "127.77.1.5", "127.77.1.5", "127.77.1.5", "127.77.1.6")
        clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in sources]
        for number, (source, client) in enumerate(zip(sources, clients, strict=True)):
            self.addCleanup(client.close)
            client.bind((source, 0))
            client.sendto(b"%d" % number, (address, self.port))
        echo.settimeout(10)
        self.assertEqual([echo.recv(9) for _ in range(3)], [b"1", b"2", b"4"])
        self.assertEqual(self.status()["nat"]["refused"], 2)

    def test_max_per_client(self) -> None:
        """One address alone; there is a place again when one ends."""
        alpha = self.origin("alpha")
        self.configure({alpha: ""}, "max_per_client: 3")
        address = self.carry()
        source, other = own_address(), own_address()
        clients = [self.client(address, source) for _ in range(3)]
        self.assertEqual([line(client) for client in clients], ["alpha"] * 3)
        self.assertEqual(self.reaches(address, source), "reset")
        self.assertEqual(self.reaches(address, other), "alpha")
        clients[0].close()
        until(lambda: self.reaches(address, source) == "alpha", "a place")
        self.assertTrue(all(map(echoes, clients[1:])))


class StickyTests(CarriedCase):
    def test_sticky(self) -> None:
        """A client is sent where it was last, for a while; the others are spread."""
        alpha, beta = self.origin("alpha"), self.origin("beta")
        self.configure({alpha: "", beta: ""}, "predictor: round-robin, sticky: 1s")
        address = self.carry()
        sources = [own_address() for _ in range(4)]
        homes = [self.reaches(address, source) for source in sources]
        self.assertEqual(sorted(homes), ["alpha", "alpha", "beta", "beta"])
        for _ in range(3):
            self.reaches(address, own_address())  # by turns alone, all would be elsewhere now
            self.assertEqual([self.reaches(address, source) for source in sources], homes)
        self.empty()
        self.pause_of(1.2)
        turn = self.reaches(address, own_address())
        [forgotten, *_] = [source for source, home in zip(sources, homes, strict=True) if home == turn]
        self.assertNotEqual(self.reaches(address, forgotten), turn)  # it is the other one's turn

    def pause_of(self, seconds: float) -> None:
        """Until the process says that so much time has passed: there is no other trace of who is forgotten."""
        begun = self.status()["now"]
        until(lambda: self.status()["now"] > begun + seconds, "time passes")


class KeptAliveTests(CarriedCase):
    def test_both_ends_are_asked(self) -> None:
        """After ``keepalive`` the kernel asks: its timer comes to both sockets of a connection, and to no other."""
        ss = tool("ss", "iproute2")
        alpha = self.origin("alpha")
        self.configure({alpha: ""}, "timeouts: {keepalive: 77s, connect: 1s}")
        address = self.carry()

        def asked() -> list[list[str]]:
            words = [ss, "-Htno", "state", "established"]
            shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
            ours = [row.split()[2:] for row in shown if "timer:(keepalive,1min1" in row]
            return [row for row in ours if row[0].startswith(address) or row[1] == f"{alpha.address}:{alpha.port}"]

        with self.visit(address):
            until(lambda: len(asked()) == 2, "the kernel asks at both ends")
