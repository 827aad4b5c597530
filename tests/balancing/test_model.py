"""
The balancer beside a naive recount: in no order of connections, failures, changes and time may its counters differ from
the tickets that are alive, a limit be exceeded, or somebody wait beside a server that has room.
"""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Operational, Refused, Route, ServerRow, State, Ticket, Turned, Wait
from appliance.errors import BalancingError
from appliance.model import Site
from tests.balancing.driver import Driver
from tests.balancing.rules import (
    file_servers,
    given_rightly,
    has_room,
    linked_as_anew,
    spills,
    takes,
    usable_by,
    usable_by_buddies,
)
from tests.balancing.strategies import NAMES, SITES, configurations

GENERAL, PREFERRED = [1, 2, 3], [257, 258]
"""Clients."""


class Model(RuleBasedStateMachine):
    """:ivar alive: the tickets that were begun and have not ended, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver()
        self.alive: dict[int, Ticket] = {}

    @initialize(sites=configurations())
    def begin_with(self, sites: list[Site]) -> None:
        self.driver.configure(*sites)

    # -- what happens ----------------------------------------------------------------------------------------------

    def pick(self, number: int, *states: State) -> Ticket | None:
        tickets = [ticket for ticket in self.alive.values() if ticket.state in states]
        return tickets[number % len(tickets)] if tickets else None

    def settle(self) -> None:
        """Hear what became of those who waited."""
        self.driver.settle()
        after, self.driver.after = self.driver.after, []
        for decision in after:
            self.heard(decision)

    def heard(self, decision: Route | Wait | Turned | Refused) -> None:
        if isinstance(decision, Route):
            ticket = decision.ticket
            assert self.alive.setdefault(ticket.number, ticket) is ticket
            assert ticket.state is State.OPENING and ticket.server is decision.server
            if decision.after == 0 and ticket.attempts == 1:
                given_rightly(self.driver, ticket, self.row(decision.server.name))
        elif isinstance(decision, Wait):
            self.alive[decision.ticket.number] = decision.ticket
            assert decision.ticket.state is State.WAITING and decision.ticket.server is None
        elif isinstance(decision, Refused) and decision.ticket is not None:
            self.alive.pop(decision.ticket.number, None)
            assert decision.ticket.state is State.OVER

    @rule(
        number=st.sampled_from(GENERAL + PREFERRED),
        place=st.sampled_from([(SITES[0], 80), (SITES[0], 443), (SITES[0], 53), (SITES[1], 80), (SITES[1], 443)]),
        many=st.integers(1, 6),
    )
    def begin(self, number: int, place: tuple[str, int], many: int) -> None:
        name, port = place
        for _ in range(many):
            self.heard(self.driver.ask(number, port, site=name, udp=port == 53))
            self.settle()

    @rule(
        numbers=st.lists(st.sampled_from(GENERAL + PREFERRED), min_size=1, max_size=5),
        ports=st.lists(st.sampled_from([80, 443]), min_size=1, max_size=3),
    )
    def arrive(self, numbers: list[int], ports: list[int]) -> None:
        """Some clients, each at some ports."""
        for number in numbers:
            for port in ports:
                self.heard(self.driver.ask(number, port, site=SITES[0]))
                self.settle()

    @rule(number=st.integers(0, 50), many=st.integers(1, 8))
    def connect(self, number: int, many: int) -> None:
        for _ in range(many):
            ticket = self.pick(number, State.OPENING)
            if ticket is not None:
                self.driver.balancer.connected(ticket, self.driver.now)
                self.driver.balancer.first_byte(ticket, self.driver.now)
                self.settle()

    @rule(number=st.integers(0, 50), many=st.integers(1, 4))
    def fail(self, number: int, many: int) -> None:
        for _ in range(many):
            ticket = self.pick(number, State.OPENING)
            if ticket is not None:
                self.heard(self.driver.balancer.failed(ticket, self.driver.now))
                self.settle()

    @rule(name=st.sampled_from(NAMES), says=st.lists(st.booleans(), max_size=3), seconds=st.sampled_from([0.0, 12.0]))
    def lose(self, name: str, says: list[bool], seconds: float) -> None:
        """Clients come, and it answers none; its probes, where it has some, say something too, and time passes."""
        for number in GENERAL * 2:
            self.begin(number, (SITES[number % 2], 80), 1)
            for ticket in [each for each in self.alive.values() if each.state is State.OPENING]:
                while ticket.state is State.OPENING and ticket.real is not None and ticket.real.name == name:
                    self.heard(self.driver.balancer.failed(ticket, self.driver.now))
                    self.settle()
        for up in says:
            self.pass_time(seconds)
            self.probed({name}, up)

    @rule(number=st.integers(0, 50), many=st.integers(1, 3))
    def end(self, number: int, many: int) -> None:
        for _ in range(many):
            ticket = self.pick(number, State.WAITING, State.OPENING, State.OPEN)
            if ticket is not None:
                del self.alive[ticket.number]
                self.driver.end(ticket)
                self.settle()

    @rule(passes=st.booleans())
    def decide(self, passes: bool) -> None:
        """The tests of servers come to an end."""
        for ticket in list(self.alive.values()):
            if ticket.real is not None and ticket.real.test is ticket and ticket.state is State.OPENING:
                if passes:
                    self.driver.balancer.connected(ticket, self.driver.now)
                else:
                    self.heard(self.driver.balancer.failed(ticket, self.driver.now))
                self.settle()

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=4), up=st.booleans())
    def say(self, names: set[str], up: bool) -> None:
        """Their probes fail, or pass; of some for the second time."""
        self.probed(names, up)

    def probed(self, names: set[str], up: bool) -> None:
        for real in file_servers(self.driver):
            if real.name in names and real.server.probes:
                self.driver.probed(real.name, up=up)
                self.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, 25.0]))
    def pass_time(self, seconds: float) -> None:
        self.driver.pass_time(seconds)
        self.settle()

    @rule(sites=configurations())
    def configure(self, sites: list[Site]) -> None:
        self.driver.configure(*sites)
        self.settle()
        linked_as_anew(self.driver, GENERAL + PREFERRED)

    @rule(
        name=st.sampled_from(NAMES),
        change=st.sampled_from(
            [
                *(("state", value) for value in ("in-service", "out-of-service", "draining", None)),
                *(("weight", value) for value in ("0", "1", "5", None)),
                *(("max_connections", value) for value in ("0", "1", "4", None)),
                *(("threshold", value) for value in ("1", "3", None)),
                *(("backup", value) for value in ("none", "a", "b", None)),
            ]
        ),
    )
    def order_server(self, name: str, change: tuple[str, str | None]) -> None:
        self.order(f"server {name}", *change)

    @rule(
        number=st.integers(0, 20),
        all_ports=st.booleans(),
        change=st.sampled_from(
            [
                *(("state", value) for value in ("in-service", "out-of-service", None)),
                *(("backup", value) for value in ("none", *SITES, None)),
                *((f"server {name}", value) for name in NAMES for value in ("bound", "unbound")),
                *(("client 198.51.100.1", value) for value in ("assigned", "unassigned", None)),
            ]
        ),
    )
    def order_virtual(self, number: int, all_ports: bool, change: tuple[str, str | None]) -> None:
        rows = self.driver.balancer.virtuals(self.driver.now)
        row = rows[number % len(rows)]
        self.order(f"virtual {row.site}:0:{row.bind_id}" if all_ports else f"virtual {row.name}", *change)

    def order(self, subject: str, setting: str, value: str | None) -> None:
        before = self.driver.balancer.overrides()
        try:
            self.driver.balancer.override(subject, setting, value, self.driver.now)
        except BalancingError:
            assert self.driver.balancer.overrides() == before, "nothing is stored"
        self.settle()
        if before != self.driver.balancer.overrides():
            linked_as_anew(self.driver, GENERAL + PREFERRED)

    # -- what holds ------------------------------------------------------------------------------------------------

    def row(self, name: str) -> ServerRow:
        return next(row for row in self.driver.balancer.servers(self.driver.now) if row.name == name)

    @invariant()
    def counters_are_the_tickets(self) -> None:
        """Of servers, virtual servers, queues and clients."""
        tickets = list(self.alive.values())
        board = self.driver.balancer._board
        assert all(ticket.state is not State.OVER for ticket in tickets)
        for row in self.driver.balancer.servers(self.driver.now):
            real = board.reals[row.name]
            at = [ticket for ticket in tickets if ticket.real is real]
            assert row.connections == len(at), row
            assert row.opening == sum(ticket.state is State.OPENING for ticket in at), row
            assert real.test is None or (real.test in at and real.operational is Operational.TESTING)
            assert real.live or not real.gone
        for virtual in board.virtuals():
            mine = [ticket for ticket in tickets if ticket.virtual is virtual]
            assert virtual.live == sum(ticket.real is not None for ticket in mine), virtual.name
            assert virtual.waiting() == sum(ticket.state is State.WAITING for ticket in mine), virtual.name
        for place in board.places.values():
            counted = [t for t in tickets if t.ties is not None and t.ties.counted is place]
            assert sum(place.clients.values()) == len(counted)
            for section in place.sections.values():
                waiting = sum(virtual.waiting() for virtual in section.virtuals)
                assert section.waiting == waiting
                servers = {real for virtual in section.virtuals for real in virtual.bound}
                servers |= {
                    real for each in section.virtuals if spills(self.driver, each) for real in each.general.bound
                }
                for each in section.virtuals:
                    servers |= {real for real, idle in usable_by(self.driver, each, tested=False).items() if not idle}
                assert section.places == sum(real.server.queue for real in servers), "nobody else's places"
                homes = [t for t in tickets if t.ties is not None and t.ties.section is section]
                assert sum(home.count for home in section.homes.values()) == len(homes)
            company = [t for t in tickets if t.ties is not None and t.ties.company is not None]
            company = [t for t in company if t.ties.company.place is place]  # type: ignore[union-attr]
            found = [t for each in place.company.values() for some in each.by_port.values() for t in some]
            assert sorted(t.number for t in found) == sorted(t.number for t in company)

    @invariant()
    def nobody_waits_beside_room(self) -> None:
        """Neither for room, nor for nothing."""
        for ticket in self.alive.values():
            if ticket.state is not State.WAITING:
                continue
            assert ticket.need is not None
            virtual, company = ticket.virtual, ticket.need.company
            assert not virtual.gone and virtual.in_service
            if company is not None and company in virtual.reach and usable_by_buddies(self.driver, company):
                assert company.live >= company.most
                continue
            usable = {real: idle for real, idle in usable_by(self.driver, virtual).items() if real not in ticket.tried}
            assert usable, "nothing to wait for"
            for real, idle in usable.items():
                assert not has_room(real, idle=idle), (ticket.virtual_name, real.name)

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """A server is down because its probes say so, or will be tested, or is: nothing else keeps it away."""
        at = self.driver.balancer.next_deadline()
        for real in self.driver.balancer._board.reals.values():
            assert (real.fault is not None) == (real.name in self.driver.sick), real.name
            if real.operational is Operational.FAILED and real.name not in self.driver.sick:
                assert at is not None and real.wake_at is not None
                assert self.driver.now < real.wake_at and at <= real.wake_at, real.name

    @invariant()
    def limits_hold(self) -> None:
        """What is given keeps to the limit of its time; a lower limit ends nothing."""
        for real in self.driver.balancer._board.reals.values():
            assert real.takes() == takes(self.driver, real), real.name
            if real.takes():
                expected = math.inf if real.most == math.inf else max(1.0, math.ceil(real.most * real.share))
                assert real.limit == expected
                load = (real.live + 1) / (real.weight * real.share) if real.live < expected else math.inf
                assert real.load == load, real.name
            else:
                assert real.limit == 0 and real.load == math.inf
        for place in self.driver.balancer._board.places.values():
            most = place.site.max_per_client
            assert not most or all(count <= most for count in place.clients.values())

    @invariant()
    def states_are_those_of_the_servers(self) -> None:
        """5.1: failed only when nothing that is available takes new connections."""
        for virtual in self.driver.balancer._board.virtuals():
            available = usable_by(self.driver, virtual, tested=False)
            if not virtual.in_service:
                expected = "out-of-service"
            elif available or virtual.answer is not None:
                expected = "in-service"
            else:
                expected = "failed"
            assert virtual.state.value == expected, virtual.name


class ModelTests(SynchronousTestCase):
    def test_balancer(self) -> None:
        run_state_machine_as_test(Model, settings=settings(max_examples=max(200, settings().max_examples)))
