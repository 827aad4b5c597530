"""Real servers that fail, are tested and drained; what tickets can do, and where they lead (5.2, 5.8)."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Operational, Refused, Route, State, Ticket, Wait, Why
from appliance.balancing.events import (
    ServerBack,
    ServerDrained,
    ServerEvent,
    ServerFailed,
    ServerTested,
)
from appliance.model import Service
from tests.balancing.driver import ALL, NAME, RUN, Driver, name_of, server, servers, site


class RetryTests(SynchronousTestCase):
    def test_attempts(self) -> None:
        """The same server until its retries are used up, each attempt counted by the connection."""
        driver = Driver(site(servers=(server("a", retries=3), server("b"))))
        ticket = driver.route().ticket
        for attempt in (2, 3):
            again = driver.fail(ticket)
            assert isinstance(again, Route)
            self.assertEqual((again.server.name, again.after, ticket.attempts), ("a", 0.0, attempt))
        other = driver.fail(ticket)
        assert isinstance(other, Route)
        self.assertEqual((other.server.name, ticket.attempts), ("b", 1))
        self.assertEqual((driver.connections("a"), driver.connections("b")), (0, 1))

    def test_a_pause_where_there_is_no_other(self) -> None:
        """A second from the last attempt, where that was refused at once; none after one that took its time."""
        driver = Driver(site(servers=(server("a", retries=3),)))
        ticket = driver.route().ticket
        driver.now += 0.25
        again = driver.fail(ticket)
        assert isinstance(again, Route)
        self.assertEqual(again.after, 0.75)
        driver.now += 0.75 + 3.0
        again = driver.fail(ticket)
        assert isinstance(again, Route)
        self.assertEqual(again.after, 0.0)

    def test_never_a_server_that_ditched_it(self) -> None:
        """Each is tried once; then there is none."""
        driver = Driver(site(servers=servers("abc", retries=2)))
        ticket = driver.route().ticket
        tried = []
        for _ in range(2):
            tried.append(name_of(ticket))
            self.assertIsInstance(driver.ditch(ticket), Route)
        tried.append(name_of(ticket))
        refused = driver.ditch(ticket)
        self.assertEqual(refused, Refused(Why.UNREACHABLE, ticket))
        self.assertEqual((sorted(tried), ticket.state), (["a", "b", "c"], State.OVER))
        self.assertEqual([driver.connections(name) for name in "abc"], [0, 0, 0])

    def test_it_waits_for_another(self) -> None:
        """Rather than go back to the server that ditched it."""
        driver = Driver(site(servers=(server("a", retries=1), server("b", max_connections=1, queue=1))))
        full = driver.route(1).ticket
        full = full if name_of(full) == "b" else driver.route(2).ticket
        ticket = driver.route(3).ticket
        self.assertEqual(name_of(ticket), "a")
        self.assertIsInstance(driver.fail(ticket), Wait)
        driver.end(full)
        self.assertEqual(driver.gone_from_queue(), [ticket])
        self.assertEqual(name_of(ticket), "b")

    def test_who_is_taken_away_gets_no_more_attempts(self) -> None:
        """A dial to a server that failed meanwhile is not repeated there, and not held against it twice."""
        driver = Driver(site(servers=(server("a", threshold=1, retries=1), server("b"))))
        one, _, two = (driver.route(number).ticket for number in range(3))
        self.assertEqual((name_of(one), name_of(two)), ("a", "a"))
        driver.fail(one)
        other = driver.fail(two)
        assert isinstance(other, Route)
        self.assertEqual(other.server.name, "b")

    def test_a_person_took_its_server_out(self) -> None:
        """Then it goes elsewhere after the present attempt, which was no ditched connection yet."""
        driver = Driver(site(servers=servers("ab", retries=3)))
        ticket = driver.route().ticket
        driver.order("server a", "state", "out-of-service")
        self.assertIsInstance(driver.fail(ticket), Route)
        [row, _] = driver.balancer.servers(driver.now)
        self.assertEqual((name_of(ticket), row.ditched, row.ditched_total), ("b", 0, 0))


class ManyPortsTests(SynchronousTestCase):
    """Of a run, or of all: who asks for a port that nobody listens on must not take the server away from the others."""

    def scan(self, driver: Driver, ports: range) -> None:
        for port in ports:
            driver.ditch(driver.route(1, port).ticket, refused=True)

    def test_closed_ports(self) -> None:
        """A port that it never answered at, and that it refuses, says nothing of it."""
        driver = Driver(site(services=(ALL,), servers=servers("a", threshold=2, retries=2)))
        driver.end(driver.open(1, 22))
        self.scan(driver, range(1000, 1020))
        [row] = driver.balancer.servers(driver.now)
        self.assertEqual((row.state, row.ditched, row.ditched_total, row.failure), ("in-service", 0, 0, ""))

    def test_a_port_that_it_answered_at(self) -> None:
        """Is refused there: it counts, and so does no answer at any port."""
        driver = Driver(site(services=(RUN,), servers=servers("a", threshold=2, retries=1)))
        driver.end(driver.open(1, 6001))
        driver.ditch(driver.route(1, 6001).ticket, refused=True)
        driver.ditch(driver.route(1, 6002).ticket)
        self.assertEqual(driver.state("a"), "failed")

    def test_a_test_at_a_closed_port(self) -> None:
        """Decides nothing: the next connection does."""
        driver = Driver(site(services=(ALL,), servers=servers("a", threshold=1, retries=3)))
        driver.ditch(driver.route(1, 22).ticket)
        driver.pass_time(60)
        self.scan(driver, range(1000, 1003))
        self.assertEqual(driver.state("a"), "testing")
        driver.open(1, 22)
        self.assertEqual(driver.state("a"), "in-service")

    def test_one_port_of_the_server(self) -> None:
        """Where all lead to one, its refusals count; so they do where a service is one port."""
        for service, more in ((ALL, {"port": 9}), (Service(first_port=80, last_port=80, to=80), {})):
            driver = Driver(site(services=(service,), servers=servers("a", threshold=1, retries=1, **more)))
            driver.ditch(driver.route(1, 80).ticket, refused=True)
            self.assertEqual(driver.state("a"), "failed")


class FailureTests(SynchronousTestCase):
    def test_the_threshold_fails_it(self) -> None:
        """Ditched connections in a row; a connection that stands breaks the row."""
        driver = Driver(site(servers=(server("a", threshold=3, retries=1), server("b"))))
        for count in (2, 3):
            for number in range(count):
                self.assertEqual(driver.state("a"), "in-service")
                ticket = self.at(driver, "a", number)
                self.assertIsInstance(driver.fail(ticket), Route)
            if count == 2:
                driver.balancer.connected(self.at(driver, "a", 9), driver.now)
        self.assertEqual(driver.state("a"), "failed")
        [failed] = driver.happened(ServerFailed)
        self.assertEqual((failed.server, failed.ditched, failed.again), ("a", 3, False))
        self.assertEqual(failed.retry_at, driver.now + 60.0)
        self.assertEqual({*driver.opened_at(5)}, {"b"})

    def test_why(self) -> None:
        """Of the last attempt, from the first ditched connection until one stands."""
        driver = Driver(site(servers=servers("a", threshold=2, retries=2)))

        def why() -> str:
            return driver.balancer.servers(driver.now)[0].failure

        self.assertIsInstance(driver.fail(driver.route().ticket), Route)
        self.assertEqual(why(), "")
        driver.ditch(driver.route().ticket)
        self.assertEqual(why(), "attempt 2")
        driver.ditch(driver.route().ticket)
        [failed] = driver.happened(ServerFailed)
        self.assertEqual((failed.reason, why()), ("attempt 2", "attempt 2"))
        driver.pass_time(60)
        driver.open()
        self.assertEqual((driver.state("a"), why()), ("in-service", ""))

    def at(self, driver: Driver, name: str, number: int) -> Ticket:
        """A new connection at that server."""
        while name_of(ticket := driver.route(number).ticket) != name:
            pass
        return ticket

    def test_one_client_does_not_fail_it(self) -> None:
        """With ``distinct_clients``, as IOS SLB counts."""
        driver = Driver(site(servers=(server("a", threshold=2, retries=1, distinct_clients=True),)))
        for _ in range(5):
            driver.ditch(driver.route(1).ticket)
        self.assertEqual(driver.state("a"), "in-service")
        driver.ditch(driver.route(2).ticket)
        self.assertEqual(driver.state("a"), "failed")

    def test_a_late_answer(self) -> None:
        """To a dial of before it failed: the connection stands, and the server is tested all the same."""
        driver = Driver(site(servers=servers("a", threshold=1, retries=1)))
        late = driver.route().ticket
        driver.ditch(driver.route().ticket)
        driver.balancer.connected(late, driver.now)
        [row] = driver.balancer.servers(driver.now)
        self.assertEqual((row.state, row.ditched, row.connections, row.retried_in), ("failed", 1, 1, 60.0))

    def test_established_connections_go_on(self) -> None:
        """They count, and can end."""
        driver = Driver(site(servers=servers("a", threshold=1, retries=1)))
        standing = driver.open()
        driver.ditch(driver.route().ticket)
        self.assertEqual((driver.state("a"), driver.connections("a")), ("failed", 1))
        driver.balancer.first_byte(standing, driver.now)
        driver.end(standing)
        self.assertEqual(driver.connections("a"), 0)


class RecoveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        a = server("a", threshold=1, retries=3, retry_after=30.0, slow_start=20.0)
        self.driver = Driver(site(servers=(a, server("b"))))
        self.driver.ditch(self.driver.route().ticket)
        self.assertEqual(self.driver.state("a"), "failed")
        self.driver.happened(ServerEvent)

    def test_one_connection_decides(self) -> None:
        """The next one goes there, and no other until it stands."""
        self.driver.pass_time(29.0)
        self.assertEqual(self.driver.state("a"), "failed")
        self.driver.pass_time(1.0)
        self.assertEqual(self.driver.state("a"), "testing")
        self.assertEqual([type(event) for event in self.driver.happened(ServerEvent)], [ServerTested])
        test = self.driver.route(1).ticket
        self.assertEqual(name_of(test), "a")
        self.assertEqual({*self.driver.opened_at(5)}, {"b"})
        self.driver.balancer.connected(test, self.driver.now)
        self.assertEqual(self.driver.state("a"), "in-service")
        self.assertEqual([type(event) for event in self.driver.happened(ServerEvent)], [ServerBack])

    def test_a_test_that_fails(self) -> None:
        """Has one attempt; the client goes elsewhere, and the server is tested again after as long."""
        self.driver.pass_time(30.0)
        test = self.driver.route(1).ticket
        other = self.driver.fail(test)
        assert isinstance(other, Route)
        self.assertEqual((other.server.name, self.driver.state("a")), ("b", "failed"))
        failed = self.driver.happened(ServerFailed)[-1]
        self.assertEqual((failed.again, failed.retry_at), (True, self.driver.now + 30.0))
        self.driver.pass_time(30.0)
        self.assertEqual(self.driver.state("a"), "testing")

    def test_a_test_that_is_given_up(self) -> None:
        """Decides nothing: the next connection is the test."""
        self.driver.pass_time(30.0)
        test = self.driver.route(1).ticket
        self.driver.end(test)
        self.assertEqual(self.driver.state("a"), "testing")
        self.assertEqual(name_of(self.driver.route(2).ticket), "a")

    def test_not_by_who_has_been_ditched_there(self) -> None:
        """Another client tests it."""
        a = server("a", threshold=1, retries=1, retry_after=30.0)
        driver = Driver(site(servers=(a, server("b", retries=1, threshold=9), server("c", max_connections=0))))
        ticket = driver.route().ticket
        driver.fail(ticket)
        self.assertEqual(name_of(ticket), "b")
        driver.pass_time(30.0)
        driver.fail(ticket)
        self.assertEqual(name_of(ticket), "c")
        self.assertEqual(name_of(driver.route().ticket), "a")

    def test_slow_start(self) -> None:
        """It takes its share little by little: here of equal weights, after a tenth of the time, a tenth."""
        self.driver.pass_time(30.0)
        self.driver.open(1)
        counts = Counter(self.driver.opened_at(110))
        self.assertTrue(5 <= counts["a"] <= 15, counts)
        self.driver.pass_time(20.0)
        for number in range(200):
            self.driver.open(number)
        self.assertLess(abs(self.driver.connections("a") - self.driver.connections("b")), 3)


class DrainTests(SynchronousTestCase):
    def test_no_new_ones(self) -> None:
        """What is there goes on; when it has ended, that is said, once."""
        driver = Driver(site(servers=servers("ab")))
        at_a, at_b = driver.open(1), driver.open(2)
        self.assertEqual((name_of(at_a), name_of(at_b)), ("a", "b"))
        driver.order("server a", "state", "draining")
        self.assertEqual({*driver.opened_at(5)}, {"b"})
        self.assertEqual(driver.state("a"), "draining")
        self.assertEqual(driver.happened(ServerDrained), [])
        driver.end(at_a)
        self.assertEqual([event.server for event in driver.happened(ServerDrained)], ["a"])
        driver.end(at_b)
        driver.configure(site(servers=servers("ab")))
        self.assertEqual(driver.happened(ServerDrained), [])

    def test_an_empty_one(self) -> None:
        """Is drained at once; and again after it was in service between."""
        driver = Driver(site(servers=servers("ab")))
        for _ in range(2):
            driver.order("server a", "state", "draining")
            self.assertEqual(len(driver.happened(ServerDrained)), 1)
            driver.order("server a", "state", "in-service")

    def test_out_of_service(self) -> None:
        """No new ones either; the order stands beside whether it answers."""
        driver = Driver(site(servers=servers("ab", threshold=1, retries=1)))
        driver.ditch(driver.route().ticket)
        driver.order("server a", "state", "out-of-service")
        [row, _] = driver.balancer.servers(driver.now)
        self.assertEqual((row.state, row.operational), ("out-of-service", Operational.FAILED))
        driver.pass_time(60.0)
        self.assertEqual({*driver.opened_at(5)}, {"b"})
        driver.order("server a", "state", None)
        self.assertEqual(driver.state("a"), "testing")
        self.assertEqual(name_of(driver.route().ticket), "a")


class RouteTests(SynchronousTestCase):
    def test_ports(self) -> None:
        """A run keeps its distances; a server's own port wins; IPv6 servers are text too."""
        run = Service(first_port=6000, last_port=6010, to=7000)
        a, b = server("a"), server("b", port=99)
        six = attrs.evolve(server("c"), address=IPv6Address("2001:db8::1"))
        driver = Driver(site(servers=(a, b, six), services=(run,)))
        routes = {route.server.name: route for route in (driver.route(1, 6003) for _ in range(3))}
        self.assertEqual((routes["a"].host, routes["a"].port), ("10.0.0.10", 7003))
        self.assertEqual((routes["b"].host, routes["b"].port), ("10.0.0.20", 99))
        self.assertEqual((routes["c"].host, routes["c"].port), ("2001:db8::1", 7003))

    def test_every_port(self) -> None:
        """An exact port wins over ``port: all`` (5.1)."""
        every = Service(first_port=1, last_port=65535, to=1, every=True)
        driver = Driver(site(services=(every, Service(first_port=22, last_port=22, to=2222))))
        self.assertEqual([driver.route(1, port).port for port in (21, 22, 23, 65535)], [21, 2222, 23, 65535])
        self.assertEqual([row.name for row in driver.balancer.virtuals(0.0)], [f"{NAME}:0:0", f"{NAME}:22:0"])
        self.assertEqual(driver.refused(1, 21, udp=True), Why.NO_SERVICE)

    def test_what_is_not_there(self) -> None:
        """Neither site nor port."""
        driver = Driver(site())
        self.assertEqual(driver.refused(site="nobody.example.test"), Why.NO_SERVICE)
        self.assertEqual(driver.refused(1, 81), Why.NO_SERVICE)
        self.assertEqual(driver.refused(1, 80, udp=True), Why.NO_SERVICE)


class MisuseTests(SynchronousTestCase):
    def test_what_a_ticket_cannot_do(self) -> None:
        """Each call in each state in which it has no sense; the second end has none, and is nothing."""
        driver = Driver(site(servers=servers("a", max_connections=2, queue=1)))
        balancer, now = driver.balancer, driver.now
        opened, opening, waiting = driver.open(1), driver.route(2).ticket, driver.wait(3)
        for ticket in (opened, waiting):
            self.assertRaises(ValueError, balancer.connected, ticket, now)
            self.assertRaises(ValueError, balancer.failed, ticket, now)
        for ticket in (opening, waiting):
            self.assertRaises(ValueError, balancer.first_byte, ticket, now)
        for ticket in (waiting, opened, opening):
            balancer.ended(ticket, now)
            self.assertEqual(len(balancer.ended(ticket, now)), 0)
            for verb in (balancer.connected, balancer.failed, balancer.first_byte):
                self.assertRaises(ValueError, verb, ticket, now)
        self.assertEqual(driver.connections("a"), 0)
