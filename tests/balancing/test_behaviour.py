"""Clients who become one of an instance by what they do (5.11)."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Turned, behaviour
from appliance.balancing.behaviour import CONNECTIONS, Meter
from appliance.balancing.events import ClientAssigned, ClientEvent, ClientReleased
from appliance.model import Behaviour, Site
from tests.balancing.driver import HTTP, NAME, UDP, Driver, client, instance, name_of, servers, site

RULE = Behaviour(connections=100, window=10.0, hold=600.0)


def watched(rule: Behaviour = RULE, **more: Any) -> Site:
    """A site whose clients become unwelcome by their behaviour."""
    return site(instances=(instance(2, behaviour=rule, answer=b"enough\n"),), **more)


class ConnectionTests(SynchronousTestCase):
    def test_a_hundred_in_ten_seconds(self) -> None:
        """Make a client unwelcome; it is let back after the hold."""
        driver = Driver(watched())
        for _ in range(99):
            driver.end(driver.open(1))
            driver.pass_time(0.1)
        self.assertIsInstance(driver.ask(1), Turned)
        self.assertEqual(name_of(driver.open(2)), "a", "nobody else")
        [assigned] = driver.happened(ClientEvent)
        self.assertEqual((assigned.site, assigned.bind_id, str(assigned.client)), (NAME, 2, "198.51.100.1/32"))
        assert isinstance(assigned, ClientAssigned)
        self.assertEqual(assigned.reason, "100 connections within 10 s")
        driver.pass_time(599.0)
        self.assertIn("behaviour", [row.by for row in driver.balancer.clients(driver.now)])
        self.assertEqual(driver.happened(ClientEvent), [])
        driver.pass_time(1.0)
        [released] = driver.happened(ClientEvent)
        self.assertIsInstance(released, ClientReleased)
        driver.open(1)
        self.assertEqual(driver.balancer.clients(driver.now), [])

    def test_fewer_do_not(self) -> None:
        """Nine in each second, for ten minutes."""
        driver = Driver(watched())
        for _ in range(600):
            for _ in range(9):
                driver.end(driver.open(1))
            driver.pass_time(1.0)

    def test_who_goes_on_stays(self) -> None:
        """The hold begins anew with each time that the limit is reached."""
        driver = Driver(watched(Behaviour(connections=3, window=10.0, hold=20.0)))
        for _ in range(2):
            driver.open(1)
        for _ in range(5):
            self.assertIsInstance(driver.ask(1), Turned)
            self.assertIsInstance(driver.ask(1), Turned)
            driver.pass_time(15.0)
            self.assertIsInstance(driver.ask(1), Turned)
        driver.pass_time(20.0)
        driver.open(1)
        self.assertEqual(len(driver.happened(ClientAssigned)), 1)

    def test_a_hold_ends_in_its_time(self) -> None:
        """Also where nobody has said yet that it has."""
        driver = Driver(watched(Behaviour(connections=2, window=1.0, hold=20.0)))
        driver.open(1)
        driver.ask(1)
        driver.now += 20.0
        driver.open(1)

    def test_all_ports_count_together(self) -> None:
        """And only instances that have the port turn a client away."""
        rule = Behaviour(connections=4)
        unwelcome = instance(2, behaviour=rule, answer=b"no", services=(HTTP,))
        driver = Driver(site(services=(HTTP, UDP), instances=(unwelcome,)))
        for _ in range(4):
            driver.open(1, 53, udp=True)
        self.assertIsInstance(driver.ask(1, 80), Turned)
        driver.open(1, 53, udp=True)

    @settings(max_examples=200)
    @given(st.lists(st.floats(0.0, 12.0), min_size=1, max_size=40))
    def test_windows(self, pauses: list[float]) -> None:
        """Never more than was done within two windows, nor less than within the present one; exact in the first."""
        meter, now, instants = Meter(0.0), 0.0, [0.0]
        meter.count(CONNECTIONS, 1, 10.0, now)
        for pause in pauses:
            now += pause
            instants.append(now)
            counted = meter.count(CONNECTIONS, 1, 10.0, now)
            self.assertLessEqual(counted, sum(at > now - 20.0 for at in instants) + 1e-6)
            self.assertGreaterEqual(counted, 1.0)
            if now < 10.0:
                self.assertEqual(counted, len(instants))


class BytesTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """Both ways, of the connections that have ended."""
        driver = Driver(watched(Behaviour(bytes=1000)))
        driver.end(driver.open(1), received=400, sent=500)
        driver.end(driver.open(1), received=0, sent=100)
        self.assertIsInstance(driver.ask(1), Turned)

    def test_a_long_connection(self) -> None:
        """Counts with what it moved within a window, as if it had been even."""
        for moved, turned in ((50_000, False), (70_000, True)):
            with self.subTest(moved=moved):
                driver = Driver(watched(Behaviour(bytes=1000, window=10.0)))
                ticket = driver.open(1)
                driver.pass_time(600.0)
                driver.end(ticket, received=0, sent=moved)
                self.assertEqual(isinstance(driver.ask(1), Turned), turned)


class ShortTests(SynchronousTestCase):
    def setUp(self) -> None:
        rule = Behaviour(short=3)
        self.driver = Driver(watched(rule, servers=servers("a", max_connections=1, queue=5, retries=2)))

    def turned(self) -> bool:
        return isinstance(self.driver.ask(1), Turned)

    def test_without_a_byte(self) -> None:
        """Whatever the server sent; at once, or after a while."""
        self.driver.end(self.driver.open(1), received=0, sent=99)
        self.driver.end(self.driver.open(1), received=1)
        self.driver.end(self.driver.route(1).ticket, received=0)
        self.assertFalse(self.turned())
        self.driver = Driver(watched(Behaviour(short=2)))
        for _ in range(2):
            self.driver.end(self.driver.open(1), received=0)
        self.assertTrue(self.turned())

    def test_who_was_let_wait(self) -> None:
        """Is not to blame, nor whose server did not answer."""
        held = self.driver.open(2)
        for _ in range(5):
            self.driver.end(self.driver.wait(1), received=0)
        self.driver.end(held)
        for _ in range(5):
            ticket = self.driver.route(1).ticket
            self.driver.fail(ticket)
            self.driver.end(ticket, received=0)
        self.assertFalse(self.turned())


class PriorityTests(SynchronousTestCase):
    def test_an_assignment_of_the_client_alone_wins(self) -> None:
        """One of its network does not."""
        for length, expected in ((32, False), (31, True), (24, True)):
            with self.subTest(length=length):
                prefix = IPv4Network((client(2) >> 32 - length << 32 - length, length))
                friend = instance(1, clients=(prefix,), servers=servers("f"))
                foe = instance(2, behaviour=Behaviour(connections=2), answer=b"no")
                driver = Driver(site(instances=(friend, foe)))
                driver.open(2)
                self.assertEqual(isinstance(driver.ask(2), Turned), expected)

    def test_the_instance_is_out_of_service(self) -> None:
        """Nobody is turned away then."""
        driver = Driver(watched(Behaviour(connections=1)))
        self.assertIsInstance(driver.ask(1), Turned)
        driver.order(f"virtual {NAME}:0:2", "state", "out-of-service")
        driver.open(1)


class BoundTests(SynchronousTestCase):
    def test_meters(self) -> None:
        """The client that was seen longest ago is forgotten."""
        with mock.patch.object(behaviour, "MOST_CLIENTS", 5):
            driver = Driver(watched(Behaviour(connections=3)))
            for number in (1, 2, 3, 4, 5, 1, 6):
                driver.open(number)
            self.assertEqual(len(driver.balancer._board.conduct), 5)
            self.assertIsInstance(driver.ask(1), Turned, "it was seen lately")
            driver.open(2)
            driver.open(2)
            self.assertIsInstance(driver.ask(2), Turned)

    def test_holds(self) -> None:
        """Who is held longest is let go, and that is said."""
        with mock.patch.object(behaviour, "MOST_CLIENTS", 2):
            driver = Driver(watched(Behaviour(connections=1)))
            for number in (1, 2, 1, 3):
                self.assertIsInstance(driver.ask(number), Turned)
            self.assertEqual([str(event.client) for event in driver.happened(ClientReleased)], ["198.51.100.2/32"])
            self.assertEqual(len(driver.balancer.clients(driver.now)), 2)

    def test_a_reload(self) -> None:
        """Keeps who is held while the instance watches; then lets them go."""
        driver = Driver(watched(Behaviour(connections=1, hold=50.0)))
        driver.ask(1)
        driver.configure(watched(Behaviour(connections=50)))
        self.assertIsInstance(driver.ask(1), Turned)
        driver.happened(ClientEvent)
        driver.configure(site())
        self.assertEqual(len(driver.happened(ClientReleased)), 1)
        driver.configure(watched(Behaviour(connections=50)))
        driver.open(1)
