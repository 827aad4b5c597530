"""Where connections go and where they come from: the NAT with its balancing, over real sockets and with a clock."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import attrs
from twisted.internet.threads import deferToThread

from appliance.model import (
    Instance,
    NatPool,
    ProxyProtocol,
    Refusal,
    Server,
    Service,
    Site,
    Transport,
)
from appliance.nat import farewell, greeting
from appliance.nat.proxyheader import read
from tests.integration.sockets import (
    LEASED,
    ORIGIN,
    POOLED,
    NatCase,
    free_port,
    in_thread,
    read_all,
    read_to_reset,
    turns,
    until,
)

CLIENTS = IPv4Network("127.0.0.0/8")
UNWELCOME = Instance(bind_id=2, name="unwelcome", clients=(CLIENTS,))
SNAT = NatPool(
    name="snat",
    first=POOLED,
    last=POOLED,
    netmask=IPv4Address("255.255.255.255"),
    first_port=20000,
    last_port=20001,
    initial=2,
    subpool=2,
    maximum=2,
    low_water=0,
    quarantine=60.0,
)


class BalancingCase(NatCase):
    def several(self, *origins: socket.socket | int, **more: Any) -> Site:
        """A site whose servers are these sockets, or ports where nobody listens."""
        options = {key: more.pop(key) for key in ("retries", "max_connections", "queue", "retry_after") if key in more}
        ports = [each.getsockname()[1] if isinstance(each, socket.socket) else each for each in origins]
        servers = tuple(
            Server(name=f"server {number}", address=ORIGIN, port=port, **{"retries": 1, **options})
            for number, port in enumerate(ports)
        )
        return attrs.evolve(self.site(ports[0]), servers=servers, **more)

    def opened(self, site: Site) -> Site:
        self.nat.open(LEASED, site, site.servers[0])
        return site

    def flow(self) -> Any:
        (flow,) = self.nat.connections()
        return flow


class Ways(BalancingCase):
    """To a server, with detours."""

    async def test_another_server(self) -> None:
        """One that refuses is passed over; the client's bytes, which were never read, reach the other one."""
        origin = self.origin()
        site = self.opened(self.several(free_port(ORIGIN), origin))
        client = self.connect(site)
        client.sendall(b"hello")
        server = await self.accept(origin)
        self.assertEqual(await in_thread(server.recv, 9), b"hello")
        self.assertEqual((self.flow().server, self.flow().attempts), ("server 1", 1))

    async def test_the_same_server_again(self) -> None:
        """After a second, where there is no other."""
        port = free_port(ORIGIN)
        site = self.opened(self.several(port, retries=3))
        client = self.connect(site)
        await until(lambda: [flow.attempts for flow in self.nat.connections()] == [2])
        origin = self.keep(socket.create_server((str(ORIGIN), port)))
        self.clock.advance(1)
        server = await self.accept(origin)
        server.sendall(b"here")
        self.assertEqual(await in_thread(client.recv, 9), b"here")
        self.assertEqual(self.flow().attempts, 2)

    async def test_nobody(self) -> None:
        """A reset, when every server was tried."""
        site = self.opened(self.several(free_port(ORIGIN), free_port(ORIGIN)))
        client = self.connect(site)
        self.assertEqual(await in_thread(read_to_reset, client), b"")
        self.assertEqual(self.nat.counters.connects_failed, 1)

    async def test_not_in_a_circle(self) -> None:
        """A server that is one of our own addresses, as a reload may have it, is one that does not answer."""
        origin = self.origin()
        site = self.several(free_port(ORIGIN), origin)
        port = site.services[0].first_port
        ours = attrs.evolve(site.servers[0], address=LEASED, port=port)
        self.opened(attrs.evolve(site, servers=(ours, site.servers[1])))
        client = self.connect(site)
        await self.accept(origin)
        self.assertEqual(len(self.nat.connections()), 1)
        client.close()
        datagrams = self.site(self.udp_socket(), name="b.example")
        [own] = datagrams.services
        self.opened(attrs.evolve(datagrams, servers=(attrs.evolve(ours, port=own.first_port),)))
        self.udp_socket().sendto(b"x", (str(LEASED), own.first_port))
        await until(lambda: self.nat.counters.datagrams_dropped == 1)
        self.assertEqual([flow for flow in self.nat.connections() if flow.transport is Transport.UDP], [])

    async def test_a_server_that_does_not_answer(self) -> None:
        """Its time is the connect timeout; then another one is tried."""
        deaf = self.origin(backlog=0)
        fillers = [self.keep(socket.socket()) for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        origin = self.origin()
        site = self.opened(self.several(deaf, origin))
        client = self.connect(site)
        await until(lambda: bool(self.nat.connections()))
        await turns()
        self.clock.advance(site.timeouts.connect)
        server = await self.accept(origin)
        server.sendall(b"here")
        self.assertEqual(await in_thread(client.recv, 9), b"here")

    async def test_a_failed_server_may_lose_its_connections(self) -> None:
        """Only where it is configured so."""
        for reset in (False, True):
            origin = self.origin()
            site = self.several(origin)
            (server,) = site.servers
            site = attrs.evolve(site, servers=(attrs.evolve(server, threshold=1, reset_on_failure=reset),))
            self.opened(site)
            client = self.connect(site)
            accepted = await self.accept(origin)
            origin.close()
            late = self.connect(site)
            self.assertEqual(await in_thread(read_to_reset, late), b"")
            await until(lambda: len(self.nat.connections()) == (0 if reset else 1))  # noqa: B023
            client.close()
            accepted.close()
            await until(lambda: not self.nat.connections())


class Queues(BalancingCase):
    async def test_a_place_becomes_free(self) -> None:
        origin = self.origin()
        site = self.opened(self.several(origin, max_connections=1, queue=1))
        first = self.connect(site)
        server = await self.accept(origin)
        second = self.connect(site)
        await until(lambda: "waiting" in [flow.state for flow in self.nat.connections()])
        third = self.connect(site)
        self.assertEqual(await in_thread(read_to_reset, third), b"")
        first.close()
        server.close()
        other = await self.accept(origin)
        other.sendall(b"at last")
        self.assertEqual(await in_thread(second.recv, 9), b"at last")

    async def test_no_place_in_time(self) -> None:
        origin = self.origin()
        site = self.opened(self.several(origin, max_connections=1, queue=1))
        self.connect(site)
        await self.accept(origin)
        second = self.connect(site)
        await until(lambda: len(self.nat.connections()) == 2)
        self.clock.advance(site.timeouts.connect)
        self.assertEqual(await in_thread(read_to_reset, second), b"")

    async def test_who_is_gone(self) -> None:
        """Its place is for others at once, and no server is asked for it; one that has ended its side is served."""
        origin = self.origin()
        site = self.opened(self.several(origin, max_connections=1, queue=2))
        first = self.connect(site)
        server = await self.accept(origin)
        for _ in range(3):
            gone = self.connect(site)
            ended = self.connect(site)
            ended.sendall(b"hello")
            ended.shutdown(socket.SHUT_WR)
            await until(lambda: [flow.state for flow in self.nat.connections()].count("waiting") == 2)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()
            await until(lambda: len(self.nat.connections()) == 2)
            first.close()
            server.close()
            first, server = ended, await self.accept(origin)
            self.assertEqual(await in_thread(read_all, server), b"hello")

    async def test_who_gives_up(self) -> None:
        """Leaves the queue when it is its turn, and nobody behind it is forgotten."""
        origin = self.origin()
        site = self.opened(self.several(origin, max_connections=1, queue=2))
        first = self.connect(site)
        server = await self.accept(origin)
        for number in (2, 3):
            self.connect(site)
            await until(lambda: len(self.nat.connections()) == number)  # noqa: B023
        waiting = [flow for flow in self.nat.connections() if flow.state == "waiting"]
        self.assertEqual(len(waiting), 2)
        (_, second, third) = sorted(self.nat._fabric.connections, key=lambda each: each.ticket.number)
        second.close(reset=True)
        first.close()
        server.close()
        await self.accept(origin)
        self.assertEqual([flow.number for flow in self.nat.connections()], [third.ticket.number])


class TurnedAway(BalancingCase):
    def unwelcome(self, answer: Refusal | bytes) -> Site:
        instance = attrs.evolve(UNWELCOME, answer=answer)
        return self.opened(attrs.evolve(self.site(self.origin()), instances=(instance,)))

    async def test_a_message(self) -> None:
        """All of it and the end, though the client had said something that nobody reads."""
        message = b"go away\r\n" * 5000
        client = self.connect(self.unwelcome(message))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(await in_thread(read_all, client), message)
        client.close()
        await until(lambda: not self.nat._fabric.farewells)
        self.assertEqual((self.nat.counters.turned_away, self.nat.connections()), (1, []))

    async def test_a_client_that_has_ended(self) -> None:
        """Its half: it gets the message all the same."""
        client = self.connect(self.unwelcome(b"x" * 3_000_000))
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(len(await in_thread(read_all, client)), 3_000_000)
        await until(lambda: not self.nat._fabric.farewells)

    async def test_one_that_does_not_go(self) -> None:
        client = self.connect(self.unwelcome(b"go"))
        self.assertEqual(await in_thread(read_all, client), b"go")
        self.assertEqual(len(self.nat._fabric.farewells), 1)
        self.clock.advance(farewell.PATIENCE)
        self.assertEqual(len(self.nat._fabric.farewells), 0)

    async def test_one_that_talks_on(self) -> None:
        """Is cut off."""
        client = self.connect(self.unwelcome(b"go"))

        def talk() -> None:
            for _ in range(10_000):
                client.sendall(b"x" * 65536)

        with self.assertRaises(OSError):
            await deferToThread(talk)
        self.assertEqual(len(self.nat._fabric.farewells), 0)

    async def test_close(self) -> None:
        client = self.connect(self.unwelcome(Refusal.CLOSE))
        self.assertEqual(await in_thread(read_all, client), b"")

    async def test_reset(self) -> None:
        client = self.connect(self.unwelcome(Refusal.RESET))
        self.assertEqual(await in_thread(read_to_reset, client), b"")

    async def test_many(self) -> None:
        """Beyond a bound they are reset."""
        self.patch(farewell, "MOST_AT_ONCE", 1)
        site = self.unwelcome(b"go")
        one = self.connect(site)
        self.assertEqual(await in_thread(read_all, one), b"go")
        other = self.connect(site)
        self.assertEqual(await in_thread(read_to_reset, other), b"")


class Introduced(BalancingCase):
    """PROXY headers and welcomes."""

    async def test_to_the_server(self) -> None:
        for version in (ProxyProtocol.V1, ProxyProtocol.V2):
            origin = self.origin()
            site = self.opened(attrs.evolve(self.site(origin), proxy_protocol=version))
            client = self.connect(site)
            client.sendall(b"hello")
            server = await self.accept(origin)
            client.shutdown(socket.SHUT_WR)
            found = await in_thread(read_all, server)
            parsed = read(found)
            assert parsed is not None
            said, size = parsed
            assert said is not None
            self.assertEqual((str(said.address), said.port), client.getsockname())
            self.assertEqual(found[size:], b"hello")

    async def test_a_welcome(self) -> None:
        """Before anything that the server says."""
        origin = self.origin()
        site = self.site(origin)
        instance = attrs.evolve(UNWELCOME, servers=site.servers, welcome=b"welcome, ")
        client = self.connect(self.opened(attrs.evolve(site, instances=(instance,))))
        server = await self.accept(origin)
        server.sendall(b"friend")
        server.close()
        self.assertEqual(await in_thread(read_all, client), b"welcome, friend")

    def behind(self, origin: socket.socket) -> Site:
        """A site behind front ends; clients of 198.51.100.0/24 are unwelcome there."""
        instance = Instance(bind_id=1, name="unwelcome", clients=(IPv4Network("198.51.100.0/24"),), answer=b"not you")
        site = attrs.evolve(self.site(origin), accept_proxy_from=(CLIENTS,), instances=(instance,))
        return self.opened(site)

    async def test_from_a_front_end(self) -> None:
        """In pieces; the server gets what is behind it."""
        origin = self.origin()
        client = self.connect(self.behind(origin))
        for byte in b"PROXY TCP4 192.0.2.7 203.0.113.9 4711 80\r\nhel":
            client.sendall(bytes([byte]))
            await turns(3)
        client.sendall(b"lo")
        server = await self.accept(origin)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await in_thread(read_all, server), b"hello")
        self.assertEqual(str(self.flow().client), "192.0.2.7:4711")

    async def test_who_it_speaks_for_decides(self) -> None:
        client = self.connect(self.behind(self.origin()))
        client.sendall(b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 80\r\n")
        self.assertEqual(await in_thread(read_all, client), b"not you")

    async def test_no_good_header(self) -> None:
        """A reset: what says nothing good of its client is not believed to be the client."""
        site = self.behind(self.origin())
        for said in (b"GET / HTTP/1.0\r\n", b"PROXY FOO\r\n"):
            client = self.connect(site)
            client.sendall(said)
            self.assertEqual(await in_thread(read_to_reset, client), b"")
        halfway = self.connect(site)
        halfway.sendall(b"PROXY TCP4 ")
        await until(lambda: bool(self.nat._fabric.greetings))
        halfway.shutdown(socket.SHUT_WR)
        self.assertEqual(await in_thread(read_to_reset, halfway), b"")
        silent = self.connect(site)
        await until(lambda: bool(self.nat._fabric.greetings))
        self.clock.advance(greeting.PATIENCE)
        self.assertEqual(await in_thread(read_to_reset, silent), b"")
        self.assertEqual(self.nat.connections(), [])


class Sources(BalancingCase):
    """Client NAT pools (4.6)."""

    def setUp(self) -> None:
        super().setUp()
        self.nat.client_nat["snat"] = SNAT

    async def test_what_the_server_sees(self) -> None:
        origin = self.origin()
        site = self.opened(attrs.evolve(self.site(origin), client_nat="snat"))
        clients = [self.connect(site) for _ in range(2)]
        servers = [await self.accept(origin) for _ in range(2)]
        seen = {server.getpeername() for server in servers}
        self.assertEqual(seen, {(str(POOLED), 20000), (str(POOLED), 20001)})
        self.assertEqual({str(flow.source) for flow in self.nat.connections()}, {f"{a}:{p}" for a, p in seen})
        refused = self.connect(site)
        self.assertEqual(await in_thread(read_to_reset, refused), b"")
        self.assertEqual(self.nat.counters.sources_exhausted, 1)
        for sock in (*clients, *servers):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        await until(lambda: not self.nat.connections())
        (resting, _) = [counts.free for name, transport, counts in self.carrying.nat_pools()]
        self.assertEqual(resting, 0)
        self.clock.advance(60)
        self.connect(site)
        await self.accept(origin)

    async def test_a_pair_that_somebody_has(self) -> None:
        """Another one is tried."""
        other = self.keep(socket.create_server((str(POOLED), 20000)))
        origin = self.origin()
        site = self.opened(attrs.evolve(self.site(origin), client_nat="snat"))
        self.connect(site)
        server = await self.accept(origin)
        self.assertEqual(server.getpeername(), (str(POOLED), 20001))
        other.close()

    async def test_a_queue_outlives_its_pool(self) -> None:
        """Who waits while a reload takes the pool away comes from where the site's new connections come from."""
        for pool, source in ((None, "127.0.0.1"), ("other", str(POOLED + 1))):
            origin = self.origin()
            site = self.opened(self.several(origin, max_connections=1, queue=1, client_nat="snat"))
            first = self.connect(site)
            server = await self.accept(origin)
            second = self.connect(site)
            await until(lambda: "waiting" in [flow.state for flow in self.nat.connections()])
            address = POOLED + 1
            self.nat.client_nat = {"other": attrs.evolve(SNAT, name="other", first=address, last=address)}
            self.opened(attrs.evolve(site, client_nat=pool))
            first.close()
            server.close()
            other = await self.accept(origin)
            self.assertEqual(other.getpeername()[0], source)
            second.close()
            other.close()
            await until(lambda: not self.nat.connections())
            self.assertEqual({counts.taken for _, _, counts in self.carrying.nat_pools()}, {0})
            self.nat.close(LEASED, site.name)
            self.nat.client_nat = {"snat": SNAT}

    async def test_datagrams(self) -> None:
        origin = self.udp_socket()
        site = self.opened(attrs.evolve(self.site(origin), client_nat="snat"))
        client = self.udp_socket(LEASED + 6)
        client.sendto(b"x", (str(LEASED), site.services[0].first_port))
        _, source = await in_thread(origin.recvfrom, 9)
        self.assertEqual(source[0], str(POOLED))


class Sessions(BalancingCase):
    """UDP."""

    async def test_one_client_one_server(self) -> None:
        """Several sessions of a client go to the same server; those of others are spread."""
        origins = [self.udp_socket() for _ in range(3)]
        port = free_port(LEASED, socket.SOCK_DGRAM)
        servers = tuple(
            Server(name=f"server {number}", address=ORIGIN, port=each.getsockname()[1])
            for number, each in enumerate(origins)
        )
        service = Service(transport=Transport.UDP, first_port=port, last_port=port, to=9)
        self.opened(Site(name="a.example", pool="public", services=(service,), servers=servers))
        for number in (6, 7, 8):
            for _ in range(3):
                self.udp_socket(LEASED + number).sendto(b"x", (str(LEASED), port))
        await until(lambda: len(self.nat.connections()) == 9)
        servers_of: dict[str, set[str]] = {}
        for flow in self.nat.connections():
            servers_of.setdefault(str(flow.client.address), set()).add(flow.server)
        self.assertEqual([len(each) for each in servers_of.values()], [1, 1, 1])
        self.assertEqual(len(set.union(*servers_of.values())), 3)


class KeptAlive(BalancingCase):
    async def test_both_sides(self) -> None:
        origin = self.origin()
        site = self.opened(self.site(origin))
        self.connect(site)
        await self.accept(origin)
        (connection,) = self.nat._fabric.connections
        self.clock.advance(site.timeouts.connect + 1)
        for side in (connection._client, connection._server):
            assert side is not None
            self.assertEqual(side.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
            self.assertEqual(side.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60)
