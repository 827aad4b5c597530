"""Several sites on one address, one after the other (1.11) and at once (1.12), between real peers."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import attrs

from appliance.errors import Blame, DataPathError
from appliance.model import Transport
from tests.integration.sockets import LEASED, NatCase, free_port, in_thread, read_to_reset, turns
from tests.integration.test_nat_udp import UdpCase

SECOND_LEASED = LEASED + 1


class After(NatCase):
    """One site after another on the same port."""

    async def test_the_next_site_on_a_port(self) -> None:
        """The former's connections go on beside it (1.11)."""
        one, two = self.origin(), self.origin()
        former = self.site(one)
        self.nat.open(LEASED, former, former.servers[0])
        client = self.connect(former)
        server = await self.accept(one)
        self.nat.close(LEASED, former.name)
        latter = self.site(two, name="b.example", ports=(former.services[0].first_port,))
        self.nat.open(LEASED, latter, latter.servers[0])
        newcomer = self.connect(latter)
        new_server = await self.accept(two)
        newcomer.sendall(b"new")
        self.assertEqual(await in_thread(new_server.recv, 100), b"new")
        client.sendall(b"old")
        self.assertEqual(await in_thread(server.recv, 100), b"old")

    async def test_a_waiting_client_of_the_former_site_does_not_reach_the_new_one(self) -> None:
        one, two = self.origin(), self.origin()
        former = self.site(one)
        self.nat.open(LEASED, former, former.servers[0])
        client = self.connect(former)  # waits: the reactor has not turned
        latter = self.site(two, name="b.example", ports=(former.services[0].first_port,))
        self.nat.close(LEASED, former.name)
        self.nat.open(LEASED, latter, latter.servers[0])
        await in_thread(read_to_reset, client)
        two.settimeout(0)
        self.assertRaises(BlockingIOError, two.accept)
        self.assertEqual(self.nat.connections(), [])


class Beside(NatCase):
    """Sites on different ports of one address."""

    async def test_sites_on_different_ports_share_an_address(self) -> None:
        """Each keeps its own traffic when the other one ends (1.12)."""
        one, two = self.origin(), self.origin()
        first, second = self.site(one), self.site(two, name="b.example")
        for site in (first, second):
            self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(second)
        server = await self.accept(two)
        self.nat.close(LEASED, first.name)
        self.assertListens(first.services[0].first_port, listens=False)
        client.sendall(b"mine")
        self.assertEqual(await in_thread(server.recv, 100), b"mine")
        self.assertListens(second.services[0].first_port, listens=True)

    async def test_a_port_of_another_site(self) -> None:
        """Is not taken from it; and nothing is left open of the try."""
        site, free = self.site(self.origin()), free_port(LEASED)
        self.nat.open(LEASED, site, site.servers[0])
        taken = site.services[0].first_port
        other = self.site(9, name="b.example", ports=(free, taken))
        error = self.assertRaises(DataPathError, self.nat.open, LEASED, other, other.servers[0])
        self.assertEqual(str(error), f"{LEASED}:{taken}/tcp: port in use by site a.example")
        self.assertIs(error.blame, Blame.PORT)
        self.assertListens(free, listens=False)
        self.nat.close(LEASED, other.name)
        self.assertListens(taken, listens=True)

    async def test_a_change_that_wants_a_port_of_another_site(self) -> None:
        """Leaves what the site had, and its old server."""
        origin, other_origin = self.origin(), self.origin()
        site, other = self.site(origin), self.site(other_origin, name="b.example")
        for each in (site, other):
            self.nat.open(LEASED, each, each.servers[0])
        greedy = attrs.evolve(site, services=other.services)
        elsewhere = attrs.evolve(site.servers[0], port=other_origin.getsockname()[1])
        self.assertRaises(DataPathError, self.nat.open, LEASED, greedy, elsewhere)
        self.connect(site)
        await self.accept(origin)
        self.connect(other)
        await self.accept(other_origin)

    async def test_a_port_that_a_site_gave_up(self) -> None:
        """Is free for the others, without a close."""
        site = self.site(self.origin(), ports=(free_port(LEASED), free_port(LEASED)))
        self.nat.open(LEASED, site, site.servers[0])
        self.nat.open(LEASED, attrs.evolve(site, services=site.services[:1]), site.servers[0])
        origin = self.origin()
        other = self.site(origin, name="b.example", ports=(site.services[1].first_port,))
        self.nat.open(LEASED, other, other.servers[0])
        self.connect(other)
        await self.accept(origin)

    async def test_abort(self) -> None:
        """Ends what a site has on an address, and nothing else."""
        one, two = self.origin(), self.origin()
        first, second = self.site(one), self.site(two, name="b.example")
        for site in (first, second):
            self.nat.open(LEASED, site, site.servers[0])
        client, other = self.connect(first), self.connect(second)
        server, other_server = await self.accept(one), await self.accept(two)
        self.nat.abort(LEASED, first.name)
        await in_thread(read_to_reset, client)
        await in_thread(read_to_reset, server)
        other.sendall(b"goes on")
        self.assertEqual(await in_thread(other_server.recv, 100), b"goes on")

    async def test_abort_leaves_other_addresses(self) -> None:
        origin = self.origin()
        site = self.site(origin)
        pairs = []
        for address in (LEASED, SECOND_LEASED):
            self.nat.open(address, site, site.servers[0])
            pairs.append((self.connect(site, address), await self.accept(origin)))
        self.nat.abort(LEASED, site.name)
        await in_thread(read_to_reset, pairs[0][0])
        client, server = pairs[1]
        client.sendall(b"goes on")
        self.assertEqual(await in_thread(server.recv, 100), b"goes on")


class Datagrams(UdpCase):
    """The same, for UDP."""

    async def test_what_waits_for_the_former_site(self) -> None:
        """Reaches neither it nor the next."""
        server, former, public = self.open()
        client = self.client()
        client.sendto(b"for the former", public)  # waits: the reactor has not turned
        self.nat.close(LEASED, former.name)
        latter_server, _, _ = self.open(name="b.example", ports=(public[1],))
        await turns()
        self.assertNothing(server)
        self.assertNothing(latter_server)
        latter_server.settimeout(10)
        await self.exchange(client, latter_server, public, b"for the latter")

    async def test_close_ends_the_sessions_of_one_site(self) -> None:
        server, site, public = self.open()
        other_server, _, other_public = self.open(name="b.example")
        client = self.client()
        for _ in range(2):
            await self.exchange(client, server, public, b"x")
            source = await self.exchange(client, other_server, other_public, b"y")
        self.nat.close(LEASED, site.name)
        self.assertEqual(self.tally.closed, {(str(LEASED), site.name): 1})
        self.assertEqual(await self.exchange(client, other_server, other_public, b"y"), source)

    async def test_abort(self) -> None:
        """Bound and unbound ones of that site; its port stays open, and others' sessions go on."""
        server, site, public = self.open()
        other_server, other, other_public = self.open(name="b.example")
        client = self.client()
        for _ in range(2):
            await self.exchange(client, server, public, b"x")
        source = await self.exchange(client, other_server, other_public, b"y")
        await self.exchange(self.client(), server, public, b"z")
        self.assertEqual(self.states(), ["answered", "answered", "bound"])
        self.nat.abort(LEASED, site.name)
        self.assertEqual([flow.site for flow in self.nat.connections()], [other.name])
        self.assertEqual(self.tally.closed, {(str(LEASED), site.name): 1})
        self.assertEqual(await self.exchange(client, other_server, other_public, b"y"), source)
        await self.exchange(client, server, public, b"again")

    async def test_closed_by_whom_the_end_of_a_session_is_told(self) -> None:
        """A change ends a bound session, and the tables answer that by closing the whole: nothing stays behind."""
        ports = tuple(free_port(LEASED, socket.SOCK_DGRAM) for _ in range(2))
        server, _, public = self.open(ports=ports[:1])
        client = self.client()
        for _ in range(2):
            await self.exchange(client, server, public, b"x")
        count = self.tally.connection_closed

        def close(address: IPv4Address, site: str) -> None:
            count(address, site)
            self.nat.close(address, site)

        self.tally.connection_closed = close  # type: ignore[method-assign]
        changed = self.site(server, ports=ports[1:])
        self.nat.open(LEASED, changed, changed.servers[0])
        _, other, _ = self.open(name="b.example", ports=ports)
        listening = self.nat._holdings[LEASED, other.name].listeners
        self.assertEqual(set(listening), {(Transport.UDP, port) for port in ports})
