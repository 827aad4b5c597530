"""
What people and programs may ask of the running process; nothing here changes anything.

The API serves these, the manhole prints them.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, succeed

from appliance.control.carried import Carried
from appliance.control.delivered import Delivered
from appliance.control.explaining import explain
from appliance.control.market import Market, Unused
from appliance.control.words import Row, address_of, in_seconds, is_number, place_of, unix_time
from appliance.errors import RequestError
from appliance.leasing import Lease
from appliance.model import Address, Site
from appliance.shared import SharedState
from appliance.views import flow_row, lease_row, pin_row, pool_row, site_row

Find = Callable[[Address, float | None], Deferred[list[Row]]]

MOST_ROWS = 1000
"""In one answer of the API; the rest comes with ``after``."""


class Transfers(Protocol):
    """What is said of zone transfers."""

    def rows(self, wall: Callable[[float], float]) -> list[Row]:
        """The zones that are transferred in."""

    def troubles(self) -> list[str]:
        """What somebody has to look at."""


class Vitals(Protocol):
    """What is said of the machine and the process."""

    def figures(self) -> Mapping[str, float | None]:
        """Processors, memory, files."""

    def lag(self) -> Mapping[str, float | None]:
        """``p50, p99, worst`` of the last minute, in seconds."""

    def troubles(self) -> list[str]:
        """What somebody has to look at."""


class Carrier(Protocol):
    """What is said of traffic; :class:`appliance.nat.Nat` says it."""

    @property
    def counters(self) -> Any:
        """What could not be carried since the start, an attrs value."""

    def count(self) -> int: ...
    def absent(self, addresses: Iterable[IPv4Address]) -> Sequence[IPv4Address]: ...
    def connections(self, after: int, limit: int) -> Sequence[Any]:
        """As :func:`~appliance.views.flow_row` takes them."""


class Reading:
    """
    :param name: of this appliance.
    :param carrier: the NAT, when it is there.
    :param asked: what the name server was asked and answered since the start, by kind.
    :param find: the history on the disk: rows with ``from`` and ``until`` in milliseconds; None where there is none.
    :param vitals: how busy machine and process are; None: nobody looks.  ``unused``: what of the POP is not needed.
    :param is_reload_slow: a configuration is being read, and should have been long since.
    :ivar refused: the errors of the last reload; none where it was taken over.
    :ivar carried: what is read of servers, virtual servers, clients and client NAT pools; ``market``: of the market.
    :ivar delivered: what is read of POPs, and of customers' names.
    """

    def __init__(
        self,
        state: SharedState,
        *,
        name: str,
        version: str,
        carrier: Callable[[], Carrier],
        asked: Callable[[], Mapping[str, int]],
        find: Find | None,
        wall: Callable[[], float] = time.time,
        transfers: Transfers | None = None,
        vitals: Vitals | None = None,
        unused: Unused | None = None,
        is_reload_slow: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._name = name
        self._version = version
        self._carrier = carrier
        self._asked = asked
        self._find = find
        self._wall = wall
        self._is_reload_slow = is_reload_slow
        self._transfers = transfers
        self._vitals = vitals
        self._started_at = state.now()
        self.refused: list[str] = []
        self.market = Market(unused)
        self.carried = Carried(state, self.unix, lambda addresses: self._carrier().absent(addresses))
        self.delivered = Delivered(state, self.unix)

    def unix(self) -> Callable[[float], float]:
        """From this process's clock to Unix time, as they stand to each other now."""
        offset = self._wall() - self._state.now()
        return lambda instant: round(instant + offset, 3)

    # -- the process -----------------------------------------------------------------------------------------------

    def status(self) -> Row:
        """What this process is, what is wrong with it, and what has happened since it started."""
        state = self._state
        pools = self.pools()
        return {
            "name": self._name,
            "version": self._version,
            "pid": os.getpid(),
            "started_at": self.unix()(self._started_at),
            "uptime": round(state.now() - self._started_at, 1),
            "sites": len(state.sites),
            "addresses": {key: sum(row[key] for row in pools) for key in _SUMS},
            "connections": self._carrier().count(),
            "secondaries": self._transfers.rows(self.unix()) if self._transfers is not None else [],
            "now": self.unix()(state.now()),
            "alarms": self.alarms(),
            "pops": self.delivered.standing(),
            "vitals": dict(self._vitals.figures()) if self._vitals is not None else {},
            "lag": dict(self._vitals.lag()) if self._vitals is not None else {},
            "capacity": self.market.standing(),
            "journal": "failing" if state.failure is not None else "well",
            "overrides": self.carried.overrides(limit=MOST_ROWS),
            "overrides_count": len(state.overrides),
            "dns": dict(sorted(self._asked().items())),
            "grants": dict(sorted(state.denied.items())),
            "nat": {kind: count for kind, count in sorted(attrs.asdict(self._carrier().counters).items()) if count},
            "events": dict(sorted(state.happened.items())),
        }

    def alarms(self) -> list[str]:
        """What somebody has to look at, in words; none while all is well."""
        found = []
        if self._state.failure is not None:
            found.append(f"no new leases: {self._state.failure}")
        if self.refused:
            more = f" (and {len(self.refused) - 1} more)" if len(self.refused) > 1 else ""
            found.append(f"the last reload was refused, and a start would be: {self.refused[0]}{more}")
        if self._is_reload_slow():
            found.append("a reload is reading the configuration for more than a minute; no other begins before it ends")
        for row in self.pools():
            if row["declined"]:
                found.append(f"pool {row['pool']}: {row['declined']} addresses cannot be opened; the log says why")
            if row["waiting"]:
                found.append(f"pool {row['pool']}: {row['waiting']} sites wait for an address")
        for name, table in self._state.tables().items():
            count, until = table.resting()
            if count:
                rest = f"pool {name}: {count} addresses rest for {until - self._state.now():.0f} s more"
                found.append(f"{rest}; they may have been promised before the start")
        found += self._transfers.troubles() if self._transfers is not None else []
        found += self._vitals.troubles() if self._vitals is not None else []
        for pin in self._state.pins:
            if not pin.standing:
                why = pin.trouble or "another site still holds it"
                found.append(f"{pin.address} of {pin.site} cannot be used yet: {why}")
        return found + self.market.alarms() + self.carried.alarms() + self.delivered.alarms()

    # -- lists -----------------------------------------------------------------------------------------------------

    def pools(self) -> list[Row]:
        """Each pool, and how many of its addresses are what."""
        now = self._state.now()
        return [
            pool_row(
                name,
                table.counts(now),
                pressure=table.pressure(),
                used=table.used_fraction(),
                pool=self._state.pools.get(name),
            )
            for name, table in self._state.tables().items()
        ]

    def leases(self, *, after: str = "", limit: int = MOST_ROWS) -> list[Row]:
        """
        Who holds which address until when, by address, pinned ones included; O(n).

        :param after: only what comes after this row, given as its ``address site``.
        """
        bound = place_of(after)
        unix, count = self.unix(), self._state.connections.count
        held: Iterator[tuple[tuple[int, str], Row | tuple[str, Lease]]] = (
            ((int(lease.address), lease.site), (pool, lease))
            for pool, table in self._state.tables().items()
            for lease in table.held()
        )
        pinned = (
            (
                (int(pin.address), pin.site),
                pin_row(pin, self._state.sites[pin.site], count(pin.address, pin.site), unix),
            )
            for pin in self._state.pins
        )
        chosen = heapq.nsmallest(
            limit, (entry for entries in (held, pinned) for entry in entries if entry[0] > bound), key=lambda e: e[0]
        )
        return [
            lease_row(row[0], row[1], count(row[1].address, row[1].site), unix) if isinstance(row, tuple) else row
            for _, row in chosen
        ]

    def sites(self, *, after: str = "", limit: int = MOST_ROWS) -> list[Row]:
        """Each site and the addresses that it is answered with, by name."""
        names = heapq.nsmallest(limit, (name for name in self._state.sites if name > after))
        return [self._site_row(self._state.sites[name]) for name in names]

    def _site_row(self, site: Site) -> Row:
        pin = self._state.pins.of(site.name)
        leases = self._answered(site)
        addresses: list[Address] = [lease.address for lease in leases]
        if pin is not None:
            addresses.append(pin.address)
        count = sum(self._state.connections.count(address, site.name) for address in addresses)
        return site_row(site, leases, pin, count)

    def connections(self, *, after: str = "", limit: int = MOST_ROWS) -> list[Row]:
        """
        What the NAT carries now, by number.

        :param after: only those with a higher number.
        """
        if after and not is_number(after):
            raise RequestError("invalid", f"'{after}' is no number of a connection", field="after")
        return [flow_row(flow) for flow in self._carrier().connections(int(after or 0), limit)]

    def history(self, address: str, at: object = None) -> Deferred[list[Row]]:
        """
        Who has an address and who had it, the newest first.

        :param at: only who had it then, Unix time.
        :raises RequestError: that is no address, or no time.
        """
        wanted, then = address_of(address), None if at is None else unix_time(at)
        unix, now = self.unix(), self._wall()
        current: list[Row] = [
            {
                "address": str(wanted),
                "site": lease.site,
                "server": lease.server,
                "pool": name,
                "from": unix(lease.granted_at),
                "until": None,
                "used": lease.state.value == "bound",
            }
            for name, table in self._state.tables().items()
            for lease in table.holders(wanted)
            if lease.state.value != "cooling"
        ]
        if (pin := self._state.pins.at(wanted)) is not None and pin.standing:
            begun: Row = {"address": str(wanted), "site": pin.site, "server": "", "pool": None, "from": unix(pin.since)}
            used = self._state.connections.count(wanted, pin.site) > 0
            current.append({**begun, "until": None, "used": used})
        current = [row for row in current if then is None or row["from"] <= then <= now]
        if self._find is None:
            if not current:
                raise RequestError("no-state", "appliance.state_directory is 'none': no history is kept")
            return succeed(current)
        past = self._find(wanted, then)
        return past.addCallback(lambda rows: current + [in_seconds(row) for row in rows])

    # -- why -------------------------------------------------------------------------------------------------------

    def explain(self, name: str, rdtype: str = "A", client: str = "") -> Row:
        """
        What would be answered now, and every number behind it.

        :param client: as if that address asked, by a datagram without a cookie; else somebody unknown does.
        :raises RequestError: that is no name, no type or no address.
        """
        return explain(self._state, self.unix(), name, rdtype, client)

    def _answered(self, site: Site) -> Sequence[Lease]:
        table = self._state.tables().get(site.pool)
        return table.answered(site.name) if table is not None else ()


_SUMS = ("addresses", "free", "leased", "cooling", "declined")
