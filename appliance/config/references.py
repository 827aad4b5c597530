"""Names that one section has of another: which there are not, which nobody uses, and which stand for two things."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from appliance.config.faults import Faults
from appliance.config.schema import Root
from appliance.config.servers import ServerFields, inline_name, is_whole, made_server
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.tree import Node, shorten
from appliance.model import Server

_WORDS = {"pools": "pool", "servers": "server", "client_nat": "client NAT pool", "sites": "site", "probes": "probe"}
"""What the names of a section stand for."""

_UNUSED = {
    "pools": "no site uses this pool",
    "servers": "no site and no delivery uses this server",
    "client_nat": "no site uses this client NAT pool",
    "probes": "no server uses this probe",
}
"""What is said of a name that nobody uses; a site is there for others than this file."""


@attrs.frozen
class Written:
    """
    A server as the file has it, with or without faults.

    :param name: None for one without a name whose address is not known either.
    """

    name: str | None
    fields: ServerFields
    node: Node


def all_servers(root: Root) -> Iterator[Written]:
    """The named ones and those that sites list inline."""
    for name, named in root.get("servers", {}).items():
        yield Written(name, named.value, named.node)
    for site in root.get("sites", {}).values():
        for entry in entries_of(site.value):
            if not isinstance(entry.value, str):
                yield Written(inline_name(entry.value), entry.value, entry.node)


def entries_of(site: SiteFields) -> Iterator[Placed[ServerFields | str]]:
    """Every place where a site lists a server."""
    yield from site.get("servers", ())
    for instance in site.get("instances", ()):
        yield from instance.value.get("servers", ())


def sites_of(root: Root) -> dict[str, Placed[SiteFields]]:
    """All sites by their names as the tables have them; the first where two have one."""
    found: dict[str, Placed[SiteFields]] = {}
    for name, site in root.get("sites", {}).items():
        found.setdefault(name.lower().removesuffix("."), site)
    return found


def own_name(root: Root) -> str | None:
    """This appliance's name; None where what is written is none."""
    section = root.get("appliance", {})
    return section["name"] or socket.gethostname() if "name" in section else None


def check_references(root: Root, faults: Faults) -> None:
    """Note what is named and not there, and warn of what is there and not named."""
    known: dict[str, Mapping[str, Placed[Any]]] = {
        section: root[section] for section in ("pools", "servers", "client_nat", "probes") if section in root
    }
    known["sites"] = sites_of(root)
    used: dict[str, set[str]] = {section: set() for section in _WORDS}
    for section, place in _references(root):
        used[section].add(place.value)
        if section in known and place.value not in known[section]:
            faults.add(place.node, _unknown(section, place.value, known[section], faults))
    for section, there_are in known.items():
        for name, there in there_are.items():
            if section in _UNUSED and name not in used[section]:
                faults.warn(there.node, _UNUSED[section])
    _check_one_name(root, faults)


def _references(root: Root) -> Iterator[tuple[str, Placed[str]]]:
    """Each name of something, with the section where that has to be."""
    for site in root.get("sites", {}).values():
        pool = site.value.get("pool")
        if pool is not None:
            yield "pools", pool
        nat = site.value.get("client_nat")
        if nat is not None:
            yield "client_nat", nat
        backups = [site.value.get("backup")]
        backups += [instance.value.get("backup") for instance in site.value.get("instances", ())]
        for other in backups:
            if other is not None:
                yield "sites", other
        for entry in entries_of(site.value):
            if isinstance(entry.value, str):
                yield "servers", Placed(entry.value, entry.node)
    for server in all_servers(root):
        backup = server.fields.get("backup")
        if backup is not None:
            yield "servers", backup
        for probe in server.fields.get("probes", ()):
            yield "probes", probe
    for customer in root.get("delivery", {}).values():
        for origin in customer.value.get("origins", ()):
            yield "servers", origin
    capacity = root.get("market", {}).get("capacity")
    for counted in capacity.value.get("servers", ()) if capacity is not None else ():
        yield "servers", counted


def _unknown(section: str, name: str, known: Mapping[str, Any], faults: Faults) -> str:
    near = faults.did_you_mean(name, known.keys())
    some = ", ".join(list(known)[:5]) + (", ..." if len(known) > 5 else "")
    there = "" if near else f"; there is {some}" if known else f"; {section} has none"
    return f"unknown {_WORDS[section]} '{shorten(name)}'{near or there}"


def _check_one_name(root: Root, faults: Faults) -> None:
    """Connections, limits and states are counted by a server's name, so that it stands for one server in one form."""
    seen: dict[str, tuple[tuple[Server, tuple[str, ...]], Node]] = {}
    for written in all_servers(root):
        if written.name is None or not is_whole(written.fields):
            continue
        probes = tuple(each.value for each in written.fields["probes"])
        made = made_server(written.name, {**written.fields, "probes": ()}, {}), probes
        before, node = seen.setdefault(written.name, (made, written.node))
        if before != made:
            other = f"{node.path} (line {node.line})"
            hint = "list it once in 'servers', and name it here"
            faults.add(written.node, f"'{shorten(written.name)}' is {other} as well, with other keys; {hint}")
