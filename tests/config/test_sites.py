"""The keys of a site that say how connections are spread, and what its ports and servers say about each other."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Predictor, ProxyProtocol
from tests.config import ZONE, faults, read, warnings

PLAIN = (
    ZONE + "pools: {p: {addresses: [192.0.2.1]}}\nservers: {s: {address: 10.0.0.1}, six: {address: '2001:db8::1'}}\n"
)
"""Nine lines."""
PLACE = "a.yaml:11: sites.a.example.test"
TWO = "[{port: 80}, {port: 6000-6010, protocol: udp}]"


def site(keys: str, services: str = TWO, more: str = "") -> str:
    """A configuration with a site in line 11, and more sites behind it."""
    used = "  z.example.test: {pool: p, services: [{port: 1}], servers: [six]}\n"
    return PLAIN + f"sites:\n  a.example.test: {{pool: p, services: {services}, servers: [s], {keys}}}\n{more}{used}"


class KeyTests(SynchronousTestCase):
    def test_all(self) -> None:
        keys = (
            "predictor: source-hash, sticky: 10m, buddies: [[80, 6000-6002], [6003, 6004]], backup: Z.example.test., "
            "proxy_protocol: v2, accept_proxy_from: [198.51.100.0/24, 192.0.2.7], max_per_client: 9"
        )
        found = read(site(keys)).sites["a.example.test"]
        self.assertEqual((found.predictor, found.sticky), (Predictor.SOURCE_HASH, 600.0))
        self.assertEqual(found.buddies, (frozenset({80, 6000, 6001, 6002}), frozenset({6003, 6004})))
        self.assertEqual((found.backup, found.proxy_protocol), ("z.example.test", ProxyProtocol.V2))
        self.assertEqual(found.accept_proxy_from, (ip_network("198.51.100.0/24"), ip_network("192.0.2.7/32")))
        self.assertEqual(found.max_per_client, 9)

    def test_defaults(self) -> None:
        found = read(site("max_sessions: 65536")).sites["a.example.test"]
        self.assertEqual((found.predictor, found.sticky), (Predictor.LEAST_CONNECTIONS, 0.0))
        self.assertEqual((found.buddies, found.backup, found.accept_proxy_from), ((), None, ()))
        self.assertEqual((found.proxy_protocol, found.max_per_client), (ProxyProtocol.NONE, 0))

    def test_predictors(self) -> None:
        for name in ("least-connections", "round-robin", "weighted-round-robin", "fastest-response", "source-hash"):
            found = read(site(f"predictor: {name}")).sites["a.example.test"].predictor
            self.assertEqual(found.value, name)

    def test_wrong(self) -> None:
        for keys, said in {
            "predictor: leastconn": "predictor: found 'leastconn'; allowed: least-connections, round-robin, weighted-round-robin, "
            "fastest-response, source-hash; did you mean 'least-connections'?",
            "sticky: -1": "sticky: found -1; allowed: seconds, or a number with ms, s, m, h or d, from 0s to 2147483647s",
            "proxy_protocol: V1": "proxy_protocol: found 'V1'; allowed: none, v1, v2; did you mean 'v1'?",
            "proxy_protocol: no": "proxy_protocol: found no, which YAML reads as a yes/no value; allowed: none, v1, v2",
            "accept_proxy_from: [x]": "accept_proxy_from[0]: found 'x'; allowed: an address, a network such as 192.0.2.0/24, "
            "or a run such as 192.0.2.1-192.0.2.9",
            "accept_proxy_from: 192.0.2.1": "accept_proxy_from: found '192.0.2.1'; allowed: a list; write [192.0.2.1]",
            "max_per_client: -1": "max_per_client: found -1; allowed: an integer from 0 to 16777216",
            "backup: a..b": "backup: 'a..b' is no DNS name: a label is empty",
            "stickey: 1": "stickey: unknown key 'stickey'; did you mean 'sticky'?",
        }.items():
            self.assertEqual(faults(site(keys)), [f"{PLACE}.{said}"])

    def test_everybody_a_front_end(self) -> None:
        (said,) = warnings(site("accept_proxy_from: [0.0.0.0/0]"))
        self.assertEqual(
            said, f"{PLACE}.accept_proxy_from[0]: everybody is a front end here, and can say to be anybody"
        )


class BuddyTests(SynchronousTestCase):
    """5.12."""

    def test_wrong(self) -> None:
        has = "it has tcp 80, udp 6000, udp 6001, udp 6002, udp 6003, ..."
        for buddies, said in {
            "[[80, 81]]": f"buddies[0][1]: the site has no port 81; {has}",
            "[[80, 6009-6011]]": f"buddies[0][1]: the site has no port 6011; {has}",
            "[[80, 6000], [6001, 80]]": "buddies[1][1]: port 80 is already in sites.a.example.test.buddies[0][0] (line 11)",
            "[[80, 80]]": "buddies[0][1]: port 80 is already in sites.a.example.test.buddies[0][0] (line 11)",
            "[[80]]": "buddies[0]: ties a port to nothing; allowed: two ports or more",
            "[[]]": "buddies[0]: found an empty list; allowed: at least one entry",
            "[80, 6000]": "buddies[0]: found 80; allowed: a list; write [80]",
            "[[80, all]]": "buddies[0][1]: found 'all'; allowed: an integer from 1 to 65535",
        }.items():
            self.assertEqual(faults(site(f"buddies: {buddies}"))[:1], [f"{PLACE}.{said}"])

    def test_a_run(self) -> None:
        """FTP's control port and those of its data."""
        (tied,) = read(site("buddies: [[6000-6010]]")).sites["a.example.test"].buddies
        self.assertEqual(tied, frozenset(range(6000, 6011)))

    def test_all_ports(self) -> None:
        self.assertEqual(faults(site("buddies: [[21, 30000-30100]]", services="[{port: all}]")), [])

    def test_faulty_services(self) -> None:
        """What the site has is not known then."""
        (said,) = faults(site("buddies: [[80, 81]]", services="[{port: 80}, {port: x}]"))
        self.assertIn("services[1].port: found 'x'", said)


class BackupTests(SynchronousTestCase):
    def other(self, name: str, backup: str, servers: str = "s") -> str:
        return f"  {name}.example.test: {{pool: p, services: [{{port: 80}}], servers: [{servers}], backup: {backup}.example.test}}\n"

    def test_unknown(self) -> None:
        said = faults(site("backup: y.example.tset"))
        self.assertEqual(said, [f"{PLACE}.backup: unknown site 'y.example.tset'; did you mean 'z.example.test'?"])
        alias = "  B.example.test: {aliases: [qqqqqqqq.example.test], pool: p, services: [{port: 80}], servers: [s]}\n"
        known = "there is a.example.test, b.example.test, z.example.test"
        said = faults(site("backup: qqq", more=alias))
        self.assertEqual(said, [f"{PLACE}.backup: unknown site 'qqq'; {known}"])

    def test_itself(self) -> None:
        said = faults(site("backup: A.Example.test"))
        self.assertEqual(said, [f"{PLACE}.backup: 'a.example.test' is the site itself; allowed: another one"])

    def test_circles(self) -> None:
        more = self.other("B", "c") + self.other("c", "d") + self.other("d", "b")
        names = ", ".join(f"{label}.example.test" for label in "bcdb")
        (said,) = faults(site("backup: b.example.test", more=more))
        place = "a.yaml:12: sites.B.example.test.backup"
        self.assertEqual(said, f"{place}: each is the backup of the one before, in a circle: {names}")

    def test_ipv6_behind_client_nat(self) -> None:
        """A backup's servers are reached from the addresses of the site whose connections they take."""
        nat = "client_nat: {n: {first: 10.9.0.1, last: 10.9.0.1, netmask: 255.255.255.0}}\n"
        more = self.other("b", "z")
        only = "has an IPv6 address, and connections from 'n' have IPv4"
        for backup in ("b", "z"):
            said = faults(site(f"client_nat: n, backup: {backup}.example.test", more=more) + nat)
            self.assertEqual(said, [f"{PLACE}.backup: the server 'six' of site 'z.example.test' {only}"])
        self.assertEqual(faults(site("backup: b.example.test", more=more) + nat), [])
