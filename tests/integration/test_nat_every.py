"""``port: all`` (5.1) on the real kernel, on a host of the test's own: one listener for all ports of an address."""

from __future__ import annotations

import socket
from pathlib import Path

import attrs

from appliance.errors import Blame, DataPathError
from appliance.model import Service, Transport
from tests.integration.every import EVERY, EveryCase, every_site, exact, nat_with, nft, redirect_port
from tests.integration.sockets import LEASED, ORIGIN
from tests.nat.filters import FakePacketFilter

SECOND = LEASED + 1


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
        self.assertRefused(80, LEASED + 2)

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
        nat = nat_with(self, FakePacketFilter())
        self.addCleanup(lambda: nat.stop(0))
        site = every_site()
        nat.open(LEASED, site, site.servers[0])
        client = self.client(redirect_port(nat, site))
        self.assertEqual(await self.read(client), b"reset")
        self.assertEqual(self.tally.opened, {})

    async def test_translated_by_somebody_else(self) -> None:
        """What was for another address is not for this site."""
        site = every_site()
        self.open(site)
        nft("add table ip other")
        nft("add chain ip other out { type nat hook output priority -100; }")
        place = f"{LEASED}:{self.redirect_port(site)}"
        nft(f"add rule ip other out ip daddr {LEASED + 8} tcp dport 80 dnat to {place}")
        self.assertEqual(await self.read(self.client(80, LEASED + 8)), b"reset")
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
