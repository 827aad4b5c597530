"""``port: all`` (5.1): what remains of it when it ends, and what a kernel that refuses it leaves."""

from __future__ import annotations

import attrs

from appliance.errors import Blame, DataPathError, ListenError
from tests.integration.every import EveryCase, every_site, exact, nat_with, nft
from tests.integration.sockets import LEASED, NatCase, turns
from tests.nat.filters import FakePacketFilter


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
        self.nat = nat_with(self, self.kernel)

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
