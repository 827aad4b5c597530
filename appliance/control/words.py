"""The words of a request: addresses, askers, places in a list."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

from appliance.errors import RequestError
from appliance.model import Address, Asker, Proof

Row = dict[str, Any]

SOMEBODY = Asker(IPv4Address(0), Proof.NONE)
"""Who sends a datagram without a cookie, from a network of which nothing is known."""


def address_of(text: str) -> Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise RequestError("invalid", f"'{text}' is no IPv4 address", field="address") from None


def asker_of(text: str) -> Asker:
    try:
        return Asker(ip_address(text), Proof.NONE)
    except ValueError:
        raise RequestError("invalid", f"'{text}' is no IP address", field="client") from None


def place_of(after: str) -> tuple[int, str]:
    if not after:
        return -1, ""
    address, _, site = after.partition(" ")
    return int(address_of(address)), site


def in_seconds(row: Row) -> Row:
    return {**row, "from": row["from"] / 1000, "until": row["until"] / 1000}
