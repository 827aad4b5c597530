"""Which server a connection goes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from appliance.balancing.board import Board
from appliance.balancing.changing import Changing
from appliance.balancing.choosing import may_wait
from appliance.balancing.queues import port_at, route_of
from appliance.balancing.rows import Shown
from appliance.balancing.ticket import State, Ticket, Tickets
from appliance.balancing.values import (
    Carried,
    Decision,
    Override,
    Refused,
    Route,
    Turned,
    Wait,
    Why,
)
from appliance.events import Event
from appliance.model import UDP_KEYS, Server, Site

_PAUSE = 1.0
"""Seconds between attempts at a server that refuses at once, where there is no other (as in HAProxy)."""
_MOST_HOLDS = 1000
"""Clients that are let go at once: a few milliseconds of work."""

_OPENING, _OPEN, _OVER, _PORT = State.OPENING, State.OPEN, State.OVER, UDP_KEYS - 1


class Balancer(Shown):
    """
    The virtual and real servers of all sites.

    The caller has one :class:`Ticket` for each connection (or UDP session) and says what becomes of it.  ``connected``,
    ``failed``, ``probed``, ``override``, ``restore`` and ``configure`` may make room for those who wait: what becomes
    of them is returned by the next ``ended`` or ``due``, and ``next_deadline`` says so.

    Costs: O(servers of the instance) for a new connection, nothing that grows with connections or clients; O(log n) of
    its assignments where a port has some.  A change of a server, or of the file, costs O(virtual servers concerned).
    """

    def __init__(self) -> None:
        super().__init__(Board())
        self._changing = Changing(self._board)
        self._places = self._board.places
        self._queues = self._board.queues
        self._asked = 0

    # -- a connection ----------------------------------------------------------------------------------------------

    def begin(
        self, site: str, key: int, client: int, now: float, *, home: str | None = None
    ) -> Route | Wait | Turned | Refused:
        """
        A new connection, or the first datagram of a session.

        Whom the port's filter does not admit (5.13) is refused before anything is counted or remembered of it.

        :param client: a packed IPv4 address; with more than 32 bits no IPv4 one.
        :param key: protocol and port that it came to, as :data:`appliance.model.Keys` packs them.
        :param home: name of the server that the leased address was granted for: it is used, while it takes connections
            and has room, where the site may have several addresses (1.5).
        """
        place = self._places.get(site)
        if place is None:
            return Refused(Why.NO_SERVICE)
        port = place.ports.get(key) or place.port(key)
        if port is None:
            return Refused(Why.NO_SERVICE)
        if port.admission is not None and not port.admission.admits(client):
            return Refused(Why.DENIED)
        virtual = port.general if port.simple else self._board.virtual_for(port, client, now, counts=True)
        if virtual.special:
            refusal = virtual.refusal(client)
            if refusal is not None:
                return refusal
        virtual.total += 1
        ticket = Ticket(next(self._board.numbers), virtual, key, client, now)
        if virtual.special:
            self._board.affinity.begun(ticket, place)
            real, company = self._board.wanted(ticket, port, home, now)
            if real is None:
                return self._queues.place(ticket, company, now)
            return self._queues.give(ticket, real, now)
        for tier in virtual.tiers:
            chosen = tier.pick(client, now)
            if chosen is not None:
                # As Queues.give does it.
                ticket.real = chosen
                ticket.state = _OPENING
                ticket.attempts = 1
                virtual.live += 1
                chosen.take()
                to = chosen.port or (key & _PORT) + virtual.reach[chosen]
                return Route(ticket, chosen.server, chosen.host, to, 0.0)
        return self._queues.place(ticket, None, now)

    def connected(self, ticket: Ticket, now: float) -> None:
        """The server has answered: the connection stands.  Of a UDP session: its first reply came."""
        real = ticket.real
        if ticket.state is not _OPENING or real is None:
            raise ValueError(f"a connection that is {ticket.state.value} cannot be opened")
        ticket.state = _OPEN
        real.opening -= 1
        real.answered(now - ticket.dialled_at, now)
        if real.ditched:
            real.succeed()
        if ticket.virtual.several and not real.port:
            real.known_ports.add(port_at(ticket, real))
        if real.test is ticket:
            self._board.passed(real, now)

    def first_byte(self, ticket: Ticket, now: float) -> None:
        """The server has sent something; said once, after :meth:`connected`."""
        real = ticket.real
        if ticket.state is not _OPEN or real is None:
            raise ValueError(f"a connection that is {ticket.state.value} has no first byte")
        real.spoke(now - ticket.dialled_at, now)

    def failed(self, ticket: Ticket, now: float, why: str = "", *, refused: bool = False) -> Route | Wait | Refused:
        """
        An attempt to connect was refused, or not answered in time; where to go now.

        To the same server until it had its ``retries``, then the connection is ditched and goes to another one, never
        to one that has ditched it before (5.8).  A server that is tested has one attempt, and one that takes no new
        connections any more has none left.

        :param why: the attempt did, for people.
        :param refused: the machine answered, that nobody listens at the port.
        """
        real = ticket.real
        if ticket.state is not _OPENING or real is None:
            raise ValueError(f"a connection that is {ticket.state.value} is not being opened")
        spent = now - ticket.dialled_at
        real.answered(max(spent, real.response), now)
        tested = real.test is ticket
        # One that is tested takes none but its test, which has one attempt.
        stays = real.takes() and not ticket.virtual.gone and real in ticket.virtual.reach
        if stays and ticket.attempts < real.server.retries:
            ticket.attempts += 1
            after = max(0.0, _PAUSE - spent) if not may_wait(ticket.virtual, ticket.tried | {real}, None) else 0.0
            ticket.dialled_at = now + after
            return route_of(ticket, real, after)
        self._board.leave(ticket, real, opening=True)
        ticket.tried |= {real}
        ticket.buddy = 0
        ticket.real = None
        exhausted = tested or ticket.attempts >= real.server.retries
        # One of many ports, that it may never have had, says nothing of the others: or a scan would fail the server.
        idle = refused and ticket.virtual.several and not real.port and port_at(ticket, real) not in real.known_ports
        if not idle:
            real.failure = why
        if exhausted and not idle and (real.ditch(ticket.client) or tested):
            # First, for it decides who takes its connections, this one among them.
            self._board.fail(real, now, again=tested)
        decision = self._board.place_anew(ticket, now)
        self._board.emptied(real, now)
        self._queues.room_at(real, now)
        return decision

    def ended(self, ticket: Ticket, now: float, *, received: int = 0, sent: int = 0) -> Sequence[Decision]:
        """
        It is over, whatever its state was; a second call changes nothing.

        :param received: bytes from the client; ``sent``: to it.
        :return: what becomes of those who waited.
        """
        state = ticket.state
        if state is _OVER:
            # It may have been refused, and nobody was told yet.
            self._queues.ready = [each for each in self._queues.ready if each.ticket is not ticket]
            return self._queues.flush()
        ticket.state = _OVER
        place = ticket.virtual.section.place
        if place.watches:
            self._board.conduct.judge(ticket, state, now, received + sent, silent=not received)
        if ticket.ties is not None:
            self._board.affinity.ended(ticket, now)
        real = ticket.real
        if real is None:
            self._queues.leave(ticket)
        else:
            self._board.leave(ticket, real, opening=state is _OPENING)
            if not real.live:
                self._board.emptied(real, now)
            if real.hungry:
                self._queues.room_at(real, now)
        return self._queues.flush() if self._queues.ready else ()

    def probed(self, server: str, up: bool, reason: str, now: float) -> None:
        """
        What the probes of a server say (5.2), which may have left the configuration; O(1) where they said so before.

        While they fail it counts as failed, and no live connection tests it.  When they pass it is back, with
        ``slow_start``; one that had been failed by ditched connections, too, has to pass its test first.

        :param reason: for people: which probe, and what it has found.
        """
        real = self._board.reals.get(server)
        if real is not None and not real.gone:
            self._board.probed(real, reason, now, up=up)

    # -- time ------------------------------------------------------------------------------------------------------

    def due(self, now: float) -> Sequence[Decision]:
        """
        Do what time brings: failed servers are tested, those that came back grow, clients are let go.

        :return: what becomes of those who waited.
        """
        board = self._board
        for real in board.timers.due(now, limit=len(board.timers)):
            board.wake(real, now)
        board.conduct.due(now, limit=_MOST_HOLDS)
        return self._queues.flush()

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling; an instant in the past: at once."""
        self._asked = self._board.deadlines_made()
        if self._queues.ready:
            return -math.inf
        instants = [at for at in (self._board.timers.next(), self._board.conduct.next_deadline()) if at is not None]
        return min(instants, default=None)

    def has_news(self) -> bool:
        """Did something happen, or may :meth:`next_deadline` be nearer than when it was asked for last?  Cheap."""
        board = self._board
        return bool(board.events or self._queues.ready) or board.deadlines_made() != self._asked

    # -- changes ---------------------------------------------------------------------------------------------------

    def configure(
        self, sites: Mapping[str, Site], servers: Mapping[str, Server], now: float, live: Tickets = ()
    ) -> None:
        """
        Take over a configuration; what remains keeps its counts, states, queues and clients.

        What left takes nothing new, and goes on until its connections have ended.  Overrides whose configured value has
        changed, or whose subject is gone, end.

        :param servers: the named ones; those that a site lists inline are in its ``servers``.
        :param live: all tickets; they are looked at only where a site limits its clients that did not before.
        """
        unlimited = {place for place in self._places.values() if not place.site.max_per_client}
        self._changing.configure(sites, servers, now)
        self._board.affinity.begun_before(live, unlimited)

    def override(self, subject: str, setting: str, value: str | None, now: float) -> Override | None:
        """
        Change something at run time (5.10).

        :param subject: ``server NAME``, or ``server ADDRESS[:PORT]``; or ``virtual SITE[:PORT[/udp][:BIND]]``, where
            port and bind id are 0 if not given, and port 0 is all ports of the bind id.
        :param setting: of a server ``state`` (in-service, out-of-service, draining), ``weight``, ``threshold``,
            ``max_connections`` and ``backup`` (a server, or none); of a virtual server ``state`` (in-service,
            out-of-service), ``backup`` (a site, or none), ``server NAME`` (bound, unbound) and ``client PREFIX``
            (assigned, unassigned); of both ``made`` (yes: a server, bind id, or port of one, that the file has not).
        :param value: None takes the override back: what the file says holds again.
        :return: what is to be stored, with the subject's canonical form; None where there is nothing (any more).
        :raises BalancingError: and nothing has changed.
        """
        return self._changing.override(subject, setting, value, now)

    def canonical(self, subject: str) -> str:
        """The one way in which a subject is written. :raises BalancingError: where there is no such one, or several."""
        return self._changing.canonical(subject)

    def configured(self, subject: str, setting: str) -> str:
        """What the file says of it. :raises BalancingError: where there is no such subject or setting."""
        return self._changing.configured(subject, setting)

    def restore(self, overrides: Sequence[Override], now: float) -> list[Override]:
        """Take up what was stored, in its order; :return: those that hold no more, as after :meth:`configure`."""
        return self._changing.restore(overrides, now)

    def overrides(self) -> list[Override]:
        """All that hold, in an order in which they can be restored."""
        return self._changing.overrides()

    def at(self, server: str) -> Carried | None:
        """How a server stands; None: no site has it.  O(1)."""
        real = self._board.reals.get(server)
        return None if real is None else Carried(real.live, real.takes())

    def happened(self) -> list[Event]:
        """The events since the last call."""
        events, self._board.events[:] = self._board.events[:], []
        return events
