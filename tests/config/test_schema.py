"""Keys and values of the sections, one at a time: what is allowed, what is said otherwise, and what comes of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import LogConfig, LogFormat, LogLevel, TCPLimits
from appliance.model import Endpoint, Exhausted, Periods, Server, Service, Timeouts, Transport
from tests.config import ZONE, faults, read

PLAIN = ZONE + "pools: {p: {addresses: [192.0.2.1]}}\nservers: {s: {address: 10.0.0.1}}\n"
"""Nine lines."""


def site(keys: str = "", services: str = "[{port: 80}]") -> str:
    """A configuration with a site in line 10."""
    return PLAIN + f"sites: {{a.example.test: {{pool: p, services: {services}, servers: [s]{keys}}}}}\n"


class KeyTests(SynchronousTestCase):
    def test_unknown(self) -> None:
        self.assertEqual(faults(ZONE + "pool: {}\n"), ["a.yaml:8: pool: unknown key 'pool'; did you mean 'pools'?"])
        said = faults(ZONE + "control: {zzz: 1}\n")
        self.assertEqual(said, ["a.yaml:8: control.zzz: unknown key 'zzz'; known here: log, manhole, peers, socket"])

    def test_required(self) -> None:
        self.assertEqual(faults("pools: {}\n"), ["a.yaml:1: 'dns' is required"])
        place = "a.yaml:11: sites.a.example.test"
        self.assertEqual(
            faults(PLAIN + "sites:\n  a.example.test: {}\n"),
            [
                f"{place}: 'services' is required",
                f"{place}: 'servers' is required",
                f"{place}: 'pool' is required, or 'address' for a site that always has the same one",
            ],
        )

    def test_not_yet_values(self) -> None:
        text = PLAIN.replace("[192.0.2.1]}", "[192.0.2.1], when_exhausted: 192.0.2.9}")
        self.assertEqual(faults(text), ["a.yaml:8: pools.p.when_exhausted: not yet supported: the value '192.0.2.9'"])

    def test_wrong_kinds(self) -> None:
        self.assertEqual(
            faults(PLAIN + "sites: [a]\n"),
            ["a.yaml:10: sites: found a list; allowed: a mapping (indented 'key: value' lines)"],
        )
        self.assertIn("servers: found 's'; allowed: a list; write [s]", faults(site().replace("[s]", "s"))[0])
        self.assertIn("found an empty list; allowed: at least one entry", faults(site(services="[]"))[0])

    def test_empty_sections(self) -> None:
        """A section whose keys are all commented out is the section's defaults."""
        self.assertEqual(read(ZONE + "appliance:\npools:\nsites:\ncontrol:\n"), read(ZONE))


class ScalarTests(SynchronousTestCase):
    def stop_timeout(self, text: str) -> float | str:
        said = faults(ZONE + f"appliance: {{stop_timeout: {text}}}\n")
        return said[0] if said else read(ZONE + f"appliance: {{stop_timeout: {text}}}\n").stop_timeout

    def test_durations(self) -> None:
        for text, seconds in {
            "0": 0,
            "30": 30,
            "1.5": 1.5,
            "500ms": 0.5,
            "30s": 30,
            "1.5s": 1.5,
            "5m": 300,
            "4h": 14400,
            "1d": 86400,
        }.items():
            self.assertEqual(self.stop_timeout(text), seconds, text)
        numbers = ["-1", "-1s", ".nan", ".inf", "-.inf", "1:30", "010", "08", "1e9", "1_000", "1e400", "9" * 5000]
        for text in [*numbers, "yes", "~", "[]", "5x", "1d1h", "2d", "' '", "s"]:
            said = str(self.stop_timeout(text))
            self.assertTrue(said.startswith("a.yaml:8: appliance.stop_timeout: found "), said)
            self.assertIn("allowed: seconds, or a number with ms, s, m, h or d, from 0s to 86400s", said)

    def test_integers(self) -> None:
        self.assertEqual(read(ZONE + "appliance: {max_files: 64}\n").max_files, 64)
        hints = {"63": "63;", "08": "base 8", "0777": "base 8", "22:22": "base 60", "'80'": "without quotes", "yes": "yes/no",
                 "1.5": "1.5;", "~": "nothing;", "9" * 5000: "9...;", "0x50": "0x50;", "2001-01-01": "a date"}  # fmt: skip
        for text, hint in hints.items():
            (said,) = faults(ZONE + f"appliance: {{max_files: {text}}}\n")
            self.assertIn("a.yaml:8: appliance.max_files: found ", said)
            self.assertIn(hint, said)
            self.assertIn("allowed: an integer from 64 to 2147483647", said)

    def test_text(self) -> None:
        self.assertEqual(read(ZONE + "appliance: {name: x}\n").name, "x")
        (said,) = faults(ZONE + "appliance: {name: off}\n")
        self.assertIn("found off, which YAML reads as a yes/no value; allowed: text; write it in quotes", said)

    def test_choices(self) -> None:
        (said,) = faults(ZONE + "control: {log: {level: warning}}\n")
        self.assertIn("found 'warning'; allowed: debug, info, warn, error; did you mean 'warn'?", said)

    def listen(self, text: str) -> tuple[Endpoint, ...] | str:
        text = ZONE.replace("dns:\n", f"dns:\n  listen: [{text}]\n")
        said = faults(text)
        return said[0] if said else read(text).dns.listen

    def test_endpoints(self) -> None:
        six = Endpoint(IPv6Address("2001:db8::1"), 53)
        self.assertEqual(self.listen("192.0.2.1:53, '[2001:db8::1]:53'"), (Endpoint(IPv4Address("192.0.2.1"), 53), six))
        for text in ("192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1", "2001:db8::1:53", "192.0.2:53", "x:53", "'192.0.2.1:053'",
                     "224.0.0.1:53", "192.0.2.1:-1", "53", "22:22", "192.0.2.1:٣"):  # fmt: skip
            self.assertIn("allowed: an endpoint such as", str(self.listen(text)), text)


class SectionTests(SynchronousTestCase):
    """What comes of the sections."""

    def test_defaults(self) -> None:
        config = read(ZONE)
        self.assertEqual(config.state_directory, "/nowhere/var")
        self.assertEqual((config.stop_timeout, config.max_files, config.manhole), (5.0, None, None))
        self.assertEqual(config.dns.listen, (Endpoint(IPv4Address("127.0.0.1"), 5300),))
        self.assertEqual((config.dns.udp_payload, config.dns.tcp), (1232, TCPLimits()))
        self.assertEqual((config.pools, config.servers, config.sites, config.log), ({}, {}, {}, LogConfig()))
        self.assertTrue(config.name)

    def test_state_directory(self) -> None:
        for text, path in {"none": None, "x/../y": "/nowhere/y", "/z": "/z"}.items():
            self.assertEqual(read(ZONE + f"appliance: {{state_directory: {text}}}\n").state_directory, path)

    def test_dns(self) -> None:
        keys = "  udp_payload: 4096\n  tcp: {max_connections: 1, idle_timeout: 1m, max_queries: 2}\n"
        config = read(ZONE + keys).dns
        self.assertEqual(
            (config.udp_payload, config.tcp), (4096, TCPLimits(max_connections=1, idle_timeout=60, max_queries=2))
        )
        self.assertIn("allowed: an integer from 512 to 4096", faults(ZONE + "  udp_payload: 511\n")[0])

    def test_pool(self) -> None:
        period = "{base: 9, minimum: 2, maximum: 1m, offer: 3, grace: 0, cooling: 4, unused_renewals: 0}"
        pool = f"pools: {{p: {{addresses: [192.0.2.1], period: {period}, when_exhausted: drop}}}}\n"
        found = read(ZONE + pool).pools["p"]
        self.assertEqual(
            found.periods, Periods(base=9, minimum=2, maximum=60, offer=3, grace=0, cooling=4, unused_renewals=0)
        )
        self.assertEqual((found.name, found.when_exhausted), ("p", Exhausted.DROP))

    def test_period(self) -> None:
        def pool(period: str) -> str:
            return ZONE + f"pools:\n  p:\n    addresses: [192.0.2.1]\n    period:\n      {period}\n"

        place = "a.yaml:12: pools.p.period"
        (said,) = faults(pool("maximum: 4s"))
        self.assertEqual(said, f"{place}.maximum: minimum 5s is more than maximum 4s; allowed: minimum at most maximum")
        self.assertIn(f"{place}.minimum: found '999ms'", faults(pool("minimum: 999ms"))[0])
        said, _unused = (str(warning) for warning in reversed(read(pool("base: 10m")).warnings))
        self.assertEqual(said, f"{place}.base: base 600s is outside minimum to maximum (5s to 300s)")

    def addresses(self, text: str) -> list[str] | str:
        text = ZONE + f"pools: {{p: {{addresses: [{text}]}}}}\n"
        said = faults(text)
        return said[0] if said else [str(address) for address in read(text).pools["p"].addresses]

    def test_addresses(self) -> None:
        self.assertEqual(self.addresses("192.0.2.9, 192.0.2.1"), ["192.0.2.9", "192.0.2.1"])
        self.assertEqual(self.addresses("192.0.2.8/30"), ["192.0.2.9", "192.0.2.10"])
        self.assertEqual(self.addresses("192.0.2.8/31"), ["192.0.2.8", "192.0.2.9"])
        self.assertEqual(self.addresses("192.0.2.8/32"), ["192.0.2.8"])
        self.assertEqual(
            self.addresses("192.0.2.254-192.0.3.1"), ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]
        )

    def test_wrong_addresses(self) -> None:
        hints = {"192.0.2.9/29": "the network begins at 192.0.2.8; write 192.0.2.8/29", "192.0.2.9-192.0.2.1": "ends before",
                 "224.0.0.1": "multicast", "0.0.0.0": "unspecified", "255.255.255.255": "broadcast", "223.0.0.0-225.0.0.0": "multicast",
                 "'2001:db8::1'": "only IPv4 is leased", "192.0.2.0/33": "allowed: an address", "192.0.2.0/255.0.0.0": "allowed: an address",
                 "192.0.2": "allowed: an address", "1.5": "allowed: text", "192.0.2.01": "allowed: an address", "192.0.2.1-": "allowed: an address"}  # fmt: skip
        for text, hint in hints.items():
            said = self.addresses(text)
            self.assertTrue(str(said).startswith("a.yaml:8: pools.p.addresses[0]: found "), (text, said))
            self.assertIn(hint, said)

    def test_too_many_addresses(self) -> None:
        """Told from the sizes; a /1 would not fit in memory."""
        self.assertIn(
            "makes 1048577 addresses in all pools; allowed: at most 1048576",
            self.addresses("10.0.0.0-10.15.255.255, 192.0.2.1"),
        )
        self.assertIn("at most 1048576", self.addresses("128.0.0.0/2"))

    def test_servers(self) -> None:
        config = read(site().replace("10.0.0.1}", "10.0.0.1, port: 81}"))
        named = Server(name="s", address=IPv4Address("10.0.0.1"), port=81)
        self.assertEqual((config.servers["s"], config.sites["a.example.test"].servers[0]), (named, named))
        inline = read(site().replace("[s]", "[{address: '2001:db8::1', port: 82}]")).sites["a.example.test"].servers[0]
        self.assertEqual(inline, Server(name="[2001:db8::1]:82", address=IPv6Address("2001:db8::1"), port=82))
        for address in ("x", "224.0.0.1", "0.0.0.0", "'::'", "1.5", "~"):
            self.assertIn("allowed: ", faults(site().replace("10.0.0.1", address))[0])

    def test_site(self) -> None:
        keys = ", aliases: [B.example.test.], ipv6: ['2001:db8::1'], max_sessions: 7, timeouts: {connect: 1, udp: 2}"
        services = "[{port: 80}, {port: 6000-6010, to: 7000, protocol: udp}]"
        found = read(site(keys, services).replace("a.example", "A.EXAMPLE")).sites["a.example.test"]
        self.assertEqual((found.name, found.pool, found.aliases), ("a.example.test", "p", ("b.example.test",)))
        self.assertEqual((found.ipv6, found.max_sessions), ((IPv6Address("2001:db8::1"),), 7))
        self.assertEqual(found.timeouts, Timeouts(connect=1, udp=2))
        run = Service(transport=Transport.UDP, first_port=6000, last_port=6010, to=7000)
        self.assertEqual(found.services, (Service(first_port=80, last_port=80, to=80), run))

    def test_wrong_ports(self) -> None:
        hints = {"port: 0": "from 1 to 65535", "port: 08": "base 8", "port: 22:22": "base 60", "port: 9-8": "lower one first",
                 "port: 1-1025": "found 1025 ports; allowed: at most 1024", "port: 1-99999": "allowed: ports 1 to 65535",
                 "port: a-b": "or a run such as 6000-6010", "port: 80, to: 0": "from 1 to 65535", "to: 1": "'port' is required",
                 "port: 80-81, to: 65535": "2 ports from 65535 on end after 65535", "port: 80, protocol: sctp": "allowed: tcp, udp"}  # fmt: skip
        for text, hint in hints.items():
            (said,) = faults(site(services=f"[{{{text}}}]"))
            self.assertTrue(said.startswith("a.yaml:10: sites.a.example.test.services[0]"), said)
            self.assertIn(hint, said)

    def test_log(self) -> None:
        log = read(ZONE + "control: {log: {format: json, level: error}}\n").log
        self.assertEqual(log, LogConfig(format=LogFormat.JSON, level=LogLevel.ERROR))
