"""Backups, and the states of virtual servers (5.1, 5.2)."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Refused, Route, Why
from appliance.balancing.events import VirtualBack, VirtualEvent, VirtualFailed
from appliance.model import Service
from tests.balancing.driver import NAME, Driver, instance, name_of, server, servers, site

OTHER = "sorry.example.test"


class BackupTests(SynchronousTestCase):
    def test_of_a_real(self) -> None:
        """It takes the new connections while its principal is failed, and hands back after (5.2)."""
        a = server("a", backup="z", threshold=1, retries=1)
        driver = Driver(site(servers=(a,)), spare=(server("z"),))
        self.assertEqual({*driver.opened_at(3)}, {"a"})
        refused = driver.route().ticket
        self.assertIsInstance(driver.fail(refused), Route)
        self.assertEqual(name_of(refused), "z")
        self.assertEqual({*driver.opened_at(3)}, {"z"})
        driver.pass_time(60.0)
        self.assertEqual(driver.opened_at(3), ["a", "a", "a"])

    def test_of_one_among_others(self) -> None:
        """The others keep their share."""
        a, b = server("a", backup="z"), server("b")
        driver = Driver(site(servers=(a, b)), spare=(server("z"),))
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(Counter(driver.opened_at(10)), {"z": 5, "b": 5})

    def test_chains_and_loops(self) -> None:
        """The backup of the backup; and one that comes again is no backup."""
        a, b, c = server("a", backup="b"), server("b", backup="c"), server("c", backup="a")
        driver = Driver(site(servers=(a,)), spare=(b, c))
        for out, expected in (("a", "b"), ("b", "c")):
            driver.order(f"server {out}", "state", "out-of-service")
            self.assertEqual({*driver.opened_at(2)}, {expected})
        driver.order("server c", "state", "out-of-service")
        self.assertEqual(driver.refused(), Why.FAILED)
        self.assertEqual(driver.virtual_state(), "failed")

    def test_of_a_virtual(self) -> None:
        """Another site's servers, through that site's port, when all of this one's are failed."""
        sorry = site(OTHER, servers=servers("z"), services=(Service(first_port=80, last_port=80, to=8888),))
        driver = Driver(site(servers=servers("ab"), backup=OTHER), sorry)
        driver.order("server a", "state", "out-of-service")
        self.assertEqual({*driver.opened_at(3)}, {"b"})
        driver.order("server b", "state", "out-of-service")
        route = driver.route()
        self.assertEqual((route.server.name, route.port), ("z", 8888))
        self.assertEqual(driver.virtual_state(), "in-service")
        driver.order("server a", "state", "in-service")
        self.assertEqual({*driver.opened_at(3)}, {"a"})

    def test_virtuals_that_back_each_other(self) -> None:
        """Both fail only together, and come back together."""
        driver = Driver(site(servers=servers("a"), backup=OTHER), site(OTHER, servers=servers("b"), backup=NAME))
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(name_of(driver.open()), "b")
        self.assertEqual(driver.happened(VirtualEvent), [])
        driver.order("server b", "state", "out-of-service")
        self.assertEqual({event.virtual for event in driver.happened(VirtualFailed)}, {f"{NAME}:80:0", f"{OTHER}:80:0"})
        self.assertEqual(driver.refused(site=OTHER), Why.FAILED)
        driver.order("server b", "state", "in-service")
        self.assertEqual({event.virtual for event in driver.happened(VirtualBack)}, {f"{NAME}:80:0", f"{OTHER}:80:0"})

    def test_a_backup_that_is_out_of_service(self) -> None:
        """A person took it out: it takes nobody's clients; the next in the chain does."""
        third = "third.example.test"
        driver = Driver(
            site(backup=OTHER), site(OTHER, servers=servers("z"), backup=third), site(third, servers=servers("y"))
        )
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(name_of(driver.open()), "z")
        driver.order(f"virtual {OTHER}:80:0", "state", "out-of-service")
        self.assertEqual(name_of(driver.open()), "y")

    def test_a_backup_without_the_port(self) -> None:
        """Is none for it."""
        other = site(OTHER, servers=servers("z"), services=(Service(first_port=443, last_port=443, to=443),))
        driver = Driver(site(backup=OTHER), other)
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(driver.refused(), Why.FAILED)


class VirtualStateTests(SynchronousTestCase):
    def test_failed_and_back(self) -> None:
        """When its last server and that one's backup are failed; it comes back by itself."""
        a = server("a", backup="z", threshold=1, retries=1, retry_after=5.0)
        z = server("z", threshold=1, retries=1, retry_after=5.0)
        driver = Driver(site(servers=(a,)), spare=(z,))
        ticket = driver.route().ticket
        driver.fail(ticket)
        self.assertEqual(driver.virtual_state(), "in-service")
        self.assertEqual(driver.fail(ticket), Refused(Why.UNREACHABLE, ticket))
        self.assertEqual(driver.virtual_state(), "failed")
        self.assertEqual(driver.refused(), Why.FAILED)
        [event] = driver.happened(VirtualEvent)
        self.assertEqual(event, VirtualFailed(at=driver.now, virtual=f"{NAME}:80:0"))
        driver.pass_time(5.0)
        self.assertEqual(driver.virtual_state(), "failed")
        driver.open()
        self.assertEqual(driver.virtual_state(), "in-service")
        [event] = driver.happened(VirtualEvent)
        self.assertEqual(event, VirtualBack(at=driver.now, virtual=f"{NAME}:80:0"))

    def test_out_of_service(self) -> None:
        """By a person, of one port alone."""
        services = tuple(Service(first_port=port, last_port=port, to=port) for port in (80, 443))
        driver = Driver(site(services=services))
        driver.order(f"virtual {NAME}:80:0", "state", "out-of-service")
        self.assertEqual(driver.refused(1, 80), Why.OUT_OF_SERVICE)
        driver.open(1, 443)

    def test_an_answer_never_fails(self) -> None:
        """It needs no server."""
        driver = Driver(site(instances=(instance(answer=b"no"),)))
        self.assertEqual(driver.virtual_state(f"{NAME}:80:1"), "in-service")
