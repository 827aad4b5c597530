"""
Servers and instances that the file does not know: persons make them at run time (5.10).

An instance that was made has no servers and no clients until some are bound and assigned.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

import attrs

from appliance.balancing.board import Board
from appliance.balancing.orders import Orders
from appliance.balancing.premises import Premises, service_at
from appliance.balancing.real import Real
from appliance.balancing.subjects import endpoint_of, named_after, split_virtual, virtual_text
from appliance.errors import BalancingError
from appliance.model import Instance, Service, Site, Transport

_BROADCAST = IPv4Address("255.255.255.255")


def make_server(board: Board, name: str) -> str:
    """
    Put a server on the board.

    :param name: its address, and its port if it has one.
    :return: the subject that it is.
    :raises BalancingError: it is there already, or the name is no address.
    """
    endpoint = endpoint_of(name)
    if endpoint is None:
        raise BalancingError("invalid", f"found {name!r}; allowed: ADDRESS or ADDRESS:PORT", field="server")
    address = endpoint[0]
    if address.is_multicast or address.is_unspecified or address == _BROADCAST:
        raise BalancingError("invalid", f"{address} is not the address of one host", field="address")
    server = named_after(*endpoint)
    for real in board.reals.values():
        if not real.gone and (real.name == server.name or (real.server.address, real.port) == endpoint):
            raise BalancingError("exists", f"{name} is there already: server {real.name!r}", field="server")
    real = board.reals.setdefault(server.name, Real(server))
    real.made, real.gone = True, False
    real.configure(server)
    return f"server {server.name}"


def name_instance(board: Board, name: str) -> str:
    """
    See that an instance can be made; it is there when the site is laid out with its override.

    :param name: SITE:PORT[/udp]:BIND.
    :return: the subject that it is.
    :raises BalancingError: it is there already, or the site has no such port.
    """
    place, port, transport, bind_id = split_virtual(board, name)
    section = place.sections.get(bind_id)
    known = bind_id == 0 or any(instance.bind_id == bind_id for instance in place.site.instances)
    if known or (section is not None and any(port in (0, each.first_port) for each in section.virtuals)):
        raise BalancingError("exists", f"virtual server {name!r} is there already", field="virtual")
    if port and service_at(place.site.services, transport, port) is None:
        raise BalancingError("not-found", f"{place.name} has no port {port}/{transport.value}", field="virtual")
    return virtual_text(place, port, transport, bind_id)


def made_instances(board: Board, place: Premises, orders: Orders) -> list[Instance]:
    """The instances of a site that persons made, as far as it has their ports."""
    made: dict[int, list[tuple[int, Transport]]] = {}
    for override in orders.made_at(place.name):
        _, port, transport, bind_id = split_virtual(board, override.subject.removeprefix("virtual "))
        made.setdefault(bind_id, []).append((port, transport))
    instances = (_instance(place.site, bind_id, ports) for bind_id, ports in made.items())
    return [instance for instance in instances if instance is not None]


def _instance(site: Site, bind_id: int, ports: Iterable[tuple[int, Transport]]) -> Instance | None:
    """
    One that a person made.

    :param ports: 0 is all of the site's.
    :return: None where the site has none of them any more.
    """
    services: list[Service] = []
    for port, transport in ports:
        if port == 0:
            services = []
            break
        service = service_at(site.services, transport, port)
        if service is not None:
            to = service.target(port)
            services.append(
                attrs.evolve(service, first_port=port, last_port=port, to=to, every=False, allow=(), deny=())
            )
    else:
        if not services:
            return None
    return Instance(
        bind_id=bind_id, name=str(bind_id), services=tuple(services), predictor=site.predictor, backup=site.backup
    )
