"""
Loops of traffic: a server that is the appliance itself.  Those inside pools are found with the addresses of pools.

What is found is where a connection would end, so the port counts: another program of this host may be a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from appliance.config.backups import backups_of, first_along
from appliance.config.faults import Faults
from appliance.config.listening import Listener, listeners
from appliance.config.references import all_servers
from appliance.config.schema import Root
from appliance.config.servers import ServerFields
from appliance.config.shapes import Placed
from appliance.model import Endpoint, Service

_LOOP = "traffic to it would come back to the appliance"


def check_forwarding(root: Root, faults: Faults) -> None:
    """
    Note which servers, backups included, are where the name server or the manhole listens.

    A server with a port of its own is one fault; without, it is one wherever services lead to such a port.
    """
    doors = list(listeners(root))
    for written in all_servers(root):
        place, port = written.fields.get("address"), written.fields.get("port")
        if place is None or not port:
            continue
        for door in doors:
            if door.endpoint.port == port and _is_at(door, place.value):
                faults.add(place.node, f"server {Endpoint(place.value, port)} is where {_listens(door)}; {_LOOP}")
                break
    _Portless(root, doors).check(faults)


class _Portless:
    """The servers without a port of their own whose address is a listener's: where they listen, the services say."""

    def __init__(self, root: Root, doors: list[Listener]) -> None:
        self._root = root
        self._doors = doors
        named = root.get("servers", {})
        self._named: Mapping[str, Placed[ServerFields]] = named
        self._backups = {name: place.value for name, place in backups_of(named).items()}
        suspects = frozenset(name for name, server in named.items() if self._is_suspect(server.value))
        self._first = first_along(self._backups, suspects)

    def check(self, faults: Faults) -> None:
        for site in self._root.get("sites", {}).values():
            services = site.value.get("services", ())
            self._check_list(site.value.get("servers", ()), services, faults)
            for instance in site.value.get("instances", ()):
                own = (instance.value if "services" in instance.node.entries else site.value).get("services", ())
                self._check_list(instance.value.get("servers", ()), own, faults)

    def _check_list(
        self,
        entries: tuple[Placed[ServerFields | str], ...],
        services: tuple[Placed[Service], ...],
        faults: Faults,
    ) -> None:
        for entry in entries:
            for who, server in self._reached(entry.value):
                address = server["address"].value
                for door in self._doors:
                    if _is_at(door, address) and any(_leads_to(service.value, door) for service in services):
                        where = Endpoint(address, door.endpoint.port)
                        faults.add(entry.node, f"{who} at {where} is where {_listens(door)}; {_LOOP}")

    def _reached(self, written: ServerFields | str) -> Iterator[tuple[str, ServerFields]]:
        """An entry and its backups, as far as they are suspects; what to call each."""
        if not isinstance(written, str):
            if self._is_suspect(written):
                yield "the server", written
            backup = written.get("backup")
            name = backup.value if backup is not None else ""
        else:
            name = written
        seen: set[str] = set()
        at = self._first.get(name)
        while at is not None and at not in seen:
            seen.add(at)
            yield f"the {'server' if at == written else 'backup'} '{at}'", self._named[at].value
            at = self._first.get(self._backups.get(at, ""))

    def _is_suspect(self, server: ServerFields) -> bool:
        if "address" not in server or server.get("port") != 0:
            return False
        return any(_is_at(door, server["address"].value) for door in self._doors)


def _leads_to(service: Service, door: Listener) -> bool:
    last = service.target(service.last_port)
    return service.transport in door.transports and service.to <= door.endpoint.port <= last


def _is_at(door: Listener, address: IPv4Address | IPv6Address) -> bool:
    """Of a wildcard's addresses only the loopback ones are known here."""
    plain = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
    return door.endpoint.address == plain or (door.endpoint.address.is_unspecified and plain.is_loopback)


def _listens(door: Listener) -> str:
    return f"the appliance itself listens, {door}"
