"""
What people and programs may ask about balancing and client NAT pools; nothing here changes anything.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from appliance.balancing import Administrative, ClientRow, Operational, Override, VirtualRow, VirtualState
from appliance.control.delivered import Delivered
from appliance.control.subjects import Subject, Subjects
from appliance.control.words import Row, client_place, few, virtual_place
from appliance.model import Address, NatPool, Transport
from appliance.ports import Level, Pairs
from appliance.shared import SharedState
from appliance.views import client_row, nat_pool_row, server_row, span, virtual_row

MOST_LOOKED_AT = 64
"""Addresses of client NAT pools that a look at the alarms tries, or one of each: a fraction of a millisecond."""
MOST_NAMED = 8
"""Failed servers, and failed virtual servers, that an alarm names; the rest is counted."""

Wall = Callable[[float], float]


class Carried:
    """
    :param unix: makes what turns an instant of the process's clock into Unix time.
    :param absent: says which of some addresses the host has not.
    """

    def __init__(
        self,
        state: SharedState,
        unix: Callable[[], Wall],
        absent: Callable[[Iterable[IPv4Address]], Sequence[IPv4Address]] = lambda addresses: (),
    ) -> None:
        self._state = state
        self._carrying = state.carrying
        self._unix = unix
        self._absent = absent
        self._subjects = Subjects(state)
        self._delivered = Delivered(state, unix)

    # -- lists -----------------------------------------------------------------------------------------------------

    def virtuals(self, *, name: str = "", after: str = "", limit: int) -> list[Row]:
        """
        Virtual servers by site, bind id and port; O(all of them).

        :param name: only these, as a person names them; :class:`Subjects` has the rules.
        :param after: only what comes after the one of this name.
        :raises RequestError: there are no such ones.
        """
        wanted = self._subjects.virtual(name) if name else None
        return self.virtuals_of(wanted, after=after, limit=limit)

    def virtuals_of(self, wanted: Subject | None, *, after: str = "", limit: int) -> list[Row]:
        """As :meth:`virtuals`."""
        bound = virtual_place(after) if after else None
        found = (
            row
            for row in self._carrying.virtuals()
            if (wanted is None or wanted.covers(row.name)) and (bound is None or virtual_place(row.name) > bound)
        )
        chosen = heapq.nsmallest(limit, found, key=lambda row: virtual_place(row.name))
        overrides = self._by_subject()
        return [virtual_row(row, overrides_of(row, overrides), self._addresses(row.site)) for row in chosen]

    def servers(self, *, name: str = "", after: str = "", limit: int) -> list[Row]:
        """
        Real servers by name; O(all of them).

        :param name: only this one.
        :raises RequestError: there is no such one.
        """
        return self.servers_of(self._subjects.real(name) if name else None, after=after, limit=limit)

    def servers_of(self, wanted: Subject | None, *, after: str = "", limit: int) -> list[Row]:
        """As :meth:`servers`."""
        found = (
            row for row in self._carrying.servers() if row.name > after and (wanted is None or row.name == wanted.name)
        )
        chosen = heapq.nsmallest(limit, found, key=lambda row: row.name)
        overrides, now, unix = self._by_subject(), self._state.now(), self._unix()
        return [
            {
                **server_row(row, overrides.get(f"server {row.name}", ()), now, unix),
                **self._delivered.checked(row.name),
            }
            for row in chosen
        ]

    def clients(self, *, after: str = "", limit: int) -> list[Row]:
        """
        Who is assigned to what, by virtual server and client.

        Those of the file that a person took out are here too.

        :param after: only what comes after this row, given as its ``virtual client``.
        """
        bound = client_place(after) if after else None
        rows = self._carrying.clients(virtual_place, bound, limit)
        count = len(rows)
        rows += [taken_out(each) for each in self._carrying.overrides() if each.value == "unassigned"]
        placed = ((place_of_client(row), index) for index, row in enumerate(rows))
        chosen = heapq.nsmallest(limit, (each for each in placed if bound is None or each[0] > bound))
        # Those of bind id 0 compete whatever its state.
        out = {
            row.name for row in self._carrying.virtuals() if row.bind_id and row.state is VirtualState.OUT_OF_SERVICE
        }
        now, unix = self._state.now(), self._unix()
        found = []
        for _, index in chosen:
            state = "not-in-use" if rows[index].virtual in out else "in-use"
            found.append(client_row(rows[index], state if index < count else "unassigned", now, unix))
        return found

    def nat_pools(self) -> list[Row]:
        """Each client NAT pool, once for TCP and once for UDP."""
        unix = self._unix()
        return [nat_pool_row(pool, transport, counts, unix) for pool, transport, counts in self._carrying.nat_pools()]

    def overrides(self, *, limit: int) -> list[Row]:
        """What persons have changed, and what the file says of it; the first ones."""
        return [
            {name: getattr(each, name) for name in ("subject", "setting", "value", "configured")}
            for each in itertools.islice(self._state.overrides.current(), limit)
        ]

    # -- what is wrong ---------------------------------------------------------------------------------------------

    def alarms(self) -> list[str]:
        """
        Failed servers, failed virtual servers, and client NAT pools with little left, or that are not on this host.

        What a person took out of service is no alarm.
        """
        found: list[str] = []
        if self._carrying.failing:
            found = few("server", self._failed_servers(), MOST_NAMED)
            failed = [row.name for row in self._carrying.virtuals() if row.state is VirtualState.FAILED]
            why = "failed: nothing that is available to it takes new connections"
            found += few("virtual server", [(name, why) for name in failed], MOST_NAMED)
        now = self._state.now()
        rows = self._carrying.nat_pools()
        for config, transport, counts in rows:
            if transport is Transport.TCP:  # they are the same for UDP
                found += self._nowhere(config, max(1, 2 * MOST_LOOKED_AT // len(rows)))
            pool = f"client NAT pool {config.name}, {transport.value}"
            if counts.level is Level.EXHAUSTED:
                since = span(now - counts.since)
                found.append(f"{pool}: exhausted for {since}; {counts.refusals} connections were refused so far")
            elif counts.level is Level.LOW:
                found.append(f"{pool}: low; {counts.taken} pairs in use, {counts.resting} rest, {counts.free} free")
        return found

    def _nowhere(self, pool: NatPool, most: int) -> Iterator[str]:
        """Connections that would come from these, of the first ``most``, are refused."""
        addresses = Pairs(pool).addresses()
        looked_at = list(itertools.islice(addresses, most))
        absent = self._absent(looked_at)
        if absent:
            first = "" if next(addresses, None) is None else "first "
            yield (
                f"client NAT pool {pool.name}: {len(absent)} of its {first}{len(looked_at)} addresses are not on this "
                f"host, {absent[0]} among them: connections cannot come from there; add them to an interface, or take "
                "them out of the pool"
            )

    def _failed_servers(self) -> list[tuple[str, str]]:
        failed = []
        for row in self._carrying.servers():
            if row.administrative is not Administrative.IN_SERVICE or row.leaving:
                continue
            why = f" ({row.failure})" if row.failure else ""
            if row.operational is Operational.FAILED:
                text = f"failed, {row.ditched} ditched in a row{why}; tested in {span(row.retried_in or 0.0)}"
                failed.append((row.name, text if row.retried_in is not None else f"failed, {row.failure}"))
            elif row.operational is Operational.TESTING:
                failed.append((row.name, f"failed{why}, and is tested with the next connection"))
        return failed

    # -- inside ----------------------------------------------------------------------------------------------------

    def _by_subject(self) -> Mapping[str, Sequence[Override]]:
        found: dict[str, list[Override]] = {}
        for override in self._carrying.overrides():
            found.setdefault(override.subject, []).append(override)
        return found

    def _addresses(self, site: str) -> list[Address]:
        """Where clients of a site are sent now."""
        state = self._state
        pin, known = state.pins.of(site), state.sites.get(site)
        table = state.tables().get(known.pool) if known is not None else None
        pinned = [pin.address] if pin is not None and pin.standing else []
        return [*pinned, *(lease.address for lease in (table.answered(site) if table is not None else ()))]


def overrides_of(row: VirtualRow, by_subject: Mapping[str, Sequence[Override]]) -> Iterable[Override]:
    """What was changed about one virtual server, after what was changed about all ports of its bind id."""
    yield from by_subject.get(f"virtual {row.site}:0:{row.bind_id}", ())
    if row.transport is Transport.UDP:
        yield from by_subject.get(f"virtual {row.site}:0/udp:{row.bind_id}", ())
    yield from by_subject.get(f"virtual {row.name}", ())


def taken_out(override: Override) -> ClientRow:
    """The assignment of the file that a person took out."""
    client = IPv4Network(override.setting.removeprefix("client "))
    return ClientRow(client=client, virtual=override.subject.removeprefix("virtual "), by="by hand", ends_in=math.inf)


def place_of_client(row: ClientRow) -> tuple[tuple[str, int, int, bool], int, int]:
    """Where it stands in the list; :func:`client_place` says the same of text."""
    return virtual_place(row.virtual), int(row.client.network_address), row.client.prefixlen
