"""Health, the POPs and what customers' names are answered with: one part of SharedState, made of four (3.x, 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from appliance.events import Event, LeaseGranted, LeaseRecord
from appliance.model import Delivery, Pop, Server, Site
from appliance.shared.carrying import Carrying, servers_of
from appliance.shared.checking import Checking
from appliance.shared.delivering import Delivering
from appliance.shared.forcing import Forcing
from appliance.shared.guarding import Guard
from appliance.shared.poptable import PopTable
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


@attrs.frozen(kw_only=True)
class NetworkConfig:
    """
    The parts of a configuration that this follows, see :class:`appliance.config.Config`.

    :param servers: the named ones, which may be origins.
    """

    servers: Mapping[str, Server] = attrs.Factory(dict)
    probe_ports: Mapping[str, int] = attrs.Factory(dict)
    pops: Mapping[str, Pop] = attrs.Factory(dict)
    delivery: Mapping[str, Delivery] = attrs.Factory(dict)


class Network:
    """
    :param nearer: is called when :meth:`next_deadline` may have come nearer.
    :param name: of this POP; ``epoch``: a later process has a larger one.
    :ivar checking: what is checked, and what was found.
    :ivar forcing: what persons have ordered of POPs.
    :ivar pops: what is believed of the POPs; ``guard``: what they can take.
    :ivar delivering: what customers' names are answered with.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        telling: Telling,
        nearer: Callable[[], None],
        carrying: Carrying,
        tables: Tables,
        name: str,
        epoch: int,
    ) -> None:
        self._seconds = seconds
        self._tables = tables
        self._name = name
        self.checking = Checking(seconds, telling, self._in_use, carrying.probed)
        self.forcing = Forcing(seconds, telling, self.checking, tables.overrides)
        self.guard = Guard()
        self.pops = PopTable(seconds, telling, nearer, self.checking, self.guard, name, epoch)
        self.delivering = Delivering(seconds, telling, carrying, self.checking, self.pops, self.guard)

    @property
    def name(self) -> str:
        """Of this POP."""
        return self._name

    def configure(self, config: NetworkConfig, sites: Iterable[Site]) -> None:
        """:param sites: those that have left the configuration, but hold an address still, included."""
        servers = {server.name: server for site in sites for server in servers_of(site)} | dict(config.servers)
        self.checking.configure(servers.values(), config.probe_ports, config.pops.values(), self._name)
        self.guard.configure(config.pops, max((each.ttl for each in config.delivery.values()), default=10.0))
        self.pops.configure(config.pops)
        self.forcing.configure(config.pops)
        self.delivering.configure(config.delivery)

    def follow(self, event: Event) -> None:
        """What an event of any part means for this one."""
        if isinstance(event, LeaseGranted):
            self._wanted(event.lease)
        else:
            self.delivering.follow(event)

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling."""
        return self.pops.next_deadline()

    def due(self) -> None:
        """What others have seen is too old, or we have been alone too long: it counts now, though nobody asks."""
        at = self.pops.next_deadline()
        if at is not None and at <= self._seconds():
            self.delivering.look_at_pops()

    def _wanted(self, lease: LeaseRecord) -> None:
        site = self._tables.sites.get(lease.site)
        if site is not None:
            self.checking.wanted(server.name for server in servers_of(site))

    def _in_use(self) -> Iterable[str]:
        """Servers of the sites that clients may come to: they have an address."""
        for name, site in self._tables.sites.items():
            if self._tables.pins.of(name) is not None or next(self._tables.leases_of(name), None) is not None:
                yield from (server.name for server in servers_of(site))
