"""
How people name servers and virtual servers, and what they may set them to (5.10).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, ip_address

import attrs

from appliance.balancing.board import Board
from appliance.balancing.premises import Premises
from appliance.balancing.real import Real
from appliance.balancing.values import Administrative
from appliance.balancing.virtual import Virtual
from appliance.errors import BalancingError
from appliance.model import UDP_KEYS, Endpoint, Server, Transport

NO_BACKUP = "none"
MOST_WEIGHT = 65535
MOST_CONNECTIONS = 16_777_216
MOST_THRESHOLD = 1_000_000
_MOST_LISTED = 8
"""Names in an error's text."""


@attrs.frozen
class RealSubject:
    """:param text: ``server NAME``."""

    text: str
    real: Real


@attrs.frozen
class VirtualSubject:
    """
    One virtual server, or all of a bind id.

    :param text: ``virtual SITE:PORT[/udp]:BIND``.
    :param virtuals: at least one.
    """

    text: str
    place: Premises
    bind_id: int
    virtuals: tuple[Virtual, ...]


Subject = RealSubject | VirtualSubject


def find(board: Board, text: str) -> Subject:
    """:raises BalancingError: there is no such server or virtual server."""
    kind, _, name = text.partition(" ")
    if kind == "server":
        real = find_real(board, name)
        return RealSubject(f"server {real.name}", real)
    if kind == "virtual":
        return _find_virtual(board, name)
    raise BalancingError(
        "invalid", f"found {text!r}; allowed: 'server NAME' or 'virtual SITE:PORT:BIND'", field="subject"
    )


def find_real(board: Board, name: str) -> Real:
    """A server by its name, or by its address and port as far as they say which one is meant."""
    known = [real for real in board.reals.values() if not real.gone]
    real = board.reals.get(name)
    if real is not None and not real.gone:
        return real
    endpoint = endpoint_of(name)
    if endpoint is not None:
        address, port = endpoint
        found = [each for each in known if each.server.address == address and port in (0, each.port)]
        if len(found) == 1:
            return found[0]
        if found:
            raise BalancingError(
                "ambiguous", f"{name} is several servers: {_listed(x.name for x in found)}", field="server"
            )
    raise BalancingError("not-found", f"no server {name!r}; there is {_listed(x.name for x in known)}", field="server")


def endpoint_of(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; without a port it is 0.  None for anything else."""
    host, colon, port = text.rpartition(":")
    if colon and (host.count(":") == 0 or host.startswith("[")):
        if not 1 <= number_of(port) <= 65535:
            return None
        text, number = host.removeprefix("[").removesuffix("]"), int(port)
    else:
        number = 0
    try:
        return ip_address(text), number
    except (AddressValueError, ValueError):
        return None


def number_of(text: str) -> int:
    """-1: it is none, or longer than any of ours; Python refuses to read those of thousands of digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def named_after(address: IPv4Address | IPv6Address, port: int) -> Server:
    """A server that the file does not know, called by its endpoint."""
    return Server(name=str(Endpoint(address, port)) if port else str(address), address=address, port=port)


def split_virtual(board: Board, text: str) -> tuple[Premises, int, Transport, int]:
    """:return: site, port, transport and bind id of SITE[:PORT[/udp][:BIND]]. :raises BalancingError:"""
    site, *rest = text.split(":")
    place = board.places.get(site.lower().removesuffix("."))
    if place is None:
        raise BalancingError("not-found", f"no site {site!r}; there is {_listed(board.places)}", field="virtual")
    port, bind_id = (*rest, "0", "0")[:2] if len(rest) < 2 else (rest[0], rest[1])
    port, _, protocol = port.partition("/")
    numbers = number_of(port), number_of(bind_id)
    if len(rest) > 2 or min(numbers) < 0 or max(numbers) >= UDP_KEYS or protocol not in ("", "tcp", "udp"):
        raise BalancingError("invalid", f"found {text!r}; allowed: SITE[:PORT[/udp][:BIND]]", field="virtual")
    return place, numbers[0], Transport(protocol or "tcp"), numbers[1]


def virtual_text(place: Premises, port: int, transport: Transport, bind_id: int) -> str:
    return f"virtual {place.name}:{port}{'/udp' if transport is Transport.UDP else ''}:{bind_id}"


def _find_virtual(board: Board, text: str) -> VirtualSubject:
    place, port, transport, bind_id = split_virtual(board, text)
    section = place.sections.get(bind_id)
    found = tuple(section.virtuals) if section is not None else ()
    if port:
        found = tuple(each for each in found if each.transport is transport and _has(each, port))
        port = found[0].first_port if found else port
    elif transport is Transport.UDP:
        found = tuple(each for each in found if each.transport is transport)
    if not found:
        there = _listed(virtual.name for virtual in place.virtuals())
        raise BalancingError("not-found", f"no virtual server {text!r}; there is {there}", field="virtual")
    return VirtualSubject(virtual_text(place, port, transport, bind_id), place, bind_id, found)


def _has(virtual: Virtual, port: int) -> bool:
    service = virtual.service
    return virtual.first_port > 0 and virtual.first_port <= port <= service.last_port


def check(board: Board, subject: Subject, setting: str, value: str) -> tuple[str, str]:
    """
    A setting and its value in canonical form.

    :raises BalancingError: one of them is not allowed.
    """
    allowed: tuple[str, ...]
    if isinstance(subject, RealSubject):
        match setting:
            case "state":
                allowed = tuple(state.value for state in Administrative)
            case "weight":
                return setting, _number(setting, value, 0, MOST_WEIGHT)
            case "threshold":
                return setting, _number(setting, value, 1, MOST_THRESHOLD)
            case "max_connections":
                return setting, _number(setting, value, 0, MOST_CONNECTIONS)
            case "backup":
                return setting, _real_backup(board, subject.real, value)
            case "made":
                allowed = ("yes",)
            case _:
                raise _no_setting(setting, "state, weight, threshold, max_connections, backup or made")
    else:
        match setting.split(" "):
            case ["state"]:
                allowed = "in-service", "out-of-service"
            case ["backup"]:
                return setting, _site_backup(board, subject.place, value)
            case ["made"]:
                allowed = ("yes",)
            case ["server", *name]:
                setting, allowed = f"server {find_real(board, ' '.join(name)).name}", ("bound", "unbound")
            case ["client", prefix]:
                setting, allowed = f"client {prefix_of(prefix)}", ("assigned", "unassigned")
            case _:
                raise _no_setting(setting, "state, backup, made, 'server NAME' or 'client PREFIX'")
    if value not in allowed:
        raise BalancingError("invalid", f"{setting}: found {value!r}; allowed: {', '.join(allowed)}", field=setting)
    return setting, value


def canonical_setting(board: Board, subject: Subject, setting: str) -> str:
    """:return: the canonical form of a setting. :raises BalancingError: there is none such."""
    kind = setting.partition(" ")[0]
    some_value = {"state": "in-service", "server": "bound", "client": "assigned", "backup": "none", "made": "yes"}
    return check(board, subject, setting, some_value.get(kind, "1"))[0]


def check_undoing(subject: Subject, setting: str, value: str) -> None:
    """:raises BalancingError: what is to be undone is not there."""
    if isinstance(subject, VirtualSubject) and value in ("unbound", "unassigned"):
        name = setting.split(" ", 1)[1]
        for virtual in subject.virtuals:
            if value == "unbound" and any(name == real.name for real in virtual.bound):
                return
            if value == "unassigned" and prefix_of(name) in virtual.clients:
                return
        message = f"{name} is not {value.removeprefix('un')} to {subject.text.removeprefix('virtual ')}"
        raise BalancingError("not-found", message, field=setting.split(" ")[0])


def prefix_of(text: str) -> IPv4Network:
    """:raises BalancingError: it is no IPv4 prefix, or names an address within one."""
    try:
        return IPv4Network(text)
    except ValueError as problem:
        try:
            hint = f"; did you mean {IPv4Network(text, strict=False)}?"
        except ValueError:
            hint = ""
        message = f"client: found {text!r}; allowed: an IPv4 address or prefix{hint}"
        raise BalancingError("invalid", message, field="client") from problem


def _number(setting: str, value: str, least: int, most: int) -> str:
    if not least <= number_of(value) <= most:
        message = f"{setting}: found {value!r}; allowed: {least} to {most}"
        raise BalancingError("invalid", message, field=setting)
    return str(int(value))


def _real_backup(board: Board, real: Real, value: str) -> str:
    if value == NO_BACKUP:
        return value
    backup = find_real(board, value)
    if backup is real:
        raise BalancingError("invalid", f"{real.name} cannot be its own backup", field="backup")
    return backup.name


def _site_backup(board: Board, place: Premises, value: str) -> str:
    if value == NO_BACKUP:
        return value
    name = value.lower().removesuffix(".")
    if name not in board.places:
        raise BalancingError("not-found", f"no site {value!r}; there is {_listed(board.places)}", field="backup")
    if name == place.name:
        raise BalancingError("invalid", f"{name} cannot be its own backup", field="backup")
    return name


def _no_setting(setting: str, allowed: str) -> BalancingError:
    return BalancingError("not-found", f"no setting {setting!r}; allowed: {allowed}", field="setting")


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    if not ordered:
        return "none"
    more = f" and {len(ordered) - _MOST_LISTED} more" if len(ordered) > _MOST_LISTED else ""
    return ", ".join(ordered[:_MOST_LISTED]) + more
