"""What customers' names are answered with over figures that a test gives, and who hears of a change (3.x)."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from appliance.delivery.events import DeliveryDown, DeliveryUp
from appliance.events import ChoiceChanged
from appliance.model import AllDown, Delivery, OriginBy, Server
from appliance.shared.delivering import LOOK_INTERVAL
from appliance.shared.room import AHEAD
from tests.network import HERE, DeliveringCase, customer, origin, pop, weights

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
ORIGINS = (origin("a", 1), origin("b", 2))
WWW, IMG = "www.shop.test", "img.shop.test"
AMS, FRA, NYC = "203.0.113.1", "203.0.113.2", "203.0.113.3"
POPS = (pop(HERE, 1), pop("fra", 2), pop("nyc", 3))


class PageTests(DeliveringCase):
    def test_load_and_latency(self) -> None:
        """3.1: one's connections move the page that goes by load, then its latency moves the one that goes by that."""
        rules = (OriginBy.LOAD, OriginBy.LATENCY)
        shops = [customer(by.value, pages=("www",), origins=ORIGINS, by=by) for by in rules]
        self.world.configure(*shops)
        self.load(A, 10.0, 0.01)
        self.load(B, 20.0, 0.02)
        self.world.run(2)
        self.assertEqual([self.world.ask(f"www.{by.value}.test") for by in rules], [[A], [A]])
        self.load(A, 60.0, 0.01)
        self.until_answered(B, "www.load.test")
        self.assertEqual(self.world.ask("www.latency.test"), [A])
        self.load(A, 60.0, 0.3)
        self.until_answered(B, "www.latency.test")
        self.load(A, 0.0, 0.3)
        self.until_answered(A, "www.load.test")
        self.assertEqual(self.world.ask("www.latency.test"), [B])

    def test_several_addresses(self) -> None:
        self.world.configure(customer(pages=("www",), origins=(*ORIGINS, origin("c", 3)), answers=2))
        for address, connections in ((A, 50.0), (B, 10.0), (C, 30.0)):
            self.load(address, connections)
        self.world.run(2)
        self.assertEqual(self.world.ask(WWW), [B, C])

    def test_families(self) -> None:
        """Each has its own; where only the other one has anybody there is no data."""
        self.world.configure(customer(pages=("www",), origins=(*ORIGINS, origin("six", 6, v6=True))))
        self.load(A, 50.0)
        self.load(B, 40.0)
        self.load("2001:db8::6", 90.0)
        self.world.run(2)
        self.assertEqual(self.world.ask(WWW), [B])
        self.assertEqual(self.world.ask(WWW, "AAAA"), ["2001:db8::6"])
        self.world.down("2001:db8::6")
        self.world.run(4)
        self.assertEqual(self.world.ask(WWW, "AAAA"), [])
        self.assertEqual(self.world.ask(WWW), [B])

    def test_one_family_down_is_told_once(self) -> None:
        """Whoever asks for both by turns does not make an event each time."""
        six = origin("six", 6, v6=True)
        self.world.configure(
            customer(pages=("www",), origins=(*ORIGINS, six), all_down=AllDown.ALL),
            customer("six", pages=("www",), origins=(six,)),
        )
        self.world.down("2001:db8::6")
        for address in (A, B):
            self.load(address, 99.0)
        self.world.run(4)
        for _ in range(5):
            for name in (WWW, "www.six.test"):
                self.world.ask(name)
                self.world.ask(name, "AAAA")
        told = [(type(event), event.customer) for event in self.world.events if isinstance(event, DeliveryDown)]
        self.assertEqual(told, [(DeliveryDown, "shop"), (DeliveryDown, "six")])
        self.assertEqual(self.world.told(DeliveryUp), [])
        self.world.back("2001:db8::6")
        self.load(A, 1.0)
        self.world.run(15)
        for _ in range(20):
            self.world.run(1)
            for rdtype in ("A", "AAAA"):
                self.world.ask(WWW, rdtype)
                self.world.ask("www.six.test", rdtype)
        self.assertEqual(len(self.world.told(DeliveryDown)), 2)
        self.assertEqual(len(self.world.told(DeliveryUp)), 2)

    def test_nobody_who_is_down(self) -> None:
        """At once: the figures are not older than the event."""
        self.world.configure(customer(pages=("www",), origins=ORIGINS))
        self.load(A, 0.0)
        self.load(B, 50.0)
        self.world.run(2)
        self.assertEqual(self.world.ask(WWW), [A])
        self.world.down(A)
        while self.world.network.checking.server("a").up:
            self.assertEqual(self.world.ask(WWW), [A])
            self.world.run(0.1)
        self.assertEqual(self.world.ask(WWW), [B])
        self.world.back(A)
        self.load(A, 0.0)
        while not self.world.network.checking.server("a").up:
            self.assertEqual(self.world.ask(WWW), [B])
            self.world.run(0.1)
        self.assertEqual(self.world.ask(WWW), [A])

    def test_all_down(self) -> None:
        policies = (AllDown.ALL, AllDown.LAST_GOOD, AllDown.EMPTY, AllDown.BACKUP)
        shops = [
            customer(
                policy.value, pages=("www",), origins=ORIGINS, all_down=policy, backup=("192.0.2.99", "2001:db8::99")
            )
            for policy in policies
        ]
        self.world.configure(*shops)
        self.load(A, 50.0)
        self.load(B, 10.0)
        self.world.run(2)
        for policy in policies:
            self.assertEqual(self.world.ask(f"www.{policy.value}.test"), [B])
        for address in (A, B):
            self.world.down(address)
            self.world.run(4)
        answers = {policy: self.world.ask(f"www.{policy.value}.test") for policy in policies}
        self.assertEqual(
            answers, {AllDown.ALL: [A, B], AllDown.LAST_GOOD: [B], AllDown.EMPTY: [], AllDown.BACKUP: ["192.0.2.99"]}
        )
        self.assertEqual(self.world.ask("www.backup.test", "AAAA"), ["2001:db8::99"])
        told = {event.customer: event.reason for event in self.world.events if isinstance(event, DeliveryDown)}
        self.assertEqual(told, {policy.value: policy.value for policy in policies})
        self.assertEqual(self.world.network.delivering.standing("empty")[3][False].value, "empty")

    def test_back_without_a_question(self) -> None:
        """Who looks at night sees what is, though nobody has asked since: an alarm ends with what it was about."""
        self.world.configure(customer(pages=("www",), origins=ORIGINS))
        self.world.run(2)
        self.world.ask(WWW)
        self.world.down(A)
        self.world.down(B)
        self.world.run(4)
        self.assertEqual(self.world.network.delivering.standing("shop")[3][False].value, "all")
        self.assertEqual(len(self.world.told(DeliveryDown)), 1)
        self.world.back(A)
        self.world.run(4)
        self.assertEqual(self.world.network.delivering.standing("shop")[3][False].value, "best")
        self.assertEqual(len(self.world.told(DeliveryUp)), 1)

    def test_a_reload(self) -> None:
        """A customer comes and goes; the other one, and what it was answered, stays."""
        shop, other = customer(pages=("www",), origins=ORIGINS), customer("other", pages=("www",), origins=ORIGINS[:1])
        self.world.configure(shop)
        self.world.run(2)
        self.world.ask(WWW)
        self.world.configure(shop, other)
        self.world.run(2)
        self.assertEqual(self.world.ask("www.other.test"), [A])
        self.assertEqual(self.world.network.delivering.standing("shop")[0], 1)
        needs_nobody = customer("other", pages=("new",), origins=ORIGINS[1:])
        self.world.configure(needs_nobody)
        self.assertEqual(self.world.ask("new.other.test"), [B])
        self.assertEqual(list(self.world.network.delivering.customers()), ["other"])

    def test_a_rule_and_servers_of_a_reload(self) -> None:
        self.world.configure(customer(pages=("www",), origins=ORIGINS))
        self.load(A, 50.0, 0.01)
        self.load(B, 10.0, 0.2)
        self.world.run(2)
        self.assertEqual(self.world.ask(WWW), [B])
        self.world.configure(customer(pages=("www",), origins=ORIGINS, by=OriginBy.LATENCY))
        self.assertEqual(self.world.ask(WWW), [A])
        self.world.configure(customer(pages=("www",), origins=ORIGINS[1:]))
        self.assertEqual(self.world.ask(WWW), [B])


class TtlTests(DeliveringCase):
    def test_never_beyond_the_next_change(self) -> None:
        """Neither of who is up nor of who may come back; a wire cache may give the answer for a while more."""
        for all_down in (False, True):
            self.setUp()
            slow = [attrs.evolve(probe, interval=8.0, fast_interval=4.0) for probe in ORIGINS[0].probes]
            servers = tuple(attrs.evolve(one, probes=tuple(slow)) for one in ORIGINS)
            self.world.configure(customer(pages=("www",), origins=servers, ttl=60.0))
            self.load(A, 1.0)
            self.load(B, 50.0)
            self.world.run(18)
            if all_down:
                self.world.down(A)
                self.world.down(B)
                self.world.run(24)
            seen = set()
            for _ in range(200):
                now = self.world.clock.seconds()
                ttl = self.world.ttl(WWW)
                until = min(self.world.network.checking.server(name).until for name in "ab")
                if ttl > 1:
                    self.assertLessEqual(now + AHEAD + ttl, until)
                seen.add(ttl)
                self.world.run(0.1)
            self.assertGreater(max(seen), 1)
            self.assertLess(max(seen), 13)

    def test_what_never_changes_lives_as_long_as_it_may(self) -> None:
        self.world.configure(customer(pages=("www",), origins=(Server(name="a", address=ip_address(A)),), ttl=60.0))
        self.assertIn(self.world.ttl(WWW), range(48, 61))


class ToldTests(DeliveringCase):
    """A wire cache holds answers that are for all, so it is told when one is another, and not otherwise."""

    def changes(self) -> list[str]:
        told = [event.customer for event in self.world.events if isinstance(event, ChoiceChanged)]
        self.world.events.clear()
        return told

    def configure(self, *customers: Delivery) -> None:
        self.world.configure(*customers, pops=POPS[1:])
        self.load(A, 1.0)
        self.load(B, 50.0)
        self.world.run(2)
        for each in customers:
            for name in (*each.pages, *each.static):
                self.world.ask(name)
        self.assertEqual(self.changes(), [])

    def until_known(self, subject: str, *, up: bool) -> None:
        checking = self.world.network.checking
        kind, name = subject.split()
        for _ in range(100):
            if (checking.server(name) if kind == "server" else checking.pop(name)).up is up:
                return
            self.world.run(0.1)
        self.fail(f"{subject} is not {up}")

    def test_an_origin(self) -> None:
        """Who is answered goes and comes, without a question; who is not does not matter."""
        alone = customer("alone", pages=("www",), origins=ORIGINS[1:])
        self.configure(customer(pages=("www",), origins=ORIGINS), alone)
        self.world.down(A)
        self.until_known("server a", up=False)
        self.assertEqual(self.changes(), ["shop"])
        self.world.back(A)
        self.load(A, 1.0)
        self.until_known("server a", up=True)
        self.assertEqual(self.changes(), ["shop"])
        self.assertEqual(self.world.ask(WWW), [A])
        self.world.down(B)
        self.until_known("server b", up=False)
        self.assertEqual(self.changes(), ["alone"])

    def test_a_pop(self) -> None:
        self.configure(
            customer(static=("img",), pops=weights(latency=1.0)), customer("pages", pages=("www",), origins=ORIGINS)
        )
        self.world.down(FRA)
        self.until_known("pop fra", up=False)
        self.assertEqual(self.changes(), ["shop"])

    def test_nobody_asked(self) -> None:
        """There is nothing of it in a cache."""
        self.world.configure(customer(pages=("www",), origins=ORIGINS))
        self.world.run(2)
        self.world.down(A)
        self.until_known("server a", up=False)
        self.assertEqual(self.changes(), [])

    def test_a_person(self) -> None:
        """One that somebody takes out of service is not answered when the figures are looked at next."""
        self.configure(customer(pages=("www",), origins=ORIGINS))
        self.world.state.carrying.override("server a", "state", "out-of-service")
        self.world.run(LOOK_INTERVAL)
        self.assertEqual(self.world.ask(WWW), [B])
        self.assertEqual(self.changes(), ["shop"])
