"""
What the parts of the room share: servers, sites, clocks to wake by, and what happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from appliance.balancing.affinity import Affinity
from appliance.balancing.behaviour import CONNECTIONS, Conduct
from appliance.balancing.events import ServerBack, ServerDrained, ServerFailed, ServerTested, VirtualBack, VirtualFailed
from appliance.balancing.links import Links
from appliance.balancing.premises import Port, Premises
from appliance.balancing.queues import Queues
from appliance.balancing.real import FULL, Real
from appliance.balancing.ticket import Ticket
from appliance.balancing.values import Administrative, Operational, Refused, Route, VirtualState, Wait, Why
from appliance.balancing.virtual import Virtual
from appliance.deadlines import Deadlines
from appliance.events import Event
from appliance.model import Server


class Board:
    """
    :ivar reals: by name, those included that are gone and have connections still; ``places``: sites by name.
    :ivar numbers: each once, for whatever needs one.
    :ivar timers: when servers are tested, or grow.
    """

    def __init__(self) -> None:
        self.reals: dict[str, Real] = {}
        self.places: dict[str, Premises] = {}
        self.events: list[Event] = []
        self.numbers = itertools.count(1)
        self.affinity = Affinity()
        self.conduct = Conduct(self.events.append)
        self.links = Links(self.reals, self.places)
        self.queues = Queues(self.affinity, self.events.append)
        self.timers: Deadlines[Real] = Deadlines(lambda real: real.wake_at)

    def deadlines_made(self) -> int:
        """Grows whenever one was added."""
        return self.timers.added + self.conduct.ends.added

    def virtuals(self) -> Iterator[Virtual]:
        for place in self.places.values():
            yield from place.virtuals()

    def virtual_for(self, port: Port, client: int, now: float, *, counts: bool) -> Virtual:
        """
        The instance that the client belongs to (5.4), bind id 0 if none.

        An assignment is more specific than behaviour only where it names the client alone.

        :param counts: this is a new connection of the client.
        """
        place = port.general.section.place
        bind_id = 0
        if place.watches:
            if counts:
                self.conduct.count(place.watches, client, CONNECTIONS, 1, now)
            bind_id = self.conduct.bind_id(place, client, now)
        found = port.assigned.find(client) if port.assigned else None
        if bind_id and (found is None or found[1] < 32):
            virtual = port.by_bind_id.get(bind_id)
            if virtual is not None and virtual.in_service:
                return virtual
        return found[0] if found is not None else port.general

    def wanted(self, ticket: Ticket, port: Port, home: str | None, now: float) -> tuple[Real | None, Real | None]:
        """
        The server that the ticket's past names, before any predictor is asked.

        :return: it, where it has room; and the one that it has to wait for, where it is a buddy's.
        """
        virtual = ticket.virtual
        if port.buddies is not None:
            found = self.affinity.buddy(port, virtual, ticket.key, ticket.client, now)
            if found is not None:
                ticket.buddy = found[1]
                return None, found[0]
        real = self.affinity.home(virtual, ticket.client, now)
        if real is None and home is not None and virtual.section.place.site.addresses > 1:
            own = self.reals.get(home)
            real = own if own is not None and own.load < FULL and own in virtual.bound else None
        return real, None

    def leave(self, ticket: Ticket, real: Real, *, opening: bool) -> None:
        """``ticket`` does not use ``real`` any more."""
        ticket.virtual.live -= 1
        real.leave(opening=opening)
        if real.test is ticket:
            real.test = None

    # -- states ----------------------------------------------------------------------------------------------------

    def fail(self, real: Real, now: float, *, again: bool) -> None:
        """``real`` does not answer.  Nothing is said of one that its probes have failed: it stays what it was."""
        retry_at = real.fail(now)
        if real.fault is None:
            self._tell_failed(real, real.failure, now, again=again, retry_at=retry_at)
        self.changed(real, now)

    def _tell_failed(self, real: Real, reason: str, now: float, *, again: bool, retry_at: float | None) -> None:
        failed = ServerFailed(
            at=now, server=real.name, ditched=real.ditched, again=again, reason=reason, retry_at=retry_at
        )
        self.events.append(failed)

    def passed(self, real: Real, now: float) -> None:
        """The connection that tested ``real`` stands; it is back unless its probes have failed it meanwhile."""
        real.come_back(now)
        if real.fault is None:
            self.events.append(ServerBack(at=now, server=real.name, reason="its test connection stands"))
        self.changed(real, now)

    def probed(self, real: Real, reason: str, now: float, *, up: bool) -> None:
        """
        What the probes of ``real`` say; nothing that is known is said again.

        A live test waits until they pass.  One that is under way then decides as ever, but brings nothing back alone.
        """
        former = real.verdict()
        if up and real.fault is not None:
            real.probes_pass(now)
            self._unhindered(real, reason, now)
        elif not up:
            if real.fault is None:
                self._tell_failed(real, reason, now, again=False, retry_at=None)
            real.probes_fail(reason)
        if real.verdict() is not former:
            self.changed(real, now)

    def configure(self, real: Real, server: Server, now: float) -> None:
        """Let ``real`` be as the file says; what it had failed for may be of no account any more."""
        former, fault = real.verdict(), real.fault
        real.gone = real.made = False
        real.configure(server)
        if (real.verdict(), real.fault) != (former, fault):
            self._unhindered(real, "it is configured otherwise", now)

    def retire(self, real: Real) -> None:
        """The file has ``real`` no more.  Its probes end with it, so that nobody would take back what they said."""
        real.gone = True
        real.forget_probes()
        if real.wake_at is not None:
            self.timers.add(real.wake_at, real)

    def _unhindered(self, real: Real, reason: str, now: float) -> None:
        """Nothing but live connections hold ``real`` back any more, if anything does."""
        if real.operational is Operational.UP:
            self.events.append(ServerBack(at=now, server=real.name, reason=reason))
        elif real.operational is Operational.TESTING:
            self.events.append(ServerTested(at=now, server=real.name))
        elif real.wake_at is not None:
            # Its test may have come due meanwhile, and was put off.
            self.timers.add(real.wake_at, real)

    def wake(self, real: Real, now: float) -> None:
        """What ``real`` was to be woken for, if that still holds; a test is put off while its probes fail."""
        if real.wake_at is None or real.wake_at > now:
            return
        if real.operational is Operational.FAILED:
            if real.fault is not None:
                return
            real.begin_test()
            self.events.append(ServerTested(at=now, server=real.name))
            self.changed(real, now)
        else:
            real.grow(now)
            if real.wake_at is not None:
                self.timers.add(real.wake_at, real)
            self.queues.room_at(real, now)

    def changed(self, real: Real, now: float) -> None:
        """The state, the weight or the limit of ``real`` is another now."""
        if real.wake_at is not None:
            self.timers.add(real.wake_at, real)
        self.emptied(real, now)
        self.rearrange(list(real.users), now)

    def rearrange(self, virtuals: Iterable[Virtual], now: float) -> None:
        """What these may use has changed: see who is asked, what state they are in, and who need not wait."""
        concerned = list(virtuals)
        for virtual, former in self.links.arrange(concerned):
            if virtual.state is VirtualState.FAILED:
                self.events.append(VirtualFailed(at=now, virtual=virtual.name))
            elif former is VirtualState.FAILED:
                self.events.append(VirtualBack(at=now, virtual=virtual.name))
        self.queues.look_at(concerned, now)

    def emptied(self, real: Real, now: float) -> None:
        """Say so when the last connection of a server that drains is over; forget one that is gone with it."""
        if real.live:
            return
        if real.administrative is Administrative.DRAINING and not real.told_empty:
            real.told_empty = True
            self.events.append(ServerDrained(at=now, server=real.name))
        if real.gone and self.reals.get(real.name) is real:
            del self.reals[real.name]

    # -- those who wait for what is there no more ------------------------------------------------------------------

    def move(self, virtuals: Iterable[Virtual], now: float) -> None:
        """Who waited for these belongs to others now."""
        for ticket in self.queues.orphans(virtuals):
            decision = self.place_anew(ticket, now)
            if not isinstance(decision, Wait):
                self.queues.ready.append(decision)

    def place_anew(self, ticket: Ticket, now: float) -> Route | Wait | Refused:
        """Find a server for a ticket that has none, where its virtual server may be gone or out of service."""
        virtual = ticket.virtual
        if virtual.gone or not virtual.in_service:
            place = self.places.get(virtual.section.place.name)
            port = place.port(ticket.key) if place is not None else None
            if port is None:
                return self.queues.refuse(ticket, Why.NO_SERVICE, now)
            ticket.virtual = virtual = self.virtual_for(port, ticket.client, now, counts=False)
            if not virtual.in_service or virtual.answer is not None:
                return self.queues.refuse(ticket, Why.OUT_OF_SERVICE, now)
        return self.queues.place(ticket, None, now)
