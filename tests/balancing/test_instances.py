"""Clients and what they get by who they are (5.3 to 5.6, 5.13)."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Turned, Why
from appliance.model import Behaviour, Instance, Refusal, Service, Spill
from tests.balancing.driver import HTTP, NAME, Driver, client, instance, name_of, server, servers, site

HTTPS = Service(first_port=443, last_port=443, to=443)
PREFERRED = IPv4Network((client(256), 24))
GUEST, MEMBER = 1, 257
"""A client of the general public, and one of PREFERRED."""


def preferred(**more: Any) -> Instance:
    return instance(**{"clients": (PREFERRED,), "servers": servers("p"), **more})


class AssignmentTests(SynchronousTestCase):
    def test_each_to_its_own(self) -> None:
        """Preferred, general and unwelcome clients, at one address (5.3)."""
        unwelcome = instance(2, clients=(IPv4Network((client(66), 32)),), answer=b"go away\n")
        driver = Driver(site(instances=(preferred(), unwelcome)))
        self.assertEqual(name_of(driver.open(MEMBER)), "p")
        self.assertEqual(name_of(driver.open(GUEST)), "a")
        self.assertEqual(driver.ask(66), Turned(b"go away\n", unwelcome))

    def test_the_most_specific_wins(self) -> None:
        """5.4: a client of a subnet that is in another instance than its network."""
        inner = instance(2, clients=(IPv4Network((client(260), 30)),), servers=servers("q"))
        driver = Driver(site(instances=(preferred(), inner)))
        self.assertEqual([name_of(driver.open(number)) for number in (259, 260, 263, 264)], ["p", "q", "q", "p"])

    def test_only_instances_with_the_port_compete(self) -> None:
        """The client of one that has not is the next larger prefix's, or general."""
        inner = instance(2, clients=(IPv4Network((client(260), 30)),), servers=servers("q"), services=(HTTPS,))
        driver = Driver(site(services=(HTTP, HTTPS), instances=(preferred(services=(HTTP,)), inner)))
        self.assertEqual([name_of(driver.open(260, port)) for port in (80, 443)], ["p", "q"])
        self.assertEqual([name_of(driver.open(300, port)) for port in (80, 443)], ["p", "a"])

    def test_a_prefix_in_two_instances(self) -> None:
        """Is the lower bind id's."""
        pair = preferred(), instance(2, clients=(PREFERRED,), servers=servers("q"))
        for instances in (pair, pair[::-1]):
            self.assertEqual(name_of(Driver(site(instances=instances)).open(MEMBER)), "p")

    def test_out_of_service_instances_do_not_compete(self) -> None:
        """Their clients are general for that time."""
        driver = Driver(site(instances=(preferred(in_service=False),)))
        self.assertEqual(name_of(driver.open(MEMBER)), "a")
        driver.order(f"virtual {NAME}:0:1", "state", "in-service")
        self.assertEqual(name_of(driver.open(MEMBER)), "p")

    def test_other_ports(self) -> None:
        """5.5: a special process for preferred clients, at a port of its own; spilled ones get the general port."""
        special = (Service(first_port=80, last_port=80, to=8001),)
        pool = servers("p", max_connections=1)
        driver = Driver(site(instances=(preferred(services=special, servers=pool),)))
        self.assertEqual(driver.route(GUEST).port, 8080)
        self.assertEqual([driver.route(MEMBER).port for _ in range(2)], [8001, 8080])

    def test_ports_cut_otherwise_than_the_sites(self) -> None:
        """An instance may have a part of a run, or one run over several services; an exact port is its own."""
        run = Service(first_port=6000, last_port=6010, to=6000)
        part = Service(first_port=6003, last_port=6004, to=7003)
        both = Service(first_port=80, last_port=81, to=9080)
        eighty_one = Service(first_port=81, last_port=81, to=81)
        mine = preferred(services=(part, both))
        driver = Driver(site(services=(run, HTTP, eighty_one), instances=(mine,)))
        names = [row.name for row in driver.balancer.virtuals(0.0) if row.bind_id]
        self.assertEqual(names, [f"{NAME}:6003:1", f"{NAME}:80:1", f"{NAME}:81:1"])
        routes = [driver.route(MEMBER, port) for port in (6002, 6003, 6004, 6005, 80, 81)]
        self.assertEqual([route.server.name for route in routes], ["a", "p", "p", "a", "p", "p"])
        self.assertEqual([route.port for route in routes], [6002, 7003, 7004, 6005, 9080, 9081])

    def test_answers(self) -> None:
        """5.5: a message, a close or a reset; without a ticket, and so without an end."""
        for answer in (b"no\n", Refusal.CLOSE, Refusal.RESET):
            with self.subTest(answer=answer):
                turned = Driver(site(instances=(preferred(servers=(), answer=answer),))).ask(MEMBER)
                assert isinstance(turned, Turned)
                self.assertEqual((turned.answer, turned.instance.bind_id), (answer, 1))


class SpillTests(SynchronousTestCase):
    """5.6: two preferred servers p and q of one connection each, a general one."""

    def driver(self, spill: Spill) -> Driver:
        return Driver(site(instances=(preferred(servers=servers("pq", max_connections=1), spill=spill),)))

    def take_out(self, driver: Driver, *names: str) -> None:
        for name in names:
            driver.order(f"server {name}", "state", "out-of-service")

    def test_busy(self) -> None:
        """When both are full or failed."""
        driver = self.driver(Spill.BUSY)
        self.assertEqual([name_of(driver.open(MEMBER)) for _ in range(4)], ["p", "q", "a", "a"])
        driver = self.driver(Spill.BUSY)
        self.take_out(driver, "p", "q")
        self.assertEqual(name_of(driver.open(MEMBER)), "a")

    def test_one_failed(self) -> None:
        """While both are there, only these; when one is not, the other and the general ones."""
        driver = self.driver(Spill.ONE_FAILED)
        names = [name_of(driver.open(MEMBER)) for _ in range(2)]
        self.assertEqual((names, driver.refused(MEMBER)), (["p", "q"], Why.BUSY))
        driver = self.driver(Spill.ONE_FAILED)
        self.take_out(driver, "p")
        self.assertEqual(Counter(name_of(driver.open(MEMBER)) for _ in range(5)), {"q": 1, "a": 4})

    def test_all_failed(self) -> None:
        """Not when they are full."""
        driver = self.driver(Spill.ALL_FAILED)
        self.take_out(driver, "p")
        self.assertEqual((name_of(driver.open(MEMBER)), driver.refused(MEMBER)), ("q", Why.BUSY))
        self.take_out(driver, "q")
        self.assertEqual(name_of(driver.open(MEMBER)), "a")

    def test_never(self) -> None:
        """Not even then."""
        driver = self.driver(Spill.NEVER)
        self.take_out(driver, "p", "q")
        self.assertEqual(driver.refused(MEMBER), Why.FAILED)
        self.assertEqual(driver.virtual_state(f"{NAME}:80:1"), "failed")
        self.assertEqual(name_of(driver.open(GUEST)), "a")

    def test_not_where_the_site_is_out_of_service(self) -> None:
        """A person took the general virtual server out: nobody is sent there."""
        driver = self.driver(Spill.BUSY)
        self.take_out(driver, "p", "q")
        driver.order(f"virtual {NAME}:80:0", "state", "out-of-service")
        self.assertEqual(driver.refused(MEMBER), Why.FAILED)

    def test_bound_to_both(self) -> None:
        """A server may belong to the instance and to the public; it is one, with one count."""
        both = site(servers=servers("ab"), instances=(preferred(servers=servers("bp")),))
        driver = Driver(both)
        self.assertEqual(Counter(name_of(driver.open(number)) for number in (GUEST, MEMBER) * 6)["b"], 4)

    def test_tests_of_general_servers(self) -> None:
        """Are not for preferred clients, unless they have no server of their own."""
        general = server("a", threshold=1, retries=1, retry_after=5.0)
        driver = Driver(site(servers=(general, server("b")), instances=(preferred(),)))
        driver.fail(driver.route(GUEST).ticket)
        driver.pass_time(5.0)
        self.assertEqual(driver.state("a"), "testing")
        self.assertEqual(name_of(driver.route(MEMBER).ticket), "p")
        self.take_out(driver, "p")
        self.assertEqual([name_of(driver.route(MEMBER).ticket) for _ in range(2)], ["a", "b"])

    def test_spill_then_backup(self) -> None:
        """Bound, spill, backup: in this order."""
        other = "sorry.example.test"
        sorry = site(other, servers=servers("z"))
        driver = Driver(site(instances=(preferred(backup=other),), backup=other), sorry)
        self.take_out(driver, "p")
        self.assertEqual(name_of(driver.open(MEMBER)), "a")
        self.take_out(driver, "a")
        self.assertEqual(name_of(driver.open(MEMBER)), "z")


class LendTests(SynchronousTestCase):
    def driver(self, *, lend: bool) -> Driver:
        return Driver(site(servers=servers("a", max_connections=1), instances=(preferred(lend=lend),)))

    def test_idle_servers(self) -> None:
        """General clients may use a preferred server while it has nothing to do, when their own are busy."""
        driver = self.driver(lend=True)
        self.assertEqual([name_of(driver.open(GUEST)) for _ in range(2)], ["a", "p"])
        self.assertEqual(driver.refused(GUEST), Why.BUSY)
        self.assertEqual(name_of(driver.open(MEMBER)), "p")

    def test_or_failed(self) -> None:
        """Nothing of it without ``lend``."""
        for lend, state in ((True, "in-service"), (False, "failed")):
            with self.subTest(lend=lend):
                driver = self.driver(lend=lend)
                driver.order("server a", "state", "out-of-service")
                self.assertEqual(driver.virtual_state(), state)
                if lend:
                    self.assertEqual(name_of(driver.open(GUEST)), "p")
                else:
                    self.assertEqual(driver.refused(GUEST), Why.FAILED)

    def test_an_instance_that_is_out_of_service(self) -> None:
        """Lends nothing."""
        driver = self.driver(lend=True)
        driver.order(f"virtual {NAME}:0:1", "state", "out-of-service")
        self.assertEqual([name_of(driver.open(GUEST)), driver.refused(GUEST)], ["a", Why.BUSY])

    def test_who_waits_gets_one_that_becomes_idle(self) -> None:
        """Not one that still has a connection."""
        pool = servers("a", max_connections=1, queue=1)
        driver = Driver(site(servers=pool, instances=(preferred(lend=True),)))
        one, two = driver.open(MEMBER), driver.open(MEMBER)
        driver.open(GUEST)
        waiting = driver.wait(GUEST)
        driver.end(one)
        self.assertEqual(driver.gone_from_queue(), [])
        driver.end(two)
        self.assertEqual((driver.gone_from_queue(), name_of(waiting)), ([waiting], "p"))


class FilterTests(SynchronousTestCase):
    def test_per_service(self) -> None:
        """5.13: in front of everything, for each port by itself."""
        guarded = Service(
            first_port=22, last_port=22, to=22, allow=(PREFERRED,), deny=(IPv4Network((client(300), 32)),)
        )
        driver = Driver(site(services=(HTTP, guarded)))
        for number in (GUEST, 300):
            self.assertEqual(driver.refused(number, 22), Why.DENIED)
        driver.open(MEMBER, 22)
        for number in (GUEST, MEMBER, 300):
            driver.open(number, 80)

    def test_who_is_not_admitted(self) -> None:
        """Is not counted: neither for what it does, nor for the virtual server."""
        guarded = attrs.evolve(HTTP, deny=(IPv4Network((client(300), 32)),))
        watching = instance(2, behaviour=Behaviour(connections=1), answer=Refusal.CLOSE)
        driver = Driver(site(services=(guarded,), instances=(watching,)))
        self.assertEqual(driver.refused(300), Why.DENIED)
        self.assertEqual(list(driver.balancer.clients(driver.now)), [])
        self.assertEqual({row.total for row in driver.balancer.virtuals(driver.now)}, {0})

    def test_of_an_instance(self) -> None:
        """Its own service has its own lists."""
        special = Service(first_port=80, last_port=80, to=80, deny=(IPv4Network((client(300), 32)),))
        driver = Driver(site(instances=(preferred(services=(special,)),)))
        driver.open(GUEST)
        self.assertEqual(driver.refused(300), Why.DENIED)
        driver.open(MEMBER)


class LimitTests(SynchronousTestCase):
    def test_per_client(self) -> None:
        """Of each client, at all ports together, waiting ones included; nobody else's."""
        pool = servers("a", max_connections=2, queue=1)
        driver = Driver(site(services=(HTTP, HTTPS), servers=pool, max_per_client=3))
        first = driver.open(1)
        driver.open(1, 443)
        driver.wait(1)
        self.assertEqual(driver.refused(1), Why.TOO_MANY)
        self.assertEqual(driver.refused(2), Why.BUSY)
        driver.end(first)
        driver.wait(1)
        self.assertEqual(driver.refused(1), Why.TOO_MANY)

    def test_refused_ones_do_not_count(self) -> None:
        """Else a client would lock itself out."""
        driver = Driver(site(servers=(server("a", max_connections=1),), max_per_client=2))
        ticket = driver.open(1)
        for _ in range(3):
            self.assertEqual(driver.refused(1), Why.BUSY)
        driver.end(ticket)
        driver.open(1)
