"""The ports of a site: which clients may use them, all of them at once, and how long silence lasts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Service
from tests.config import FUZZ, ZONE, faults, read

PLAIN = ZONE + "pools: {p: {addresses: [192.0.2.1]%s}}\nservers: {s: {address: 10.0.0.1}}\n"
"""Nine lines."""
PLACE = "a.yaml:11: sites.a.example.test"


def site(services: str, more: str = "pool: p", pool: str = "") -> str:
    """A configuration with a site in line 11."""
    return PLAIN % pool + f"sites:\n  a.example.test: {{services: [{services}], servers: [s], {more}}}\n"


def services(text: str) -> tuple[Service, ...]:
    return read(site(text)).sites["a.example.test"].services


class FilterTests(SynchronousTestCase):
    """5.13."""

    def test_lists(self) -> None:
        """Addresses, networks with all that is in them, and runs."""
        (service,) = services("{port: 80, allow: [198.51.100.0/24, 192.0.2.4-192.0.2.6], deny: [198.51.100.7]}")
        allowed = ("198.51.100.0/24", "192.0.2.4/31", "192.0.2.6/32")
        self.assertEqual(service.allow, tuple(ip_network(network) for network in allowed))
        self.assertEqual(service.deny, (ip_network("198.51.100.7/32"),))
        self.assertEqual(services("{port: 80, allow: [], deny: [0.0.0.0/0]}")[0].deny, (IPv4Network("0.0.0.0/0"),))

    @FUZZ
    @given(st.integers(0, 2**32 - 1), st.integers(0, 300))
    def test_runs(self, first: int, more: int) -> None:
        """As networks they are the same addresses, each once."""
        last = min(first + more, 2**32 - 1)
        (service,) = services(f"{{port: 80, allow: [{IPv4Address(first)}-{IPv4Address(last)}]}}")
        found = [int(address) for network in service.allow for address in network]
        self.assertEqual(found, list(range(first, last + 1)))

    def test_wrong(self) -> None:
        any_of = "allowed: an address, a network such as 192.0.2.0/24, or a run such as 192.0.2.1-192.0.2.9"
        for entry, said in {
            "198.51.100.1/24": "found '198.51.100.1/24': the network begins at 198.51.100.0; write 198.51.100.0/24 or the address alone",
            "198.51.100.9-198.51.100.1": "found '198.51.100.9-198.51.100.1': the run ends before it begins",
            "'2001:db8::/32'": f"found '2001:db8::/32'; {any_of}; clients of a leased address have IPv4",
            "somewhere": f"found 'somewhere'; {any_of}",
            "1": "found 1; allowed: text; write it in quotes",
        }.items():
            for key in ("allow", "deny"):
                said_of = faults(site(f"{{port: 80, {key}: [{entry}]}}"))
                self.assertEqual(said_of, [f"{PLACE}.services[0].{key}[0]: {said}"])
        many = ", ".join(["192.0.2.1"] * 1001)
        said_of = faults(site(f"{{port: 80, deny: [{many}]}}"))
        self.assertEqual(said_of, [f"{PLACE}.services[0].deny: found 1001 entries; allowed: at most 1000"])

    def test_a_bad_list_hides_no_bad_port(self) -> None:
        said = faults(site("{port: 80, allow: x}, {port: 80}"))
        self.assertEqual(
            said[1], f"{PLACE}.services[1]: tcp port 80 is already in sites.a.example.test.services[0] (line 11)"
        )


class AllTests(SynchronousTestCase):
    """5.1: port 0 is every port."""

    def test_all(self) -> None:
        every = Service(first_port=1, last_port=65535, to=1, every=True)
        self.assertEqual(services("{port: all}"), (every,))
        exact = Service(first_port=80, last_port=80, to=8080)
        self.assertEqual(services("{port: 80, to: 8080}, {port: all}"), (exact, every))
        self.assertEqual(services("{port: all, protocol: tcp}"), (every,))

    def test_many_named_ones_beside_it(self) -> None:
        self.assertEqual(len(services("{port: 1-1024}, {port: all}")), 2)
        said = faults(site("{port: 1-1024}, {port: 2000}, {port: all}"))
        self.assertEqual(said, [f"{PLACE}.services: found 1025 ports; allowed: at most 1024 for a site"])

    def test_wrong(self) -> None:
        for text, said in {
            "{port: all}, {port: all}": "services[1]: all tcp ports are already in sites.a.example.test.services[0] (line 11)",
            "{port: all, to: 80}": "services[0].to: has no meaning beside 'port: all'; every port keeps its number",
            "{port: all, protocol: udp}": "services[0].protocol: found 'udp'; allowed beside 'port: all': tcp; name the ports of udp",
            "{port: al}": "services[0].port: found 'al'; allowed: a port, a run such as 6000-6010, or all; did you mean 'all'?",
            "{port: http}": "services[0].port: found 'http'; allowed: a port, a run such as 6000-6010, or all",
        }.items():
            self.assertEqual(faults(site(text)), [f"{PLACE}.{said}"])

    def test_an_address_that_others_share(self) -> None:
        """1.12: nothing would be left for them."""
        shared = ", share_by_service: true"
        said = faults(site("{port: 80}, {port: all}", pool=shared))
        reason = (
            "'port: all' takes an address as a whole, and pool 'p' shares its own by service; use one that does not"
        )
        self.assertEqual(said, [f"{PLACE}.services[1]: {reason}"])
        self.assertEqual(faults(site("{port: all}", more="address: 192.0.2.9", pool=shared)), [])


class KeepaliveTests(SynchronousTestCase):
    def test_values(self) -> None:
        for text, seconds in {"0": 0.0, "1s": 1.0, "5m": 300.0, "32767": 32767.0}.items():
            timeouts = (
                read(site("{port: 80}", f"pool: p, timeouts: {{keepalive: {text}}}")).sites["a.example.test"].timeouts
            )
            self.assertEqual(timeouts.keepalive, seconds)
        self.assertEqual(read(site("{port: 80}")).sites["a.example.test"].timeouts.keepalive, 60.0)

    def test_wrong(self) -> None:
        for text, said in {
            "500ms": "found '500ms'; allowed: 0, or 1s to 32767s",
            "10h": "found '10h'; allowed: seconds, or a number with ms, s, m, h or d, from 0s to 32767s",
        }.items():
            said_of = faults(site("{port: 80}", f"pool: p, timeouts: {{keepalive: {text}}}"))
            self.assertEqual(said_of, [f"{PLACE}.timeouts.keepalive: {said}"])
