"""The name server on real sockets, asked by dig and kdig."""

from __future__ import annotations

import re
import socket
import time
from ipaddress import IPv4Address

import dns.message
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import TestCase

from appliance.config import DNSConfig
from appliance.model import Asker, Endpoint, Proof
from appliance.nameserver import Cookies, NameServer
from appliance.naming import Answer, Question
from tests.integration.process import free_port, own_address, tool
from tests.nameserver.asking import SECRET, Waiting


class ServiceTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.world = Waiting()
        self.asked: list[Asker] = []
        self.address = own_address()
        self.port = free_port(self.address)
        config = DNSConfig(listen=(Endpoint(IPv4Address(self.address), self.port),), zones=())
        self.server = NameServer(reactor, self.answer, config, Cookies([SECRET], time.time))
        self.server.startService()
        self.addCleanup(self.stop)

    def stop(self) -> Deferred[None] | None:
        return self.server.stopService() if self.server.running else None

    def answer(self, question: Question, asker: Asker) -> Answer | Deferred[Answer | None] | None:
        """New names get their lease a moment later."""
        self.asked.append(asker)
        answer = self.world.answer(question, asker)
        if isinstance(answer, Deferred):
            reactor.callLater(0.05, self.world.decided)
        return answer

    async def run_tool(self, name: str, package: str, *words: str) -> str:
        place = (f"@{self.address}", "-p", str(self.port), "+retry=0" if name == "kdig" else "+tries=1")
        output: bytes = await getProcessOutput(tool(name, package), [*place, *words], errortoo=True)
        return output.decode()

    async def test_dig_learns_a_cookie(self) -> None:
        """It proves nothing at first and where it came from the next time; dig finds it good."""
        first = await self.run_tool("dig", "dnsutils", "+cookie", "www.example.test", "A")
        found = re.search(r"COOKIE: ([0-9a-f]{48}) \(good\)", first)
        assert found is not None, first
        second = await self.run_tool("dig", "dnsutils", f"+cookie={found[1]}", "new.example.test", "A")
        self.assertIn("(good)", second)
        self.assertIn("192.0.2.1", second)
        await self.run_tool(
            "dig", "dnsutils", f"+cookie={found[1][:-1]}{'0' if found[1][-1] != '0' else '1'}", "a.test"
        )
        await self.run_tool("dig", "dnsutils", "+nocookie", "+tcp", "a.test")
        self.assertEqual([asker.proof for asker in self.asked], [Proof.NONE, Proof.COOKIE, Proof.NONE, Proof.STREAM])
        self.assertEqual({asker.source for asker in self.asked}, {IPv4Address("127.0.0.1")})

    async def test_dig_comes_back_over_tcp(self) -> None:
        """After TC=1, and shows the Extended DNS Error."""
        output = await self.run_tool("dig", "dnsutils", "again.example.test", "A")
        self.assertIn("Truncated, retrying in TCP mode", output)
        self.assertIn("EDE: 14 (Not Ready): (the lease is not written yet)", output)
        self.assertEqual([asker.proof for asker in self.asked], [Proof.NONE, Proof.STREAM])

    async def test_kdig(self) -> None:
        """Another implementation of the same."""
        output = await self.run_tool("kdig", "knot-dnsutils", "+cookie=2464c4abcf10c957", "new.example.test", "A")
        found = re.search(r"COOKIE: ([0-9A-Fa-f]{48})", output)
        assert found is not None, output
        await self.run_tool("kdig", "knot-dnsutils", f"+cookie={found[1]}", "www.example.test", "A")
        self.assertEqual([asker.proof for asker in self.asked], [Proof.NONE, Proof.COOKIE])

    async def test_an_asker_that_closes_its_half(self) -> None:
        """Is answered all the same, though its lease takes a moment."""

        def ask() -> bytes:
            query = dns.message.make_query("new.example.test", "A").to_wire()
            with socket.create_connection((self.address, self.port), timeout=10) as connection:
                connection.sendall(len(query).to_bytes(2, "big") + query)
                connection.shutdown(socket.SHUT_WR)
                data = b""
                while more := connection.recv(4096):
                    data += more
                return data

        data = await deferToThread(ask)
        self.assertEqual(len(dns.message.from_wire(data[2:]).answer), 1)

    async def test_it_stops_while_answers_wait(self) -> None:
        """They come to nobody, and nothing is wrong."""
        with socket.socket(type=socket.SOCK_DGRAM) as asker:
            asker.connect((self.address, self.port))
            asker.send(dns.message.make_query("new.example.test", "A").to_wire())
            while not self.world.waiting:
                await deferToThread(time.sleep, 0.005)
            await self.server.stopService()
            while self.world.waiting:
                await deferToThread(time.sleep, 0.005)
        self.assertEqual(self.flushLoggedErrors(), [])
