"""``port: all`` (5.1) on the real kernel, on a host of the test's own: one listener for all ports of an address."""

from __future__ import annotations

import socket
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import attrs

from appliance.errors import Blame, DataPathError, ListenError
from appliance.model import Server, Service, Site, Transport
from appliance.nat.everyport import EveryPort
from appliance.nat.opening import EVERY_PORT
from tests.integration.hosts import own_network
from tests.integration.sockets import LEASED, ORIGIN, BalancedNat, ClockedReactor, NatCase, turns, until
from tests.nat.filters import FakePacketFilter

SECOND = IPv4Address("127.0.101.2")
EVERY = Service(every=True, first_port=1, last_port=65535, to=1)


def every_site(name: str = "a.example", *services: Service, port: int = 0) -> Site:
    """Its server keeps the client's port, unless it has a ``port`` of its own."""
    server = Server(name=f"server of {name}", address=ORIGIN, port=port, retries=1)
    return Site(name=name, pool="public", services=(EVERY, *services), servers=(server,))


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
        listener = self.nat._holdings[address, site.name].listeners[Transport.TCP, EVERY_PORT]
        assert isinstance(listener, EveryPort)
        return listener.redirect_port


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=True).stdout


class PortTests(EveryCase):
    async def test_every_port(self) -> None:
        """From the first to the last; the server gets the port that the client asked for, and people see it."""
        self.open(every_site())
        for port in (1, 80, 8080, 40000, 65535):
            origin = self.server(port)
            client = self.client(port)
            await self.exchange(client, await self.accept(origin), b"to %d" % port)
        self.assertEqual(sorted(flow.port for flow in self.nat.connections()), [1, 80, 8080, 40000, 65535])
        self.assertEqual({flow.address for flow in self.nat.connections()}, {LEASED})
        self.assertEqual(self.tally.opened, {(str(LEASED), "a.example"): 5})

    async def test_the_port_where_all_come_in(self) -> None:
        """Is like any other for who asks for it."""
        site = every_site()
        self.open(site)
        port = self.redirect_port(site)
        origin = self.server(port)
        await self.exchange(self.client(port), await self.accept(origin), b"to itself")

    async def test_one_port_of_the_server(self) -> None:
        """A server with a port of its own has all connections there."""
        origin = self.server(9000)
        self.open(every_site(port=9000))
        for port in (80, 443):
            self.client(port)
            await self.accept(origin)
        self.assertEqual({flow.port for flow in self.nat.connections()}, {80, 443})

    async def test_one_source_port_to_several_ports(self) -> None:
        """Clients may do that; behind the translation they would be the same, and are kept apart."""
        self.open(every_site())
        pairs = []
        for port in (80, 81, 82):
            origin = self.server(port)
            pairs.append((self.client(port, source=5555), await self.accept(origin)))
        for number, (client, server) in enumerate(pairs):
            await self.exchange(client, server, b"words %d" % number)

    async def test_addresses(self) -> None:
        """Each leads to its own site."""
        one, two = self.server(80), self.server(9000)
        self.open(every_site())
        self.open(every_site("b.example", port=9000), SECOND)
        await self.exchange(self.client(80), await self.accept(one), b"first")
        await self.exchange(self.client(80, SECOND), await self.accept(two), b"second")
        self.assertRefused(80, IPv4Address("127.0.101.3"))

    async def test_datagrams(self) -> None:
        """Are not led anywhere: UDP ports are those that are named."""
        server = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((str(ORIGIN), 53))
        server.settimeout(0)
        self.open(every_site("a.example", Service(transport=Transport.UDP, first_port=53, last_port=53, to=53)))
        client = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for port in (54, 53):
            client.sendto(b"to %d" % port, (str(LEASED), port))
        self.assertEqual(await self.read(server), b"to 53")

    async def test_nobody_can_say_what_it_was_for(self) -> None:
        """A connection straight to where all come in, that nothing has translated, is reset."""
        nat = BalancedNat(ClockedReactor(self.clock), self.tally, FakePacketFilter())
        self.addCleanup(lambda: nat.stop(0))
        site = every_site()
        nat.open(LEASED, site, site.servers[0])
        listener = nat._holdings[LEASED, site.name].listeners[Transport.TCP, EVERY_PORT]
        assert isinstance(listener, EveryPort)
        client = self.client(listener.redirect_port)
        self.assertEqual(await self.read(client), b"reset")
        self.assertEqual(self.tally.opened, {})

    async def test_translated_by_somebody_else(self) -> None:
        """What was for another address is not for this site."""
        site = every_site()
        self.open(site)
        nft("add table ip other")
        nft("add chain ip other out { type nat hook output priority -100; }")
        place = f"{LEASED}:{self.redirect_port(site)}"
        nft(f"add rule ip other out ip daddr 127.0.101.9 tcp dport 80 dnat to {place}")
        self.assertEqual(await self.read(self.client(80, IPv4Address("127.0.101.9"))), b"reset")
        self.assertEqual(self.tally.opened, {})


class ExactTests(EveryCase):
    async def test_an_exact_port_wins(self) -> None:
        """In whatever order they are named; all others go where they should."""
        special, origin = self.server(9000), self.server(81)
        for services in ((EVERY, exact(80, 9000)), (exact(80, 9000), EVERY)):
            site = attrs.evolve(every_site(), services=services)
            self.open(site)
            await self.exchange(self.client(80), await self.accept(special), b"special")
            await self.exchange(self.client(81), await self.accept(origin), b"all others")
            self.nat.close(LEASED, site.name)

    async def test_of_another_site(self) -> None:
        """Its ports are its own while it is there, whoever came first, and the other's when it has left."""
        origins = {port: self.server(port) for port in (80, 81)}
        special = self.server(9000)
        holder = every_site()
        for port in (80, 81):
            guest = attrs.evolve(every_site(f"{port}.example", port=9000), services=(exact(port),))
            first, second = (guest, holder) if port == 80 else (holder, guest)
            self.open(first)
            self.open(second)
            await self.exchange(self.client(port), await self.accept(special), b"the guest's")
            self.nat.close(LEASED, guest.name)
            await self.exchange(self.client(port), await self.accept(origins[port]), b"the holder's")
            self.assertNobody(special)

    async def test_a_change(self) -> None:
        """Ports that get a service of their own, or lose it, follow; what runs goes on."""
        special, origin = self.server(9000), self.server(80)
        before, after = every_site(), every_site("a.example", exact(80, 9000))
        pairs = []
        for site, server in ((before, origin), (after, special), (before, origin)):
            self.open(site)
            pairs.append((self.client(80), await self.accept(server)))
        for client, server in pairs:
            await self.exchange(client, server, b"goes on")

    async def test_from_all_to_one_and_back(self) -> None:
        """A site that has all ports no more leaves nothing."""
        origin = self.server(80)
        one = attrs.evolve(every_site(), services=(exact(80),))
        self.open(every_site())
        client = self.client(81)  # waits: the reactor has not turned
        self.open(one)
        self.assertRefused(82)
        self.client(80)
        await self.accept(origin)
        self.assertEqual(await self.read(client), b"reset")
        self.assertNotIn(str(LEASED), nft("list", "ruleset"))
        self.open(every_site())
        other = self.server(81)
        await self.exchange(self.client(81), await self.accept(other), b"again")

    async def test_the_port_where_all_come_in(self) -> None:
        """When it gets a service of its own, all others come in elsewhere, and what runs goes on."""
        site = every_site()
        self.open(site)
        first = self.server(80)
        port = self.redirect_port(site)
        client, server = self.client(80), await self.accept(first)
        special = self.server(9000)
        self.open(attrs.evolve(site, services=(EVERY, exact(port, 9000))))
        self.assertNotEqual(self.redirect_port(site), port)
        await self.exchange(self.client(port), await self.accept(special), b"special")
        await self.exchange(self.client(80), await self.accept(first), b"all others")
        await self.exchange(client, server, b"goes on")

    async def test_ports_that_the_kernel_chooses_from(self) -> None:
        """May have services of their own: where all others come in is another one; without another it is refused."""
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")
        site = every_site("a.example", exact(40000, 9000))
        for number in range(1, 11):
            self.open(site, LEASED + number)
            self.assertEqual(self.redirect_port(site, LEASED + number), 40001)
        full = every_site("a.example", exact(40000), exact(40001))
        error = self.assertRaises(DataPathError, self.open, full)
        self.assertEqual(str(error), f"{LEASED}:all/tcp: port in use by another program (ss -lnp shows which)")
        self.assertRefused(40000)

    async def test_two_with_all_ports(self) -> None:
        """Do not fit on one address."""
        self.open(every_site())
        error = self.assertRaises(DataPathError, self.open, every_site("b.example"))
        self.assertEqual(str(error), f"{LEASED}:all/tcp: port in use by site a.example")
        self.assertIs(error.blame, Blame.PORT)


class EndTests(EveryCase):
    async def test_connections_outlive_the_lease(self) -> None:
        """And nothing of theirs reaches the next site, which may have all ports too, or one."""
        one, two = self.server(80), self.server(9000)
        former = every_site()
        self.open(former)
        client, server = self.client(80), await self.accept(one)
        self.nat.close(LEASED, former.name)
        self.assertNotIn(str(LEASED), nft("list", "ruleset"))
        self.assertRefused(80)
        await self.exchange(client, server, b"nobody's")
        for latter in (
            every_site("b.example", port=9000),
            attrs.evolve(every_site("c.example"), services=(exact(80, 9000),)),
        ):
            latter = attrs.evolve(latter, servers=(attrs.evolve(latter.servers[0], port=9000),))
            self.open(latter)
            newcomer, new_server = self.client(80), await self.accept(two)
            await self.exchange(newcomer, new_server, b"new")
            await self.exchange(client, server, b"old")
            self.nat.close(LEASED, latter.name)
        await self.exchange(client, server, b"still")

    async def test_who_waits_does_not_reach_the_next_site(self) -> None:
        one, two = self.server(80), self.server(9000)
        former, latter = every_site(), every_site("b.example", port=9000)
        self.open(former)
        client = self.client(80)  # waits: the reactor has not turned
        self.nat.close(LEASED, former.name)
        self.open(latter)
        self.assertEqual(await self.read(client), b"reset")
        await turns()
        self.assertNobody(one)
        self.assertNobody(two)

    async def test_abort(self) -> None:
        """Connections to any port are the site's."""
        origin = self.server(80)
        site = every_site()
        self.open(site)
        client, server = self.client(80), await self.accept(origin)
        self.nat.abort(LEASED, site.name)
        self.assertEqual((await self.read(client), await self.read(server)), (b"reset", b"reset"))

    async def test_the_table(self) -> None:
        """Stands while there are connections, whoever flushes what; a stop takes it away."""
        origin = self.server(80)
        site = every_site()
        self.open(site)
        [line] = nft("list", "tables").splitlines()
        client, server = self.client(80), await self.accept(origin)
        nft("flush", "ruleset")
        self.client(80)
        await self.accept(origin)
        self.nat.close(LEASED, site.name)
        self.assertEqual(nft("list", "tables").splitlines(), [line])
        await self.exchange(client, server, b"goes on")
        await self.nat.stop(0)
        self.assertEqual(nft("list", "tables"), "")

    async def test_without_such_a_site(self) -> None:
        """There is no table, and the kernel need not remember connections."""
        self.server(80)
        site = attrs.evolve(every_site(), services=(exact(80),))
        self.nat.prepare([site])
        self.open(site)
        self.nat.close(LEASED, site.name)
        self.assertEqual(nft("list", "ruleset"), "")

    async def test_prepared(self) -> None:
        """The table is made before somebody waits for it."""
        self.nat.prepare([every_site()])
        self.assertIn("table ip appliance_", nft("list", "tables"))


class RefusedTests(NatCase):
    """The kernel does not take it; no host of its own is needed for that."""

    def setUp(self) -> None:
        super().setUp()
        self.kernel = FakePacketFilter()
        self.nat = BalancedNat(ClockedReactor(self.clock), self.tally, self.kernel)
        self.carrying = self.nat.carrying

    async def test_no_right(self) -> None:
        """Says so, blames no address, and leaves nothing open."""
        self.kernel.failure = "needs CAP_NET_ADMIN"
        site = every_site("a.example", exact(8080))
        refused = self.assertRaises(ListenError, self.nat.prepare, [site])
        self.assertEqual(str(refused), "sites.a.example: port: all needs CAP_NET_ADMIN")
        error = self.assertRaises(DataPathError, self.nat.open, LEASED, site, site.servers[0])
        self.assertEqual(str(error), f"{LEASED}: port: all needs CAP_NET_ADMIN")
        self.assertIs(error.blame, Blame.PROCESS)
        self.assertListens(8080, listens=False)
        self.assertEqual(self.nat._holdings, {})
        self.kernel.failure = None
        self.nat.open(LEASED, site, site.servers[0])
        self.assertEqual(self.kernel.exact, {(str(LEASED), 8080)})

    async def test_a_change_that_is_refused(self) -> None:
        """Leaves all as it was."""
        site = every_site("a.example", exact(8080))
        self.nat.open(LEASED, site, site.servers[0])
        self.kernel.failure = "was refused by nftables: Cannot allocate memory"
        changed = every_site("a.example", exact(8081))
        self.assertRaises(DataPathError, self.nat.open, LEASED, changed, changed.servers[0])
        self.assertListens(8080, listens=True)
        self.assertListens(8081, listens=False)
        self.assertEqual(self.kernel.exact, {(str(LEASED), 8080)})

    async def test_an_end_that_is_refused(self) -> None:
        """Ends all the same; the next site gets the address only when the kernel has forgotten the former one."""
        site, other = every_site(), attrs.evolve(every_site("b.example"), services=(exact(8080),))
        self.nat.open(LEASED, site, site.servers[0])
        [place] = self.kernel.every.values()
        self.kernel.failure = "was refused by nftables: Cannot allocate memory"
        self.nat.close(LEASED, site.name)
        self.assertListens(place[1], listens=False)
        self.assertRaises(DataPathError, self.nat.open, LEASED, other, other.servers[0])
        self.assertListens(8080, listens=False)
        self.kernel.failure = None
        self.nat.open(LEASED, other, other.servers[0])
        self.assertEqual(self.kernel.every, {})

    async def test_a_move_that_is_refused(self) -> None:
        """All goes on coming in where it did."""
        site = every_site()
        self.nat.open(LEASED, site, site.servers[0])
        [place] = self.kernel.every.values()
        self.kernel.failure = "was refused by nftables: Cannot allocate memory"
        changed = every_site("a.example", exact(place[1]))
        self.assertRaises(DataPathError, self.nat.open, LEASED, changed, changed.servers[0])
        self.assertEqual(list(self.kernel.every.values()), [place])
        self.assertListens(place[1], listens=True)

    async def test_one_change_of_the_kernel(self) -> None:
        """Is all that an address takes, however many ports it has."""
        services = [exact(port) for port in range(8080, 8090)]
        for number in range(1, 11):
            site = every_site(f"{number}.example", *services)
            self.nat.open(LEASED + number, site, site.servers[0])
        self.assertEqual(self.kernel.runs, 10)
        self.assertEqual((len(self.kernel.every), len(self.kernel.exact)), (10, 100))
