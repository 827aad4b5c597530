"""Servers and instances that persons make at run time (5.10)."""

from __future__ import annotations

from ipaddress import IPv4Network

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Override
from appliance.balancing.events import Overridden, OverrideEnded
from appliance.errors import BalancingError
from tests.balancing.driver import NAME, client, instance, name_of, server, servers, site
from tests.balancing.test_changes import MEMBER, driver


class MadeTests(SynchronousTestCase):
    """Servers and instances that the file does not know."""

    def setUp(self) -> None:
        self.driver = driver()

    def test_a_server(self) -> None:
        """It can be bound, and everything else; taken back, it takes what was bound with it."""
        made = self.driver.order("server 10.9.9.9:8080", "made", "yes")
        self.assertEqual(made, Override("server 10.9.9.9:8080", "made", "yes", "no"))
        bound = self.driver.order(f"virtual {NAME}:80:1", "server 10.9.9.9:8080", "bound")
        self.driver.order("server 10.9.9.9", "weight", "3")
        self.driver.order("server p", "state", "out-of-service")
        route = self.driver.route(MEMBER)
        self.assertEqual((route.host, route.port, route.server.name), ("10.9.9.9", 8080, "10.9.9.9:8080"))
        self.driver.happened(Overridden)
        self.assertIsNone(self.driver.order("server 10.9.9.9:8080", "made", None))
        ended = self.driver.happened(OverrideEnded)
        self.assertEqual([each.override.subject for each in ended[:2]], [made.subject, bound.subject])
        self.assertEqual([each.setting for each in self.driver.balancer.overrides()], ["state"])
        self.assertNotEqual(name_of(self.driver.open(MEMBER)), "10.9.9.9:8080")
        self.assertEqual(self.driver.connections("10.9.9.9:8080"), 1)
        self.driver.end(route.ticket)
        self.assertNotIn("10.9.9.9:8080", [row.name for row in self.driver.balancer.servers(self.driver.now)])

    def test_an_instance(self) -> None:
        """Of all ports, or of some; without servers and clients until it gets some, so that its clients spill."""
        self.driver.order(f"virtual {NAME}:0:7", "made", "yes")
        self.driver.order(f"virtual {NAME}:443:8", "made", "yes")
        names = [row.name for row in self.driver.balancer.virtuals(0.0) if row.bind_id > 1]
        self.assertEqual(names, [f"{NAME}:80:7", f"{NAME}:443:7", f"{NAME}:53/udp:7", f"{NAME}:443:8"])
        self.driver.order(f"virtual {NAME}:0:7", "client 198.51.100.1", "assigned")
        self.assertEqual(name_of(self.driver.open(1)), "a")
        self.driver.order(f"virtual {NAME}:0:7", "server d", "bound")
        self.assertEqual([name_of(self.driver.open(1)), name_of(self.driver.open(2))], ["d", "b"])
        self.driver.order(f"virtual {NAME}:0:7", "made", None)
        self.assertEqual(name_of(self.driver.open(1)) in "ab", True)
        self.assertEqual([each.setting for each in self.driver.balancer.overrides()], ["made"])

    def test_errors(self) -> None:
        """What is there already, and what cannot be."""
        for subject, value, expected in (
            ("server 10.0.0.10", "yes", "10.0.0.10 is there already: server 'a'"),
            ("server new", "yes", "found 'new'; allowed: ADDRESS or ADDRESS:PORT"),
            ("server 10.9.9.9", "no", "made: found 'no'; allowed: yes"),
            (f"virtual {NAME}:0:1", "yes", f"virtual server '{NAME}:0:1' is there already"),
            (f"virtual {NAME}:0:0", "yes", f"virtual server '{NAME}:0:0' is there already"),
            (f"virtual {NAME}:81:7", "yes", f"{NAME} has no port 81/tcp"),
            ("virtual nobody:80:7", "yes", "no site 'nobody'"),
            ("nothing", "yes", "found 'nothing'; allowed: 'server NAME'"),
        ):
            with self.subTest(subject=subject):
                error = self.assertRaises(BalancingError, self.driver.order, subject, "made", value)
                self.assertTrue(str(error).startswith(expected), str(error))
                self.assertEqual(self.driver.balancer.overrides(), [])

    def test_the_file_has_it_now(self) -> None:
        """Then the file says how it is."""
        self.driver.order("server 10.9.9.9", "made", "yes")
        self.driver.order(f"virtual {NAME}:0:7", "made", "yes")
        self.driver.order(f"virtual {NAME}:0:7", "client 198.51.100.1", "assigned")
        inline = servers("a")[0]
        mine = instance(7, clients=(IPv4Network((client(2), 32)),), servers=servers("p"))
        self.driver.configure(site(servers=(inline,), instances=(mine,)), spare=(server("z"),))
        ended = {each.override.subject: each.reason for each in self.driver.happened(OverrideEnded)}
        self.assertEqual(ended[f"virtual {NAME}:0:7"], "the file has it now")
        self.assertEqual([name_of(self.driver.open(number)) for number in (1, 2)], ["p", "p"])
        self.assertEqual(
            [o.subject for o in self.driver.balancer.overrides()], ["server 10.9.9.9", f"virtual {NAME}:0:7"]
        )
