"""Who waits, and who goes first (5.6)."""

from __future__ import annotations

from ipaddress import IPv4Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Refused, Route, State, Wait, Why
from appliance.balancing.events import QueueFull
from appliance.model import Service, Spill
from tests.balancing.driver import HTTP, NAME, Driver, client, instance, name_of, server, servers, site

OTHER = "other.example.test"
PREFERRED = instance(clients=(IPv4Network((client(256), 24)),), servers=servers("p", max_connections=1, queue=1))


class QueueTests(SynchronousTestCase):
    def test_first_come_first_served(self) -> None:
        """Within a queue."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=3)))
        ticket = driver.open()
        waiting = [driver.wait(number) for number in range(3)]
        order = []
        for _ in range(3):
            driver.end(ticket)
            [ticket] = driver.gone_from_queue()
            order.append(ticket)
        self.assertEqual(order, waiting)

    def test_places(self) -> None:
        """As many as its servers have together; then connections are refused, and that is said once."""
        driver = Driver(
            site(servers=(server("a", max_connections=1, queue=2), server("b", max_connections=1, queue=1)))
        )
        alive = [driver.open(), driver.open()]
        waiting = [driver.wait() for _ in range(3)]
        self.assertEqual([driver.refused() for _ in range(3)], [Why.BUSY] * 3)
        self.assertEqual(driver.happened(QueueFull), [QueueFull(at=driver.now, virtual=f"{NAME}:80:0")])
        driver.end(alive[0])
        self.assertEqual(driver.gone_from_queue(), [waiting[0]])
        driver.wait()
        self.assertEqual(driver.refused(), Why.BUSY)
        self.assertEqual(len(driver.happened(QueueFull)), 1)

    def test_no_places(self) -> None:
        """The default: nobody waits, and nothing is said."""
        driver = Driver(site(servers=servers("a", max_connections=1)))
        driver.open()
        self.assertEqual(driver.refused(), Why.BUSY)
        self.assertEqual(driver.happened(QueueFull), [])

    def test_who_gives_up(self) -> None:
        """Leaves its place to others; also when it was told to go at that very moment."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2)))
        alive = driver.open()
        first, second = driver.wait(1), driver.wait(2)
        driver.end(first)
        driver.wait(3)
        driver.end(alive)
        self.assertEqual(driver.gone_from_queue(), [second])

    def test_who_gives_up_before_it_hears(self) -> None:
        """What was ready for it goes to the next, and it is told nothing."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2)))
        driver.open()
        first, second = driver.wait(1), driver.wait(2)
        driver.balancer.override("server a", "max_connections", "2", driver.now)
        self.assertIs(first.state, State.OPENING)
        after = driver.balancer.ended(first, driver.now)
        self.assertEqual([each.ticket for each in after], [second])

    def test_who_gives_up_before_it_hears_of_a_refusal(self) -> None:
        """Hears of nothing."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2)))
        driver.open()
        first, second = driver.wait(1), driver.wait(2)
        driver.balancer.override("server a", "state", "out-of-service", driver.now)
        after = driver.balancer.ended(first, driver.now)
        self.assertEqual(list(after), [Refused(Why.FAILED, second)])

    def test_preferred_clients_go_first(self) -> None:
        """They leave a queue before general ones who came earlier; the server is one that both may use."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2), instances=(PREFERRED,)))
        general, own = driver.open(1), driver.open(257)
        self.assertEqual((name_of(general), name_of(own)), ("a", "p"))
        guest, member = driver.wait(2), driver.wait(258)
        driver.end(general)
        self.assertEqual((driver.gone_from_queue(), name_of(member)), ([member], "a"))
        driver.end(own)
        self.assertEqual(driver.gone_from_queue(), [], "p is not for guests")
        driver.end(member)
        self.assertEqual(driver.gone_from_queue(), [guest])

    def test_places_of_the_general_servers(self) -> None:
        """Are there for who may spill to them, or preferred clients would be refused where general ones may wait."""
        for spill, places in ((Spill.BUSY, 3), (Spill.NEVER, 1), (Spill.ALL_FAILED, 1), (Spill.ONE_FAILED, 1)):
            preferred = attrs.evolve(PREFERRED, spill=spill)
            driver = Driver(site(servers=servers("a", max_connections=1, queue=2), instances=(preferred,)))
            rows = {row.bind_id: row.places for row in driver.balancer.virtuals(driver.now)}
            self.assertEqual(rows, {0: 2, 1: places}, spill)
            driver.open(1), driver.open(257)
            for number in range(places):
                driver.wait(258 + number)
            self.assertEqual(driver.refused(300), Why.BUSY, spill)

    def test_places_while_it_spills(self) -> None:
        """Where they spill only because their own server failed, the places go with it, and come back with it."""
        preferred = attrs.evolve(PREFERRED, spill=Spill.ALL_FAILED)
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2), instances=(preferred,)))
        for state, places in (("out-of-service", 3), ("in-service", 1)):
            driver.balancer.override("server p", "state", state, driver.now)
            rows = {row.bind_id: row.places for row in driver.balancer.virtuals(driver.now)}
            self.assertEqual(rows, {0: 2, 1: places})

    def test_places_of_a_backup(self) -> None:
        """A server's, or a site's: while it takes the connections they may wait for it, too; not for who only lends."""
        one = site(servers=(server("a", max_connections=1, queue=1, backup="c"),), backup=OTHER)
        other = site(OTHER, servers=servers("b", max_connections=1, queue=2))
        spare = server("c", max_connections=1, queue=4)
        driver = Driver(one, other, spare=(spare,))
        for failed, places in (((), 1), (("a",), 5), (("a", "c"), 3), (("a", "c", "b"), 1)):
            for name in failed:
                driver.order(f"server {name}", "state", "out-of-service")
            rows = {row.site: row.places for row in driver.balancer.virtuals(driver.now)}
            self.assertEqual(rows, {NAME: places, OTHER: 2}, failed)
        driver.order("server b", "state", "in-service")
        driver.open()
        waiting = [driver.wait() for _ in range(3)]
        self.assertEqual(driver.refused(), Why.BUSY)
        driver.order("server b", "max_connections", "4")
        self.assertEqual(driver.gone_from_queue(), waiting)
        driver = Driver(site(servers=servers("a", queue=1), instances=(attrs.evolve(PREFERRED, lend=True),)))
        self.assertEqual([row.places for row in driver.balancer.virtuals(driver.now)], [1, 2])

    def test_a_server_of_several_sites(self) -> None:
        """Who came first to any of them."""
        pool = servers("a", max_connections=1, queue=2)
        driver = Driver(site(servers=pool), site(OTHER, servers=pool))
        ticket = driver.open()
        order = [driver.wait(site=OTHER), driver.wait(), driver.wait(site=OTHER)]
        for expected in order:
            driver.end(ticket)
            [ticket] = driver.gone_from_queue()
            self.assertIs(ticket, expected)

    def test_nobody_overtakes(self) -> None:
        """Who comes when a place has just got free stands behind who waits."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2)))
        driver.open()
        waiting = driver.wait(1)
        driver.balancer.override("server a", "max_connections", "2", driver.now)
        late = driver.ask(2)
        self.assertIsInstance(late, Wait)
        driver.settle()
        self.assertEqual(driver.gone_from_queue(), [waiting])


class StrandedTests(SynchronousTestCase):
    """Each way in which room is made, or the last hope goes, with somebody waiting (HAProxy issues 6 and 2893)."""

    def setUp(self) -> None:
        self.pool = (server("a", max_connections=1, queue=2, threshold=1, retries=1), server("b", max_connections=1))
        self.driver = Driver(site(servers=self.pool), spare=servers("cd"))
        self.alive = [self.driver.open(), self.driver.open()]
        self.waiting = self.driver.wait()

    def served(self, by: str) -> None:
        self.assertEqual(self.driver.gone_from_queue(), [self.waiting])
        self.assertEqual(name_of(self.waiting), by)

    def test_a_connection_is_ditched(self) -> None:
        """And its server not failed by it: others may have better luck there."""
        driver = Driver(site(servers=servers("a", max_connections=1, queue=2, retries=1)))
        ticket, waiting = driver.route().ticket, driver.wait()
        self.assertEqual(driver.balancer.failed(ticket, driver.now), Refused(Why.UNREACHABLE, ticket))
        self.assertEqual([each.ticket for each in driver.balancer.due(driver.now)], [waiting])

    def test_a_limit_is_raised(self) -> None:
        """By a person."""
        self.driver.order("server b", "max_connections", "2")
        self.served("b")

    def test_no_limit_any_more(self) -> None:
        """By the file."""
        self.driver.configure(site(servers=(self.pool[0], server("b"))))
        self.served("b")

    def test_a_server_is_bound(self) -> None:
        """By a person."""
        self.driver.order(f"virtual {NAME}:80:0", "server c", "bound")
        self.served("c")

    def test_a_backup_is_given(self) -> None:
        """To a server that is out."""
        self.driver.order("server a", "state", "out-of-service")
        self.driver.order("server a", "backup", "d")
        self.served("d")

    def test_a_weight_is_given(self) -> None:
        """To one that had none."""
        self.driver.configure(site(servers=(*self.pool, server("c", weight=0))))
        self.assertEqual(self.driver.gone_from_queue(), [])
        self.driver.order("server c", "weight", "1")
        self.served("c")

    def test_a_server_is_put_into_service(self) -> None:
        """By a person."""
        self.driver.order("server b", "state", "out-of-service")
        self.driver.end(self.alive[1])
        self.assertEqual(self.driver.gone_from_queue(), [])
        self.driver.order("server b", "state", "in-service")
        self.served("b")

    def test_a_server_is_tested(self) -> None:
        """Who waits is the test."""
        self.driver.end(self.alive[0])
        [ticket] = self.driver.gone_from_queue()
        self.waiting = self.driver.wait()
        self.driver.fail(ticket)
        self.assertEqual(self.driver.state("a"), "failed")
        self.driver.pass_time(59.0)
        self.assertEqual(self.driver.gone_from_queue(), [])
        self.driver.pass_time(1.0)
        self.served("a")
        self.assertEqual(self.driver.state("a"), "testing")

    def test_a_server_comes_back(self) -> None:
        """Who waited while it was tested goes at once."""
        driver = Driver(
            site(servers=(server("a", max_connections=3, queue=2, threshold=1, retries=1, retry_after=9.0),))
        )
        driver.open()
        driver.fail(driver.route().ticket)
        self.assertEqual(driver.refused(), Why.FAILED)
        driver.pass_time(9.0)
        test, waiting = driver.route().ticket, [driver.wait(), driver.wait()]
        driver.balancer.connected(test, driver.now)
        self.assertEqual(driver.balancer.next_deadline(), float("-inf"))
        self.assertEqual([each.ticket for each in driver.balancer.due(driver.now)], waiting[:1])

    def test_slow_start_goes_on(self) -> None:
        """With each step there is more room."""
        a = server("a", max_connections=10, queue=9, threshold=1, retries=1, retry_after=5.0, slow_start=100.0)
        driver = Driver(site(servers=(a,)))
        driver.ditch(driver.route().ticket)
        driver.pass_time(5.0)
        driver.open()
        waiting = [driver.wait() for _ in range(3)]
        driver.pass_time(19.0)
        self.assertEqual(driver.gone_from_queue(), [])
        driver.pass_time(1.0)
        self.assertEqual(driver.gone_from_queue(), waiting[:1])
        driver.pass_time(10.0)
        self.assertEqual(driver.gone_from_queue(), waiting[1:2])

    def test_the_last_server_fails(self) -> None:
        """Who waits is refused, for nothing is left to wait for."""
        self.driver.order("server a", "state", "out-of-service")
        self.assertEqual(self.driver.after, [])
        self.driver.order("server b", "state", "out-of-service")
        self.assertEqual(self.driver.after, [Refused(Why.FAILED, self.waiting)])
        self.assertIs(self.waiting.state, State.OVER)

    def test_the_site_goes(self) -> None:
        """Who waits is refused; who is connected goes on."""
        self.driver.configure()
        self.assertEqual(self.driver.after, [Refused(Why.NO_SERVICE, self.waiting)])
        self.assertEqual([self.driver.connections(name) for name in "ab"], [1, 1])
        for ticket in self.alive:
            self.driver.end(ticket)
        self.assertEqual(self.driver.balancer.servers(self.driver.now), [])

    def test_the_instance_goes(self) -> None:
        """Its clients are general now, and wait or go as such."""
        pool = servers("a", max_connections=1, queue=1)
        driver = Driver(site(servers=pool, instances=(PREFERRED,)))
        driver.open(1)
        driver.open(257)
        waiting = driver.wait(258)
        driver.configure(site(servers=pool))
        self.assertEqual((driver.after, waiting.state, waiting.bind_id), ([], State.WAITING, 0))
        driver.configure(site(servers=servers("ab")))
        self.assertEqual((driver.gone_from_queue(), waiting.virtual_name), ([waiting], f"{NAME}:80:0"))

    def test_in_the_order_in_which_they_came(self) -> None:
        """Whatever port they came to."""
        https = Service(first_port=443, last_port=443, to=443)
        pool = servers("a", max_connections=1, queue=3)
        mine = attrs.evolve(PREFERRED, servers=servers("p", max_connections=1, queue=2))
        driver = Driver(site(servers=pool, services=(HTTP, https), instances=(mine,)))
        general = driver.open(1)
        driver.open(257)
        first, second = driver.wait(258, 443), driver.wait(259, 80)
        driver.configure(site(servers=pool, services=(HTTP, https)))
        driver.end(general)
        self.assertEqual((driver.gone_from_queue(), second.state), ([first], State.WAITING))

    def test_the_instance_goes_out_of_service(self) -> None:
        """The same by a person; and where the general virtual server is out too, they are refused."""
        driver = Driver(site(servers=servers("a", max_connections=1), instances=(PREFERRED,)))
        driver.open(1)
        driver.open(257)
        waiting = driver.wait(258)
        driver.order(f"virtual {NAME}:80:0", "state", "out-of-service")
        self.assertEqual(driver.after, [])
        driver.order(f"virtual {NAME}:80:1", "state", "out-of-service")
        self.assertEqual(driver.after, [Refused(Why.OUT_OF_SERVICE, waiting)])


class ManyTests(SynchronousTestCase):
    def test_it_costs_no_more_with_more_who_wait(self) -> None:
        """Each place that gets free is one look at the head of each queue that may use it."""
        count = 2000
        driver = Driver(site(services=(HTTP,), servers=servers("a", max_connections=1, queue=count)))
        ticket = driver.route().ticket
        for number in range(count):
            driver.wait(number)
        real = ticket.real
        assert real is not None
        looks = 0
        for _ in range(count):
            [route] = driver.balancer.ended(ticket, driver.now)
            assert isinstance(route, Route)
            ticket = route.ticket
            looks += len(real.hungry)
        self.assertLessEqual(looks, count)
        self.assertEqual(driver.balancer.ended(ticket, driver.now), ())
        self.assertEqual(real.hungry, {})
