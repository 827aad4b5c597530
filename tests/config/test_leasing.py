"""The keys of leasing: pools, servers and sites, and the state folder."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import CookieConfig
from appliance.events import Fsync
from appliance.model import Quota, Tiers
from tests.config import ZONE, faults, read, warnings


class StateTests(SynchronousTestCase):
    """Keys of the state folder and what lies in it."""

    def test_defaults(self) -> None:
        config = read(ZONE)
        self.assertEqual((config.snapshot_interval, config.fsync, config.history), (60, Fsync.GRANT, 90 * 86400))
        self.assertEqual(config.control_socket, "/nowhere/var/control.sock")
        self.assertEqual(config.dns.cookies, CookieConfig(enabled=True, secret=None))

    def test_given(self) -> None:
        config = read(
            ZONE.replace("dns:\n", "dns:\n  cookies: {enabled: no, secret: keys/cookie}\n")
            + "appliance: {snapshot_interval: 5m, fsync: interval, history: 1d, state_directory: /state}\n"
            + "control: {socket: c.sock}\n"
        )
        self.assertEqual((config.snapshot_interval, config.fsync, config.history), (300, Fsync.INTERVAL, 86400))
        self.assertEqual(config.control_socket, "/state/c.sock")
        self.assertEqual(config.dns.cookies, CookieConfig(enabled=False, secret="/nowhere/keys/cookie"))

    def test_wrong(self) -> None:
        for text, said in {
            "appliance: {snapshot_interval: 0.5s}": "snapshot_interval: found '0.5s'",
            "appliance: {fsync: sometimes}": "fsync: found 'sometimes'; allowed: grant, interval, never",
            "appliance: {history: -1}": "history: found -1",
            "appliance: {state_directory: none}\ncontrol: {socket: c.sock}": "write an absolute path",
            f"control: {{socket: /{'x' * 107}}}": "too long for a UNIX socket",
        }.items():
            [fault] = faults(ZONE + text + "\n")
            self.assertIn(said, fault)

    def test_without_a_state_folder(self) -> None:
        """There is no control socket, unless its path is absolute."""
        self.assertIsNone(read(ZONE + "appliance: {state_directory: none}\n").control_socket)
        text = ZONE + "appliance: {state_directory: none}\ncontrol: {socket: /run/c.sock}\n"
        self.assertEqual(read(text).control_socket, "/run/c.sock")

    def test_a_default_that_is_too_long(self) -> None:
        """Does not hinder the start; there is no socket, and a warning."""
        text = ZONE + f"appliance: {{state_directory: /{'x' * 107}}}\n"
        self.assertIsNone(read(text).control_socket)
        self.assertTrue(any("too long for a UNIX socket, so there is none" in warning for warning in warnings(text)))


POOL = ZONE + "pools: {p: {addresses: [192.0.2.1-192.0.2.9]%s}}\n"
SERVERS = "servers: {s: {address: 10.0.0.1, weight: 3}, t: {address: 10.0.0.2}}\n"
SITE = "sites: {a.example.test: {services: [{port: 80}], %s}}\n"


class LeaseTests(SynchronousTestCase):
    """Keys of how addresses are leased."""

    def test_pools(self) -> None:
        more = (
            ", share_by_service: yes, quota: {per_source: 2, per_site: 1, ipv4_prefix: 16, ipv6_prefix: 48}"
            ", pressure: {cookie: 0.1, tcp: 0.2, reputation: 0.3, minimum: 0.4}, period: {hold: 1h}"
        )
        pool = read(POOL % more).pools["p"]
        self.assertTrue(pool.share_by_service)
        self.assertEqual(pool.quota, Quota(per_source=2, per_site=1, ipv4_prefix=16, ipv6_prefix=48))
        self.assertEqual(pool.tiers, Tiers(cookie=0.1, tcp=0.2, reputation=0.3, minimum=0.4))
        self.assertEqual(pool.periods.hold, 3600)

    def test_wrong_pools(self) -> None:
        for more, said in {
            "share_by_service: 1": "share_by_service: found 1; allowed: true or false",
            "quota: {per_source: 0}": "per_source: found 0; allowed: an integer from 1",
            "quota: {per_site: 1000001}": "per_site: found 1000001; allowed: an integer from 1 to 1000000",
            "quota: {ipv4_prefix: 33}": "ipv4_prefix: found 33; allowed: an integer from 0 to 32",
            "quota: {ipv6_prefix: 129}": "ipv6_prefix: found 129; allowed: an integer from 0 to 128",
            "share_by_service: 'yes'": "share_by_service: found 'yes'; allowed: true or false",
            "pressure: {cookie: 1.1}": "cookie: found 1.1; allowed: a number from 0 to 1",
            "pressure: {minimum: -0.1}": "minimum: found -0.1; allowed: a number from 0 to 1",
            "period: {hold: -1}": "hold: found -1; allowed: seconds",
        }.items():
            [fault] = faults(POOL % f", {more}")
            self.assertIn(said, fault)

    def test_odd_pools(self) -> None:
        """Legal, and worth a word."""
        for more, said in {
            "pressure: {cookie: 0.9, tcp: 0.5}": "a tier that asks for more is expected to begin later",
            "pressure: {tcp: 0.95}": "found cookie 0.5, tcp 0.95, reputation 0.9; a tier",
            "period: {hold: 10s}": "hold 10s is less than maximum 300s",
        }.items():
            self.assertTrue(any(said in warning for warning in warnings(POOL % f", {more}")), more)

    def test_not_odd_pools(self) -> None:
        """Just inside; all that is said is that no site uses the pool."""
        for more in (
            "pressure: {cookie: 0.8, tcp: 0.8, reputation: 0.8}",
            "pressure: {cookie: 1.0, tcp: 1, reputation: 1.0, minimum: 0}",
            "period: {hold: 5m}",
            "period: {hold: 0}",
            "quota: {per_source: 1, per_site: 1000000, ipv4_prefix: 0, ipv6_prefix: 128}",
        ):
            self.assertEqual(len(warnings(POOL % f", {more}")), 1, more)

    def test_weights(self) -> None:
        servers = "servers: {s: {address: 10.0.0.1, weight: %s}}\n"
        for weight in (1, 65535):
            self.assertEqual(read(ZONE + servers % weight).servers["s"].weight, weight)
        for weight in (0, 65536):
            [fault] = faults(ZONE + servers % weight)
            self.assertIn(f"servers.s.weight: found {weight}; allowed: an integer from 1 to 65535", fault)
        inline = POOL % "" + SITE % "pool: p, servers: [{address: 10.0.0.1, weight: 7}]"
        self.assertEqual(read(inline).sites["a.example.test"].servers[0].weight, 7)

    def test_several_servers(self) -> None:
        """As many addresses as servers, or fewer."""
        for keys, addresses in {
            "pool: p, servers: [s, t], addresses: 2": 2,
            "pool: p, servers: [s, t]": 1,
            "servers: [s, t], address: 192.0.2.3": 1,
        }.items():
            site = read(POOL % "" + SERVERS + SITE % keys).sites["a.example.test"]
            found = site.addresses, [(server.name, server.weight) for server in site.servers]
            self.assertEqual(found, (addresses, [("s", 3), ("t", 1)]))

    def test_wrong_sites(self) -> None:
        for keys, said in {
            "pool: p, servers: [s], addresses: 2": "found 2; allowed: at most one a server, and there are 1",
            "pool: p, servers: [s, s], addresses: 2": "this server is already sites.a.example.test.servers[0]",
            "pool: p, servers: [s, {address: 10.0.0.1, weight: 9}], addresses: 2": "servers[1]: this server is already",
            "pool: p, servers: [{address: 10.0.0.3}, {address: 10.0.0.3, weight: 2}], addresses: 2": "servers[1]: this",
            "pool: p, servers: [s], addresses: 0": "addresses: found 0; allowed: an integer from 1",
            "pool: p, servers: [s], timeouts: {drain: -1}": "timeouts.drain: found -1",
            "servers: [s], address: 0.1.2.3": "found 0.1.2.3; allowed: the address of one host",
            "servers: [s]": "'pool' is required, or 'address'",
            "servers: [s, t], address: 192.0.2.3, addresses: 2": "allowed: 1 for a site with a static 'address'",
            "servers: [s], address: '2001:db8::1'": "allowed: an IPv4 address",
            "servers: [s], address: 10.0.0.1": "server address 10.0.0.1 is in sites.a.example.test.address",
        }.items():
            said_of = faults(POOL % "" + SERVERS + SITE % keys)
            self.assertTrue(any(said in fault for fault in said_of), (keys, said_of))

    def test_a_host_twice(self) -> None:
        """Servers on one host differ by their ports."""
        sites = SITE % "pool: p, servers: [{address: 10.0.0.7, port: 1}, {address: 10.0.0.7, port: 2}], addresses: 2"
        self.assertEqual(faults(POOL % "" + sites), [])

    def test_static_and_listening(self) -> None:
        """Even where there is no pool, queries are answered on another address than a site's."""
        for endpoint, said in {
            "192.0.2.3:53": "192.0.2.3 is in sites.a.example.test.address",
            "0.0.0.0:53": "would take port 53",
            "'[::]:53'": "would take port 53",
        }.items():
            text = ZONE.replace("dns:\n", f"dns:\n  listen: [{endpoint}]\n") + SERVERS
            [fault] = faults(text + SITE % "servers: [s], address: 192.0.2.3")
            self.assertTrue(fault.startswith("a.yaml:2: dns.listen[0]: "), fault)
            self.assertIn(said, fault)

    def test_drain(self) -> None:
        for text, seconds in {"0": 0, "1h": 3600}.items():
            keys = f"pool: p, servers: [s], timeouts: {{drain: {text}}}"
            self.assertEqual(read(POOL % "" + SERVERS + SITE % keys).sites["a.example.test"].timeouts.drain, seconds)

    def test_static_addresses(self) -> None:
        """With or without a pool; inside a pool or not; each is one site's only."""
        site = read(POOL % "" + SERVERS + SITE % "servers: [s], address: 192.0.2.3").sites["a.example.test"]
        self.assertEqual((str(site.address), site.pool), ("192.0.2.3", ""))
        two = (
            "sites:\n"
            "  a.example.test: {services: [{port: 80}], servers: [s], address: 192.0.2.3}\n"
            "  b.example.test: {services: [{port: 81}], servers: [t], address: 192.0.2.3}\n"
        )
        [fault] = faults(POOL % "" + SERVERS + two)
        self.assertIn("192.0.2.3 is already sites.a.example.test.address", fault)

    def test_a_pool_without_anything_to_lease(self) -> None:
        text = (
            ZONE
            + "pools: {p: {addresses: [192.0.2.1]}}\n"
            + SERVERS
            + "sites:\n"
            + "  a.example.test: {services: [{port: 80}], servers: [s], address: 192.0.2.1}\n"
            + "  b.example.test: {services: [{port: 80}], servers: [t], pool: p}\n"
        )
        [fault] = faults(text)
        self.assertIn("all addresses of pool 'p' are static", fault)
        self.assertEqual(faults(text.replace("[192.0.2.1]}", "[192.0.2.1, 192.0.2.2]}")), [])
        self.assertEqual(faults(text.replace("servers: [t], pool: p", "servers: [t], address: 192.0.2.2")), [])
