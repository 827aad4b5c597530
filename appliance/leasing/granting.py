"""
New leases: for whom, at which address, towards which server.

A grant is planned, opened, committed - from then on nobody else gets the address - and confirmed when it is on the
disk, or undone when it cannot be.  Until then it is *pending*: not answered, not told of.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.events import Event, LeaseDraining, State
from appliance.leasing.book import Book
from appliance.leasing.lease import NEVER, Lease, Plan, Promise
from appliance.model import Address, Keys, Server, Site, joined

DECLINED_FOR = 600.0
"""
How long an address whose data path failed is left alone, and never shorter than it would have cooled.  (Kea: 24 h, but
there a person must look first.)
"""

ANOTHER_FROM = 0.5
"""
Connections in the last base period, decayed, that each address of a site must have had before it gets another (1.5);
a live one will do too.  One connection counts as much until two thirds of a base period have gone.
"""


class Granting:
    """The part of a lease table that makes leases."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._keys: dict[str, Keys] = {}

    def wants_another(self, site: Site, now: float) -> bool:
        """
        Is ``site`` due one more address, beside those that it has (1.5)?

        While the pool is adequate, nobody waits, a server has none, and all that it has are in demand.
        """
        if site.addresses <= 1:
            return False
        book = self._book
        leases = [lease for lease in book.of(site.name) if lease.state in (State.OFFERED, State.BOUND)]
        if not 0 < len(leases) < site.addresses or book.pressure() < 1.0 or not book.waiting.is_empty(now):
            return False
        if not book.addresses.available(site.keys):
            return False
        return not any(lease.pending or not self._is_busy(lease, now) for lease in leases)

    def _is_busy(self, lease: Lease, now: float) -> bool:
        book = self._book
        return book.is_connected(lease) or lease.recent_requests(now, book.pool.periods) >= ANOTHER_FROM

    def has_room(self, site: Site, now: float) -> bool:
        """Would :meth:`plan` find an address for ``site``?  Changes nothing."""
        if not self._servers(site, now):
            return False
        former = self._former(site, now)
        if (former is None or self._book.is_spent(former)) and not self._is_turn(site, now, own=former is not None):
            return False
        return former is not None or self._pick(site, now) is not None

    def plan(self, site: Site, now: float) -> Plan | None:
        """
        Choose an address for a newcomer, and its server.

        The address is its former one where that is its own still or free, else the fullest that it fits on (1.12), else
        the longest free.  Sites that were refused in the last 30 s go first.  A site takes its own cooling address back
        at once (1.11), but one whose leases saw no connection for as many renewals as are allowed stands behind those
        who wait.

        :return: None when the site has to wait (it is now remembered as waiting), or can open none of the free ones.
        """
        book, periods = self._book, self._book.pool.periods
        servers: Sequence[Server] = site.servers
        former = None
        if book.of(site.name):
            servers = self._servers(site, now)
            if not servers:
                return None
            former = self._former(site, now)
        if (former is None or book.is_spent(former)) and not self._is_turn(site, now, own=former is not None):
            book.waiting.refuse(site.name, now)
            self._keys[site.name] = site.keys
            return None
        address = former.address if former is not None else self._pick(site, now)
        if address is None:
            return None
        server = servers[0]
        if former is not None:
            server = next((one for one in servers if one.name == former.server), server)
        bound = (address, site.name) in book.connections
        requests = former.recent_requests(now, periods) if former is not None else 0.0
        ttl = book.span(requests, offered=not bound)
        promised_until = max(now + ttl, former.promised_until if former is not None else now)
        keys = site.keys if former is None else joined(site.keys, former.keys)
        lease = Lease(
            site=site.name,
            address=address,
            server=server.name,
            weight=server.weight,
            keys=keys,
            granted_at=now,
            promised_until=promised_until,
            ends_at=promised_until + periods.grace,
            state=State.BOUND if bound else State.OFFERED,
            longest=max(ttl, former.longest) if former is not None else ttl,
            # Leases in a row that nobody connects to are counted through, or a name that only a prefetching
            # resolver asks for would keep its address from those who wait.
            unused=former.unused + 1 if former is not None and not bound and not book.is_spent(former) else 0,
            counted_at=now,
            requests=requests,
            requested_at=now,
            pending=True,
            drain_timeout=site.timeouts.drain,
        )
        return Plan(lease, now, ttl, former, site.keys)

    def commit(self, plan: Plan, *, asked_by: int, proven: bool) -> Lease:
        """
        Make a plan true; nothing may have changed this table since it was made.

        :param asked_by: the asker's prefix, see :func:`~appliance.leasing.gates.prefix_of`; 0 for nobody.
        :return: the lease, pending.
        """
        book, lease = self._book, plan.lease
        if plan.former is not None:
            book.withdraw_offer(plan.former)
            if lease.keys is not plan.keys:
                book.give_up_keys(plan.former, plan.keys)
        if asked_by and lease.state is State.OFFERED:
            lease.asked_by, lease.proven = asked_by, proven
            book.gates.offered(asked_by)
        book.add(lease, plan.former)
        if book.left:
            book.left.discard(plan.site)
        if book.waiting:
            book.waiting.leave(plan.site)
            self._keys.pop(plan.site, None)
        return lease

    def confirm(self, plan: Plan, lease: Lease, now: float) -> Promise | None:
        """
        The grant cannot be lost any more: it may be answered.

        Its promise counts from now, as far as the disk knows of it.

        :return: None when the disk took so long that not a second is left of it, or its site cannot have it any more.
        """
        lease.pending = False
        if lease.given_up:
            return None
        if now == plan.at:
            return Promise(lease.address, plan.ttl, now + plan.ttl)
        left = min(plan.ttl, int(lease.horizon - now)) if lease.horizon != NEVER else plan.ttl
        if left < 1 or lease.gone:
            return None
        self._book.promise(lease, left, now)
        return Promise(lease.address, left, now + left)

    def undo(self, plan: Plan, lease: Lease, now: float) -> list[Event]:
        """
        The grant could not be recorded: nobody was told, so all is as it was.

        :return: what became of the address.
        """
        book = self._book
        lease.pending = False
        if lease.gone:
            return []
        book.withdraw_offer(lease)
        if plan.former is not None:
            book.put_back(plan.former, lease)
            return []
        if book.is_connected(lease):
            # Somebody who was not told found it all the same; it runs out like any lease.
            lease.state = State.DRAINING
            return [LeaseDraining(at=now, lease=book.record(lease, now), reason="the grant could not be recorded")]
        return [book.release(lease, now, at_front=True)]

    def decline(self, plan: Plan, *, by_all: bool) -> float:
        """
        The data path of a plan could not be opened: leave its address alone for a while.

        An own cooling address cools on, with the data path that stands; the site will not try to take it up again.

        :param by_all: no site may have it; else only this one may not.
        :return: until when.
        """
        book = self._book
        until = plan.at + max(DECLINED_FOR, book.pool.periods.cooling)
        if plan.former is not None:
            plan.former.given_up = True
            return plan.former.ends_at
        if by_all and not book.addresses.holders(plan.address):
            book.deadlines.add(until, book.addresses.decline(plan.address, until))
        else:
            book.avoided.avoid(plan.site, plan.address, until)
        return until

    def forget(self, site: str) -> None:
        """It is no longer configured here."""
        for address in self._book.former.pop(site, ()):
            self._book.last.pop(int(address), None)
        if self._book.of(site):
            self._book.left.add(site)
        self._book.waiting.leave(site)
        self._book.avoided.forget(site)
        self._keys.pop(site, None)

    def is_at_its_end(self, lease: Lease, now: float) -> bool:
        """Not renewed any more, and less than a second left of it: a query for it is a newcomer's."""
        return not lease.pending and self._book.is_spent(lease) and lease.promised_until - now < 1.0

    # -- inside ----------------------------------------------------------------------------------------------------

    def _servers(self, site: Site, now: float) -> Sequence[Server]:
        """Those without an address, in the order of the configuration; none when the site has all that it may have."""
        taken = [
            lease.server
            for lease in self._book.of(site.name)
            if lease.state in (State.OFFERED, State.BOUND) and not self.is_at_its_end(lease, now)
        ]
        if not taken:
            return site.servers
        if len(taken) >= site.addresses:
            return []
        return [server for server in site.servers if server.name not in taken] or list(site.servers)

    def _former(self, site: Site, now: float) -> Lease | None:
        """The lease that ``site`` may take up again: its own where it is at its end, drains, or cools."""
        for lease in reversed(self._book.of(site.name)):
            if lease.given_up or lease.pending or lease.address not in self._book.addresses:
                continue
            if lease.state in (State.OFFERED, State.BOUND) and not self.is_at_its_end(lease, now):
                continue
            neighbours = (other for other in self._book.addresses.holders(lease.address) if other is not lease)
            if all(other.keys.isdisjoint(site.keys) for other in neighbours):
                return lease
        return None

    def _is_turn(self, site: Site, now: float, *, own: bool) -> bool:
        book = self._book
        if not book.waiting:
            return bool(own or book.addresses.free_count() or book.addresses.available(site.keys))
        available = book.addresses.available(site.keys) + own
        if not book.pool.share_by_service:
            return book.waiting.is_turn(site.name, available, now)

        def competes(other: str) -> bool:
            keys = self._keys.get(other, site.keys)
            return not keys.isdisjoint(site.keys) and book.addresses.available(keys) > 0

        return book.waiting.is_turn(site.name, available, now, competes)

    def _pick(self, site: Site, now: float) -> Address | None:
        book = self._book
        return book.addresses.pick(site.keys, book.former.get(site.name, ()), book.avoided.of(site.name, now))
