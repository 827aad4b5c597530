"""
Virtual servers, and what those of one instance, of one port and of one site have in common (5.1).
"""

from __future__ import annotations

import typing
from collections import OrderedDict
from collections.abc import Iterator
from ipaddress import IPv4Network

from appliance.balancing.predictors import Chooser, Idle, chooser_of
from appliance.balancing.prefixes import Filter, filter_of
from appliance.balancing.real import Real
from appliance.balancing.ticket import Ticket
from appliance.balancing.values import Refused, Turned, VirtualState, Why
from appliance.model import Instance, Predictor, Refusal, Service, Spill, Transport

if typing.TYPE_CHECKING:
    from appliance.balancing.behaviour import Watch
    from appliance.balancing.premises import Premises


class Need:
    """
    Those who wait for the same: any server of a virtual server, but for some, or a certain one.

    :param tried: servers that ditched them.
    :param company: the server that they have to go to while it takes them (5.12); None for any.
    :ivar tickets: who waits, with the number that says since when; first come, first served.
    """

    __slots__ = ("company", "tickets", "tried", "virtual")

    def __init__(self, virtual: Virtual, tried: frozenset[Real], company: Real | None) -> None:
        self.virtual = virtual
        self.tried = tried
        self.company = company
        self.tickets: OrderedDict[Ticket, int] = OrderedDict()

    def turn(self) -> tuple[bool, int]:
        """The least of these is served first: clients of instances, then who came first (5.6)."""
        return self.virtual.section.bind_id == 0, next(iter(self.tickets.values()))


class Section:
    """
    One bind id of a site, over all its ports.

    :param instance: None for bind id 0.
    :ivar waiting: how many wait, at most ``places``; ``full``: that somebody could not was said.
    :ivar number: unique since the start.
    :ivar homes: where clients have live connections, by client; ``watch``: what makes a client one of its own.
    """

    __slots__ = ("bind_id", "full", "homes", "instance", "number", "place", "places", "virtuals", "waiting", "watch")

    def __init__(self, place: Premises, bind_id: int, number: int) -> None:
        self.place = place
        self.bind_id = bind_id
        self.number = number
        self.instance: Instance | None = None
        self.virtuals: list[Virtual] = []
        self.places = self.waiting = 0
        self.full = False
        self.homes: dict[int, Home] = {}
        self.watch: Watch | None = None

    def count_places(self) -> None:
        """Those of all who have some for its virtual servers, each once; an instance that lends keeps its own."""
        servers = {real for virtual in self.virtuals for real in virtual.with_places()}
        self.places = sum(real.server.queue for real in servers)


class Home:
    """Where a client's live connections are: ``count`` of them, the latest at ``real``."""

    __slots__ = ("count", "real")

    def __init__(self) -> None:
        self.count = 0
        self.real: Real | None = None


class Virtual:
    """
    What certain clients get at one port, or run of ports.

    :param service: where its ports lead; ``first_port`` is 0 for every port.
    :param general: the one with bind id 0 at the same ports; itself for those.
    :ivar bound: its own servers; ``reach``: all that it may ever send to, with what is added to a port for them.
    :ivar tiers: who is asked for a server, in this order; ``testers`` go before them.
    :ivar spills: it is an instance's, and its clients may use the general servers as things are.
    :ivar several: it is for more than one TCP port.
    :ivar special: a new connection needs more than the tiers.
    :ivar clients: who is assigned to it, with a rank (of equal ones the higher counts) and who did that.
    """

    __slots__ = (
        "backup",
        "bound",
        "chooser",
        "clients",
        "filter",
        "first_port",
        "general",
        "gone",
        "in_service",
        "lent",
        "live",
        "name",
        "needs",
        "predictor",
        "reach",
        "section",
        "service",
        "several",
        "special",
        "spills",
        "state",
        "testers",
        "tiers",
        "total",
        "wide",
    )

    def __init__(self, section: Section, service: Service, first_port: int) -> None:
        self.section = section
        self.first_port = first_port
        self.general = self
        udp = "/udp" if service.transport is Transport.UDP else ""
        self.name = f"{section.place.name}:{first_port}{udp}:{section.bind_id}"
        self.gone = False
        self.live = self.total = 0
        self.in_service = True
        self.state = VirtualState.IN_SERVICE
        self.backup: str | None = None
        self.bound: list[Real] = []
        self.reach: dict[Real, int] = {}
        self.clients: dict[IPv4Network, tuple[int, str]] = {}
        self.predictor = Predictor.LEAST_CONNECTIONS
        self.chooser = chooser_of(self.predictor)
        self.wide = chooser_of(self.predictor)
        self.lent = Idle()
        self.tiers: tuple[Chooser, ...] = ()
        self.testers: list[Real] = []
        self.needs: dict[tuple[frozenset[Real], Real | None], Need] = {}
        self.special = self.spills = False
        self.filter: Filter | None = None
        self._offer(service)

    def configure(self, service: Service, general: Virtual) -> None:
        """Take over what its site and its instance say; what persons changed is up to others."""
        instance = self.section.instance
        self._offer(service)
        self.general = general
        self.filter = filter_of(service.allow, service.deny) if instance is not None and instance.services else None
        predictor = instance.predictor if instance is not None else self.section.place.site.predictor
        if predictor is not self.predictor:
            self.predictor = predictor
            self.chooser, self.wide = chooser_of(predictor), chooser_of(predictor)

    def _offer(self, service: Service) -> None:
        self.service = service
        self.several = service.last_port > service.first_port and service.transport is Transport.TCP

    @property
    def transport(self) -> Transport:
        return self.service.transport

    @property
    def answer(self) -> Refusal | bytes | None:
        return self.section.instance.answer if self.section.instance is not None else None

    @property
    def spill(self) -> Spill:
        """``NEVER`` for bind id 0, whose servers are the general ones."""
        return self.section.instance.spill if self.section.instance is not None else Spill.NEVER

    def lenders(self) -> Iterator[Virtual]:
        """Virtual servers of instances that lend to this one."""
        if self.section.bind_id == 0:
            for section in self.section.place.sections.values():
                if section.instance is not None and section.instance.lend:
                    yield from (virtual for virtual in section.virtuals if virtual.general is self)

    def members(self) -> Iterator[Real]:
        """Who takes its new connections as things are, whether it has room or not."""
        for tier in self.tiers:
            yield from tier.members

    def with_places(self) -> Iterator[Real]:
        """Its own servers, the general ones while it spills to them, and any backup that takes connections for them."""
        yield from self.bound
        if self.spills:
            yield from self.general.bound
        for tier in self.tiers:
            if tier is not self.lent:
                yield from tier.members

    def refusal(self, client: int) -> Refused | Turned | None:
        """What ``client`` gets here in place of a server, whatever the servers."""
        section = self.section
        if self.state is VirtualState.OUT_OF_SERVICE:
            return Refused(Why.OUT_OF_SERVICE)
        if self.filter is not None and not self.filter.admits(client):
            return Refused(Why.DENIED)
        if section.instance is not None and section.instance.answer is not None:
            self.total += 1
            return Turned(section.instance.answer, section.instance)
        most = section.place.site.max_per_client
        if most and section.place.clients.get(client, 0) >= most:
            return Refused(Why.TOO_MANY)
        return None

    def waiting(self) -> int:
        """How many tickets."""
        return sum(len(need.tickets) for need in self.needs.values())
