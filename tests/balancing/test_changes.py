"""Changes at run time: what is named, what is allowed, what holds (5.10)."""

from __future__ import annotations

from ipaddress import IPv4Network

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Override, Why
from appliance.balancing.events import Overridden, OverrideEnded
from appliance.errors import ApplianceError, BalancingError
from appliance.model import Service
from tests.balancing.driver import HTTP, NAME, UDP, Driver, client, instance, name_of, server, servers, site

OTHER = "other.example.test"
HTTPS = Service(first_port=443, last_port=443, to=443)
PREFERRED = instance(clients=(IPv4Network((client(256), 24)),), servers=servers("p"))
GENERAL, MEMBER = 1, 257


def driver() -> Driver:
    return Driver(
        site(servers=servers("ab"), services=(HTTP, HTTPS, UDP), instances=(PREFERRED,)),
        site(OTHER, servers=servers("c")),
        spare=(server("d", port=81), server("d1", port=82)),
    )


class ServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = driver()

    def test_settings(self) -> None:
        """Each shows, and is as the file says once it is taken back."""
        before = self.row()
        for setting, value, field in (
            ("state", "draining", "state"),
            ("weight", "7", "weight"),
            ("threshold", "2", "threshold"),
            ("max_connections", "9", "max_connections"),
            ("backup", "c", "backup"),
        ):
            with self.subTest(setting=setting):
                override = self.driver.order("server a", setting, value)
                configured = self.driver.balancer.configured("server a", setting)
                self.assertEqual(override, Override("server a", setting, value, configured))
                self.assertEqual(str(getattr(self.row(), field)), value)
                self.assertEqual(self.driver.balancer.overrides(), [override])
                self.assertEqual([e.override for e in self.driver.happened(Overridden)], [override])
                self.assertIsNone(self.driver.order("server a", setting, None))
                self.assertEqual([e.reason for e in self.driver.happened(OverrideEnded)], ["taken back"])
                self.assertEqual(self.row(), before)

    def row(self) -> object:
        return self.driver.balancer.servers(self.driver.now)[0]

    def test_what_the_file_says_is_no_override(self) -> None:
        """Nothing is stored, and what was is gone."""
        self.assertIsNone(self.driver.order("server a", "weight", "1"))
        self.driver.order("server a", "weight", "2")
        self.assertIsNone(self.driver.order("server a", "weight", "1"))
        self.assertEqual(self.driver.balancer.overrides(), [])

    def test_names(self) -> None:
        """By name, address, or address and port, as far as they say which one."""
        for name in ("a", "10.0.0.10"):
            self.assertEqual(self.driver.order(f"server {name}", "weight", "2").subject, "server a")
        self.assertEqual(self.driver.order("server 10.0.0.40:81", "weight", "2").subject, "server d")
        self.assertEqual(self.driver.order("server 10.0.0.41:82", "weight", "2").subject, "server d1")

    def test_an_ambiguous_address(self) -> None:
        """Names them."""
        d = Driver(site(), spare=(server("d", port=81), server("d0", port=82)))
        error = self.assertRaises(BalancingError, d.order, "server 10.0.0.40", "weight", "2")
        self.assertEqual(str(error), "10.0.0.40 is several servers: d, d0")

    def test_errors(self) -> None:
        """Say what is wrong and what is allowed, and change nothing."""
        for subject, setting, value, expected in (
            ("server x", "weight", "1", "no server 'x'; there is a, b, c, d, d1, p"),
            ("server 10.9.9.9", "weight", "1", "no server '10.9.9.9'; there is"),
            ("server 10.0.0.10:99", "weight", "1", "no server '10.0.0.10:99'; there is"),
            ("server 10.0.0.10:http", "weight", "1", "no server '10.0.0.10:http'; there is"),
            ("a", "weight", "1", "found 'a'; allowed: 'server NAME' or 'virtual SITE:PORT:BIND'"),
            ("server a", "wieght", "1", "no setting 'wieght'; allowed: state, weight, threshold"),
            ("server a", "weight", "-1", "weight: found '-1'; allowed: 0 to 65535"),
            ("server a", "weight", "1.5", "weight: found '1.5'; allowed: 0 to 65535"),
            ("server a", "threshold", "0", "threshold: found '0'; allowed: 1 to"),
            ("server a", "threshold", "1000001", "threshold: found '1000001'; allowed: 1 to 1000000"),
            ("server a", "state", "failed", "state: found 'failed'; allowed: in-service, out-of-service, draining"),
            ("server a", "backup", "x", "no server 'x'"),
            ("server a", "backup", "a", "a cannot be its own backup"),
        ):
            with self.subTest(subject=subject, setting=setting, value=value):
                error = self.assertRaises(BalancingError, self.driver.order, subject, setting, value)
                self.assertIsInstance(error, ApplianceError)
                self.assertTrue(str(error).startswith(expected), str(error))
                self.assertEqual(self.driver.balancer.overrides(), [])


class VirtualTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = driver()

    def test_names(self) -> None:
        """Port and bind id are 0 if not given; TCP is not said; a name may be written as in DNS."""
        for text, expected in (
            (NAME, f"virtual {NAME}:0:0"),
            (f"{NAME.upper()}.:80", f"virtual {NAME}:80:0"),
            (f"{NAME}:80/tcp:1", f"virtual {NAME}:80:1"),
            (f"{NAME}:53/udp:0", f"virtual {NAME}:53/udp:0"),
            (f"{NAME}:0/udp:0", f"virtual {NAME}:0/udp:0"),
        ):
            with self.subTest(text=text):
                self.assertEqual(self.driver.order(f"virtual {text}", "state", "out-of-service").subject, expected)

    def test_errors(self) -> None:
        """An unknown virtual server is an error, and nothing is stored (US 6,324,177, figure 4)."""
        there = f"there is {NAME}:443:0, {NAME}:443:1, {NAME}:53/udp:0, {NAME}:53/udp:1, {NAME}:80:0, {NAME}:80:1"
        for subject, setting, value, expected in (
            (f"virtual {NAME}:80:9", "client 192.0.2.0/24", "assigned", f"no virtual server '{NAME}:80:9'; {there}"),
            (f"virtual {NAME}:81:1", "client 192.0.2.0/24", "assigned", f"no virtual server '{NAME}:81:1'; {there}"),
            (f"virtual {NAME}:53:0", "state", "in-service", f"no virtual server '{NAME}:53:0'; {there}"),
            ("virtual nobody:80:1", "state", "in-service", f"no site 'nobody'; there is {OTHER}, {NAME}"),
            (
                f"virtual {NAME}:80:1:2",
                "state",
                "in-service",
                f"found '{NAME}:80:1:2'; allowed: SITE[:PORT[/udp][:BIND]]",
            ),
            (f"virtual {NAME}:x:1", "state", "in-service", "found"),
            (f"virtual {NAME}:80/sctp:1", "state", "in-service", "found"),
            (f"virtual {NAME}:80:1", "state", "failed", "state: found 'failed'; allowed: in-service, out-of-service"),
            (f"virtual {NAME}:80:1", "server x", "bound", "no server 'x'"),
            (f"virtual {NAME}:80:1", "server a", "yes", "server a: found 'yes'; allowed: bound, unbound"),
            (f"virtual {NAME}:80:1", "server a", "unbound", f"a is not bound to {NAME}:80:1"),
            (
                f"virtual {NAME}:80:1",
                "client 192.0.2.1/24",
                "assigned",
                "client: found '192.0.2.1/24'; allowed: an IPv4",
            ),
            (f"virtual {NAME}:80:1", "client 2001:db8::/32", "assigned", "client: found '2001:db8::/32'"),
            (f"virtual {NAME}:80:1", "client 192.0.2.1", "unassigned", f"192.0.2.1/32 is not assigned to {NAME}:80:1"),
            (f"virtual {NAME}:80:1", "colour", "red", "no setting 'colour'; allowed: state, backup"),
            (f"virtual {NAME}:80:1", "backup", "x", f"no site 'x'; there is {OTHER}, {NAME}"),
            (f"virtual {NAME}:80:1", "backup", NAME, f"{NAME} cannot be its own backup"),
        ):
            with self.subTest(subject=subject, setting=setting, value=value):
                error = self.assertRaises(BalancingError, self.driver.order, subject, setting, value)
                self.assertTrue(str(error).startswith(expected), str(error))
                self.assertEqual(self.driver.balancer.overrides(), [])

    def test_the_hint(self) -> None:
        """A prefix that is none names the one that was meant."""
        error = self.assertRaises(
            BalancingError, self.driver.order, f"virtual {NAME}:80:1", "client 192.0.2.1/24", "assigned"
        )
        self.assertIn("did you mean 192.0.2.0/24?", str(error))

    def test_bind_and_unbind(self) -> None:
        """At one port, or at all of a bind id; who is connected goes on."""
        standing = self.driver.open(GENERAL)
        self.driver.order(f"virtual {NAME}:80:0", "server c", "bound")
        self.driver.order(f"virtual {NAME}:0:0", "server a", "unbound")
        self.assertEqual({name_of(self.driver.open(GENERAL, 80)) for _ in range(6)}, {"b", "c"})
        self.assertEqual({name_of(self.driver.open(GENERAL, 443)) for _ in range(6)}, {"b"})
        self.driver.order(f"virtual {NAME}:443:0", "server a", "bound")
        self.assertEqual({name_of(self.driver.open(GENERAL, 443)) for _ in range(3)}, {"a"}, "it has fewest")
        self.driver.end(standing)
        self.assertEqual(self.driver.connections("a"), 3)

    def test_back_to_the_file_below_another_override(self) -> None:
        """What the file says is an override where another one lies between."""
        all_ports, port = f"virtual {NAME}:0:0", f"virtual {NAME}:80:0"
        self.driver.order(all_ports, "state", "out-of-service")
        self.assertEqual(self.driver.order(port, "state", "in-service").value, "in-service")
        self.driver.open(GENERAL, 80)
        self.assertEqual(self.driver.refused(GENERAL, 443), Why.OUT_OF_SERVICE)
        self.driver.order(all_ports, "state", None)
        self.driver.open(GENERAL, 443)

    def test_assign(self) -> None:
        """Of one prefix in several instances the later counts; taken back, the former does (the patent's column 8)."""
        self.driver.order(f"virtual {NAME}:0:1", "client 198.51.100.1", "assigned")
        self.assertEqual([name_of(self.driver.open(number)) for number in (1, MEMBER)], ["p", "p"])
        self.driver.order(f"virtual {NAME}:80:0", "client 198.51.100.1", "assigned")
        self.assertEqual([name_of(self.driver.open(1, port)) for port in (80, 443)], ["a", "p"])
        self.driver.order(f"virtual {NAME}:0:0", "client 198.51.101.0/24", "assigned")
        self.assertNotEqual(name_of(self.driver.open(MEMBER)), "p")
        self.driver.order(f"virtual {NAME}:0:1", "client 198.51.101.0/24", "assigned")
        self.assertEqual(name_of(self.driver.open(MEMBER)), "p")
        rows = {(row.virtual, str(row.client), row.by) for row in self.driver.balancer.clients(self.driver.now)}
        self.assertIn((f"{NAME}:443:1", "198.51.100.1/32", "by hand"), rows)

    def test_unassign(self) -> None:
        """What the file assigns, and at one port alone what was assigned at all."""
        self.driver.order(f"virtual {NAME}:443:1", "client 198.51.101.0/24", "unassigned")
        self.assertEqual([name_of(self.driver.open(MEMBER, port)) for port in (80, 443)], ["p", "a"])
        self.driver.order(f"virtual {NAME}:443:1", "client 198.51.101.0/24", None)
        self.assertEqual(name_of(self.driver.open(MEMBER, 443)), "p")
        self.driver.order(f"virtual {NAME}:443:1", "client 198.51.101.0/24", "unassigned")
        self.driver.order(f"virtual {NAME}:0:1", "client 192.0.2.0/24", "assigned")
        self.driver.order(f"virtual {NAME}:80:1", "client 192.0.2.0/24", "unassigned")
        guest = int(IPv4Network("192.0.2.0/24").network_address) - client(0)
        self.assertEqual([name_of(self.driver.open(guest, port)) for port in (80, 443)], ["b", "p"])
        self.assertEqual(len(self.driver.balancer.overrides()), 3)

    def test_backup(self) -> None:
        """Of one port."""
        self.driver.order(f"virtual {NAME}:80:0", "backup", OTHER)
        for name in "ab":
            self.driver.order(f"server {name}", "state", "out-of-service")
        self.assertEqual(name_of(self.driver.open(GENERAL, 80)), "c")
        self.assertEqual(self.driver.refused(GENERAL, 443), Why.FAILED)
        self.driver.order(f"virtual {NAME}:80:0", "backup", "none")
        self.assertEqual(self.driver.refused(GENERAL, 80), Why.FAILED)

    def test_one_port_of_a_run(self) -> None:
        """Stands for the run."""
        run = Service(first_port=6000, last_port=6010, to=6000)
        driver = Driver(site(services=(run,)))
        override = driver.order(f"virtual {NAME}:6005:0", "state", "out-of-service")
        self.assertEqual(override.subject, f"virtual {NAME}:6000:0")
        error = self.assertRaises(BalancingError, driver.order, f"virtual {NAME}:6011:0", "state", "in-service")
        self.assertIn("no virtual server", str(error))


class RestoreTests(SynchronousTestCase):
    def test_after_a_restart(self) -> None:
        """All of it, in the order in which it was made."""
        former = driver()
        former.order("server 10.9.9.9", "made", "yes")
        former.order(f"virtual {NAME}:0:7", "made", "yes")
        former.order(f"virtual {NAME}:0:7", "server 10.9.9.9", "bound")
        former.order(f"virtual {NAME}:0:7", "client 198.51.100.1", "assigned")
        former.order("server a", "state", "draining")
        fresh = driver()
        self.assertEqual(fresh.balancer.restore(former.balancer.overrides(), fresh.now), [])
        self.assertEqual(fresh.balancer.overrides(), former.balancer.overrides())
        self.assertEqual([name_of(fresh.open(number)) for number in (1, 2)], ["10.9.9.9", "b"])
        self.assertEqual(fresh.happened(Overridden), [], "nothing that had not been journalled before")

    def test_what_does_not_hold_any_more(self) -> None:
        """The subject is gone, or the file was edited meanwhile."""
        stored = [
            Override("server x", "weight", "2", "1"),
            Override("server a", "weight", "2", "5"),
            Override("server b", "weight", "2", "1"),
            Override("server 10.0.0.10", "made", "yes", "no"),
            Override(f"virtual {NAME}:99:0", "state", "out-of-service", "in-service"),
        ]
        fresh = driver()
        self.assertEqual(fresh.balancer.restore(stored, fresh.now), [stored[0], stored[1], stored[3], stored[4]])
        self.assertEqual(fresh.balancer.overrides(), [stored[2]])
        rows = {row.name: row.weight for row in fresh.balancer.servers(fresh.now)}
        self.assertEqual((rows["a"], rows["b"]), (1, 2))
