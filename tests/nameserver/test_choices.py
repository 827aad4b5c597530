"""Names that are answered with a choice (3.1, 3.2): what is kept of it, for how long, and how it looks on the wire."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import RateLimit
from appliance.nameserver.wirecache import CHOICE_SECONDS, TICK
from tests import fakes
from tests.nameserver.world import SOURCES, Asked, World

FORMS = [Asked("page"), Asked("page", spelling=5), Asked("page", cookie="good"), Asked("page", stream=True)]
MANY = [IPv4Address("198.51.100.200") - number for number in range(100)]


def addresses_of(response: bytes | None) -> list[str]:
    """Of the last RRset, in the order of the wire."""
    assert response is not None
    answer = dns.message.from_wire(response).answer
    return [str(record) for record in answer[-1]] if answer else []


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.choosing = self.world.choosing

    def move(self, last: int) -> str:
        """Another choice, of which nobody is told."""
        address = IPv4Address(f"198.51.100.{last}")
        self.choosing.addresses["shop"] = [address]
        return str(address)

    def test_for_a_second(self) -> None:
        """Asked for once in it, and anew after it, when it is kept again."""
        world = self.world
        for often in range(3):
            first = world.ask(FORMS[0])
            for _ in range(int(CHOICE_SECONDS / TICK)):
                for _ in range(5):
                    self.assertEqual(world.hit(FORMS[0]), first)
                self.assertEqual(len(self.choosing.asked), often + 1)
                world.clock.advance(TICK)
            self.assertIsNone(world.hit(FORMS[0]))
        [entry] = world.caches[0].exact.values()
        self.assertGreater(entry.tally.left, 0, "the batches of datagrams do not use it")

    def test_however_seldom_it_is_asked_for(self) -> None:
        """Nobody asks for long, and then somebody does."""
        for waits in (CHOICE_SECONDS, 60.0):
            self.world.ask(FORMS[0])
            self.assertIsNotNone(self.world.hit(FORMS[0]))
            self.world.clock.advance(waits)
            self.assertIsNone(self.world.hit(FORMS[0]))

    def test_a_change_in_the_middle_of_a_tick(self) -> None:
        """Is seen by the next question, whatever its form; other customers' answers stay."""
        world = self.world
        for last in (10, 20, 30):
            for asked in (*FORMS, Asked("pics")):
                world.ask(asked)
                self.assertIsNotNone(world.hit(asked))
            address = self.move(last)
            world.choose("shop")
            self.assertIsNotNone(world.hit(Asked("pics")))
            self.assertEqual([world.hit(asked) for asked in FORMS], [None] * len(FORMS))
            for asked in FORMS:
                self.assertEqual(addresses_of(world.ask(asked)), [address])
                self.assertEqual(addresses_of(world.hit(asked)), [address])

    def test_a_change_while_an_answer_is_made(self) -> None:
        """As when this very answer makes a server full: it is given, but not to others."""
        world = self.world
        self.choosing.afterwards = lambda: world.choose("shop")
        world.ask(FORMS[0])
        self.choosing.afterwards = lambda: None
        address = self.move(10)
        self.assertIsNone(world.hit(FORMS[0]))
        self.assertEqual(addresses_of(world.ask(FORMS[0])), [address])

    def test_what_depends_on_who_asks(self) -> None:
        """Is not kept; nor is what was, once it does."""
        world = self.world
        for apart in ({"shop"}, set(), {"shop"}):
            self.choosing.apart = set(apart)
            world.choose("shop")
            world.ask(FORMS[0])
            self.assertEqual(world.hit(FORMS[0]) is None, bool(apart))

    def test_no_data(self) -> None:
        """Is a choice, too."""
        world, asked = self.world, Asked("page", "AAAA")
        self.choosing.addresses["shop"] = []
        self.assertEqual(addresses_of(world.ask(asked)), [])
        self.assertIsNotNone(world.hit(asked))
        self.choosing.addresses["shop"] = [fakes.FakeChoosing().addresses["shop"][1]]
        world.choose("shop")
        self.assertEqual(addresses_of(world.ask(asked)), ["2001:db8::1"])

    def test_customers_behind_one_dname(self) -> None:
        """The limiter counts them as one kind, but a change of one is one of its own."""
        world = self.world
        for name in ("in.old", "pics.old"):
            world.ask(Asked(name))
        world.choose("gallery")
        self.assertIsNotNone(world.hit(Asked("in.old")))
        self.assertIsNone(world.hit(Asked("pics.old")))

    def test_tables_stay_in_step(self) -> None:
        """However often an answer is kept anew; and all is counted."""
        world, cache = self.world, self.world.caches[0]
        for _ in range(10):
            for asked in (FORMS[0], FORMS[2], FORMS[0]):
                world.ask(asked)
            world.clock.advance(TICK)
        self.assertEqual((len(cache), len(cache.exact), len(cache._tallies)), (2, 1, 1))
        self.assertEqual({name: len(entries) for name, entries in cache._customers.items()}, {"shop": 2})
        self.assertEqual(cache._bytes, sum(entry.size for entry in cache._entries.values()))
        cache.settle()
        happened = world.responder.happened
        self.assertEqual((happened["queries"], happened["NOERROR"], happened["cached"]), (30, 30, 24))
        cache.clear()
        self.assertEqual((len(cache), len(cache._tallies), len(cache._customers)), (0, 0, 0))


class LimitTests(SynchronousTestCase):
    def test_a_flood_gets_no_more_for_being_kept_anew(self) -> None:
        """Each tick begins with what the last one was asked for, though its answers are other ones."""
        world = World(RateLimit(responses_per_second=20, window=1.0, slip=0))
        for asked, most in ((Asked("page"), 60), (Asked("ns1"), 60)):
            sent = 0
            for _ in range(40):
                for _ in range(50):
                    sent += world.ask(asked) is not None
                # Somebody else asks, too, and has it kept anew.
                world.ask(Asked(asked.name, source=1))
                world.clock.advance(TICK / 4)
            self.assertLess(sent, most, asked.name)


class WireTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.choosing = self.world.choosing

    def test_order_and_ttl(self) -> None:
        """The best comes first, from the plain path and from the cache; records of the zone have no order."""
        world, self.choosing.ttl = self.world, 3
        self.choosing.addresses["shop"] = [*MANY[:20]]
        for asked in (Asked("page"), Asked("catalog", edns=1232), Asked("page", stream=True)):
            for response in (world.miss(asked), world.hit(asked)):
                self.assertEqual(addresses_of(response), [str(address) for address in MANY[:20]])
                assert response is not None
                self.assertEqual(dns.message.from_wire(response).answer[-1].ttl, 3)

    def test_more_than_a_datagram_holds(self) -> None:
        """TC=1 and no part of the RRset (RFC 2181 s9); over TCP there are all, in their order."""
        world = self.world
        self.choosing.addresses["shop"] = [*MANY]
        for asked in (Asked("page"), Asked("page", edns=1232), Asked("catalog", edns=4096)):
            for response in (world.miss(asked), world.hit(asked)):
                assert response is not None
                said = dns.message.from_wire(response)
                self.assertTrue(said.flags & dns.flags.TC)
                self.assertEqual([len(each) for each in said.answer if each.rdtype == dns.rdatatype.A], [])
        for response in (world.miss(Asked("page", stream=True)), world.hit(Asked("page", stream=True))):
            self.assertEqual(addresses_of(response), [str(address) for address in MANY])

    def test_client_subnet(self) -> None:
        """RFC 7871: who chooses hears of the network, and its scope is told; nobody else is given the answer."""
        world, self.choosing.scope = self.world, 20
        world.responder.client_subnet = True
        for prefix, network, scope in ((24, "192.0.2.0/24", 20), (0, None, 0)):
            option = dns.edns.ECSOption("192.0.2.0" if prefix else "0.0.0.0", prefix)
            query = dns.message.make_query("page.example.test", "A", use_edns=0, options=[option])
            response = world.responder.respond(query.to_wire(), stream=False, source=SOURCES[0])
            assert isinstance(response, bytes)
            [told] = dns.message.from_wire(response).options
            assert isinstance(told, dns.edns.ECSOption)
            self.assertEqual((told.srclen, told.scopelen), (prefix, scope))
            asker = self.choosing.asked[-1][1]
            assert asker is not None
            self.assertEqual(asker.client and str(asker.client), network)
            self.assertIsNone(world.caches[0].answer(query.to_wire(), SOURCES[0]))
        self.assertEqual(len(world.caches[0]), 0)
