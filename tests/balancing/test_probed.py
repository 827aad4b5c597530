"""Servers that their probes take away and bring back, alone and together with ditched connections (5.1, 5.2)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Refused, Route, ServerRow, Why
from appliance.balancing.events import ServerBack, ServerEvent, ServerFailed, ServerTested, VirtualBack, VirtualFailed
from appliance.model import Server, Spill
from tests.balancing.driver import HTTP, NAME, PROBES, Driver, instance, name_of, server, site
from tests.balancing.strategies import HTTPS

OTHER = "other.example.test"


def probed(names: str, **more: Any) -> tuple[Server, ...]:
    """Servers with a probe, of each letter."""
    return tuple(server(name, probes=PROBES, **more) for name in names)


def row_of(driver: Driver, name: str) -> ServerRow:
    return next(row for row in driver.balancer.servers(driver.now) if row.name == name)


class DownTests(SynchronousTestCase):
    def test_no_new_ones(self) -> None:
        """What is there goes on; that it failed, why, and that it is back, is said once."""
        driver = Driver(site(servers=probed("ab")))
        standing = driver.open()
        self.assertEqual(name_of(standing), "a")
        for reason in ("web: refused", "web: timeout"):
            driver.probed("a", up=False, reason=reason)
        self.assertEqual({*driver.opened_at(5)}, {"b"})
        driver.balancer.first_byte(standing, driver.now)
        row = row_of(driver, "a")
        self.assertEqual((row.state, row.connections, row.failure), ("failed", 1, "web: timeout"), "the latest reason")
        self.assertEqual((row.operational.value, row.retried_in), ("failed", None))
        driver.pass_time(3600.0)
        self.assertEqual({*driver.opened_at(5)}, {"b"})
        self.assertIsNone(driver.balancer.next_deadline(), "no time brings it back")
        for _ in range(2):
            driver.probed("a", up=True, reason="web: ok")
        self.assertEqual((driver.state("a"), row_of(driver, "a").failure), ("in-service", ""))
        self.assertEqual(name_of(driver.route().ticket), "a")
        failed, back = driver.happened(ServerEvent)
        expected = ServerFailed(at=1000.0, server="a", ditched=0, again=False, reason="web: refused", retry_at=None)
        self.assertEqual(failed, expected)
        self.assertEqual(back, ServerBack(at=4600.0, server="a", reason="web: ok"))

    def test_where_all_are_down(self) -> None:
        """5.1: the virtual server has failed; who comes is refused at once, and who waits is, too."""
        driver = Driver(site(servers=probed("ab", max_connections=1, queue=2)))
        for number in (1, 2):
            driver.open(number)
        waiting = driver.wait(3)
        driver.probed("a", up=False)
        self.assertEqual((driver.virtual_state(), driver.after), ("in-service", []))
        driver.probed("b", up=False)
        self.assertEqual(driver.virtual_state(), "failed")
        self.assertEqual(driver.after, [Refused(Why.FAILED, waiting)])
        self.assertEqual(driver.refused(4), Why.FAILED)
        self.assertEqual(len(driver.happened(VirtualFailed)), 1)
        driver.probed("b", up=True)
        self.assertEqual(driver.virtual_state(), "in-service")
        self.assertEqual([event.virtual for event in driver.happened(VirtualBack)], [f"{NAME}:80:0"])

    def test_nobody_waits_beside_one_that_is_back(self) -> None:
        """Who waited for another goes there."""
        driver = Driver(site(servers=(*probed("a"), server("b", max_connections=1, queue=2))))
        driver.probed("a", up=False)
        driver.open(1)
        waiting = [driver.wait(2), driver.wait(3)]
        driver.probed("a", up=True)
        self.assertEqual(driver.gone_from_queue(), waiting)
        self.assertEqual([name_of(ticket) for ticket in waiting], ["a", "a"])

    def test_backup_and_spill(self) -> None:
        """As of one that was ditched to its threshold: a backup takes over and hands back, an instance spills."""
        preferred = instance(
            servers=(server("c", probes=PROBES, backup="d"),), clients=(), services=(HTTP,), spill=Spill.ALL_FAILED
        )
        driver = Driver(site(instances=(preferred,)), spare=probed("d"))
        driver.order(f"virtual {NAME}:80:1", "client 198.51.100.1", "assigned")
        served = []
        for name, up in (("c", False), ("d", False), ("d", True), ("c", True)):
            driver.probed(name, up=up)
            served.append(name_of(driver.route(1).ticket))
        self.assertEqual(served, ["d", "a", "d", "c"])

    def test_buddies_and_sticky_clients(self) -> None:
        """Are not sent there either."""
        more: list[dict[str, Any]] = [{"sticky": 60.0}, {"buddies": (frozenset({80, 443}),), "services": (HTTP, HTTPS)}]
        for each in more:
            driver = Driver(site(servers=probed("ab"), **each))
            self.assertEqual(name_of(driver.open(1)), "a")
            driver.probed("a", up=False)
            port = 443 if "buddies" in each else 80
            self.assertEqual(name_of(driver.route(1, port).ticket), "b")

    def test_slow_start(self) -> None:
        """It grows from a tenth, as after a test; while it is down nothing grows."""
        driver = Driver(site(servers=(*probed("a", slow_start=20.0, max_connections=100), server("b"))))
        shares = []
        for _ in range(2):
            driver.probed("a", up=False)
            driver.pass_time(60.0)
            driver.probed("a", up=True)
            shares.append(row_of(driver, "a").share)
            driver.pass_time(10.0)
            shares.append(row_of(driver, "a").share)
        self.assertEqual(shares, [0.1, 0.5, 0.1, 0.5])
        driver.pass_time(10.0)
        self.assertEqual(row_of(driver, "a").share, 1.0)

    def test_dials_of_before(self) -> None:
        """They go elsewhere after their present attempt, or may stand; neither counts for or against it."""
        driver = Driver(site(servers=(*probed("a", threshold=1, retries=1), server("b"))))
        late, last = driver.route(1).ticket, driver.route(2).ticket
        if name_of(last) == "b":
            last = driver.route(3).ticket
        self.assertEqual((name_of(late), name_of(last)), ("a", "a"))
        driver.probed("a", up=False)
        driver.balancer.connected(late, driver.now)
        other = driver.fail(last)
        assert isinstance(other, Route)
        self.assertEqual((other.server.name, row_of(driver, "a").failure), ("b", "web: refused"))
        driver.probed("a", up=True)
        self.assertEqual(driver.state("a"), "in-service", "one ditched connection would have failed it")

    def test_who_is_not_there(self) -> None:
        """A result may come late: of a server that has left, or is about to."""
        driver = Driver(site(servers=probed("ab")))
        driver.open()
        driver.configure(site(servers=probed("b")))
        for name in ("a", "nobody"):
            driver.probed(name, up=False)
        self.assertEqual((row_of(driver, "a").failure, driver.happened(ServerFailed)), ("", []))


class BothTests(SynchronousTestCase):
    """``a`` was failed by one ditched connection at 1000; its test is due at 1030."""

    def setUp(self) -> None:
        a = server("a", threshold=1, retries=1, retry_after=30.0, probes=PROBES)
        self.driver = Driver(site(servers=(a, server("b"))))
        self.driver.ditch(self.driver.route().ticket)
        self.driver.happened(ServerEvent)

    def events(self) -> list[type]:
        return [type(event) for event in self.driver.happened(ServerEvent)]

    def test_it_passes_its_test_after_its_probes(self) -> None:
        """Probes that pass do not end a failure by ditched connections; its time goes on meanwhile."""
        self.driver.probed("a", up=False)
        self.assertEqual(self.events(), [ServerFailed])
        row = row_of(self.driver, "a")
        self.assertEqual((row.failure, row.retried_in), ("web: refused; attempt 1", None))
        self.driver.pass_time(10.0)
        self.driver.probed("a", up=True)
        row = row_of(self.driver, "a")
        self.assertEqual((row.state, row.failure, row.retried_in), ("failed", "attempt 1", 20.0))
        self.assertEqual({*self.driver.opened_at(5)}, {"b"})
        self.driver.pass_time(20.0)
        self.assertEqual((self.driver.state("a"), self.events()), ("testing", [ServerTested]))
        self.driver.open()
        self.assertEqual((self.driver.state("a"), self.events()), ("in-service", [ServerBack]))

    def test_no_test_while_probes_fail(self) -> None:
        """It is put off, and made at once when they pass."""
        self.driver.probed("a", up=False)
        self.driver.pass_time(300.0)
        self.assertEqual((self.driver.state("a"), self.events()), ("failed", [ServerFailed]))
        self.assertEqual({*self.driver.opened_at(5)}, {"b"})
        self.driver.probed("a", up=True)
        self.assertEqual((self.driver.state("a"), self.events()), ("testing", [ServerTested]))
        self.assertEqual(name_of(self.driver.route().ticket), "a")

    def test_no_further_test(self) -> None:
        """Of one that is tested, but whose test was not begun."""
        self.driver.pass_time(30.0)
        self.driver.probed("a", up=False)
        self.assertEqual((self.driver.state("a"), self.events()), ("failed", [ServerTested, ServerFailed]))
        self.assertEqual({*self.driver.opened_at(5)}, {"b"})
        self.driver.probed("a", up=True)
        self.assertEqual((self.driver.state("a"), self.events()), ("testing", [ServerTested]))
        self.assertEqual(name_of(self.driver.route().ticket), "a")

    def test_a_test_under_way_that_passes(self) -> None:
        """Ends one half of it; the probes end the other."""
        self.driver.pass_time(30.0)
        test = self.driver.route().ticket
        self.driver.probed("a", up=False)
        self.events()
        self.driver.balancer.connected(test, self.driver.now)
        self.driver.settle()
        self.assertEqual((row_of(self.driver, "a").failure, self.events()), ("web: refused", []))
        self.assertEqual({*self.driver.opened_at(5)}, {"b"})
        self.driver.probed("a", up=True)
        self.assertEqual((self.driver.state("a"), self.events()), ("in-service", [ServerBack]))

    def test_a_test_under_way_that_fails(self) -> None:
        """Its client goes elsewhere, and nothing is said, for nothing has changed."""
        self.driver.pass_time(30.0)
        test = self.driver.route().ticket
        self.driver.probed("a", up=False)
        self.events()
        other = self.driver.fail(test)
        assert isinstance(other, Route)
        self.assertEqual((other.server.name, self.events()), ("b", []))
        self.driver.probed("a", up=True)
        self.assertEqual(row_of(self.driver, "a").retried_in, 30.0)
        self.driver.pass_time(30.0)
        self.assertEqual(self.driver.state("a"), "testing")

    def test_it_does_not_grow_while_it_is_tested(self) -> None:
        """However often it was put off and taken up again."""
        a = server("a", threshold=1, retries=1, retry_after=30.0, slow_start=1000.0, probes=PROBES)
        driver = Driver(site(servers=(a,)))
        driver.ditch(driver.route().ticket)
        driver.pass_time(30.0)
        driver.open()
        driver.ditch(driver.route().ticket)
        for up in (False, True):
            driver.probed("a", up=up)
        driver.pass_time(500.0)
        self.assertEqual((driver.state("a"), row_of(driver, "a").share), ("testing", 0.1))


class SharedTests(SynchronousTestCase):
    def test_all_sites_of_a_server(self) -> None:
        """One word is enough for all."""
        driver = Driver(site(servers=probed("a")), site(OTHER, servers=probed("a")))
        driver.probed("a", up=False)
        self.assertEqual([driver.refused(site=name) for name in (NAME, OTHER)], [Why.FAILED, Why.FAILED])
        driver.probed("a", up=True)
        self.assertEqual({name_of(driver.route(site=name).ticket) for name in (NAME, OTHER)}, {"a"})
