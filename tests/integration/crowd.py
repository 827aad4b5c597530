"""
A crowd of clients that come and go, and the servers that they should reach.

Each server says its site's name; each client knows whom it asked for, and counts what it is told.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter

import dns.message
import dns.rcode
import dns.rdatatype

WAVE_SECONDS = 10.0
ASKING_SECONDS = 3.5
"""The crowd comes in waves, so that leases are renewed, and end, and move on to those who were refused."""


class Crowd:
    """
    :param resolver: where the appliance answers.
    :param port: the port of each site's service, TCP and UDP.
    :param seed: for whom they ask and how long they stay.
    """

    def __init__(self, resolver: tuple[str, int], port: int, sites: list[str], seed: int) -> None:
        self.resolver = resolver
        self.port = port
        self.sites = sites
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.reached: set[str] = set()

    async def serve(self, site: str, address: str, port: int) -> None:
        """Start a site's server: every line, and every datagram, is answered with the site's name."""

        async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.readline():
                    writer.write(site.encode() + b"\n")
                    await writer.drain()
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        class Responder(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                self.transport.sendto(site.encode(), addr)  # type: ignore[attr-defined]

        await asyncio.start_server(serve_client, address, port)
        await asyncio.get_running_loop().create_datagram_endpoint(Responder, local_addr=(address, port))

    async def come_and_go(self, clients: int, seconds: float) -> None:
        """``clients`` at once, each starting anew until the time is over."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(end) for _ in range(clients)))

    async def _client(self, end: float) -> None:
        while time.monotonic() < end:
            into = time.monotonic() % WAVE_SECONDS
            if into > ASKING_SECONDS:
                await asyncio.sleep(WAVE_SECONDS - into)
                continue
            site = self.rng.choice(self.sites)
            try:
                answer = await asyncio.wait_for(self._resolve(site), 3)
                if answer is None:
                    self.counts["waited"] += 1
                    await asyncio.sleep(self.rng.uniform(0, 1))
                    continue
                address, ttl = answer
                # Some use the answer at once, some at the end of its life.
                await asyncio.sleep(self.rng.choice([0.0, 0.0, self.rng.uniform(0, ttl)]))
                await asyncio.wait_for(self.rng.choice([self._stream, self._datagrams])(site, address), 30)
            except (TimeoutError, OSError) as error:
                self.counts[type(error).__name__] += 1

    async def _resolve(self, site: str) -> tuple[str, int] | None:
        query = dns.message.make_query(site, "A")
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.connect(self.resolver)
            await loop.sock_sendall(udp, query.to_wire())
            response = dns.message.from_wire(await loop.sock_recv(udp, 4096))
        if response.rcode() != dns.rcode.NOERROR or not response.answer:
            return None
        [rrset] = response.answer
        return str(rrset[0]), rrset.ttl

    async def _stream(self, site: str, address: str) -> None:
        reader, writer = await asyncio.open_connection(address, self.port)
        try:
            for _ in range(self.rng.choice([1, 1, 1, 2, 5])):
                writer.write(b"who are you?\n")
                await writer.drain()
                self._judge(site, (await reader.readline()).strip(), address)
                await asyncio.sleep(self.rng.uniform(0, 0.4))
        finally:
            writer.close()

    async def _datagrams(self, site: str, address: str) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.connect((address, self.port))
            for _ in range(self.rng.choice([1, 2, 5])):
                await loop.sock_sendall(udp, b"who are you?")
                self._judge(site, await asyncio.wait_for(loop.sock_recv(udp, 4096), 3), address)
                await asyncio.sleep(self.rng.uniform(0, 0.4))

    def _judge(self, site: str, reply: bytes, address: str) -> None:
        if reply == site.encode():
            self.counts["right"] += 1
            self.reached.add(site)
        elif reply:
            self.wrong.append(f"asked {site} at {address}, reached {reply.decode()}")
        else:
            self.counts["ended"] += 1
