"""Client NAT pools, seen from outside on the running process (4.1 to 4.6): curl, sockets, ``appliance nat-pools``."""

from __future__ import annotations

import socket

from tests.integration.balanced import BalancedCase, reset, said_to
from tests.integration.process import own_address, own_subnet, until

TCP, UDP = {"transport": "tcp"}, {"transport": "udp"}


class PoolCase(BalancedCase):
    """Eight pairs: of the run from .5 to .8, .7 and .8 are the last and the first address of a network."""

    def setUp(self) -> None:
        super().setUp()
        self.network = own_subnet()
        self.alpha = self.origin("alpha")
        self.site |= {"servers": ["alpha"], "client_nat": "snat"}
        self.pool: dict[str, object] = {
            "first": f"{self.network}.5",
            "last": f"{self.network}.8",
            "netmask": "255.255.255.248",
            "ports": "20000-20003",
            "initial": 2,
            "subpool": 2,
            "low_water": 0,
            "maximum": 8,
            "quarantine": "1s",
        }
        self.configuration["client_nat"] = {"snat": self.pool}

    def pairs(self, *addresses: int) -> set[tuple[str, int]]:
        return {(f"{self.network}.{address}", port) for address in addresses for port in range(20000, 20004)}

    def asked(self) -> socket.socket:
        """A client that was answered, and stays."""
        client = self.connect()
        self.assertEqual(said_to(client), "alpha")
        return client


class GrowthTests(PoolCase):
    def test_it_grows_refuses_and_shrinks(self) -> None:
        """
        By subpools to its maximum; then a connection is refused, with an alarm; at last all is one interval again.

        Takes eleven seconds: a subpool stays for ten.
        """
        self.start()
        self.until_row("nat-pools", TCP, subpools=0, intervals=1, pairs=8)
        clients = []
        for count in range(1, 9):
            clients.append(self.asked())
            row = self.row("nat-pools", **TCP)
            subpools = min(4, count // 2 + 1)
            self.assertEqual((row["taken"], row["free"], row["subpools"]), (count, 2 * subpools - count, subpools))
        self.assertEqual(set(self.alpha.peers), self.pairs(5, 6))
        sources = {row["source"] for row in self.control.items("connections")}
        self.assertEqual(sources, {f"{address}:{port}" for address, port in self.pairs(5, 6)})

        self.assertNotEqual(self.curl().returncode, 0)
        self.assertEqual(len(self.alpha.peers), 8, "no other source, and no connection to the server")
        self.assertEqual([said_to(client) for client in clients], ["alpha"] * 8)
        table = [line.split() for line in self.appliance("nat-pools").splitlines()]
        shown = dict(zip(table[0], table[1], strict=True))
        self.assertEqual((shown["POOL"], shown["TRANSPORT"], shown["LEVEL"]), ("snat", "tcp", "exhausted"))
        self.assertEqual((shown["TAKEN"], shown["FREE"], shown["REFUSALS"]), ("8", "0", "1"))
        self.assertRegex(self.appliance("status"), r"(?m)^ALARM  client NAT pool snat, tcp: exhausted for \S+; 1 conn")

        for client in clients:
            client.close()
        self.until_row("nat-pools", TCP, taken=0, resting=8, free=0, subpools=4)
        self.until_row("nat-pools", TCP, level="ok", resting=0, free=8)
        self.assertEqual(self.alarms(), [])
        self.until_row("nat-pools", TCP, subpools=0, intervals=1, free=0)
        self.asked()

    def test_datagrams(self) -> None:
        """Have the same pairs once more; those beyond are dropped."""
        self.site["services"].append({"port": self.port, "protocol": "udp"})
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind((self.alpha.address, self.alpha.port))
        server.settimeout(10)
        self.start()
        for _ in range(9):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(client.close)
            client.sendto(b"x", (self.address, self.port))
        seen = {server.recvfrom(9)[1] for _ in range(8)}
        self.assertEqual(seen, self.pairs(5, 6))
        self.until_row("nat-pools", UDP, taken=8, refusals=1, level="exhausted")
        self.asked()
        self.assertEqual(self.row("nat-pools", **TCP)["taken"], 1)


class AbsentTests(PoolCase):
    def test_addresses_that_the_host_has_not(self) -> None:
        """Are no fault of the server: nothing goes through the pool, and all other sites have it as before."""
        self.configuration["servers"]["alpha"]["threshold"] = 1
        self.pool |= {"first": "203.0.113.1", "last": "203.0.113.2"}
        place = own_address()
        self.site["services"].append({"port": self.port, "protocol": "udp"})
        other = {"address": place, "services": [{"port": self.port}], "servers": ["alpha"]}
        self.configuration["sites"]["b.example.test"] = other
        running = self.start()
        alarm = "client NAT pool snat: 2 of its 2 addresses are not on this host, 203.0.113.1 among them: "
        self.assertIn(alarm, "\n".join(self.alarms()), "before anybody came")
        self.assertEqual([self.ask() for _ in range(4)], ["reset"] * 4)
        running.wait_for(
            "A connection to a server has no source (client NAT pool snat, for www.example.test: "
            "Cannot assign requested address;"
        )
        row = self.row("servers", server="alpha")
        self.assertEqual((row["state"], row["ditched_total"], row["connections"]), ("in-service", 0, 0))
        self.assertEqual(self.control.get("status")["nat"], {"refused": 4, "sources_exhausted": 4})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (self.address, self.port))
        until(lambda: self.control.get("status")["nat"]["sources_exhausted"] == 5, "a datagram has none either")
        with self.connect(address=place) as welcome:
            self.assertEqual(said_to(welcome), "alpha")
        self.until_row("nat-pools", TCP, taken=0)
        self.pool |= {"first": f"{self.network}.1", "last": f"{self.network}.2"}
        self.reload()
        until(lambda: self.ask() == "alpha", "those that leave have rested")
        self.assertNotIn("not on this host", "\n".join(self.alarms()))


class ReloadTests(PoolCase):
    def test_another_range(self) -> None:
        """What runs keeps its pair, as long as it runs; new connections have the new ones."""
        self.start()
        clients = [self.asked() for _ in range(3)]
        self.pool |= {"first": f"{self.network}.9", "last": f"{self.network}.10"}
        self.reload()
        self.until_row("nat-pools", TCP, taken=3, leaving=3)
        self.assertEqual(set(self.alpha.peers), self.pairs(5) - {(f"{self.network}.5", 20003)})
        later = [self.asked() for _ in range(5)]
        self.assertEqual(len(set(self.alpha.peers[3:]) & self.pairs(9, 10)), 5)
        self.assertEqual([said_to(client) for client in (*clients, *later)], ["alpha"] * 8)
        self.assertEqual(len(self.alpha.peers), 8, "none was opened anew")
        self.assertEqual(self.ask(), "reset", "those that leave are of the maximum as well")
        for client in clients:
            client.close()
        self.until_row("nat-pools", TCP, taken=5, leaving=0)
        self.assertEqual(self.alarms(), [])
        self.asked()

    def test_another_pool_and_none(self) -> None:
        """A site goes from one pool to another, and to the host's own address; the old ones go with the last user."""
        self.start()
        clients = [self.asked()]
        self.configuration["client_nat"] = {
            "other": {**self.pool, "first": f"{self.network}.17", "netmask": "255.0.0.0"}
        }
        self.configuration["client_nat"]["other"]["last"] = f"{self.network}.17"
        self.site["client_nat"] = "other"
        self.reload()
        clients.append(self.asked())
        self.assertEqual({row["pool"] for row in self.control.items("nat-pools")}, {"snat", "other"})
        del self.site["client_nat"], self.configuration["client_nat"]
        self.reload()
        clients.append(self.asked())
        self.assertEqual(
            [address for address, _ in self.alpha.peers],
            [f"{self.network}.5", f"{self.network}.17", "127.0.0.1"],
        )
        self.assertEqual([said_to(client) for client in clients], ["alpha"] * 3)
        for client in clients[:2]:
            reset(client)
        until(lambda: self.alpha.live == 1, "the servers' ends of those that were reset")
        self.assertEqual(said_to(clients[2]), "alpha")
