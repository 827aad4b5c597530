"""A balancer, asked as the NAT proxy asks it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, TypeVar

from appliance.balancing import Balancer, Decision, Refused, Route, Ticket, Turned, Wait, Why
from appliance.events import Event
from appliance.model import UDP_KEYS, Instance, Probe, ProbeType, Server, Service, Site, Transport
from appliance.shared import servers_of

Happened = TypeVar("Happened", bound=Event)

NAME = "www.example.test"
HTTP = Service(first_port=80, last_port=80, to=8080)

PROBES = (Probe(name="web", type=ProbeType.HTTP),)


def server(name: str, **more: Any) -> Server:
    """Its address is made of its name, which ends in a digit or none."""
    number = ord(name[0].lower()) % 32 * 10 + (int(name[-1]) if name[-1].isdigit() else 0)
    return Server(name=name, address=IPv4Address("10.0.0.0") + number, **more)


def servers(names: str, **more: Any) -> tuple[Server, ...]:
    """Of each letter."""
    return tuple(server(name, **more) for name in names)


def site(name: str = NAME, *, services: tuple[Service, ...] = (HTTP,), **more: Any) -> Site:
    return Site(name=name, pool="public", services=services, **{"servers": servers("a"), **more})


def instance(bind_id: int = 1, **more: Any) -> Instance:
    return Instance(bind_id=bind_id, **{"name": f"instance {bind_id}", **more})


def client(number: int) -> int:
    """Packed address of one of the clients of 198.51.100.0/24; 256 and more are in the networks after it."""
    return int(IPv4Address("198.51.100.0")) + number


class Driver:
    """
    :param sites: the configuration; servers that no site has are in ``spare``.
    :ivar now: the time; it stands until a test moves it.
    :ivar after: what became of those who waited.
    :ivar sick: servers whose probes were said to fail, and not to pass since; without a probe in the file none is.
    """

    def __init__(self, *sites: Site, spare: tuple[Server, ...] = ()) -> None:
        self.balancer = Balancer()
        self.now = 1000.0
        self.after: list[Decision] = []
        self.sick: set[str] = set()
        self.configure(*sites, spare=spare)
        self.balancer.happened()

    def configure(self, *sites: Site, spare: tuple[Server, ...] = ()) -> None:
        named = {each.name: each for each in spare}
        self.balancer.configure({each.name: each for each in sites}, named, self.now)
        used = [*spare, *(each for one in sites for each in servers_of(one))]
        self.sick &= {each.name for each in used if each.probes}
        self.settle()

    def ask(
        self, number: int = 1, port: int = 80, *, site: str = NAME, udp: bool = False, home: str | None = None
    ) -> Route | Wait | Turned | Refused:
        key = port + (UDP_KEYS if udp else 0)
        return self.balancer.begin(site, key, client(number), self.now, home=home)

    def route(self, number: int = 1, port: int = 80, **more: Any) -> Route:
        """A new connection that is given a server."""
        route = self.ask(number, port, **more)
        assert isinstance(route, Route), route
        return route

    def open(self, number: int = 1, port: int = 80, **more: Any) -> Ticket:
        """One that stands."""
        ticket = self.route(number, port, **more).ticket
        self.balancer.connected(ticket, self.now)
        self.settle()
        return ticket

    def opened_at(self, count: int, **more: Any) -> list[str]:
        """The servers of so many connections, of a client each."""
        return [name_of(self.open(number, **more)) for number in range(count)]

    def wait(self, number: int = 1, port: int = 80, **more: Any) -> Ticket:
        wait = self.ask(number, port, **more)
        assert isinstance(wait, Wait), wait
        return wait.ticket

    def refused(self, number: int = 1, port: int = 80, **more: Any) -> Why:
        refused = self.ask(number, port, **more)
        assert isinstance(refused, Refused), refused
        return refused.why

    def fail(self, ticket: Ticket, *, refused: bool = False) -> Route | Wait | Refused:
        """An attempt fails."""
        decision = self.balancer.failed(ticket, self.now, f"attempt {ticket.attempts}", refused=refused)
        self.settle()
        return decision

    def ditch(self, ticket: Ticket, *, refused: bool = False) -> Route | Wait | Refused:
        """Attempts fail until it is ditched."""
        former = ticket.server
        assert former is not None
        while True:
            decision = self.fail(ticket, refused=refused)
            if not isinstance(decision, Route) or decision.server != former:
                return decision

    def end(self, ticket: Ticket, *, received: int = 1, sent: int = 1) -> None:
        self.after += self.balancer.ended(ticket, self.now, received=received, sent=sent)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Time passes, and what is due happens in its time."""
        until = self.now + seconds
        while (at := self.balancer.next_deadline()) is not None and at <= until:
            self.now = max(self.now, at)
            self.after += self.balancer.due(self.now)
        self.now = until

    def settle(self) -> None:
        """What is due now."""
        self.pass_time(0.0)

    def probed(self, name: str, *, up: bool, reason: str = "web: refused") -> None:
        """What the probes of a server say."""
        self.balancer.probed(name, up, reason, self.now)
        (self.sick.discard if up else self.sick.add)(name)
        self.settle()

    def order(self, subject: str, setting: str, value: str | None) -> Any:
        override = self.balancer.override(subject, setting, value, self.now)
        self.settle()
        return override

    def gone_from_queue(self) -> list[Ticket]:
        """Who got a server after waiting, since the last call."""
        after, self.after = self.after, []
        return [each.ticket for each in after if isinstance(each, Route)]

    def happened(self, kind: type[Happened]) -> list[Happened]:
        """Events of that kind since the last call of this, whatever the kind was."""
        return [event for event in self.balancer.happened() if isinstance(event, kind)]

    def state(self, name: str) -> str:
        """Of a server."""
        return next(row.state for row in self.balancer.servers(self.now) if row.name == name)

    def connections(self, name: str) -> int:
        return next(row.connections for row in self.balancer.servers(self.now) if row.name == name)

    def virtual_state(self, name: str = f"{NAME}:80:0") -> str:
        return next(row.state.value for row in self.balancer.virtuals(self.now) if row.name == name)


def name_of(ticket: Ticket) -> str:
    """Of its server."""
    assert ticket.server is not None
    return ticket.server.name


ALL = Service(first_port=1, last_port=65535, to=1, every=True)
RUN = Service(first_port=6000, last_port=6010, to=7000)
UDP = Service(transport=Transport.UDP, first_port=53, last_port=53, to=53)
