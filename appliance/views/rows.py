"""
What the tables hold, as one dict a row.

Pure: rows are made of what is handed in.  Leases and pools are known here by the few attributes that are shown, so that
no sibling room is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from appliance.model import Address, Pool, Site

Row = dict[str, Any]


class _State(Protocol):
    @property
    def value(self) -> str: ...


class _Lease(Protocol):
    @property
    def site(self) -> str: ...
    @property
    def address(self) -> Address: ...
    @property
    def granted_at(self) -> float: ...
    @property
    def promised_until(self) -> float: ...
    @property
    def ends_at(self) -> float: ...
    @property
    def retired(self) -> bool: ...
    @property
    def unused(self) -> int: ...
    @property
    def state(self) -> _State: ...


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


def lease_rows(leases: Iterable[_Lease], connections: Callable[[Address, str], int], now: float) -> list[Row]:
    """
    One row a lease, cooling ones included, by address.  Times are seconds from now; negative ones are past.

    :param connections: how many live connections a site has at an address.
    """
    rows = [
        {
            "address": str(lease.address),
            "site": lease.site,
            "state": "draining" if lease.retired and lease.state.value != "cooling" else lease.state.value,
            "age": round(now - lease.granted_at, 1),
            "promised_for": round(lease.promised_until - now, 1),
            "ends_in": round(lease.ends_at - now, 1),
            "connections": connections(lease.address, lease.site),
            "unused_renewals": lease.unused,
        }
        for lease in sorted(leases, key=lambda lease: lease.address)
    ]
    return rows


def pool_rows(counts: Mapping[str, _Counts], pressures: Mapping[str, float], pools: Mapping[str, Pool]) -> list[Row]:
    """One row a pool; ``period`` is its base."""
    return [
        {
            "pool": name,
            "addresses": count.all,
            "free": count.free,
            "leased": count.leased,
            "cooling": count.cooling,
            "declined": count.declined,
            "waiting": count.waiting,
            "pressure": round(pressures[name], 2),
            "period": pools[name].periods.base if name in pools else "leaving",
        }
        for name, count in counts.items()
    ]


def site_rows(sites: Iterable[Site], leases: Mapping[str, _Lease], now: float) -> list[Row]:
    """One row a site, in the order of the configuration."""
    rows = []
    for site in sites:
        lease = leases.get(site.name)
        rows.append(
            {
                "site": site.name,
                "pool": site.pool,
                "address": str(lease.address) if lease else "-",
                "ends_in": round(lease.ends_at - now, 1) if lease else "-",
                "server": f"{site.server.name} ({site.server.address})",
                "aliases": " ".join(site.aliases) or "-",
            }
        )
    return rows
