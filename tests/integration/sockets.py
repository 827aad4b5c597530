"""
Real sockets for the tests of the NAT proxy: scripted peers, a free port, and a reactor whose time a test moves.

Peers are blocking sockets used in threads: what a peer does is then a line of the test.  Their timeout only bounds a
failing test.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import struct
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, TypeVar

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from appliance.errors import DataPathError
from appliance.events import Event
from appliance.model import NatPool, Server, Service, Site, Transport
from appliance.nat import Nat, Traffic
from appliance.shared.carrying import Carrying
from appliance.shared.overrides import Overrides
from appliance.shared.telling import Telling
from appliance.store import MemoryJournal
from tests.integration.process import OWN

Result = TypeVar("Result")

LEASED = IPv4Address(f"{OWN}.201.1")
ORIGIN = IPv4Address(f"{OWN}.201.200")
NEXT_NETWORK = IPv4Address(f"{OWN}.202.100")
POOLED = IPv4Address(f"{OWN}.203.1")
"""Like the others no other process's; :func:`tests.integration.process.own_subnet` gives none of them."""
_PATIENCE = 20.0


class ClockedReactor:
    """The descriptors of the real reactor, the time of a Clock."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = clock.seconds
        self.callLater = clock.callLater

    def __getattr__(self, name: str) -> Any:
        return getattr(global_reactor, name)


class Tally:
    """Counts what the room tells of its traffic."""

    def __init__(self) -> None:
        self.opened: Counter[tuple[str, str]] = Counter()
        self.closed: Counter[tuple[str, str]] = Counter()

    def connection_opened(self, address: IPv4Address, site: str) -> None:
        self.opened[str(address), site] += 1

    def connection_closed(self, address: IPv4Address, site: str) -> None:
        self.closed[str(address), site] += 1


async def in_thread(work: Callable[..., Result], *arguments: object) -> Result:
    result: Result = await deferToThread(work, *arguments)
    return result


async def until(condition: Callable[[], bool]) -> None:
    """Let the reactor turn until ``condition`` holds; a test's own timeout ends it where it never does."""
    while not condition():
        await deferLater(global_reactor, 0)


async def turns(count: int = 20) -> None:
    """Let the reactor turn, for what must not happen."""
    for _ in range(count):
        await deferLater(global_reactor, 0)


def free_port(address: IPv4Address, kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((str(address), 0))
        return int(probe.getsockname()[1])


def read_all(sock: socket.socket) -> bytes:
    """Everything until the peer's end."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_to_reset(sock: socket.socket) -> bytes:
    """Everything until a reset; a clean end is an error."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        return b"".join(parts)
    raise AssertionError(f"a clean end, not a reset, after {sum(map(len, parts))} bytes")


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class BalancedNat(Nat):
    """
    A Nat with what SharedState has to balance its connections, which knows whatever site was opened last.

    :ivar happened: the events of the balancing.
    """

    def __init__(self, reactor: Any, traffic: Traffic, packet_filter: Any = None) -> None:
        self.happened: list[Event] = []
        telling = Telling(MemoryJournal(), self.happened.append)
        self.carrying = Carrying(reactor.seconds, telling, lambda: None, Overrides())
        self.client_nat: dict[str, NatPool] = {}
        self._known: dict[str, Site] = {}
        super().__init__(reactor, traffic, self.carrying, packet_filter)
        self.carrying.proceed = self.proceed
        self.carrying.reset, self.carrying.live = self.abort_server, self.tickets

    def open(self, address: IPv4Address, site: Site, server: Server) -> None:
        before, self._known = self._known, {**self._known, site.name: site}
        self.carrying.configure(self._known, {}, self.client_nat)
        try:
            super().open(address, site, server)
        except DataPathError:
            self._known = before
            self.carrying.configure(self._known, {}, self.client_nat)
            raise


class NatCase(TestCase):
    """A Nat on the real reactor's descriptors and a Clock; at its end every opened connection must be closed."""

    timeout = 30

    def setUp(self) -> None:
        self.clock = Clock()
        self.tally = Tally()
        self.nat = BalancedNat(ClockedReactor(self.clock), self.tally)
        self.carrying = self.nat.carrying
        self.addCleanup(self._check_balance)

    async def _check_balance(self) -> None:
        await self.nat.stop(0)
        self.assertEqual(self.tally.opened, self.tally.closed)
        self.assertEqual(self.nat.connections(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def keep(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(_PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def origin(self, backlog: int = 16) -> socket.socket:
        return self.keep(socket.create_server((str(ORIGIN), 0), backlog=backlog))

    def udp_socket(self, address: IPv4Address = ORIGIN) -> socket.socket:
        sock = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind((str(address), 0))
        return sock

    def site(
        self,
        origin: socket.socket | int,
        *,
        name: str = "a.example",
        ports: tuple[int, ...] = (),
        transport: Transport = Transport.TCP,
        address: IPv4Address = LEASED,
        **more: Any,
    ) -> Site:
        """
        :param origin: the server's socket, which says the transport, or its port where there is no socket.
        :param ports: public ones; a free one by default.
        """
        if isinstance(origin, socket.socket):
            transport = Transport.TCP if origin.type == socket.SOCK_STREAM else Transport.UDP
        server_port: int = origin.getsockname()[1] if isinstance(origin, socket.socket) else origin
        kind = socket.SOCK_STREAM if transport is Transport.TCP else socket.SOCK_DGRAM
        services = [
            Service(transport=transport, first_port=port, last_port=port, to=9)
            for port in ports or (free_port(address, kind),)
        ]
        server = Server(name=f"server {server_port}", address=ORIGIN, port=server_port, retries=1)
        return Site(name=name, pool="public", services=tuple(services), servers=(server,), **more)

    def assertListens(self, port: int, *, listens: bool) -> None:
        with socket.socket() as probe:
            refused = probe.connect_ex((str(LEASED), port)) != 0
        self.assertEqual(refused, not listens)

    def connect(self, site: Site, address: IPv4Address = LEASED, service: int = 0) -> socket.socket:
        """A client; the kernel answers it before the proxy does."""
        port = site.services[service].first_port
        return self.keep(socket.create_connection((str(address), port), _PATIENCE))

    async def accept(self, origin: socket.socket) -> socket.socket:
        server, _ = await in_thread(origin.accept)
        return self.keep(server)

    async def pair(self, **more: Any) -> tuple[socket.socket, socket.socket]:
        """A client and its server, connected through the proxy."""
        origin = self.origin()
        site = self.site(origin, **more)
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        return client, await self.accept(origin)

    async def flood(self, sender: socket.socket) -> bytes:
        """:return: what ``sender`` could send until everything on the way, whose reader does not read, was full."""
        sender.setblocking(False)
        block = os.urandom(65536)
        sent = []
        refusals = 0
        while refusals < 100:
            try:
                sent.append(block[: sender.send(block)])
                refusals = 0
            except BlockingIOError:
                refusals += 1
                await turns(1)
        sender.settimeout(_PATIENCE)
        return b"".join(sent)

    async def exhaust_descriptors(self) -> list[int]:
        """From now on none can be opened in this process, but for those that are closed of the list."""
        await turns(1)  # the reactor opens some of its own when it starts
        gc.collect()  # what earlier tests left would free some later
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = [int(name) for name in os.listdir("/proc/self/fd")]
        held: list[int] = []

        def restore() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            while held:
                os.close(held.pop())

        self.addCleanup(restore)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(used) + 8, hard))
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                return held


def coroutine(work: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)
