"""
What the tables hold, as one dict a row, with the field names of the API.

Pure: rows are made of what is handed in.  Leases, pins and pools are known here by the few attributes that are shown,
so that no sibling room is imported.  Instants come out through ``wall``, which makes Unix time of the process's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from appliance.model import UDP_KEYS, Address, Endpoint, Keys, Pool, Site, runs_of

Row = dict[str, Any]
Wall = Callable[[float], float]


class _State(Protocol):
    @property
    def value(self) -> str: ...


class _Lease(Protocol):
    @property
    def site(self) -> str: ...
    @property
    def address(self) -> Address: ...
    @property
    def server(self) -> str: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def granted_at(self) -> float: ...
    @property
    def promised_until(self) -> float: ...
    @property
    def ends_at(self) -> float: ...
    @property
    def unused(self) -> int: ...
    @property
    def state(self) -> _State: ...


class _Pin(Protocol):
    @property
    def site(self) -> str: ...
    @property
    def address(self) -> Address: ...
    @property
    def static(self) -> bool: ...
    @property
    def since(self) -> float: ...
    @property
    def standing(self) -> bool: ...


class _Flow(Protocol):
    @property
    def transport(self) -> _State: ...
    @property
    def client(self) -> Endpoint: ...
    @property
    def address(self) -> Address: ...
    @property
    def port(self) -> int: ...
    @property
    def site(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def from_client_bytes(self) -> int: ...
    @property
    def from_server_bytes(self) -> int: ...
    @property
    def age(self) -> float: ...
    @property
    def state(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def buddy(self) -> int: ...
    @property
    def bind_id(self) -> int: ...
    @property
    def source(self) -> object: ...
    @property
    def attempts(self) -> int: ...


class _Counts(Protocol):
    @property
    def all(self) -> int: ...
    @property
    def free(self) -> int: ...
    @property
    def leased(self) -> int: ...
    @property
    def cooling(self) -> int: ...
    @property
    def declined(self) -> int: ...
    @property
    def waiting(self) -> int: ...


def lease_row(pool: str, lease: _Lease, connections: int, wall: Wall) -> Row:
    """A lease, cooling ones included."""
    return {
        "address": str(lease.address),
        "site": lease.site,
        "server": lease.server,
        "state": lease.state.value,
        "granted_at": wall(lease.granted_at),
        "promised_until": wall(lease.promised_until),
        "ends_at": wall(lease.ends_at),
        "connections": connections,
        "unused_renewals": lease.unused,
        "pool": pool,
        "keys": ports_of(lease.keys),
    }


def pin_row(pin: _Pin, site: Site, connections: int, wall: Wall) -> Row:
    """An address that a site has for good, in the shape of a lease without an end."""
    return {
        "address": str(pin.address),
        "site": pin.site,
        "server": site.servers[0].name,
        "state": ("static" if pin.static else "pinned") if pin.standing else "waiting",
        "granted_at": wall(pin.since),
        "promised_until": None,
        "ends_at": None,
        "connections": connections,
        "unused_renewals": 0,
        "pool": site.pool or None,
        "keys": ports_of(site.keys),
    }


def pool_row(name: str, count: _Counts, *, pressure: float, used: float, pool: Pool | None) -> Row:
    """
    A pool.

    :param pool: its configuration; None for one that has left it and goes when its last lease is over.
    """
    return {
        "pool": name,
        "addresses": count.all,
        "free": count.free,
        "leased": count.leased,
        "cooling": count.cooling,
        "declined": count.declined,
        "waiting": count.waiting,
        "used": round(used, 3),
        "pressure": round(pressure, 3),
        "period": pool.periods.base if pool is not None else None,
    }


def site_row(site: Site, leases: Sequence[_Lease], pin: _Pin | None, connections: int) -> Row:
    """A site, and the addresses that it is answered with."""
    addresses = [str(pin.address)] if pin is not None and pin.standing else [str(lease.address) for lease in leases]
    states = {lease.state.value for lease in leases}
    return {
        "site": site.name,
        "pool": site.pool or None,
        "addresses": addresses,
        "state": "pinned" if pin is not None and pin.standing else "/".join(sorted(states)) or "-",
        "most_addresses": site.addresses,
        "servers": [server.name for server in site.servers],
        "aliases": list(site.aliases),
        "connections": connections,
    }


class _Schedule(Protocol):
    @property
    def state(self) -> _State: ...
    @property
    def refreshed_at(self) -> float | None: ...
    @property
    def next_at(self) -> float | None: ...


def secondary_row(zone: str, *, primary: str, serial: int | None, schedule: _Schedule, error: str, wall: Wall) -> Row:
    """
    A zone that is transferred in.

    :param serial: of what is held; None for nothing.
    :param error: why the last refresh failed; empty where it did not.
    """
    refreshed_at, next_at = schedule.refreshed_at, schedule.next_at
    return {
        "zone": zone,
        "primary": primary,
        "serial": serial,
        "state": schedule.state.value,
        "refreshed_at": wall(refreshed_at) if refreshed_at is not None else None,
        "next_at": wall(next_at) if next_at is not None else None,
        "error": error or None,
    }


def flow_row(flow: _Flow) -> Row:
    """A connection or UDP session through the NAT; ``source`` is None where the server sees the host's own address."""
    return {
        "number": flow.number,
        "transport": flow.transport.value,
        "client": str(flow.client),
        "address": str(flow.address),
        "port": flow.port,
        "site": flow.site,
        "bind_id": flow.bind_id,
        "server": flow.server or None,
        "source": str(flow.source) if flow.source is not None else None,
        "attempts": flow.attempts,
        "buddy": flow.buddy or None,
        "from_client_bytes": flow.from_client_bytes,
        "from_server_bytes": flow.from_server_bytes,
        "age": round(flow.age, 1),
        "state": flow.state,
    }


def ports_of(keys: Keys) -> list[str]:
    """``['80/tcp', '6000-6010/udp']``; runs are put together."""
    shown: list[str] = []
    for first, last in runs_of(keys):
        if first < UDP_KEYS:
            shown.append(_run(first, min(last, UDP_KEYS - 1), "tcp"))
        if last >= UDP_KEYS:
            shown.append(_run(max(first, UDP_KEYS) - UDP_KEYS, last - UDP_KEYS, "udp"))
    return shown


def _run(first: int, last: int, transport: str) -> str:
    return f"{first if first == last else f'{first}-{last}'}/{transport}"
