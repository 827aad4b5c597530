"""
A site as the balancing keeps it: how its ports and its instances make virtual servers (5.1, 5.3).

An instance's ports need not be cut as the site's are.  A virtual server is therefore a service of the site together
with one of the instance, where both have ports in common.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from appliance.balancing.prefixes import Prefixes, filter_of
from appliance.balancing.virtual import Section, Virtual
from appliance.model import UDP_KEYS, Instance, Service, Site, Transport

if typing.TYPE_CHECKING:
    from appliance.balancing.affinity import Company
    from appliance.balancing.behaviour import Watch


class Port:
    """
    What a port of a site is: its general virtual server, and those of the instances that have it (5.4).

    :param buddies: the set of ports that it belongs to (5.12).
    :ivar simple: nobody is assigned or watched: every client is general.
    """

    __slots__ = ("admission", "assigned", "buddies", "by_bind_id", "general", "simple")

    def __init__(self, general: Virtual, instances: Iterable[Virtual], buddies: frozenset[int] | None) -> None:
        self.general = general
        self.by_bind_id = {virtual.section.bind_id: virtual for virtual in instances}
        self.buddies = buddies
        self.admission = filter_of(general.service.allow, general.service.deny)
        self.assign()

    def assign(self) -> None:
        """Assignments have changed; those of instances that are out of service do not count."""
        ranked = [(rank, prefix, each) for each in self._competing() for prefix, (rank, _) in each.clients.items()]
        ranked.sort(key=lambda each: each[0])
        self.assigned: Prefixes[Virtual] = Prefixes((prefix, virtual) for _, prefix, virtual in ranked)
        self._simplify()

    def assign_one(self, prefix: IPv4Network) -> None:
        """Those of one prefix have."""
        ranked = [(each.clients[prefix][0], each) for each in self._competing() if prefix in each.clients]
        if ranked:
            self.assigned.put(prefix, max(ranked, key=lambda each: each[0])[1])
        else:
            self.assigned.drop(prefix)
        self._simplify()

    def _competing(self) -> list[Virtual]:
        return [self.general, *(virtual for virtual in self.by_bind_id.values() if virtual.in_service)]

    def _simplify(self) -> None:
        self.simple = not self.assigned and not self.general.section.place.watches


class Premises:
    """
    One site.

    :ivar sections: by bind id; 0 is the site itself.
    :ivar watches: of the instances that clients get into by their behaviour.
    :ivar ports: by key, made when the first client comes to one; several share one.
    :ivar clients: live connections by client, where the site limits them.
    :ivar company: live connections by set of buddies and client.
    """

    __slots__ = ("_shared", "_virtuals", "clients", "company", "name", "number", "ports", "sections", "site", "watches")

    def __init__(self, site: Site, number: int) -> None:
        self.site = site
        self.name = site.name
        self.number = number
        self.sections: dict[int, Section] = {}
        self.watches: list[Watch] = []
        self.ports: dict[int, Port] = {}
        self.clients: dict[int, int] = {}
        self.company: dict[tuple[frozenset[int], int], Company] = {}
        self._shared: dict[tuple[object, ...], Port] = {}
        self._virtuals: dict[tuple[int, Service, Service], Virtual] = {}

    def virtuals(self) -> Iterator[Virtual]:
        """All; those of bind id 0 first."""
        for section in self.sections.values():
            yield from section.virtuals

    def lay_out(self, site: Site, instances: Iterable[Instance], numbers: Iterator[int]) -> list[Virtual]:
        """
        Be as the file says; virtual servers that are still there keep their state.

        :param instances: the site's, and those that persons made.
        :return: virtual servers that are no more.
        """
        self.site = site
        former = {virtual.name: virtual for virtual in self.virtuals()}
        sections = {0: self._section(0, None, numbers)}
        for instance in instances:
            sections[instance.bind_id] = self._section(instance.bind_id, instance, numbers)
        self.sections = sections
        self._virtuals = {}
        for section in sections.values():
            services = section.instance.services if section.instance is not None else ()
            section.virtuals = []
            for first_port, theirs, own in _common(site.services, services or site.services):
                fresh = Virtual(section, own, first_port)
                virtual = former.pop(fresh.name, fresh)
                section.virtuals.append(virtual)
                self._virtuals[section.bind_id, theirs, own] = virtual
                virtual.configure(own, self._virtuals[0, theirs, theirs])
        self.ports.clear()
        self._shared.clear()
        for virtual in former.values():
            virtual.gone = True
        return list(former.values())

    def port(self, key: int) -> Port | None:
        """:return: None where the site has no such port.  O(services) for the first client of each port."""
        port = self.ports.get(key)
        if port is None:
            number, transport = key & UDP_KEYS - 1, Transport.UDP if key >= UDP_KEYS else Transport.TCP
            theirs = service_at(self.site.services, transport, number)
            if theirs is None:
                return None
            instances = []
            for section in self.sections.values():
                if section.instance is not None:
                    own = service_at(section.instance.services or self.site.services, transport, number)
                    if own is not None:
                        instances.append(self._virtuals[section.bind_id, theirs, own])
            buddies = next((ports for ports in self.site.buddies if number in ports), None)
            general = self._virtuals[0, theirs, theirs]
            shared = (buddies, general, *instances)
            port = self.ports[key] = self._shared.get(shared) or Port(general, instances, buddies)
            self._shared[shared] = port
        return port

    def assign(self) -> None:
        """Assignments, watches, or states of instances have changed."""
        for port in self._shared.values():
            port.assign()

    def assign_one(self, prefix: IPv4Network) -> None:
        """Assignments of one prefix have changed."""
        for port in self._shared.values():
            port.assign_one(prefix)

    def general_for(self, virtual: Virtual) -> Virtual | None:
        """:return: the virtual server of bind id 0 that has all ports of ``virtual``, which is another site's."""
        wanted = virtual.service
        for own in self.sections[0].virtuals:
            has = own.service
            if has.transport is wanted.transport and (
                has.every
                or (not wanted.every and has.first_port <= wanted.first_port <= wanted.last_port <= has.last_port)
            ):
                return own
        return None

    def _section(self, bind_id: int, instance: Instance | None, numbers: Iterator[int]) -> Section:
        section = self.sections.get(bind_id) or Section(self, bind_id, next(numbers))
        section.instance = instance
        return section


def service_at(services: Iterable[Service], transport: Transport, port: int) -> Service | None:
    """The service that has ``port``: an exact one wins over one for every port (5.1); else the first."""
    every = None
    for service in services:
        if service.transport is transport:
            if service.every:
                every = every or service
            elif service.first_port <= port <= service.last_port:
                return service
    return every


def _common(theirs: tuple[Service, ...], own: tuple[Service, ...]) -> list[tuple[int, Service, Service]]:
    """
    Pairs of services of a site and of an instance that have ports in common.

    :return: (first common port, or 0 for every port; the site's; the instance's), in the order of the site's.
    """
    found: dict[tuple[Service, Service], int] = {}
    for transport in Transport:
        edges = {1}
        for service in itertools.chain(theirs, own):
            edges |= {service.first_port, service.last_port + 1}
        for port in sorted(edge for edge in edges if edge < UDP_KEYS):
            one, other = service_at(theirs, transport, port), service_at(own, transport, port)
            if one is not None and other is not None:
                found.setdefault((one, other), 0 if one.every and other.every else port)
    order = {service: index for index, service in enumerate(theirs)}
    pairs = sorted(found.items(), key=lambda item: (order[item[0][0]], item[1]))
    return [(port, one, other) for (one, other), port in pairs]
