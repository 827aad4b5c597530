"""
Readers of single values: numbers, durations, choices, addresses, endpoints and names.

They work on the text that was written, because YAML 1.1 reads ``010`` as eight and ``22:22`` as 1342.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

import dns.exception
import dns.name

from appliance.config.faults import Faults
from appliance.config.shapes import Reader
from appliance.config.tree import Node, shorten
from appliance.model import Endpoint

E = TypeVar("E", bound=enum.Enum)

LONGEST = 2.0**31 - 1
"""Seconds; the largest TTL (RFC 2181 s8), and a bound that every timer takes."""

_DIGITS = re.compile(r"0|[1-9][0-9]*")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|h|d)?")
_FRACTION = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})([KMG])?")
_BYTES: Mapping[str, int] = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


def integer(low: int, high: int) -> Reader[int]:
    """A reader of a decimal integer from ``low`` to ``high``."""

    def read(node: Node, faults: Faults) -> int:
        allowed = f"an integer from {low} to {high}"
        text = node.text
        if node.kind == "integer" and _DIGITS.fullmatch(text) and len(text) < 20 and low <= int(text) <= high:
            return int(text)
        raise faults.wrong(node, f"found {node.found()}{_trap(node)}; allowed: {allowed}")

    return read


def size(high: int) -> Reader[int]:
    """A reader of a number of bytes, up to ``high``; K, M and G are powers of 1024."""

    def read(node: Node, faults: Faults) -> int:
        match = _SIZE.fullmatch(node.text) if node.kind in ("integer", "text") else None
        if match and (node.kind == "integer" or match[2]) and int(match[1]) * _BYTES[match[2] or ""] <= high:
            return int(match[1]) * _BYTES[match[2] or ""]
        allowed = f"bytes, or a number with K, M or G, from 0 to {high // 1024**3}G"
        raise faults.wrong(node, f"found {node.found()}{_trap(node)}; allowed: {allowed}")

    return read


def fraction(node: Node, faults: Faults) -> float:
    """A reader of a number from 0 to 1."""
    if node.kind in ("integer", "number") and _FRACTION.fullmatch(node.text) and float(node.text) <= 1:
        return float(node.text)
    raise faults.wrong(node, f"found {node.found()}{_trap(node)}; allowed: a number from 0 to 1")


def yes_no(node: Node, faults: Faults) -> bool:
    """A reader of true or false, in any of YAML's spellings."""
    if node.kind == "yes/no":
        return node.text.lower() in ("true", "yes", "on", "y")
    raise faults.wrong(node, f"found {node.found()}; allowed: true or false")


def duration(low: float = 0.0, high: float = LONGEST) -> Reader[float]:
    """A reader of a span in seconds, from ``low`` to ``high``."""

    def read(node: Node, faults: Faults) -> float:
        match = _DURATION.fullmatch(node.text) if node.kind in ("integer", "number", "text") else None
        if match and not _octal(node.text):
            seconds = float(match[1]) * _SECONDS[match[2] or "s"]
            if math.isfinite(seconds) and low <= seconds <= high:
                return seconds
        allowed = f"seconds, or a number with ms, s, m, h or d, from {low:g}s to {high:.0f}s"
        raise faults.wrong(node, f"found {node.found()}{_trap(node)}; allowed: {allowed}")

    return read


def choice(of: type[E]) -> Reader[E]:
    """A reader of one of an enumeration's values."""

    def read(node: Node, faults: Faults) -> E:
        known = [member.value for member in of]
        if node.kind == "text" and node.text in known:
            return of(node.text)
        near = faults.did_you_mean(node.text.lower(), known) if node.kind == "text" else ""
        raise faults.wrong(node, f"found {node.found()}; allowed: {', '.join(known)}{near}")

    return read


def text(node: Node, faults: Faults) -> str:
    """A reader of text that is not empty."""
    if node.kind == "text" and node.text.strip():
        return node.text
    hint = "; write it in quotes" if node.kind in ("yes/no", "integer", "number", "date") else ""
    nothing = not node.text and node.kind not in ("list", "mapping")
    raise faults.wrong(node, f"found {'nothing' if nothing else node.found()}; allowed: text{hint}")


def path(node: Node, faults: Faults) -> str:
    """A reader of the name of a file or folder."""
    name = text(node, faults)
    if not name.isprintable():
        raise faults.wrong(node, f"found '{shorten(name)}'; allowed: a path without control characters")
    return name


def secret_file(looks: str) -> Reader[str]:
    """
    A reader of the name of a file with a secret.

    :param looks: a pattern of what the secret itself looks like, which would else become the name of a new file.
    """

    def read(node: Node, faults: Faults) -> str:
        name = path(node, faults)
        if re.fullmatch(looks, name):
            raise faults.wrong(node, "found what looks like the secret itself; allowed: the path of a file that has it")
        return name

    return read


def address(node: Node, faults: Faults) -> IPv4Address | IPv6Address:
    """A reader of one address that a host can have."""
    try:
        found = ip_address(text(node, faults))
    except ValueError:
        raise faults.wrong(node, f"found {node.found()}; allowed: an IPv4 or IPv6 address, without a port") from None
    if found.is_multicast or found.is_unspecified or found == IPv4Address("255.255.255.255"):
        raise faults.wrong(node, f"found {found}; allowed: the address of one host")
    return found


def address6(node: Node, faults: Faults) -> IPv6Address:
    """A reader of one IPv6 address that a host can have."""
    found = address(node, faults)
    if isinstance(found, IPv4Address):
        raise faults.wrong(node, f"found {found}; allowed: an IPv6 address")
    return found


def address4(node: Node, faults: Faults) -> IPv4Address:
    """A reader of one IPv4 address that a host can have."""
    found = address(node, faults)
    if isinstance(found, IPv6Address):
        raise faults.wrong(node, f"found {found}; allowed: an IPv4 address")
    if int(found) >> 24 == 0:
        # RFC 1122 s3.2.1.3, as for the addresses of a pool.
        raise faults.wrong(node, f"found {found}; allowed: the address of one host")
    return found


def endpoint(node: Node, faults: Faults) -> Endpoint:
    """A reader of ``192.0.2.1:53`` or ``[2001:db8::1]:53``, port 1 to 65535; the address may be a wildcard."""
    allowed = "an endpoint such as 192.0.2.1:53 or [2001:db8::1]:53, port 1 to 65535"
    host, colon, port = node.text.rpartition(":")
    if node.kind == "text" and colon and _DIGITS.fullmatch(port) and len(port) <= 5 and 1 <= int(port) <= 65535:
        bracketed = host.startswith("[") and host.endswith("]")
        try:
            found = IPv6Address(host[1:-1]) if bracketed else IPv4Address(host)
        except ValueError:
            pass
        else:
            if not found.is_multicast and found != IPv4Address("255.255.255.255"):
                return Endpoint(found, int(port))
    raise faults.wrong(node, f"found {node.found()}{_trap(node)}; allowed: {allowed}")


def host_name(node: Node, faults: Faults) -> str:
    """A reader of a DNS name that may be leased; see :func:`normal_name`."""
    if node.kind != "text":
        raise faults.wrong(node, f"found {node.found()}; allowed: a DNS name; write it in quotes")
    return normal_name(node.text, node, faults)


def normal_name(written: str, node: Node, faults: Faults) -> str:
    """
    A DNS name in lower case, without the last dot (RFC 1034 s3.1: labels 1 to 63 bytes, 255 on the wire).

    :raises Unusable: if it is none, or a wildcard, or has characters that no host's name has.
    """
    name = written.lower().removesuffix(".")
    labels = name.split(".")
    shown = shorten(written)
    if "*" in labels:
        raise faults.wrong(node, f"'{shown}' is a wildcard; only a single name can lease")
    if not name.isascii():
        raise faults.wrong(node, f"'{shown}' is not ASCII; write an international name in its 'xn--' form")
    if len(name) > 253:
        raise faults.wrong(node, f"'{shown}' is no DNS name: {len(name)} characters; allowed: at most 253")
    for label in labels:
        if not label or len(label) > 63:
            reason = f"the label '{shorten(label)}' is longer than 63 characters" if label else "a label is empty"
            raise faults.wrong(node, f"'{shown}' is no DNS name: {reason}")
        if not _LABEL.fullmatch(label):
            allowed = "letters, digits, '_', and '-' inside"
            raise faults.wrong(node, f"'{shown}' is no host's name: found label '{shorten(label)}'; allowed: {allowed}")
    return name


def apex_name(node: Node, written: str, faults: Faults) -> dns.name.Name:
    """
    A zone's apex, absolute and in lower case; any characters, such as the ``/`` of RFC 2317.

    :raises Unusable: if it is no DNS name.
    """
    shown = shorten(written)
    try:
        apex = dns.name.from_text(written.lower()) if written.isascii() else None
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise faults.wrong(node, f"'{shown}' is no DNS name: {error}") from None
    if apex is None:
        raise faults.wrong(node, f"'{shown}' is not ASCII; write an international name in its 'xn--' form")
    if apex == dns.name.root or apex.is_wild():
        raise faults.wrong(node, f"'{shown}' cannot be a zone's apex")
    return apex


def _octal(written: str) -> bool:
    return re.match(r"0[0-9]", written) is not None


def _trap(node: Node) -> str:
    """What YAML 1.1 made of a value that looks like something else; empty where it did nothing odd."""
    if node.kind == "integer" and ":" in node.text:
        return " (YAML reads digits with colons as a number of base 60; write it in quotes if it is text)"
    if node.kind in ("integer", "text") and _octal(node.text) and node.text.isdigit():
        return " (a leading zero means base 8 in YAML; leave it out)"
    if node.kind == "text" and _DIGITS.fullmatch(node.text):
        return " (text; write the number without quotes)"
    return ""
