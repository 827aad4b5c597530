"""The words of a request: addresses, askers, places in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

from appliance.errors import RequestError
from appliance.model import Address, Asker, Proof

Row = dict[str, Any]

SOMEBODY = Asker(IPv4Address(0), Proof.NONE)
"""Who sends a datagram without a cookie, from a network of which nothing is known."""

LAST_SECOND = 253402300800.0
"""Unix time at the end of the year 9999, beyond which there are no dates."""

LISTS = {
    "server": ("servers: failed", "servers"),
    "virtual server": ("virtual servers: failed", "virtuals"),
    "pop": ("POPs: down", "pops"),
    "delivery": ("deliveries: not as wanted", "delivery"),
}
"""By what an alarm is about: how many more are worded, and which list has them all."""

WHYS = {
    "best": "the best",
    "absent": "nobody has an address of this family, or those who have are down and others are not",
    "full": "all that are up are as good as full",
    "all": "all are down, and all are answered",
    "last-good": "all are down, and what was answered last is answered",
    "empty": "all are down, and nothing is answered",
    "backup": "all are down, and the backup is answered",
}
"""What stands behind an answer, by :class:`appliance.delivery.Why`."""


def known(request: Mapping[str, Any], *fields: str) -> None:
    """:raises RequestError: for a field that nobody would look at."""
    for field in request:
        if field not in fields:
            allowed = f"allowed: {', '.join(fields)}" if fields else "nothing is allowed here"
            raise RequestError("unknown-field", f"unknown field '{field}'; {allowed}", field=field)


def text(request: Mapping[str, Any], field: str, *, required: bool = True) -> str:
    """:raises RequestError: where it is missing, or no text."""
    value = request.get(field, "")
    if not isinstance(value, str) or (required and not value):
        raise RequestError("invalid", f"'{field}' is {'missing' if field not in request else 'no text'}", field=field)
    return value


def address_of(text: str, *, field: str = "address") -> Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise RequestError("invalid", f"'{text}' is no IPv4 address", field=field) from None


def unix_time(value: object) -> float:
    """:raises RequestError: of what is none of these centuries."""
    try:
        found = float(str(value)[:40])
    except ValueError:
        found = -1.0
    if not 0 <= found < LAST_SECOND:
        raise RequestError("invalid", f"'{value}' is no Unix time", field="at")
    return found


def is_number(text: str) -> bool:
    """Of a person's length: longer ones Python refuses to read."""
    return text.isascii() and text.isdecimal() and len(text) < 20


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


def virtual_place(name: str) -> tuple[str, int, int, bool]:
    """Where the virtual server ``SITE:PORT[/udp]:BIND`` stands in a list: by site, bind id and port."""
    try:
        site, port, bind_id = name.split(":")
        return site, int(bind_id), int(port.removesuffix("/udp")), port.endswith("/udp")
    except ValueError:
        raise RequestError("invalid", f"'{name}' is no SITE:PORT:BIND", field="after") from None


def client_place(after: str) -> tuple[tuple[str, int, int, bool], int, int]:
    """Where the assignment ``SITE:PORT:BIND CLIENT`` stands in a list."""
    virtual, _, client = after.partition(" ")
    try:
        network = IPv4Network(client)
    except ValueError:
        raise RequestError("invalid", f"'{after}' is no SITE:PORT:BIND CLIENT", field="after") from None
    return virtual_place(virtual), int(network.network_address), network.prefixlen


def in_seconds(row: Row) -> Row:
    return {**row, "from": row["from"] / 1000, "until": row["until"] / 1000}


def few(what: str, wrong: Sequence[tuple[str, str]], most: int) -> list[str]:
    """
    An alarm for each of the first, and one for the rest.

    :param what: they are; ``wrong``: name, and what is wrong with it.
    """
    found = [f"{what} {name}: {why}" for name, why in wrong[:most]]
    more = len(wrong) - most
    return [*found, f"{more} more {LISTS[what][0]}; 'appliance {LISTS[what][1]}' lists them"] if more > 0 else found
