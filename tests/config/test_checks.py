"""What one section says about another; and that no fault hides one elsewhere."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from appliance.config.faults import Faults
from tests.config import ZONE, faults, read, warnings

POOLS = "pools:\n  p: {addresses: [203.0.113.1, 203.0.113.8-203.0.113.9]}\n"
"""Lines 8 and 9, behind ZONE."""
SERVERS = "servers:\n  alpha-1: {address: 10.0.0.1}\n"
"""Lines 10 and 11."""
SITE = "{pool: p, services: [{port: 80}], servers: [alpha-1]}"


def sites(**by_label: str) -> str:
    """A configuration with sites ``LABEL.example.test`` from line 13 on."""
    lines = "".join(f"  {label}.example.test: {text}\n" for label, text in by_label.items())
    return ZONE + POOLS + SERVERS + "sites:\n" + lines


class AddressTests(SynchronousTestCase):
    def test_pools_overlap(self) -> None:
        said = faults(ZONE + POOLS + "  q:\n    addresses:\n    - 192.0.2.1\n    - 203.0.113.0/28\n")
        there = "pools.p.addresses[0] (line 9, 203.0.113.1)"
        run = "pools.p.addresses[1] (line 9, 203.0.113.8-203.0.113.9)"
        place = "a.yaml:13: pools.q.addresses[1]"
        self.assertEqual(
            said, [f"{place}: 203.0.113.1 is already in {there}", f"{place}: 203.0.113.8 is already in {run}"]
        )

    def test_within_a_pool(self) -> None:
        (said,) = faults(ZONE + "pools: {p: {addresses: [192.0.2.1, 192.0.2.0-192.0.2.5]}}\n")
        self.assertIn("pools.p.addresses[1]: 192.0.2.1 is already in pools.p.addresses[0]", said)

    def test_inside_a_long_one(self) -> None:
        """The long run before is asked, not the neighbour."""
        pool = "pools: {p: {addresses: [192.0.2.0/24, 192.0.2.5, 192.0.2.9]}}\n"
        self.assertEqual(len(faults(ZONE + pool)), 2)
        (said,) = faults(
            ZONE + "pools: {p: {addresses: [192.0.2.0/24, 192.0.3.1]}}\nservers: {s: {address: 192.0.2.77}}\n"
        )
        self.assertIn("a.yaml:9: servers.s.address: server address 192.0.2.77 is in pools.p.addresses[0]", said)

    def test_neighbours_are_no_overlap(self) -> None:
        self.assertEqual(faults(ZONE + "pools: {p: {addresses: [192.0.2.0/25, 192.0.2.128/25, 192.0.2.127]}}\n"), [])

    def test_server_in_a_pool(self) -> None:
        loop = "traffic to it would come back to the appliance"
        run = "pools.p.addresses[1] (line 9, 203.0.113.8-203.0.113.9)"
        said = faults(ZONE + POOLS + "servers:\n  x: {address: 203.0.113.9}\n  y: {address: '::ffff:203.0.113.9'}\n")
        self.assertEqual(said[0], f"a.yaml:11: servers.x.address: server address 203.0.113.9 is in {run}; {loop}")
        self.assertIn("a.yaml:12: servers.y.address", said[1])
        (inline,) = faults(sites(a=SITE.replace("alpha-1", "{address: 203.0.113.1}")))
        self.assertIn("a.yaml:13: sites.a.example.test.servers[0].address: server address 203.0.113.1 is in", inline)

    def test_listen(self) -> None:
        def said(listen: str, below: str = POOLS) -> list[str]:
            return [
                text.removeprefix("a.yaml:2: dns.listen")
                for text in faults(ZONE.replace("dns:", f"dns:\n  listen: {listen}") + below)
            ]

        own = "the appliance must keep an address of its own"
        run = "pools.p.addresses[1] (line 10, 203.0.113.8-203.0.113.9)"
        self.assertEqual(said("['203.0.113.9:53']"), [f"[0]: 203.0.113.9 is in {run}; {own}"])
        for wildcard in ("0.0.0.0:53", "[::]:53"):
            takes = f"[0]: {wildcard} would take port 53 of the pools' addresses; list the addresses to listen on"
            self.assertEqual(said(f"['{wildcard}']"), [takes])
            self.assertEqual(said(f"['{wildcard}']", ""), [])
        twice = "['192.0.2.1:53', '192.0.2.1:54', '192.0.2.1:53']"
        self.assertEqual(said(twice), ["[2]: 192.0.2.1:53 is already in dns.listen[0] (line 2)"])


class NameTests(SynchronousTestCase):
    def test_unknown(self) -> None:
        (said,) = faults(sites(a=SITE.replace("alpha-1", "alpha-l")))
        self.assertEqual(
            said, "a.yaml:13: sites.a.example.test.servers[0]: unknown server 'alpha-l'; did you mean 'alpha-1'?"
        )
        (said,) = faults(sites(a=SITE.replace("pool: p", "pool: zzz")))
        self.assertEqual(said, "a.yaml:13: sites.a.example.test.pool: unknown pool 'zzz'; there is p")

    def test_a_bad_one_is_known(self) -> None:
        """A server with a fault of its own is not also unknown."""
        (said,) = faults(sites(a=SITE).replace("10.0.0.1", "10.0.0"))
        self.assertIn("a.yaml:11: servers.alpha-1.address: found '10.0.0'", said)
        (said,) = faults(sites(a=SITE).replace("servers:\n  alpha-1: {address: 10.0.0.1}", "servers: x\n"))
        self.assertIn("a.yaml:10: servers: found 'x'; allowed: a mapping", said)

    def test_names_twice(self) -> None:
        text = sites(
            a=SITE,
            B=SITE,
            b=SITE,
            c=SITE.replace("{pool", "{aliases: [a.example.test, d.example.test., D.example.test], pool"),
        )
        self.assertEqual(
            faults(text),
            [
                "a.yaml:15: sites.b.example.test: 'b.example.test' is already sites.B.example.test (line 14)",
                "a.yaml:16: sites.c.example.test.aliases[0]: 'a.example.test' is already sites.a.example.test (line 13)",
                "a.yaml:16: sites.c.example.test.aliases[2]: 'd.example.test' is already sites.c.example.test.aliases[1] (line 16)",
            ],
        )

    def test_zones(self) -> None:
        text = sites(a=SITE.replace("{pool", "{aliases: [example.test, test, xexample.test], pool"))
        self.assertEqual(
            faults(text),
            [
                "a.yaml:13: sites.a.example.test.aliases[1]: 'test' is not in a zone of dns.zones; the zones are example.test",
                "a.yaml:13: sites.a.example.test.aliases[2]: 'xexample.test' is not in a zone of dns.zones; the zones are example.test",
            ],
        )
        (said,) = faults("dns:\n" + POOLS + SERVERS + f"sites: {{a.test: {SITE}}}\n")
        self.assertIn("'a.test' is not in a zone of dns.zones; there are none", said)

    def test_a_name_below_a_cut(self) -> None:
        """Another server answers for it, so that its address would never be leased."""
        more = "        sub 60 NS ns1\n        old 60 DNAME new\n        at 60 DNAME new\n"
        text = sites(**{"sub": SITE, "a.b.sub": SITE, "x.old": SITE, "at": SITE, "b": SITE})
        text = text.replace("ns1 3600 A 127.0.0.1\n", "ns1 3600 A 127.0.0.1\n" + more)
        never = "is never answered: zone example.test has"
        self.assertEqual(
            [fault.partition("'")[2] for fault in faults(text)],
            [
                f"sub.example.test' {never} NS records at sub.example.test",
                f"a.b.sub.example.test' {never} NS records at sub.example.test",
                f"x.old.example.test' {never} DNAME records at old.example.test",
            ],
        )

    def test_a_bad_zone_is_known(self) -> None:
        (said,) = faults(sites(a=SITE).replace("A 127.0.0.1", "A x"))
        self.assertIn("a.yaml:7: dns.zones.example.test.records: Text input is malformed", said)

    def test_no_names(self) -> None:
        hints = {"'*'": "is a wildcard", "a..b": "a label is empty", "x" * 64: "longer than 63", "bü": "'xn--' form", "'a b'": "no host's name",
                 "-a": "no host's name", ".".join(["x" * 60] * 5): "at most 253"}  # fmt: skip
        for label, hint in hints.items():
            name = label.strip("'") + ".example.test"
            (said,) = faults(ZONE + POOLS + SERVERS + f"sites:\n  '{name}': {SITE}\n")
            self.assertTrue(said.startswith("a.yaml:13: sites."), said)
            self.assertIn(hint, said)

    def test_ports_twice(self) -> None:
        services = "[{port: 80}, {port: 80, protocol: udp}, {port: 70-90, to: 1}]"
        (said,) = faults(sites(a=SITE.replace("[{port: 80}]", services)))
        place = "a.yaml:13: sites.a.example.test.services"
        self.assertEqual(said, f"{place}[2]: tcp port 80 is already in sites.a.example.test.services[0] (line 13)")
        many = "[{port: 1-1000}, {port: 2001-2025}]"
        (said,) = faults(sites(a=SITE.replace("[{port: 80}]", many)))
        self.assertEqual(said, f"{place}: found 1025 ports; allowed: at most 1024 for a site")


class WarningTests(SynchronousTestCase):
    def test_unused(self) -> None:
        text = ZONE + POOLS + SERVERS
        self.assertEqual(
            warnings(text),
            [
                "a.yaml:9: pools.p: no site uses this pool",
                "a.yaml:11: servers.alpha-1: no site and no delivery uses this server",
            ],
        )
        self.assertEqual(warnings(sites(a=SITE)), [])

    def test_no_zone(self) -> None:
        self.assertEqual(warnings("dns:\n"), ["a.yaml: dns.zones: no zone is configured, so every query is refused"])

    def test_a_zone_that_others_have(self) -> None:
        """Once a zone."""
        text = sites(a=SITE, b=SITE).replace(
            "    example.test:\n", "    example.test:\n      transfer: {allow: [192.0.2.1]}\n"
        )
        (said,) = warnings(text)
        self.assertIn(
            "other servers may have zone example.test, but get no address of 'a.example.test' and 1 more", said
        )

    def test_record_under_a_leased_name(self) -> None:
        (said,) = warnings(sites(ns1=SITE))
        self.assertIn("zone example.test has a record A for 'ns1.example.test', which leases", said)


class AllAtOnceTests(SynchronousTestCase):
    def test_sections(self) -> None:
        """A fault in each section and, between them, faults across sections: all are told, in the order of lines."""
        text = (
            "appliance: {stop_timeout: soon}\n"
            "dns:\n  listen: ['203.0.113.1:53']\n  udp_payload: no\n  zones: {example.test: {records: ''}}\n"
            "pools:\n  p: {addresses: [203.0.113.1, x], when_exhausted: cry}\n  q: {addresses: [203.0.113.1]}\n"
            "servers:\n  s: {address: 203.0.113.1, backup: 3}\n  t: {address: 203.0.113.1}\n"
            "sites:\n"
            "  a.example.test: {pool: r, services: [{port: 0}], servers: [u]}\n"
            "  b.other.test: {pool: q, services: [{port: 1}, {port: 1}], servers: [v], colour: red, instances: [{bind_id: 1}, {bind_id: 1, answer: ./x}]}\n"
            "control: {log: {level: loud}, peers: {listen: 1}}\n"
            "client_nat: {n: {first: 203.0.113.1, last: 203.0.113.1, netmask: 255.255.255.0, reuse: often}}\n"
            "market: {role: agent, capacity: {servers: [x]}}\n"
            "probes: {x: {type: tcp, port: x}, y: {type: dns}}\n"
            "pops: {me: {address: 203.0.113.1, peers: 'http://a/'}}\n"
            "delivery:\n"
            "  c: {pages: [a.example.test, c.other.test], origins: [w], ttl: 0, cache: {}}\n"
        )
        said = [line.removeprefix("a.yaml:").split(": ")[:2] for line in faults(text)]
        self.assertEqual(
            said,
            [
                ["1", "appliance.stop_timeout"],
                ["3", "dns.listen[0]"],
                ["4", "dns.udp_payload"],
                ["5", "dns.zones.example.test.records"],
                ["7", "pools.p.addresses[1]"],
                ["7", "pools.p.when_exhausted"],
                ["8", "pools.q.addresses[0]"],
                ["10", "servers.s.address"],
                ["10", "servers.s.backup"],
                ["11", "servers.t.address"],
                ["13", "sites.a.example.test.pool"],
                ["13", "sites.a.example.test.servers[0]"],
                ["13", "sites.a.example.test.services[0].port"],
                ["14", "sites.b.other.test"],
                ["14", "sites.b.other.test.colour"],
                ["14", "sites.b.other.test.instances[0]"],
                ["14", "sites.b.other.test.instances[0]"],
                ["14", "sites.b.other.test.instances[1]"],
                ["14", "sites.b.other.test.instances[1].answer"],
                ["14", "sites.b.other.test.instances[1].bind_id"],
                ["14", "sites.b.other.test.servers[0]"],
                ["14", "sites.b.other.test.services[1]"],
                ["15", "control.log.level"],
                ["15", "control.peers.listen"],
                ["16", "client_nat.n"],
                ["16", "client_nat.n"],
                ["16", "client_nat.n.reuse"],
                ["17", "market.capacity"],
                ["17", "market.capacity.servers[0]"],
                ["17", "market.role"],
                ["18", "probes.x.port"],
                ["18", "probes.y"],
                ["19", "pops.me.address"],
                ["19", "pops.me.peers"],
                ["21", "delivery.c.cache"],
                ["21", "delivery.c.origins[0]"],
                ["21", "delivery.c.pages[0]"],
                ["21", "delivery.c.pages[1]"],
                ["21", "delivery.c.ttl"],
            ],
        )

    def test_parts_compare_by_value(self) -> None:
        """What a reload's diff stands on."""
        before, after = read(sites(a=SITE, b=SITE)), read(sites(a=SITE, b=SITE.replace("80", "81")))
        self.assertEqual((before.pools, before.dns, before.servers), (after.pools, after.dns, after.servers))
        changed = [name for name in before.sites if before.sites[name] != after.sites[name]]
        self.assertEqual(changed, ["b.example.test"])


class SizeTests(SynchronousTestCase):
    def test_guesses_are_bounded(self) -> None:
        """Not every one of a million unknown names is compared with all known ones."""
        some = Faults("a.yaml")
        known = [f"alpha-{i}" for i in range(100_000)]
        guesses = [some.did_you_mean("alpha-1O", known) for _ in range(3)]
        self.assertEqual([bool(guess) for guess in guesses], [True, True, False])
        self.assertEqual(Faults("a.yaml").did_you_mean("a" * 10_000, ["a" * 10_000]), "")

    def test_many_faults(self) -> None:
        """Thousands of overlaps and unknown names among thousands: no check compares all with all."""
        count = 3000
        runs = ", ".join(f"10.0.{i // 256}.{i % 256}" for i in range(1, count)) + ", 10.0.0.0/16"
        servers = "".join(f"  s{i}: {{address: 192.0.2.1}}\n" for i in range(count))
        text = ZONE + f"pools: {{p: {{addresses: [{runs}]}}}}\nservers:\n{servers}sites:\n"
        text += "".join(
            f"  a{i}.example.test: {{pool: p, services: [{{port: 80}}], servers: [t{i}]}}\n" for i in range(count)
        )
        began = time.process_time()
        said = faults(text)
        # Quadratic, this is nine million comparisons of words: many minutes.  The bound is for that, not for speed.
        self.assertLess(time.process_time() - began, 60)
        self.assertEqual(len(said), 2 * count - 1)
