"""UDP through the NAT proxy, between real peers."""

from __future__ import annotations

import os
import select
import socket

import attrs

from appliance.errors import DataPathError
from appliance.model import Site, Timeouts, Transport
from tests.integration.sockets import (
    LEASED,
    NEXT_NETWORK,
    NatCase,
    free_port,
    in_thread,
    turns,
    until,
)

CLIENT = LEASED + 99
Address = tuple[str, int]


class UdpCase(NatCase):
    """With an echo of the tests' own: the server's socket, the site and a client."""

    def open(self, **more: object) -> tuple[socket.socket, Site, Address]:
        """:return: the server's socket, the site, and the endpoint that clients speak to."""
        server = self.udp_socket()
        site = self.site(server, **more)  # type: ignore[arg-type]
        self.nat.open(LEASED, site, site.servers[0])
        return server, site, (str(LEASED), site.services[0].first_port)

    def client(self) -> socket.socket:
        return self.udp_socket(CLIENT)

    async def exchange(self, client: socket.socket, server: socket.socket, public: Address, data: bytes) -> Address:
        """There and back. :return: where the server saw it come from."""
        client.sendto(data, public)
        got, source = await in_thread(server.recvfrom, 70000)
        self.assertEqual(got, data)
        server.sendto(data[::-1], source)
        got, replier = await in_thread(client.recvfrom, 70000)
        self.assertEqual(got, data[::-1])
        self.assertEqual(replier, public)
        address: Address = source
        return address

    def states(self) -> list[str]:
        return sorted(flow.state for flow in self.nat.connections())

    def assertNothing(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.assertRaises(BlockingIOError, sock.recv, 70000)


class Datagrams(UdpCase):
    """Each datagram arrives as it was sent, and replies leave from the leased endpoint."""

    async def test_replies_leave_from_the_leased_endpoint(self) -> None:
        server, _, public = self.open()
        client = self.client()
        first = await self.exchange(client, server, public, b"one")
        self.assertEqual(await self.exchange(client, server, public, b"two"), first)
        [flow] = self.nat.connections()
        self.assertEqual((flow.transport, flow.from_client_bytes, flow.from_server_bytes), (Transport.UDP, 6, 6))
        self.assertEqual((str(flow.client.address), flow.client.port), client.getsockname())

    async def test_what_was_delivered_is_counted_beyond_its_end(self) -> None:
        server, _, public = self.open()
        client = self.client()
        await self.exchange(client, server, public, b"question")
        self.assertEqual((self.nat.count(), self.nat.delivered_bytes()), (1, 8))
        self.clock.advance(60)
        self.assertEqual((self.nat.count(), self.nat.delivered_bytes()), (0, 8))

    async def test_two_clients_are_two_sessions(self) -> None:
        server, _, public = self.open()
        one, two = self.client(), self.client()
        one.sendto(b"1", public)
        _, one_source = await in_thread(server.recvfrom, 10)
        two.sendto(b"2", public)
        _, two_source = await in_thread(server.recvfrom, 10)
        self.assertNotEqual(one_source, two_source)
        server.sendto(b"to two", two_source)
        server.sendto(b"to one", one_source)
        self.assertEqual(await in_thread(one.recv, 10), b"to one")
        self.assertEqual(await in_thread(two.recv, 10), b"to two")

    async def test_sizes(self) -> None:
        server, _, public = self.open()
        client = self.client()
        for size in (0, 1, 1472, 9000, 65507):
            await self.exchange(client, server, public, os.urandom(size))

    async def test_more_than_one_wake_up_takes(self) -> None:
        server, _, public = self.open()
        client = self.client()
        for number in range(100):
            client.sendto(b"%d" % number, public)
        got = [await in_thread(server.recv, 10) for _ in range(100)]
        self.assertEqual(got, [b"%d" % number for number in range(100)])

    async def test_a_stranger_cannot_speak_through_a_session(self) -> None:
        server, _, public = self.open()
        client = self.client()
        source = await self.exchange(client, server, public, b"x")
        self.udp_socket().sendto(b"forged", source)
        await turns()
        self.assertNothing(client)


class Binding(UdpCase):
    """Only a client that has heard the server and speaks again holds the lease."""

    async def test_there_back_and_there_again(self) -> None:
        server, _, public = self.open()
        client = self.client()
        client.sendto(b"1", public)
        _, source = await in_thread(server.recvfrom, 10)
        client.sendto(b"2", public)
        await in_thread(server.recv, 10)
        self.assertEqual((self.states(), self.tally.opened), (["new"], {}))
        server.sendto(b"reply", source)
        await in_thread(client.recv, 10)
        server.sendto(b"reply", source)
        await in_thread(client.recv, 10)
        self.assertEqual((self.states(), self.tally.opened), (["answered"], {}))
        client.sendto(b"3", public)
        await in_thread(server.recv, 10)
        self.assertEqual((self.states(), self.tally.opened), (["bound"], {(str(LEASED), "a.example"): 1}))
        await self.exchange(client, server, public, b"4")
        self.assertEqual(self.tally.opened.total(), 1)


class Lifetimes(UdpCase):
    """A session ends when nobody speaks."""

    async def bound(self, **more: object) -> tuple[socket.socket, socket.socket, Address, Address]:
        server, _, public = self.open(**more)
        client = self.client()
        source = await self.exchange(client, server, public, b"1")
        await self.exchange(client, server, public, b"2")
        self.assertEqual(self.states(), ["bound"])
        return client, server, public, source

    async def test_unbound(self) -> None:
        server, _, public = self.open()
        await self.exchange(self.client(), server, public, b"1")
        self.clock.advance(29)
        self.assertEqual(self.states(), ["answered"])
        self.clock.advance(2)
        self.assertEqual((self.states(), self.tally.closed), ([], {}))

    async def test_bound(self) -> None:
        client, server, public, source = await self.bound(timeouts=Timeouts(udp=300.0))
        self.clock.pump([29] * 10)
        self.assertEqual(self.states(), ["bound"])
        server.sendto(b"news", source)  # either direction keeps it
        await in_thread(client.recv, 10)
        self.clock.pump([29] * 10)
        client.sendto(b"thanks", public)
        await in_thread(server.recv, 10)
        self.clock.pump([29] * 10)
        self.assertEqual(self.states(), ["bound"])
        self.clock.pump([6, 6])
        self.assertEqual((self.states(), self.tally.closed.total()), ([], 1))

    async def test_bound_with_a_short_timeout(self) -> None:
        await self.bound(timeouts=Timeouts(udp=5.0))
        self.clock.advance(5.1)
        self.assertEqual((self.states(), self.tally.closed.total()), ([], 1))

    async def test_a_new_session_after_the_end(self) -> None:
        client, server, public, _ = await self.bound(timeouts=Timeouts(udp=5.0))
        self.clock.advance(5.1)
        await self.exchange(client, server, public, b"again")
        self.assertEqual(self.states(), ["answered"])


class Bounds(UdpCase):
    """Sessions of a site are bounded, over all its ports and addresses, and so are those of one network."""

    async def test_max_sessions(self) -> None:
        """Whatever networks they come from."""
        server = self.udp_socket()
        ports = tuple(free_port(LEASED, socket.SOCK_DGRAM) for _ in range(2))
        site = self.site(server, ports=ports, max_sessions=2)
        self.nat.open(LEASED, site, site.servers[0])
        first = self.client()
        first.sendto(b"1", (str(LEASED), ports[0]))
        self.client().sendto(b"2", (str(LEASED), ports[1]))
        await until(lambda: len(self.nat.connections()) == 2)
        self.udp_socket(NEXT_NETWORK).sendto(b"3", (str(LEASED), ports[0]))
        await until(lambda: self.nat.counters.sessions_refused == 1)
        first.sendto(b"4", (str(LEASED), ports[0]))  # a session that is there goes on
        got = sorted([await in_thread(server.recv, 10) for _ in range(3)])
        self.assertEqual(got, [b"1", b"2", b"4"])
        self.assertEqual(len(self.nat.connections()), 2)
        self.clock.advance(31)
        self.client().sendto(b"5", (str(LEASED), ports[0]))
        self.assertEqual(await in_thread(server.recv, 10), b"5")

    async def crowd(self, public: Address, *, most: int) -> None:
        """Clients of one network, of whom ``most`` get a session and five do not."""
        refused = self.nat.counters.sessions_refused
        for client in [self.client() for _ in range(most + 5)]:
            client.sendto(b"x", public)
        await until(lambda: self.nat.counters.sessions_refused == refused + 5)
        self.assertEqual(len(self.states()), most)

    async def test_one_network_has_a_quarter(self) -> None:
        """Others still get theirs (1.9): the next network, and this one at another site."""
        _, _, public = self.open(max_sessions=300)
        _, _, elsewhere = self.open(max_sessions=300, name="b.example")
        await self.crowd(public, most=75)
        self.udp_socket(NEXT_NETWORK).sendto(b"from the next network", public)
        await until(lambda: len(self.states()) == 76)
        self.client().sendto(b"to another site", elsewhere)
        await until(lambda: len(self.states()) == 77)

    async def test_one_network_has_some_of_few(self) -> None:
        _, _, public = self.open(max_sessions=80)
        await self.crowd(public, most=64)

    async def test_what_is_counted_is_forgotten_with_the_sessions(self) -> None:
        _, _, public = self.open(max_sessions=20)
        await self.crowd(public, most=20)
        self.clock.advance(31)
        self.assertEqual((self.states(), len(self.nat._fabric.sessions_of)), ([], 0))
        await self.crowd(public, most=20)

    async def test_no_descriptors(self) -> None:
        server, _, public = self.open()
        client = self.client()
        held = await self.exhaust_descriptors()
        client.sendto(b"dropped", public)
        await until(lambda: self.nat.counters.sessions_refused == 1)
        os.close(held.pop())
        await self.exchange(client, server, public, b"carried")


class Errors(UdpCase):
    """ICMP errors end nothing."""

    async def test_a_server_that_is_down_for_a_while(self) -> None:
        server = self.udp_socket()
        endpoint = server.getsockname()
        site = self.site(server)
        self.nat.open(LEASED, site, site.servers[0])
        server.close()
        public = (str(LEASED), site.services[0].first_port)
        client = self.client()
        for _ in range(3):
            client.sendto(b"anyone?", public)
            await turns()  # the refusal comes back as an error of the session's socket
        [session] = self.nat._fabric.sessions
        errors = select.poll()
        errors.register(session.fileno(), 0)
        self.assertEqual(errors.poll(0), [])  # else the reactor would spin over it
        self.assertEqual(self.states(), ["new"])
        server = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(endpoint)
        await self.exchange(client, server, public, b"back")
        self.assertEqual(len(self.nat.connections()), 1)

    async def test_a_send_right_behind_a_refusal(self) -> None:
        """An error that waits on the socket must not cost the next datagram."""
        server = self.udp_socket()
        endpoint = server.getsockname()
        server.close()
        site = self.site(endpoint[1], transport=Transport.UDP)
        service = site.services[0]
        self.nat.open(LEASED, site, site.servers[0])
        listener = self.nat._holdings[LEASED, "a.example"].listeners[Transport.UDP, service.first_port]
        client = self.client()
        client.sendto(b"lost", (str(LEASED), service.first_port))
        listener.doRead()  # without the reactor, nobody takes the error off the socket
        server = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(endpoint)
        client.sendto(b"not lost", (str(LEASED), service.first_port))
        listener.doRead()
        self.assertEqual(await in_thread(server.recv, 20), b"not lost")

    async def test_a_client_that_is_gone(self) -> None:
        server, _, public = self.open()
        client = self.client()
        client.sendto(b"1", public)
        _, source = await in_thread(server.recvfrom, 10)
        client.close()
        for _ in range(3):
            server.sendto(b"too late", source)
            await turns()
        await self.exchange(self.client(), server, public, b"others go on")


class Holding(UdpCase):
    """What listens follows the site that holds the address."""

    async def test_close_ends_sessions(self) -> None:
        server, site, public = self.open()
        client = self.client()
        await self.exchange(client, server, public, b"1")
        await self.exchange(client, server, public, b"2")
        self.nat.close(LEASED, site.name)
        self.assertEqual((self.states(), self.tally.closed.total()), ([], 1))
        client.sendto(b"3", public)
        await turns()
        self.assertNothing(server)

    async def test_a_changed_server_is_for_new_sessions(self) -> None:
        server, site, public = self.open()
        client = self.client()
        await self.exchange(client, server, public, b"1")
        other = self.udp_socket()
        second = attrs.evolve(site.servers[0], name="second", port=other.getsockname()[1])
        self.nat.open(LEASED, attrs.evolve(site, servers=(second,)), second)
        await self.exchange(client, server, public, b"2")
        await self.exchange(self.client(), other, public, b"3")
        self.assertEqual(sorted(flow.server for flow in self.nat.connections()), ["second", site.servers[0].name])

    async def test_a_port_that_is_taken(self) -> None:
        taken = self.udp_socket(LEASED).getsockname()[1]
        site = self.site(self.udp_socket(), ports=(taken,))
        error = self.assertRaises(DataPathError, self.nat.open, LEASED, site, site.servers[0])
        self.assertEqual(str(error), f"{LEASED}:{taken}/udp: port in use by another program (ss -lnp shows which)")

    async def test_a_whole_site_in_one(self) -> None:
        """TCP and UDP on one port number are two services."""
        port = free_port(LEASED)
        server = self.udp_socket()
        udp, tcp = self.site(server, ports=(port,)), self.site(self.origin(), ports=(port,))
        both = Site(name="a.example", pool="p", services=udp.services + tcp.services, servers=udp.servers)
        self.nat.open(LEASED, both, both.servers[0])
        self.connect(tcp)
        await self.exchange(self.client(), server, (str(LEASED), port), b"1")
