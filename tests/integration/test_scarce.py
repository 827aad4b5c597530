"""When something runs out on the running process: descriptors, or the pairs of a client NAT pool (4.6)."""

from __future__ import annotations

import socket

from tests.integration.carried import CarriedCase, echoes, line
from tests.integration.process import own_address, until


class ScarceTests(CarriedCase):
    def named(self, address: str, count: int) -> list[tuple[str, socket.socket]]:
        """Clients, and what each of them reads first."""
        clients = []
        for _ in range(count):
            try:
                client = self.client(address)
            except ConnectionResetError:
                continue
            clients.append((line(client), client))
        return clients

    def test_descriptors(self) -> None:
        """Who has a connection keeps it, others are reset, DNS and commands are answered; and then all is well."""
        self.configure({self.origin("alpha"): ""}, process=", max_files: 100")
        address = self.carry()
        with self.asking():
            clients = self.named(address, 80)
            served = [client for name, client in clients if name == "alpha"]
            self.assertGreater(len(served), 20)
            self.assertLess(len(served), 50)
            self.assertEqual({name for name, _ in clients}, {"alpha", "reset"})
            self.assertTrue(all(map(echoes, served)))
            self.assertEqual(self.dig("ns1", "+tcp", "+short"), "127.0.0.1\n")
            # The last number that is free is a client's, or one towards a server.
            counted = self.status()["nat"]
            self.assertGreater(counted.get("accepts_refused", 0) + counted.get("connects_failed", 0), 0)
            self.assertEqual(self.verb("snapshot"), "written\n")
            assert self.running is not None
            self.running.wait_for("nat-descriptors-exhausted")
            self.assertEqual(self.running.output().count("nat-descriptors-exhausted"), 1)
            for _, client in clients:
                client.close()
            until(lambda: self.reaches(address) == "alpha", "served again")
            self.empty()
        self.assertEqual(self.known("alpha")["state"], "in-service")

    def test_sources(self) -> None:
        """Of eight: a ninth connection is reset, the alarm is raised, and it clears by itself."""
        place = own_address()
        pool = f"first: {place}, last: {place}, netmask: 255.255.255.255, ports: 20000-20007"
        numbers = "initial: 4, subpool: 4, maximum: 8, low_water: 1, quarantine: 0s"
        self.configure(
            {self.origin("alpha"): ""}, "client_nat: snat", sections=f"client_nat: {{snat: {{{pool}, {numbers}}}}}\n"
        )
        address = self.carry()
        with self.asking():
            clients = self.named(address, 50)
            served = [client for name, client in clients if name == "alpha"]
            self.assertEqual(len(served), 8)
            self.assertTrue(all(map(echoes, served)))
            self.assertIn("exhausted", "\n".join(self.status()["alarms"]))
            self.assertEqual(self.status()["nat"]["sources_exhausted"], 42)
            self.assertIn("20007", self.verb("connections"))
            for client in served:
                client.close()
            self.empty()
            until(lambda: self.reaches(address) == "alpha", "served again")
        until(lambda: not self.status()["alarms"], "no alarm")
        self.assertEqual(self.known("alpha")["state"], "in-service")
