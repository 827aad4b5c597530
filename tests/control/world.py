"""A SharedState with two sites, whose servers, clients and client NAT pool a person looks at and changes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import attrs
import dns.rdatatype
from twisted.internet.task import Clock

from appliance.balancing import Decision, Refused, Route, Ticket, Turned, Wait
from appliance.control.carried import Carried
from appliance.control.delivered import Delivered
from appliance.control.orders import Orders
from appliance.errors import RequestError
from appliance.events import Event, Recovered
from appliance.model import Behaviour, Instance, NatPool, Refusal, Server, Service, Site, Transport
from appliance.naming import Answer, Question, from_text
from appliance.shared import NetworkConfig, SharedState
from tests import fakes
from tests.test_shared import zones

UNIX = 1000.0
"""What is added to the process's clock to get Unix time."""

CLIENT = int(IPv4Address("203.0.113.7"))
PREFERRED = IPv4Network("198.51.100.0/24")


def server(name: str, number: int, **more: Any) -> Server:
    return Server(name=name, address=IPv4Address("10.0.0.0") + number, **more)


PREFERENCES = Instance(bind_id=1, name="preferred", clients=(PREFERRED,), servers=(server("best", 9),))
UNWELCOME = Instance(bind_id=2, name="unwelcome", behaviour=Behaviour(connections=20), answer=Refusal.CLOSE)

WWW = Site(
    name="www.example.test",
    pool="public",
    services=(
        Service(first_port=80, last_port=80, to=8080),
        Service(first_port=53, last_port=53, to=53, transport=Transport.UDP),
    ),
    servers=(server("alpha", 1, port=80, max_connections=2, queue=3), server("beta", 2, threshold=1, retries=1)),
    instances=(PREFERENCES, UNWELCOME),
)
MAIL = Site(
    name="mail.example.test",
    pool="public",
    services=(Service(first_port=25, last_port=25, to=25),),
    servers=(server("mail", 3),),
)
SNAT = NatPool(
    name="snat",
    first=IPv4Address("10.9.0.1"),
    last=IPv4Address("10.9.0.1"),
    netmask=IPv4Address("255.255.255.0"),
    initial=8,
    maximum=8,
    subpool=8,
    low_water=1,
)
SPARE = server("spare", 8)


class World:
    """:param sharing: the sites share one address; ``spare``: servers that no site has."""

    def __init__(
        self, *, sharing: bool = False, sites: tuple[Site, ...] = (WWW, MAIL), spare: tuple[Server, ...] = (SPARE,)
    ) -> None:
        self.clock = Clock()
        self.journal = fakes.FakeJournal()
        path = fakes.FakeDataPath()
        self.state = SharedState(seconds=self.clock.seconds, journal=self.journal, data_path=lambda state: path)
        self.heard: list[Event] = []
        self.decided: list[Decision] = []
        self.state.subscribe(self.heard.append)
        self.state.carrying.proceed = self.decided.extend
        self.pool = fakes.pool(2, share_by_service=sharing)
        self.spare = spare
        self.configure(*sites)
        self.carried = Carried(self.state, lambda: lambda instant: instant + UNIX)
        self.delivered = Delivered(self.state, lambda: lambda instant: instant + UNIX)
        self.orders = Orders(self.state, self.carried, self.delivered)

    def configure(self, *sites: Site, recovered: Recovered | None = None) -> None:
        named = {site.name: site for site in sites}
        network = NetworkConfig(servers={each.name: each for each in self.spare})
        self.state.configure(
            {"public": self.pool}, named, zones(*named), recovered, client_nat={"snat": SNAT}, network=network
        )

    def lease(self, name: str) -> str:
        """The address that a site is answered with."""
        answer = self.state.answer(Question(from_text(name), dns.rdatatype.from_text("A")), fakes.ASKER)
        assert isinstance(answer, Answer)
        return str(answer.answer[0].rdatas[0])

    # -- connections -----------------------------------------------------------------------------------------------

    def begin(self, client: int = CLIENT, *, site: str = WWW.name, port: int = 80) -> Route | Wait | Turned | Refused:
        return self.state.carrying.begin(site, port, client, "")

    def connect(self, client: int = CLIENT, *, site: str = WWW.name, port: int = 80) -> Ticket:
        """One that stands."""
        route = self.begin(client, site=site, port=port)
        assert isinstance(route, Route), route
        self.state.carrying.connected(route.ticket)
        return route.ticket

    def end(self, ticket: Ticket) -> None:
        self.state.carrying.ended(ticket, 0, 0)

    def fail(self, name: str, client: int = CLIENT) -> None:
        """Ditch connections until the server has failed; they go elsewhere and end there."""
        while self.server(name)["operational"] != "failed":
            route = self.begin(client)
            assert isinstance(route, Route), route
            while isinstance(route, Route) and route.server.name == name:
                failed = self.state.carrying.failed(route.ticket, "port 80: No route to host", refused=False)
                if not isinstance(failed, Route):
                    break
                route = failed
            self.end(route.ticket)

    # -- looking and ordering --------------------------------------------------------------------------------------

    def virtual(self, name: str) -> dict[str, Any]:
        [row] = [row for row in self.carried.virtuals(limit=99) if row["virtual"] == name]
        return row

    def server(self, name: str) -> dict[str, Any]:
        [row] = [row for row in self.carried.servers(limit=99) if row["server"] == name]
        return row

    def clients(self) -> list[tuple[str, str, str, str]]:
        return [(row["virtual"], row["client"], row["by"], row["state"]) for row in self.carried.clients(limit=99)]

    def order(self, verb: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.orders, verb)(request)
        return answer

    def refused(self, verb: str, **request: Any) -> tuple[str, str, str]:
        """(code, field, message) of an order that is refused; and it has changed nothing."""
        before = self.overrides()
        try:
            self.order(verb, **request)
        except RequestError as error:
            assert self.overrides() == before, (before, self.overrides())
            return error.code, error.field, str(error)
        raise AssertionError(f"{verb} {request} was not refused")

    def overrides(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """(value, what the file says) by subject and setting."""
        found = self.state.carrying.overrides()
        return {(each.subject, each.setting): attrs.astuple(each)[2:] for each in found}

    def heard_of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]
