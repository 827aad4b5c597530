"""
How leases end: reset while they are in use, drained, cooled, free again.
"""

from __future__ import annotations

import attrs

from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseDraining,
    LeaseEvent,
    LeaseExtended,
    LeaseReclaimed,
    LeaseReset,
    State,
)
from appliance.leasing.book import Book
from appliance.leasing.lease import NEVER, Declined, Due, Lease, Reach, Surplus, Unshared
from appliance.model import Keys, Server, Site, joined


class Ending:
    """The part of a lease table that ends leases."""

    def __init__(self, book: Book, reach: Reach) -> None:
        self._book = book
        self._reach = reach

    def next_deadline(self) -> float | None:
        """When :meth:`reclaim` is worth calling; never later than the first end."""
        return self._book.deadlines.next()

    def reclaim(self, now: float, *, limit: int) -> list[Event]:
        """
        Do what is due: reset leases that are in use (1.6), cool those that are not, free what has cooled.

        :param limit: most deadlines to look at; more may be due, which :meth:`next_deadline` then says.
        """
        ended = (self._end(item, now) for item in self._book.deadlines.due(now, limit=limit))
        return [event for event in ended if event is not None]

    def _end(self, item: Due, now: float) -> Event | None:
        book = self._book
        if item.gone or item.ends_at > now:
            # It stood in the queue twice, and has been seen to.
            return None
        if isinstance(item, Unshared):
            book.addresses.share(book.pool)
            return None
        if isinstance(item, Surplus):
            book.trim(item)
            return None
        if isinstance(item, Declined) or item.state is State.COOLING:
            return book.release(item, now)
        if item.pending:
            # The disk is slow.  Confirm or undo come soon, and find less than a second left.
            book.postpone(item, now + 1.0)
            return None
        connected = book.is_connected(item)
        if item.state is State.DRAINING:
            if connected and now < item.drain_until != NEVER:
                book.postpone(item, item.drain_until)
                return None
            return self.cool(item, now, connections_end=connected and item.drain_until != NEVER)
        if not connected:
            return self.cool(item, now)
        if self._is_held_long_enough(item, now):
            return self._let_off(item, now)
        ttl = book.span(item.recent_requests(now, book.pool.periods), offered=False)
        book.promise(item, ttl, now)
        book.postpone(item, item.ends_at)
        # The next question is to find that the disk knows of it already.
        self._reach(item, ttl, now)
        return LeaseReset(at=now, lease=book.record(item, now))

    def _is_held_long_enough(self, lease: Lease, now: float) -> bool:
        hold = self._book.pool.periods.hold
        return bool(hold) and now - lease.granted_at >= hold

    def _let_off(self, lease: Lease, now: float) -> Event:
        # Not to be taken up again, or the next question would undo it.
        lease.given_up = True
        return self.drain(lease, now, reason="held for as long as it may be", end_connections=True)

    def let_off(self, site: str, now: float) -> list[Event]:
        """Drain the leases of a site that connections have held for ``hold``, however often it is asked for."""
        if not self._book.pool.periods.hold:
            return []
        return [
            self._let_off(lease, now)
            for lease in self._book.of(site)
            if lease.is_answered() and self._is_held_long_enough(lease, now) and self._book.is_connected(lease)
        ]

    def cool(
        self, lease: Lease, now: float, *, connections_end: bool = False, since: float | None = None, floor: float = 0.0
    ) -> Event:
        """
        It has ended.  Cooling is never shorter than the longest promise, whoever ended the lease before its time.

        :param since: when it ended, where that was not now.
        :param floor: it cools at least until then.
        """
        book = self._book
        book.settle_offer(lease, now, used=False)
        ended_at = now if since is None else since
        book.cool(lease, max(ended_at + max(book.pool.periods.cooling, lease.longest), lease.promised_until, floor))
        return LeaseReclaimed(at=ended_at, lease=book.record(lease, now), connections_end=connections_end)

    def drain(self, lease: Lease, now: float, *, reason: str, end_connections: bool = False) -> Event:
        """
        No more answers from here; it ends when its last promise is over.

        :param end_connections: then it also waits for its connections, which are ended after ``drain_timeout``; else
            they are not waited for, and go on.
        """
        book = self._book
        book.withdraw_offer(lease)
        lease.state = State.DRAINING
        if end_connections:
            lease.drain_until = now + lease.drain_timeout
        book.deadlines.add(max(now, lease.ends_at), lease)
        return LeaseDraining(at=now, lease=book.record(lease, now), reason=reason)

    def give_up(self, lease: Lease, now: float, *, at_once: bool) -> Event:
        """
        A person takes the address from its site, which does not get it back while it drains and cools.

        :param at_once: its connections are to end now.
        """
        lease.given_up = True
        if lease.state is State.COOLING:
            return LeaseExtended(at=now, lease=self._book.record(lease, now))
        self._book.withdraw_offer(lease)
        if at_once:
            return self.cool(lease, now, connections_end=True)
        return self.drain(lease, now, reason="released", end_connections=True)

    def let_go(self, lease: Lease, now: float, reason: str) -> list[LeaseEvent]:
        """The configuration has it no more: it runs out; its connections are not waited for, and go on."""
        if lease.state in (State.DRAINING, State.COOLING):
            return []
        event = self.drain(lease, now, reason=reason)
        assert isinstance(event, LeaseEvent)
        return [event]

    def hand_over(self, lease: Lease, now: float) -> AddressFreed | AddressRemoved:
        """The lease is over without cooling, because its site has the address for good."""
        self._book.withdraw_offer(lease)
        held = self._book.record(lease, now) if lease.state is not State.COOLING else None
        return attrs.evolve(self._book.release(lease, now, at_front=True), held=held)

    def can_become(self, lease: Lease, keys: Keys) -> bool:
        """Is nobody beside it in the way of other keys?"""
        neighbours = self._book.addresses.holders(lease.address)
        return all(other is lease or other.keys.isdisjoint(keys) for other in neighbours)

    def claim(self, lease: Lease, keys: Keys) -> None:
        """More ports are its site's there, whether they are open or not."""
        self._book.addresses.rekey(lease, joined(keys, lease.keys))

    def become(self, lease: Lease, site: Site, server: Server) -> None:
        """
        Its site was configured anew.

        Ports that it has no more are not opened, but stay its own until they have cooled: they were promised with the
        address.
        """
        keys = joined(site.keys, lease.keys)
        if keys is not site.keys or self._book.has_surplus(lease):
            self._book.give_up_keys(lease, site.keys)
        self._book.addresses.rekey(lease, keys)
        lease.server, lease.weight, lease.drain_timeout = server.name, server.weight, site.timeouts.drain
