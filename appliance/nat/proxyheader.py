"""
The PROXY protocol (HAProxy's proxy-protocol.txt, versions 1 and 2): who the client is, said in front of its bytes.

Headers that come in are read by Twisted's own parsers, which its public wrapper hides behind a transport; those that go
out are written here.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.internet.address import IPv4Address as TwistedIPv4
from twisted.internet.address import IPv6Address as TwistedIPv6
from twisted.protocols.haproxy import _exceptions
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from appliance.model import Endpoint, ProxyProtocol

LONGEST = 536
"""Bytes of a header that we take: what section 2.2 asks for at least, and more than any address needs."""
_V1_LONGEST = 107
_V2_FIXED = 16
_UNKNOWN = b"PROXY UNKNOWN\r\n"
"""Allowed by section 2.1, but not by Twisted, which wants something behind it."""


class BadHeader(Exception):
    """``str()`` says what is wrong."""


def written(version: ProxyProtocol, client: Endpoint, destination: Endpoint) -> bytes:
    """The header for a connection from ``client`` to the leased ``destination``; empty for version none."""
    source, target = client.address, destination.address
    if source.version != target.version:
        # A front end has IPv6 clients too, and a header speaks of one family.
        source, target = _mapped(source), _mapped(target)
    if version is ProxyProtocol.V1:
        family = "TCP4" if source.version == 4 else "TCP6"
        return f"PROXY {family} {source} {target} {client.port} {destination.port}\r\n".encode()
    if version is ProxyProtocol.V2:
        family_byte = 0x11 if source.version == 4 else 0x21
        addresses = source.packed + target.packed + struct.pack("!HH", client.port, destination.port)
        return V2Parser.PREFIX + struct.pack("!BBH", 0x21, family_byte, len(addresses)) + addresses
    return b""


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """A front end that listens for both families names IPv4 clients by IPv6 addresses (RFC 4291 s2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def read(data: bytes) -> tuple[Endpoint | None, int] | None:
    """
    The header that a connection begins with.

    :param data: all that came so far.
    :return: who the client is (None: the front end itself, or it does not say), and the length of the header; None
        while it is not complete.
    :raises BadHeader: when it is none.
    """
    if data[: len(_UNKNOWN)] == _UNKNOWN:
        return None, len(_UNKNOWN)
    if V2Parser.PREFIX.startswith(data[:12]):
        return _read_v2(data)
    if not b"PROXY ".startswith(data[:6]):
        raise BadHeader("it begins with something else")
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end >= 0:
        return _parsed(V1Parser(), data[: end + 2])
    if len(data) >= _V1_LONGEST:
        raise BadHeader(f"no end within {_V1_LONGEST} bytes")
    return None


def _read_v2(data: bytes) -> tuple[Endpoint | None, int] | None:
    if len(data) < _V2_FIXED:
        return None
    size = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if size > LONGEST:
        raise BadHeader(f"{size} bytes long; allowed: at most {LONGEST}")
    return _parsed(V2Parser(), data[:size]) if len(data) >= size else None


def _parsed(parser: V1Parser | V2Parser, header: bytes) -> tuple[Endpoint | None, int]:
    try:
        info, _ = parser.feed(header)
        source = info.source if info is not None else None
        if not isinstance(source, TwistedIPv4 | TwistedIPv6):
            return None, len(header)
        address = _unmapped(ip_address(source.host))
    except (_exceptions.InvalidProxyHeader, LookupError, ValueError) as error:
        raise BadHeader(str(error) or type(error).__name__) from None
    if not 0 <= source.port <= 65535:
        raise BadHeader(f"there is no port {source.port}")
    return Endpoint(address, source.port), len(header)
