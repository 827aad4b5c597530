"""Clients that go where they have been: home servers, sticky ones, UDP sessions, buddies (1.5, 5.12)."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Route, Ticket, Why, affinity
from appliance.model import Predictor, Service
from tests.balancing.driver import HTTP, NAME, UDP, Driver, client, instance, name_of, server, servers, site

HTTPS = Service(first_port=443, last_port=443, to=443)
FTP = (Service(first_port=21, last_port=21, to=21), Service(first_port=6000, last_port=6010, to=6000))
FTP_PORTS = frozenset({21, *range(6000, 6011)})
TURNS = Predictor.ROUND_ROBIN
"""So that the next connection would go elsewhere."""


class HomeTests(SynchronousTestCase):
    def test_of_several_addresses(self) -> None:
        """Each leads to the server that it was granted for, while that has room (1.5)."""
        driver = Driver(site(servers=(server("a"), server("b", max_connections=2)), addresses=2))
        self.assertEqual([name_of(driver.open(home="b")) for _ in range(4)], ["b", "b", "a", "a"])
        self.assertEqual({name_of(driver.open(home="a")) for _ in range(4)}, {"a"})

    def test_not_while_it_is_out(self) -> None:
        """Nor where it is not this instance's, or is nobody."""
        mine = instance(clients=(IPv4Network((client(256), 24)),), servers=servers("p"))
        driver = Driver(site(servers=servers("ab"), addresses=2, instances=(mine,)))
        driver.order("server b", "state", "out-of-service")
        self.assertEqual(name_of(driver.open(home="b")), "a")
        self.assertEqual(name_of(driver.open(257, home="a")), "p")
        self.assertEqual(name_of(driver.open(home="nobody")), "a")

    def test_one_address(self) -> None:
        """Leads to all servers."""
        driver = Driver(site(servers=servers("ab")))
        self.assertEqual({name_of(driver.open(home="a")) for _ in range(2)}, {"a", "b"})


class StickyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.site = site(servers=servers("abc"), predictor=TURNS, sticky=60.0, services=(HTTP, HTTPS))
        self.driver = Driver(self.site)

    def test_while_it_is_connected(self) -> None:
        """At any port of the instance; others take turns."""
        first = name_of(self.driver.open(1))
        self.driver.opened_at(7)
        self.assertEqual({name_of(self.driver.open(1, port)) for port in (80, 443, 80)}, {first})

    def test_and_after(self) -> None:
        """From the end of its last connection."""
        first, second = self.driver.open(1), self.driver.open(1)
        self.driver.end(first)
        self.driver.pass_time(1000.0)
        self.driver.end(second)
        self.driver.pass_time(59.0)
        self.driver.open(2)
        again = self.driver.open(1)
        self.assertEqual(name_of(again), name_of(first))
        self.driver.end(again)
        self.driver.pass_time(60.0)
        self.assertNotEqual(name_of(self.driver.open(1)), name_of(first))

    def test_not_to_one_that_takes_none(self) -> None:
        """The client goes elsewhere, and stays there when its former server is back."""
        first = self.driver.open(1)
        for state in ("out-of-service", "draining"):
            with self.subTest(state=state):
                self.driver.order(f"server {name_of(first)}", "state", state)
                second = self.driver.open(1)
                self.assertNotEqual(name_of(second), name_of(first))
                self.driver.order(f"server {name_of(first)}", "state", None)
                self.assertEqual(name_of(self.driver.open(1)), name_of(second))
                first = second

    def test_instances_have_each_their_own(self) -> None:
        """A client that was assigned meanwhile is not sent to a server of before."""
        mine = instance(clients=(IPv4Network((client(256), 24)),), servers=servers("p"))
        driver = Driver(site(servers=servers("abc"), predictor=TURNS, sticky=60.0, instances=(mine,)))
        driver.open(1)
        driver.order(f"virtual {NAME}:0:1", f"client {IPv4Network(client(1))}", "assigned")
        self.assertEqual(name_of(driver.open(1)), "p")

    def test_switched_off(self) -> None:
        """By a reload: what is remembered does not count, and connections end as they began."""
        ticket = self.driver.open(1)
        self.driver.configure(site(servers=servers("abc"), predictor=TURNS, services=(HTTP, HTTPS)))
        self.driver.end(ticket)
        self.assertEqual(len({name_of(self.driver.open(1)) for _ in range(3)}), 3)

    def test_memory_is_bounded(self) -> None:
        """Who left longest ago is forgotten."""
        with mock.patch.object(affinity, "MOST_REMEMBERED", 3):
            names = []
            for number in range(4):
                ticket = self.driver.open(number)
                names.append(name_of(ticket))
                self.driver.end(ticket)
            remembered = self.driver.balancer._board.affinity
            self.assertEqual(len(remembered), 3)
            self.assertEqual(name_of(self.driver.open(3)), names[3])
            self.driver.open(9)
            self.assertNotEqual(name_of(self.driver.open(0)), names[0])


class UdpTests(SynchronousTestCase):
    def test_sessions_of_a_client(self) -> None:
        """Go to the same server while one lives; then it takes its turn again."""
        driver = Driver(site(servers=servers("abc"), predictor=TURNS, services=(UDP, HTTP)))
        first, second = driver.open(1, 53, udp=True), driver.open(1, 53, udp=True)
        driver.open(2, 53, udp=True)
        self.assertEqual(name_of(second), name_of(first))
        self.assertEqual({name_of(driver.open(1)) for _ in range(3)}, {"a", "b", "c"}, "TCP connections are spread")
        driver.end(first)
        self.assertEqual(name_of(driver.open(1, 53, udp=True)), name_of(first))
        driver = Driver(site(servers=servers("abc"), predictor=TURNS, services=(UDP,)))
        names = []
        for _ in range(3):
            ticket = driver.open(1, 53, udp=True)
            names.append(name_of(ticket))
            driver.end(ticket)
        self.assertEqual(names, ["a", "b", "c"])


class BuddyTests(SynchronousTestCase):
    def driver(self, **more: Any) -> Driver:
        pool = {"servers": servers("abc", max_connections=3), "predictor": TURNS, "buddies": (FTP_PORTS,), **more}
        return Driver(site(services=(*FTP, HTTP), **pool))

    def test_the_data_connection_finds_its_control_connection(self) -> None:
        """And names it."""
        driver = self.driver()
        control = {number: driver.open(number, 21) for number in (1, 2, 3)}
        for number in (3, 1, 2):
            data = driver.open(number, 6000 + number)
            self.assertEqual((name_of(data), data.buddy), (name_of(control[number]), control[number].number))
            self.assertEqual(control[number].buddy, 0)

    def test_other_ports_are_no_buddies(self) -> None:
        """Nor are other clients."""
        driver = self.driver()
        control = driver.open(1, 21)
        self.assertEqual(name_of(control), "a")
        self.assertEqual([name_of(driver.open(1, 80)) for _ in range(3)], ["a", "b", "c"])
        self.assertEqual([name_of(driver.open(number, 6000)) for number in (2, 3)], ["a", "b"])
        self.assertEqual(driver.open(1, 80).buddy, 0)

    def test_the_earliest(self) -> None:
        """Of its connections at another port; those at the same port name no server."""
        driver = self.driver()
        first, second = driver.open(1, 21), driver.open(1, 21)
        self.assertNotEqual(name_of(first), name_of(second))
        self.assertEqual(driver.open(1, 6000).buddy, first.number)
        driver.end(first)
        self.assertEqual(driver.open(1, 6000).buddy, second.number)

    def test_within_sticky(self) -> None:
        """After the last one ended, for so long."""
        driver = self.driver(sticky=20.0)
        control = driver.open(1, 21)
        driver.end(control)
        driver.pass_time(19.0)
        data = driver.open(1, 6000)
        self.assertEqual((name_of(data), data.buddy), (name_of(control), control.number))

    def test_it_waits_for_its_server(self) -> None:
        """Where there are waiting places, although another one has room; else it goes there without a buddy."""
        for queue in (1, 0):
            with self.subTest(queue=queue):
                driver = self.driver(servers=servers("ab", max_connections=1, queue=queue))
                control = driver.open(1, 21)
                if queue:
                    data = driver.wait(1, 6000)
                    driver.end(control)
                    self.assertEqual(driver.gone_from_queue(), [data])
                    self.assertEqual((name_of(data), data.buddy), (name_of(control), control.number))
                else:
                    data = driver.open(1, 6000)
                    self.assertNotEqual(name_of(data), name_of(control))
                    self.assertEqual(data.buddy, 0)

    def test_what_it_waits_for_goes(self) -> None:
        """Then it may go anywhere."""
        driver = self.driver(servers=servers("ab", max_connections=1, queue=1))
        control = driver.open(1, 21)
        data = driver.wait(1, 6000)
        driver.order(f"server {name_of(control)}", "state", "out-of-service")
        self.assertEqual(driver.gone_from_queue(), [data])
        self.assertEqual(data.buddy, 0)

    def test_a_server_that_drains(self) -> None:
        """Takes the further connections of the sessions that it has, and no other."""
        driver = self.driver()
        control = driver.open(1, 21)
        driver.order(f"server {name_of(control)}", "state", "draining")
        self.assertEqual(name_of(driver.open(1, 6000)), name_of(control))
        self.assertNotIn(name_of(control), {name_of(driver.open(number, 21)) for number in (2, 3, 4)})

    def test_a_server_that_is_out(self) -> None:
        """Takes none; the next earliest connection counts."""
        driver = self.driver()
        first, second = driver.open(1, 21), driver.open(1, 21)
        driver.order(f"server {name_of(first)}", "state", "out-of-service")
        data = driver.open(1, 6000)
        self.assertEqual((name_of(data), data.buddy), (name_of(second), second.number))

    def test_a_server_that_is_not_bound_to_that_port(self) -> None:
        """Is none for it."""
        driver = self.driver()
        control = driver.open(1, 21)
        driver.order(f"virtual {NAME}:6000:0", f"server {name_of(control)}", "unbound")
        self.assertEqual(driver.open(1, 6000).buddy, 0)

    def test_a_ditched_one_has_no_buddy_any_more(self) -> None:
        """It went to another server."""
        driver = self.driver(servers=servers("ab", retries=1))
        control = driver.open(1, 21)
        data = driver.route(1, 6000).ticket
        self.assertEqual(data.buddy, control.number)
        self.assertIsInstance(driver.fail(data), Route)
        self.assertEqual((name_of(data) != name_of(control), data.buddy), (True, 0))

    def test_nothing_is_kept(self) -> None:
        """When all have ended, refused and waiting ones too."""
        driver = self.driver(servers=servers("a", max_connections=2, queue=1), max_per_client=9)
        tickets: list[Ticket] = [driver.open(1, 21), driver.open(1, 6000), driver.wait(1, 6001)]
        self.assertEqual(driver.refused(1, 6002), Why.BUSY)
        for ticket in tickets:
            driver.end(ticket)
        place = driver.balancer._board.places[NAME]
        self.assertEqual((place.company, place.clients), ({}, {}))
