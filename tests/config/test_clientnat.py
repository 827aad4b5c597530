"""Client NAT pools: their keys, how many addresses they have, and whose those must not be."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config.addresses import Run
from appliance.config.clientnat import usable
from appliance.model import NatPool, Reuse
from tests.config import FUZZ, ZONE, faults, read, warnings

SNAT = "{first: 10.9.0.1, last: 10.9.0.4, netmask: 255.255.255.0}"
PLACE = "a.yaml:10: client_nat.snat"


def nat(
    *pools: str, server: str = "{address: 10.0.0.1}", site: str = "pool: p, client_nat: snat", more: str = ""
) -> str:
    """Client NAT pools from line 10 on, the first of which is ``snat``; a server in line 8."""
    names = ["snat", "other", "third"]
    lines = "".join(f"  {name}: {pool}\n" for name, pool in zip(names, pools, strict=False))
    text = ZONE + f"servers: {{s: {server}{more}}}\nclient_nat:\n{lines}pools: {{p: {{addresses: [192.0.2.1]}}}}\n"
    return text + f"sites: {{a.example.test: {{services: [{{port: 80}}], servers: [s], {site}}}}}\n"


def snat(keys: str) -> str:
    """With other keys than those of the addresses."""
    return nat(SNAT.replace("}", f", {keys}}}"))


class KeyTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        config = read(nat(SNAT))
        first, last, mask = (IPv4Address(text) for text in ("10.9.0.1", "10.9.0.4", "255.255.255.0"))
        self.assertEqual(config.client_nat, {"snat": NatPool(name="snat", first=first, last=last, netmask=mask)})
        self.assertEqual(config.sites["a.example.test"].client_nat, "snat")
        self.assertEqual(config.warnings, ())
        plain = read(nat(site="pool: p"))
        self.assertEqual((plain.client_nat, plain.sites["a.example.test"].client_nat), ({}, None))

    def test_all(self) -> None:
        keys = "ports: 2000-2999, initial: 2, maximum: 8, subpool: 3, low_water: 0, reuse: subpool, quarantine: 0"
        pool = read(snat(keys)).client_nat["snat"]
        self.assertEqual((pool.first_port, pool.last_port), (2000, 2999))
        self.assertEqual((pool.initial, pool.maximum, pool.subpool, pool.low_water), (2, 8, 3, 0))
        self.assertEqual((pool.reuse, pool.quarantine), (Reuse.SUBPOOL, 0.0))

    def test_defaults_of_a_small_pool(self) -> None:
        """They do not exceed what the pool may have."""
        pool = read(snat("maximum: 8")).client_nat["snat"]
        self.assertEqual((pool.initial, pool.maximum, pool.subpool, pool.low_water), (8, 8, 8, 8))
        one = "{first: 10.9.0.1, last: 10.9.0.1, netmask: 255.255.255.0}"
        self.assertEqual(warnings(nat(one)), [])

    def test_required(self) -> None:
        self.assertEqual(faults(nat("{}")), [f"{PLACE}: '{key}' is required" for key in ("first", "last", "netmask")])

    def test_wrong(self) -> None:
        for keys, said in {
            "ports: 9-8": "ports: found '9-8'; allowed: ports 1 to 65535, the lower one first",
            "ports: all": "ports: found 'all'; allowed: an integer from 1 to 65535",
            "initial: 0": "initial: found 0; allowed: an integer from 1 to 16777216",
            "subpool: 0": "subpool: found 0; allowed: an integer from 1 to 16777216",
            "maximum: 0": "maximum: found 0; allowed: an integer from 1 to 16777216",
            "low_water: -1": "low_water: found -1; allowed: an integer from 0 to 16777216",
            "maximum: 10, initial: 11": "initial: found 11; allowed: at most maximum, which is 10",
            "maximum: 10, subpool: 11": "subpool: found 11; allowed: at most maximum, which is 10",
            "low_water: 65537": "low_water: found 65537; allowed: at most maximum, which is 65536",
            "reuse: blok": "reuse: found 'blok'; allowed: block, subpool; did you mean 'block'?",
            "quarantine: 2d": "quarantine: found '2d'; allowed: seconds, or a number with ms, s, m, h or d, from 0s to 86400s",
            "port: 1": "port: unknown key 'port'; did you mean 'ports'?",
        }.items():
            self.assertEqual(faults(snat(keys)), [f"{PLACE}.{said}"])
        self.assertEqual(faults(snat("maximum: 10, initial: 10, subpool: 10, low_water: 10")), [])

    def test_wrong_addresses(self) -> None:
        for old, new, said in [
            ("last: 10.9.0.4", "last: 10.9.0.0", "last: found 10.9.0.0; allowed: first, which is 10.9.0.1, or a later one"),
            ("first: 10.9.0.1", "first: '::1'", "first: found ::1; allowed: an IPv4 address"),
            ("last: 10.9.0.4", "last: 240.0.0.1", "last: found 10.9.0.1 to 240.0.0.1: multicast addresses are no host's"),
            ("255.255.255.0", "255.0.255.0", "netmask: found '255.0.255.0'; allowed: a netmask such as 255.255.255.0"),
            ("255.255.255.0", "0.0.0.255", "netmask: found '0.0.0.255'; allowed: a netmask such as 255.255.255.0"),
            ("255.255.255.0", "0.0.0.0", "netmask: found '0.0.0.0'; allowed: a netmask such as 255.255.255.0"),
            ("255.255.255.0", "/24", "netmask: found '/24'; allowed: a netmask such as 255.255.255.0"),
            ("255.255.255.0", "24", "netmask: found 24; allowed: a netmask such as 255.255.255.0"),
        ]:  # fmt: skip
            self.assertEqual(faults(nat(SNAT.replace(old, new))), [f"{PLACE}.{said}"])

    def test_no_address_left(self) -> None:
        left = "no address is left from 10.9.0.3 to 10.9.0.4: the first and the last one of a network are not used"
        two = "{first: 10.9.0.3, last: 10.9.0.4, netmask: 255.255.255.%s}"
        self.assertEqual(faults(nat(two % 252)), [f"{PLACE}.netmask: {left}"])
        for mask in ("248", "254", "255"):
            self.assertEqual(faults(nat(two % mask)), [])

    @FUZZ
    @given(st.integers(0, 200), st.integers(0, 200), st.integers(24, 32))
    def test_usable(self, first: int, more: int, prefix: int) -> None:
        """Against looking at each address in turn."""
        count = 0
        for number in range(first, first + more + 1):
            network = IPv4Network((number, prefix), strict=False)
            ends = (network.network_address, network.broadcast_address)
            count += prefix >= 31 or IPv4Address(number) not in ends
        mask = IPv4Network((0, prefix)).netmask
        self.assertEqual(usable(Run(first, first + more), mask), count)

    def test_odd(self) -> None:
        """Legal, and worth a word."""
        pairs = 4 * (65535 - 1023)
        for keys, said in {
            "maximum: 258049": f"maximum: found 258049, and there are {pairs} pairs of address and port",
            "ports: 1023-65535": "ports: ports below 1024 are those of services, and need the right to open them",
        }.items():
            self.assertEqual(warnings(snat(keys)), [f"{PLACE}.{said}"])
        self.assertEqual(warnings(snat(f"maximum: {pairs}, ports: 1024-65535")), [])


class PlaceTests(SynchronousTestCase):
    """The addresses are nobody else's."""

    def one(self, text: str, said: str) -> None:
        self.assertEqual(faults(text), [said])

    def test_unknown(self) -> None:
        self.one(
            nat(SNAT, site="pool: p, client_nat: sant"),
            "a.yaml:12: sites.a.example.test.client_nat: unknown client NAT pool 'sant'; did you mean 'snat'?",
        )
        self.one(
            nat(), "a.yaml:11: sites.a.example.test.client_nat: unknown client NAT pool 'snat'; client_nat has none"
        )

    def test_unused(self) -> None:
        self.assertEqual(warnings(nat(SNAT, site="pool: p")), [f"{PLACE}: no site uses this client NAT pool"])

    def test_two_pools(self) -> None:
        """Pairs of address and port clash, not addresses alone."""
        other = "{first: 10.9.0.4, last: 10.9.0.9, netmask: 255.255.255.0, ports: %s}"
        place = "a.yaml:11: client_nat.other: port %d of 10.9.0.4 is already in client_nat.snat (line 10)"
        self.one(nat(SNAT, other % "1024-65535"), place % 1024)
        self.one(nat(SNAT, other % "3000"), place % 3000)
        self.assertEqual(faults(nat(SNAT, other % "1023")), [])
        self.assertEqual(faults(nat(SNAT, other.replace("0.4", "0.5") % "3000")), [])
        three = faults(nat(SNAT, other.replace("0.4", "0.6") % 3000, other.replace("0.4", "0.3") % 3000))
        self.assertEqual(
            three, ["a.yaml:12: client_nat.third: port 3000 of 10.9.0.3 is already in client_nat.snat (line 10)"]
        )

    def test_a_faulty_one_hides_nothing(self) -> None:
        """What is wrong with its ports does not hide where its addresses are, and clashes with no one's ports."""
        said = faults(
            nat(SNAT.replace("10.9.0", "192.0.2").replace("}", ", ports: x}"), SNAT.replace("10.9.0", "192.0.2"))
        )
        self.assertEqual(
            [fault.split(": ")[1] for fault in said], ["client_nat.snat", "client_nat.snat.ports", "client_nat.other"]
        )

    def test_leased_addresses(self) -> None:
        for first, last in (("192.0.2.1", "192.0.2.9"), ("192.0.1.9", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")):
            pool = f"{{first: {first}, last: {last}, netmask: 255.255.0.0}}"
            self.one(
                nat(pool), f"{PLACE}: has addresses of pools.p.addresses[0] (line 11, 192.0.2.1), which are leased"
            )
        inside = nat("{first: 192.0.2.5, last: 192.0.2.6, netmask: 255.255.255.0}").replace("2.1]", "2.1-192.0.2.9]")
        self.one(
            inside, f"{PLACE}: has addresses of pools.p.addresses[0] (line 11, 192.0.2.1-192.0.2.9), which are leased"
        )
        self.assertEqual(faults(nat("{first: 192.0.2.2, last: 192.0.2.9, netmask: 255.255.255.0}")), [])

    def test_static_addresses(self) -> None:
        static = "address: 10.9.0.%d, client_nat: snat"
        for number in (1, 4):
            there = f"sites.a.example.test.address (line 12, 10.9.0.{number})"
            self.one(nat(SNAT, site=static % number), f"{PLACE}: has 10.9.0.{number}, which is {there}")
        for number in (5, 254):
            self.assertEqual(faults(nat(SNAT, site=static % number)), [])

    def test_where_the_appliance_listens(self) -> None:
        def said(listen: str, pool: str = SNAT, control: str = "") -> list[str]:
            text = ZONE.replace("dns:\n", f"dns:\n  listen: [{listen}]\n")
            text += nat(pool, site="address: 192.0.2.3, client_nat: snat")[len(ZONE) :] + control
            return [fault.removeprefix("a.yaml:11: client_nat.snat: ") for fault in faults(text)]

        there = "where the appliance listens"
        self.assertEqual(said("'10.9.0.4:53'"), [f"has 10.9.0.4, {there}: dns.listen[0] (line 2)"])
        self.assertEqual(said("'10.9.0.5:5300'"), [])
        ssh = "control: {manhole: {ssh: '%s', authorized_keys: setup.cfg}}\n"
        (fault, _) = said("'192.0.2.53:53'", control=ssh % "10.9.0.1:22")
        self.assertEqual(fault, f"has 10.9.0.1, {there}: control.manhole.ssh (line 14)")
        (fault, _) = said("'192.0.2.53:53'", control=ssh % "0.0.0.0:2222")
        all_of = "which control.manhole.ssh (line 14) takes of all addresses"
        self.assertEqual(fault, f"has port 2222, {all_of}; list the addresses to listen on, or leave the port out")
        self.assertEqual(len(said("'192.0.2.53:53'", control=ssh % "0.0.0.0:22")), 1)

    def test_where_it_listens_by_default(self) -> None:
        loopback = "{first: 127.0.0.1, last: 127.0.0.4, netmask: 255.0.0.0}"
        self.one(nat(loopback), f"{PLACE}: has 127.0.0.1, where the appliance listens: dns.listen")

    def test_a_wildcard_without_addresses_to_lease(self) -> None:
        text = ZONE.replace("dns:\n", "dns:\n  listen: ['0.0.0.0:5300']\n") + f"client_nat: {{snat: {SNAT}}}\n"
        takes = "has port 5300, which dns.listen[0] (line 2) takes of all addresses"
        self.one(text, f"a.yaml:9: client_nat.snat: {takes}; list the addresses to listen on, or leave the port out")

    def test_a_server_there(self) -> None:
        said = warnings(nat(SNAT, server="{address: 10.9.0.2}"))
        place = "a.yaml:8: servers.s.address: server address 10.9.0.2 is in client_nat.snat (line 10)"
        self.assertEqual(said, [f"{place}, so that it is this host's own"])

    def test_too_many(self) -> None:
        many = "".join(f"  n{i}: {SNAT.replace('10.9.0', f'10.{9 + i // 256}.{i % 256}')}\n" for i in range(257))
        self.one(ZONE + "client_nat:\n" + many, "a.yaml:9: client_nat: found 257 pools; allowed: at most 256")


class SixTests(SynchronousTestCase):
    """A client NAT pool has IPv4."""

    place = "a.yaml:12: sites.a.example.test.servers[0]"
    only = "has an IPv6 address, and connections from 'snat' have IPv4"

    def test_servers(self) -> None:
        six = "{address: '2001:db8::1'}"
        self.assertEqual(faults(nat(SNAT, server=six)), [f"{self.place}: the server 's' {self.only}"])
        self.assertEqual(faults(nat(SNAT, server=six, site="pool: p")), [])
        inline = nat(SNAT).replace("servers: [s]", f"servers: [{six}]")
        self.assertEqual(faults(inline), [f"{self.place}: the server {self.only}"])

    def test_backups(self) -> None:
        more = ", t: {address: 10.0.0.2, backup: u}, u: {address: '2001:db8::1'}"
        chain = nat(SNAT, server="{address: 10.0.0.1, backup: t}", more=more)
        self.assertEqual(faults(chain), [f"{self.place}: the backup 'u' {self.only}"])
        inline = nat(SNAT, more=more).replace("servers: [s]", "servers: [{address: 10.0.0.7, backup: t}]")
        self.assertEqual(faults(inline), [f"{self.place}: the backup 'u' {self.only}"])
