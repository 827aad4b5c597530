"""What listens on a leased address: which ports, by what, and for which service."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.model import Service, Site, Transport
from appliance.nat.datagrams import UdpListener
from appliance.nat.everyport import EveryPort
from appliance.nat.listener import TcpListener
from appliance.nat.opening import EVERY_PORT

Key = tuple[Transport, int]
EVERY: Key = (Transport.TCP, EVERY_PORT)
Listener = TcpListener | UdpListener


def kind_of(key: Key) -> type[TcpListener] | type[UdpListener]:
    """What listens at it."""
    if key == EVERY:
        return EveryPort
    return TcpListener if key[0] is Transport.TCP else UdpListener


def close_all(listeners: Mapping[Key, Listener]) -> None:
    for listener in listeners.values():
        listener.close()


def services_of(site: Site) -> dict[Key, Service]:
    """
    :return: the service of every public port, the first in the configuration where two claim one; ``port: all`` is one
        entry and the last, so that its listener takes no port that another is about to have.
    """
    services: dict[Key, Service] = {}
    for service in site.services:
        if not service.every:
            for port in service.ports():
                services.setdefault((service.transport, port), service)
    for service in site.services:
        if service.every:
            assert service.transport is Transport.TCP, "the configuration refuses others"
            services.setdefault(EVERY, service)
    return services
