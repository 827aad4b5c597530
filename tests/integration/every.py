"""What the tests of ``port: all`` have in common: sites, clients, servers, all in one thread."""

from __future__ import annotations

import socket
import subprocess
from ipaddress import IPv4Address

from appliance.model import Server, Service, Site, Transport
from appliance.nat.everyport import EveryPort
from appliance.nat.opening import EVERY_PORT
from appliance.nat.redirects import PacketFilter
from tests.integration.hosts import own_network
from tests.integration.sockets import LEASED, ORIGIN, BalancedNat, ClockedReactor, NatCase, until

EVERY = Service(every=True, first_port=1, last_port=65535, to=1)


def every_site(name: str = "a.example", *services: Service, port: int = 0) -> Site:
    """Its server keeps the client's port, unless it has a ``port`` of its own."""
    server = Server(name=f"server {port}", address=ORIGIN, port=port)
    return Site(name=name, pool="public", services=(EVERY, *services), servers=(server,))


def redirect_port(nat: BalancedNat, site: Site, address: IPv4Address = LEASED) -> int:
    """Where all ports of ``address`` come in."""
    listener = nat._holdings[address, site.name].listeners[Transport.TCP, EVERY_PORT]
    assert isinstance(listener, EveryPort)
    return listener.redirect_port


def nat_with(case: NatCase, packet_filter: PacketFilter) -> BalancedNat:
    return BalancedNat(ClockedReactor(case.clock), case.tally, packet_filter)


def exact(port: int, to: int = 0) -> Service:
    return Service(first_port=port, last_port=port, to=to or port)


class EveryCase(NatCase):
    """No threads: they would stay on the test's host."""

    timeout = 10

    def setUp(self) -> None:
        own_network(self)
        super().setUp()

    def server(self, port: int, address: IPv4Address = ORIGIN) -> socket.socket:
        sock = self.keep(socket.create_server((str(address), port)))
        sock.settimeout(0)
        return sock

    def client(self, port: int, address: IPv4Address = LEASED, source: int = 0) -> socket.socket:
        sock = self.keep(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", source))
        sock.connect((str(address), port))
        sock.settimeout(0)
        return sock

    async def accept(self, origin: socket.socket) -> socket.socket:
        found: list[socket.socket] = []

        def accepted() -> bool:
            try:
                found.append(origin.accept()[0])
            except BlockingIOError:
                return False
            return True

        await until(accepted)
        server = self.keep(found[0])
        server.settimeout(0)
        return server

    async def read(self, sock: socket.socket) -> bytes:
        """What comes next; b"reset" for a reset."""
        found: list[bytes] = []

        def has_come() -> bool:
            try:
                found.append(sock.recv(65536))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                found.append(b"reset")
            return True

        await until(has_come)
        return found[0]

    async def exchange(self, client: socket.socket, server: socket.socket, words: bytes) -> None:
        """Words of their own, both ways."""
        client.sendall(words)
        self.assertEqual(await self.read(server), words)
        server.sendall(words[::-1])
        self.assertEqual(await self.read(client), words[::-1])

    def assertRefused(self, port: int, address: IPv4Address = LEASED) -> None:
        self.assertRaises(ConnectionRefusedError, self.client, port, address)

    def assertNobody(self, origin: socket.socket) -> None:
        self.assertRaises(BlockingIOError, origin.accept)

    def open(self, site: Site, address: IPv4Address = LEASED) -> None:
        self.nat.open(address, site, site.servers[0])

    def redirect_port(self, site: Site, address: IPv4Address = LEASED) -> int:
        return redirect_port(self.nat, site, address)


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=True).stdout
