"""Which pairs a pool has, and their place in the line."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import NatPool, Pair
from appliance.ports import Pairs


def pool(first: str, last: str, netmask: str = "255.255.255.0", ports: tuple[int, int] = (1, 2)) -> NatPool:
    return NatPool(
        name="snat",
        first=IPv4Address(first),
        last=IPv4Address(last),
        netmask=IPv4Address(netmask),
        first_port=ports[0],
        last_port=ports[1],
    )


def addresses(pairs: Pairs) -> list[list[str]]:
    """Of each run, its addresses."""
    return [[str(address) for address, _, _ in pairs.spans(first, last)] for first, last in pairs.runs()]


class SkippedTests(SynchronousTestCase):
    def test_networks_and_broadcasts(self) -> None:
        """4.1: of each network in the range."""
        pairs = Pairs(pool("10.9.0.253", "10.9.2.1"))
        self.assertEqual([len(run) for run in addresses(pairs)], [2, 254, 1])
        self.assertEqual([run[0] for run in addresses(pairs)], ["10.9.0.253", "10.9.1.1", "10.9.2.1"])
        self.assertEqual(pairs.count, 2 * (2 + 254 + 1))

    def test_at_the_ends(self) -> None:
        """Where the range begins or ends with one."""
        self.assertEqual(addresses(Pairs(pool("10.9.0.0", "10.9.0.1"))), [["10.9.0.1"]])
        self.assertEqual(addresses(Pairs(pool("10.9.0.254", "10.9.1.0"))), [["10.9.0.254"]])
        self.assertEqual(addresses(Pairs(pool("10.9.0.255", "10.9.1.0"))), [])

    def test_networks_that_have_neither(self) -> None:
        """RFC 3021, and a single address."""
        for netmask in ("255.255.255.254", "255.255.255.255"):
            pairs = Pairs(pool("10.9.0.255", "10.9.1.1", netmask))
            self.assertEqual(addresses(pairs), [["10.9.0.255", "10.9.1.0", "10.9.1.1"]])

    @given(st.integers(0, 300), st.integers(0, 80), st.integers(22, 32))
    def test_beside_the_standard_library(self, offset: int, count: int, prefix: int) -> None:
        """Every address of the range is there, or is the first or last of its network."""
        first = IPv4Address("192.0.2.0") + offset
        netmask = str(IPv4Network((0, prefix)).netmask)
        pairs = Pairs(pool(str(first), str(first + count), netmask, (7, 7)))
        expected = []
        for address in (first + number for number in range(count + 1)):
            network = IPv4Network((address, prefix), strict=False)
            if prefix > 30 or address not in (network.network_address, network.broadcast_address):
                expected.append(str(address))
            self.assertEqual(pairs.has(address, 7), str(address) in expected)
        self.assertEqual([address for run in addresses(pairs) for address in run], expected)
        self.assertEqual(pairs.count, len(expected))


class IndexTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        pairs = Pairs(pool("10.9.0.1", "10.9.0.3", ports=(1024, 65535)))
        [(first, last)] = pairs.runs()
        self.assertEqual(pairs.pair(first), Pair(IPv4Address("10.9.0.1"), 1024))
        self.assertEqual(pairs.pair(first + 64511), Pair(IPv4Address("10.9.0.1"), 65535))
        self.assertEqual(pairs.pair(first + 64512), Pair(IPv4Address("10.9.0.2"), 1024))
        self.assertEqual(pairs.pair(last), Pair(IPv4Address("10.9.0.3"), 65535))
        for index in (first, first + 64511, first + 64512, last):
            pair = pairs.pair(index)
            self.assertEqual(pairs.index(pair.address, pair.port), index)

    def test_other_addresses_leave_it_as_it_is(self) -> None:
        """A reload that adds some moves nothing."""
        address = IPv4Address("10.9.0.7")
        indexes = {
            Pairs(pool(first, last)).index(address, 2)
            for first, last in (("10.9.0.1", "10.9.0.9"), ("10.9.0.7", "10.9.0.7"), ("10.8.0.1", "10.9.0.200"))
        }
        self.assertEqual(len(indexes), 1)

    def test_spans(self) -> None:
        """From the middle of one address to the middle of another."""
        pairs = Pairs(pool("10.9.0.1", "10.9.0.9", ports=(100, 109)))
        [(first, _)] = pairs.runs()
        spans = [(str(address), low, high) for address, low, high in pairs.spans(first + 7, first + 23)]
        self.assertEqual(spans, [("10.9.0.1", 107, 109), ("10.9.0.2", 100, 109), ("10.9.0.3", 100, 103)])

    def test_ports_outside(self) -> None:
        pairs = Pairs(pool("10.9.0.1", "10.9.0.9", ports=(100, 109)))
        inside = [port for port in range(98, 112) if pairs.has(IPv4Address("10.9.0.1"), port)]
        self.assertEqual(inside, list(range(100, 110)))
        self.assertFalse(pairs.has(IPv4Address("10.9.0.10"), 100))
        self.assertFalse(pairs.has(IPv4Address("10.8.255.255"), 100))
