"""Headers of the PROXY protocol, in and out; HAProxy itself reads and writes them in tests/integration."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Endpoint, ProxyProtocol
from appliance.nat.proxyheader import LONGEST, BadHeader, read, written

CLIENT = Endpoint(IPv4Address("198.51.100.7"), 4711)
SIX = Endpoint(IPv6Address("2001:db8::7"), 4711)
LEASED = Endpoint(IPv4Address("203.0.113.9"), 80)
V2 = b"\r\n\r\n\0\r\nQUIT\n"
FUZZ = settings(deadline=None, derandomize=True, database=None, max_examples=300)
VERSIONS = (ProxyProtocol.V1, ProxyProtocol.V2)


class WrittenTests(SynchronousTestCase):
    def test_v1(self) -> None:
        self.assertEqual(written(ProxyProtocol.V1, CLIENT, LEASED), b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 80\r\n")

    def test_v2(self) -> None:
        self.assertEqual(
            written(ProxyProtocol.V2, CLIENT, LEASED),
            V2 + b"\x21\x11\x00\x0c" + bytes([198, 51, 100, 7, 203, 0, 113, 9]) + struct.pack("!HH", 4711, 80),
        )

    def test_two_families(self) -> None:
        """A client of a front end may have IPv6; leased addresses have not."""
        self.assertEqual(written(ProxyProtocol.V1, SIX, LEASED), b"PROXY TCP6 2001:db8::7 ::ffff:cb00:7109 4711 80\r\n")
        self.assertEqual(len(written(ProxyProtocol.V2, SIX, LEASED)), 16 + 36)

    def test_none(self) -> None:
        self.assertEqual(written(ProxyProtocol.NONE, CLIENT, LEASED), b"")


class ReadTests(SynchronousTestCase):
    def test_as_written(self) -> None:
        """However much of it has come; what follows stays."""
        for version in VERSIONS:
            for client in (CLIENT, SIX):
                header = written(version, client, LEASED)
                for end in range(len(header)):
                    self.assertIsNone(read(header[:end]))
                self.assertEqual(read(header + b"GET /"), (client, len(header)))

    def test_a_front_end_with_both_families(self) -> None:
        """Its IPv4 clients are who they are, in whichever form it names them."""
        mapped = Endpoint(IPv6Address("::ffff:198.51.100.7"), 4711)
        for version in VERSIONS:
            header = written(version, mapped, LEASED)
            self.assertEqual(read(header), (CLIENT, len(header)))

    def test_the_front_end_itself(self) -> None:
        """Its own checks, and what it does not know."""
        for header in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
            V2 + b"\x20\x00\x00\x00",
            V2 + b"\x20\x11\x00\x0c" + bytes(12),
            V2 + b"\x21\x00\x00\x03abc",
        ):
            self.assertEqual(read(header + b"x"), (None, len(header)))

    def test_extensions(self) -> None:
        """Behind the addresses of version 2 more may come."""
        header = written(ProxyProtocol.V2, CLIENT, LEASED)
        longer = header[:14] + struct.pack("!H", 12 + 5) + header[16:] + b"\x04\0\2xx"
        self.assertEqual(read(longer + b"y"), (CLIENT, len(longer)))

    def test_no_header(self) -> None:
        for data, said in (
            (b"G", "begins with something else"),
            (b"PROXX", "begins with something else"),
            (b"PROXY TCP4 " + b"1" * 100, "no end within 107 bytes"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 x 80\r\n", "x"),
            (b"PROXY TCP4 1.2.3 5.6.7.8 1 80\r\n", "1.2.3"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 70000 80\r\n", "no port 70000"),
            (b"PROXY FOO 1.2.3.4 5.6.7.8 1 80\r\n", ""),
            (V2 + b"\x31\x11\x00\x0c" + bytes(12), ""),
            (V2 + b"\x21\x11\x00\x04" + bytes(4), ""),
            (V2 + b"\x21\x77\x00\x0c" + bytes(12), ""),
            (V2 + b"\x21\x11" + struct.pack("!H", LONGEST), f"allowed: at most {LONGEST}"),
        ):
            with self.assertRaises(BadHeader) as caught:
                read(data)
            self.assertIn(said, str(caught.exception))

    @FUZZ
    @given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2, V2 + b"\x21"]), st.binary(max_size=700))
    def test_anything(self, prefix: bytes, data: bytes) -> None:
        """Nothing else is raised, and no more is waited for than a header may have."""
        try:
            found = read(prefix + data)
        except BadHeader:
            return
        if found is None:
            self.assertLess(len(prefix + data), LONGEST)
        else:
            self.assertLessEqual(found[1], min(len(prefix + data), LONGEST))
