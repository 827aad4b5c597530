"""
Who waits, and who goes when there is room (5.6).

A place that gets free, a server that comes back, a limit that is raised: whatever makes room asks here, and whoever can
go goes at once, so that nobody who comes later overtakes, and nobody is left waiting beside a server that has room
(HAProxy issues 6 and 2893 are two ways of leaving them).  When nothing is left to wait for, those who wait are refused.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

from appliance.balancing.affinity import Affinity
from appliance.balancing.choosing import choose, may_wait
from appliance.balancing.events import QueueFull
from appliance.balancing.real import Real
from appliance.balancing.ticket import State, Ticket
from appliance.balancing.values import Decision, Refused, Route, VirtualState, Wait, Why
from appliance.balancing.virtual import Need, Virtual
from appliance.events import Event
from appliance.model import UDP_KEYS


class Queues:
    """
    The tickets that wait, and all that gives a ticket a server.

    :param tell: is given what happened.
    :ivar ready: what became of those who waited, and was not returned to anybody yet.
    """

    def __init__(self, affinity: Affinity, tell: Callable[[Event], None]) -> None:
        self._affinity = affinity
        self._tell = tell
        self._came = 0
        self.ready: list[Decision] = []

    # -- one ticket ------------------------------------------------------------------------------------------------

    def give(self, ticket: Ticket, real: Real, now: float) -> Route:
        """``ticket`` goes to ``real``, which has room."""
        virtual = ticket.virtual
        ticket.real = real
        ticket.state = State.OPENING
        ticket.attempts = 1
        ticket.dialled_at = now
        virtual.live += 1
        if real.limit == 0.0 and real.is_testable():
            real.test = ticket
        real.take()
        if virtual.special:
            port = virtual.section.place.port(ticket.key)
            self._affinity.given(ticket, port.buddies if port is not None else None)
        return route_of(ticket, real, 0.0)

    def place(self, ticket: Ticket, company: Real | None, now: float) -> Route | Wait | Refused:
        """Find a server for ``ticket``, which has none and waits nowhere; or let it wait, or refuse it."""
        virtual = ticket.virtual
        real = choose(virtual, ticket.client, ticket.tried, company, now)
        if real is not None:
            return self.give(ticket, real, now)
        section = virtual.section
        if not may_wait(virtual, ticket.tried, company):
            return self.refuse(ticket, Why.UNREACHABLE if ticket.tried else Why.FAILED, now)
        if section.waiting < section.places:
            section.full = False
            self._enter(ticket, company)
            return Wait(ticket)
        if company is not None:
            ticket.buddy = 0
            return self.place(ticket, None, now)
        if virtual.state is VirtualState.FAILED:
            return self.refuse(ticket, Why.FAILED, now)
        if section.places and not section.full:
            section.full = True
            self._tell(QueueFull(at=now, virtual=virtual.name))
        return self.refuse(ticket, Why.BUSY, now)

    def refuse(self, ticket: Ticket, why: Why, now: float) -> Refused:
        """It is over."""
        ticket.state = State.OVER
        self._affinity.ended(ticket, now)
        return Refused(why, ticket)

    def leave(self, ticket: Ticket) -> None:
        """``ticket`` waits no more."""
        need = ticket.need
        assert need is not None, "it waits"
        ticket.need = None
        del need.tickets[ticket]
        virtual = need.virtual
        virtual.section.waiting -= 1
        if not need.tickets:
            del virtual.needs[need.tried, need.company]
            for real in virtual.reach:
                real.hungry.pop(need, None)

    def _enter(self, ticket: Ticket, company: Real | None) -> None:
        virtual = ticket.virtual
        ticket.state = State.WAITING
        ticket.real = None
        ticket.attempts = 0
        need = virtual.needs.get((ticket.tried, company))
        if need is None:
            need = virtual.needs[ticket.tried, company] = Need(virtual, ticket.tried, company)
            for real in virtual.reach:
                real.hungry[need] = None
        self._came += 1
        ticket.need = need
        need.tickets[ticket] = self._came
        virtual.section.waiting += 1

    # -- all -------------------------------------------------------------------------------------------------------

    def room_at(self, real: Real, now: float) -> None:
        """``real`` may take another connection."""
        if real.hungry:
            self._serve(list(real.hungry), now)

    def look_at(self, virtuals: Iterable[Virtual], now: float) -> None:
        """What these may use has changed."""
        self._serve([need for virtual in virtuals for need in virtual.needs.values()], now)

    def orphans(self, virtuals: Iterable[Virtual]) -> list[Ticket]:
        """Take out all who wait for these, which are there no more; those who came first, first."""
        needs = [need for virtual in virtuals for need in virtual.needs.values()]
        waiting = [(came, ticket) for need in needs for ticket, came in need.tickets.items()]
        for _, ticket in waiting:
            self.leave(ticket)
        return [ticket for _, ticket in sorted(waiting, key=lambda each: each[0])]

    def flush(self) -> Sequence[Decision]:
        """What became of those who waited, since the last call, and still holds."""
        if not self.ready:
            return ()
        ready, self.ready = self.ready, []
        return [each for each in ready if isinstance(each, Refused) or each.ticket.state is State.OPENING]

    def _serve(self, needs: list[Need], now: float) -> None:
        """Let go who can, in their turn; those for whom there is nothing left are refused."""
        turns = [(need.turn(), index) for index, need in enumerate(needs)]
        heapq.heapify(turns)
        while turns:
            _, index = turns[0]
            need = needs[index]
            ticket = next(iter(need.tickets))
            real = choose(need.virtual, ticket.client, need.tried, need.company, now)
            if real is not None:
                self.leave(ticket)
                ticket.buddy = ticket.buddy if real is need.company else 0
                self.ready.append(self.give(ticket, real, now))
            elif not may_wait(need.virtual, need.tried, need.company):
                self.leave(ticket)
                why = Why.UNREACHABLE if need.tried else Why.FAILED
                self.ready.append(self.refuse(ticket, why, now))
            else:
                heapq.heappop(turns)
                continue
            if need.tickets:
                heapq.heapreplace(turns, (need.turn(), index))
            else:
                heapq.heappop(turns)


def route_of(ticket: Ticket, real: Real, after: float) -> Route:
    """The way from the ticket's port to ``real``."""
    port = real.port or (ticket.key & UDP_KEYS - 1) + ticket.virtual.reach[real]
    return Route(ticket, real.server, real.host, port, after)


def port_at(ticket: Ticket, real: Real) -> int:
    """Where the ticket's port leads at ``real``, which has none of its own; some port, where it is not reached now."""
    return (ticket.key & UDP_KEYS - 1) + ticket.virtual.reach.get(real, 0)
