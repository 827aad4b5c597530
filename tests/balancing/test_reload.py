"""What a reload keeps, and what it ends."""

from __future__ import annotations

from ipaddress import IPv4Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Override, Why
from appliance.balancing.events import OverrideEnded
from appliance.model import Predictor, Service
from tests.balancing.driver import HTTP, NAME, Driver, client, instance, name_of, server, servers, site

OTHER = "other.example.test"
HTTPS = Service(first_port=443, last_port=443, to=443)


class KeptTests(SynchronousTestCase):
    def test_connections_from_before_a_limit(self) -> None:
        """``max_per_client`` counts those that a client has already, in a queue too; once, however often it comes."""
        pool = servers("a", max_connections=2, queue=2)
        for sticky in (0.0, 9.0):
            driver = Driver(site(servers=pool, sticky=sticky), site(OTHER, servers=servers("b")))
            tickets = [driver.open(), driver.open(), driver.wait(), driver.open(site=OTHER)]
            sites = {
                each.name: each
                for each in (site(servers=pool, sticky=sticky, max_per_client=3), site(OTHER, servers=servers("b")))
            }
            for most in (3, 0, 3):
                sites[NAME] = attrs.evolve(sites[NAME], max_per_client=most)
                driver.balancer.configure(sites, {}, driver.now, tickets)
            self.assertEqual(driver.refused(), Why.TOO_MANY)
            driver.wait(2)
            driver.end(tickets[0])
            self.assertEqual(driver.gone_from_queue(), [tickets[2]])
            tickets.append(driver.wait())
            self.assertEqual(driver.refused(), Why.TOO_MANY)
            for ticket in tickets:
                driver.end(ticket)
            self.assertEqual(driver.balancer._board.places[NAME].clients, {client(2): 1})

    def test_counts_and_states(self) -> None:
        """Live connections, ditched ones in a row, a failed state and when it is tested."""
        a, b = server("a", threshold=3, retries=1), server("b", threshold=1, retries=1, retry_after=30.0)
        driver = Driver(site(servers=(a, b)))
        driver.open(1)
        driver.fail(driver.route(2).ticket)
        driver.fail(driver.route(3).ticket)
        before = driver.balancer.servers(driver.now)
        self.assertEqual(
            [(row.state, row.ditched, row.connections) for row in before], [("in-service", 1, 2), ("failed", 1, 0)]
        )
        driver.configure(site(servers=(a, b), predictor=Predictor.ROUND_ROBIN), site(OTHER, servers=(b,)))
        self.assertEqual(driver.balancer.servers(driver.now), before)
        driver.pass_time(30.0)
        self.assertEqual(driver.state("b"), "testing")

    def test_turns(self) -> None:
        """Go on where they were."""
        for predictor in (Predictor.ROUND_ROBIN, Predictor.WEIGHTED_ROUND_ROBIN):
            with self.subTest(predictor=predictor):
                driver = Driver(site(servers=servers("abc"), predictor=predictor))
                names = driver.opened_at(4)
                driver.configure(site(servers=servers("abc"), predictor=predictor, services=(HTTP, HTTPS)))
                self.assertEqual(names + driver.opened_at(4), [*"abcabcab"])

    def test_who_waits(self) -> None:
        """Keeps its place."""
        pool = servers("a", max_connections=1, queue=3)
        driver = Driver(site(servers=pool))
        ticket = driver.open()
        waiting = [driver.wait() for _ in range(2)]
        driver.configure(site(servers=pool, services=(HTTP, HTTPS), max_per_client=7))
        driver.end(ticket)
        self.assertEqual(driver.gone_from_queue(), waiting[:1])

    def test_assignments(self) -> None:
        """Hold for the next connection."""
        mine = instance(clients=(IPv4Network((client(0), 24)),), servers=servers("p"))
        driver = Driver(site())
        ticket = driver.open(1)
        driver.configure(site(instances=(mine,)))
        self.assertEqual((name_of(ticket), name_of(driver.open(1))), ("a", "p"))
        driver.configure(site())
        self.assertEqual(name_of(driver.open(1)), "a")


class GoneTests(SynchronousTestCase):
    def test_a_server(self) -> None:
        """Takes nothing new, and is forgotten with its last connection; it may come back before."""
        driver = Driver(site(servers=servers("ab")))
        tickets = [driver.open(1), driver.open(2), driver.open(3)]
        driver.configure(site(servers=servers("b")))
        self.assertEqual({name_of(driver.open()) for _ in range(3)}, {"b"})
        row = driver.balancer.servers(driver.now)[0]
        self.assertEqual((row.name, row.leaving, row.connections), ("a", True, 2))
        driver.end(tickets[0])
        driver.configure(site(servers=servers("ab")))
        self.assertEqual(driver.connections("a"), 1)
        driver.configure(site(servers=servers("b")))
        driver.end(tickets[2])
        self.assertEqual([row.name for row in driver.balancer.servers(driver.now)], ["b"])

    def test_a_backup_that_is_gone(self) -> None:
        """Is none, even while it has connections."""
        a, z = server("a", backup="z"), server("z")
        driver = Driver(site(servers=(a, z)))
        driver.open(1)
        driver.open(2)
        driver.configure(site(servers=(a,)))
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(driver.refused(), Why.FAILED)

    def test_a_backup_that_comes(self) -> None:
        """Is one from then on, although nothing else has changed."""
        driver = Driver(site(servers=(server("a", backup="z"),)))
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(driver.refused(), Why.FAILED)
        driver.configure(site(servers=(server("a", backup="z"),)), spare=servers("z"))
        self.assertEqual(name_of(driver.open()), "z")

    def test_a_site_that_was_a_backup(self) -> None:
        """Nobody is sent there any more; when it is back, they are again."""
        driver = Driver(site(backup=OTHER), site(OTHER, servers=servers("z")))
        driver.order("server a", "state", "out-of-service")
        driver.open()
        driver.configure(site(backup=OTHER), spare=servers("z"))
        self.assertEqual(driver.refused(), Why.FAILED)
        driver.configure(site(backup=OTHER), site(OTHER, servers=servers("z")))
        self.assertEqual(name_of(driver.open()), "z")

    def test_nor_is_its_backup(self) -> None:
        """Who follows it in the chain was its backup, not its principal's."""
        a, z, y = server("a", backup="z"), server("z", backup="y"), server("y")
        driver = Driver(site(servers=(a, z)), spare=(y,))
        driver.open(1)
        driver.open(2)
        driver.configure(site(servers=(a,)), spare=(y,))
        self.assertEqual(driver.connections("z"), 1)
        driver.order("server a", "state", "out-of-service")
        self.assertEqual(driver.refused(), Why.FAILED)

    def test_a_dial_to_a_server_that_is_gone(self) -> None:
        """Is not repeated there."""
        driver = Driver(site(servers=servers("ab")))
        ticket = driver.route().ticket
        self.assertEqual(name_of(ticket), "a")
        driver.configure(site(servers=servers("b")))
        driver.fail(ticket)
        self.assertEqual(name_of(ticket), "b")

    def test_a_dial_for_a_port_that_is_gone(self) -> None:
        """Is refused, when it has failed."""
        driver = Driver(site(services=(HTTP, HTTPS)))
        ticket = driver.route().ticket
        driver.configure(site(services=(HTTPS,)))
        refused = driver.fail(ticket)
        self.assertEqual((refused.why, driver.refused()), (Why.NO_SERVICE, Why.NO_SERVICE))  # type: ignore[union-attr]

    def test_an_instance(self) -> None:
        """Its connections go on and end, and leave nothing."""
        mine = instance(clients=(IPv4Network((client(0), 24)),), servers=servers("p"))
        driver = Driver(site(instances=(mine,), sticky=9.0, max_per_client=3))
        ticket = driver.open(1)
        driver.configure(site(sticky=9.0, max_per_client=3))
        driver.end(ticket)
        self.assertEqual(driver.balancer._board.places[NAME].clients, {})
        self.assertEqual([row.name for row in driver.balancer.servers(driver.now)], ["a"])

    def test_everything(self) -> None:
        """And all of it again."""
        driver = Driver(site(servers=servers("ab"), sticky=5.0), site(OTHER))
        tickets = [driver.open(number) for number in range(4)]
        driver.configure()
        self.assertEqual(driver.refused(), Why.NO_SERVICE)
        driver.configure(site(servers=servers("ab"), sticky=5.0))
        self.assertEqual([driver.connections(name) for name in "ab"], [2, 2])
        for ticket in tickets:
            driver.end(ticket)
        self.assertEqual([driver.connections(name) for name in "ab"], [0, 0])


class OverrideTests(SynchronousTestCase):
    """A reload wins over an override only where the file itself has changed (HAProxy issue 1412 is the other way)."""

    def test_the_file_is_as_it_was(self) -> None:
        """In that place; whatever else changed."""
        driver = Driver(site(servers=servers("ab")))
        driver.order("server a", "weight", "9")
        driver.order(f"virtual {NAME}:80:0", "server b", "unbound")
        driver.configure(
            site(servers=(server("a", threshold=2), server("b", weight=4)), predictor=Predictor.ROUND_ROBIN)
        )
        self.assertEqual(len(driver.balancer.overrides()), 2)
        row = driver.balancer.servers(driver.now)[0]
        self.assertEqual((row.weight, row.threshold), (9, 2))
        self.assertEqual({*driver.opened_at(3)}, {"a"})

    def test_the_file_says_something_else(self) -> None:
        """Then it wins, and that is said."""
        driver = Driver(site(servers=servers("ab")))
        override = driver.order("server a", "weight", "9")
        driver.configure(site(servers=(server("a", weight=2), server("b"))))
        self.assertEqual(driver.balancer.servers(driver.now)[0].weight, 2)
        [ended] = driver.happened(OverrideEnded)
        self.assertEqual(
            ended, OverrideEnded(at=driver.now, override=override, reason="the file says something else now")
        )
        self.assertEqual(driver.balancer.overrides(), [])

    def test_the_subject_is_gone(self) -> None:
        """With it the override; and what refers to it."""
        driver = Driver(site(servers=servers("ab"), services=(HTTP, HTTPS)), spare=servers("c"))
        overrides = [
            driver.order("server c", "weight", "9"),
            driver.order(f"virtual {NAME}:80:0", "server c", "bound"),
            driver.order("server a", "backup", "c"),
            driver.order(f"virtual {NAME}:443:0", "state", "out-of-service"),
        ]
        driver.configure(site(servers=servers("ab")))
        self.assertEqual([each.override for each in driver.happened(OverrideEnded)], overrides)
        self.assertEqual([row.backup for row in driver.balancer.servers(driver.now)], [None, None])
        driver.configure(site(servers=servers("ab"), services=(HTTP, HTTPS)), spare=servers("c"))
        driver.open(1, 443)
        self.assertEqual(driver.balancer.configured("server c", "weight"), "1")

    def test_configured(self) -> None:
        """What the file says, whatever was ordered."""
        mine = instance(clients=(IPv4Network("192.0.2.0/24"),), servers=servers("p"), in_service=False, backup=OTHER)
        driver = Driver(site(instances=(mine,)), site(OTHER))
        driver.order(f"virtual {NAME}:80:1", "state", "in-service")
        for subject, setting, expected in (
            (f"{NAME}:80:1", "state", "out-of-service"),
            (f"{NAME}:80:0", "state", "in-service"),
            (f"{NAME}:80:1", "backup", OTHER),
            (f"{NAME}:80:0", "backup", "none"),
            (f"{NAME}:80:1", "server p", "bound"),
            (f"{NAME}:80:1", "server a", "unbound"),
            (f"{NAME}:0:1", "client 192.0.2.0/24", "assigned"),
            (f"{NAME}:0:1", "client 192.0.2.0/25", "unassigned"),
            (f"{NAME}:0:1", "made", "yes"),
        ):
            with self.subTest(subject=subject, setting=setting):
                self.assertEqual(driver.balancer.configured(f"virtual {subject}", setting), expected)
        self.assertEqual(driver.balancer.configured("server a", "made"), "yes")
        self.assertEqual(driver.balancer.configured("server a", "backup"), "none")

    def test_in_the_order_in_which_they_were_made(self) -> None:
        """One that is changed comes last again."""
        driver = Driver(site(servers=servers("ab")))
        for name, value in (("a", "2"), ("b", "3"), ("a", "4")):
            driver.order(f"server {name}", "weight", value)
        expected = [Override("server b", "weight", "3", "1"), Override("server a", "weight", "4", "1")]
        self.assertEqual(driver.balancer.overrides(), expected)
