"""
What stands open on which leased address, and for whom.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from appliance.errors import Blame, DataPathError
from appliance.model import Service, Site, Transport
from appliance.nat.datagrams import UdpListener
from appliance.nat.fabric import Fabric, Reactor
from appliance.nat.listener import TcpListener
from appliance.nat.traffic import Counters, Flow, Traffic

_Key = tuple[Transport, int]
_Listener = TcpListener | UdpListener
_LISTENERS: dict[Transport, type[TcpListener] | type[UdpListener]] = {
    Transport.TCP: TcpListener,
    Transport.UDP: UdpListener,
}


@attrs.define
class _Holding:
    """The listeners that stand on an address for ``site``."""

    site: Site
    listeners: dict[_Key, _Listener]


class Nat:
    """
    The user-space NAT proxy.

    :param reactor: for its descriptors and its time.
    :param traffic: told of each live connection.  What it raises is logged; it may be told from within
        :meth:`open` and :meth:`close` too, when they end UDP sessions.
    """

    def __init__(self, reactor: Reactor, traffic: Traffic) -> None:
        self._fabric = Fabric(reactor, traffic)
        self._holdings: dict[IPv4Address, _Holding] = {}
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """Failures since the start, as they are now."""
        return attrs.evolve(self._fabric.counters)

    def open(self, address: IPv4Address, site: Site) -> None:
        """
        Let every port of ``site`` answer on ``address``.

        What stood there for a former site is taken over: its TCP connections go on, its UDP sessions end.  For a
        changed site only the difference is opened and closed, and running connections keep what they began with.

        :raises DataPathError: a port cannot be opened, and all is as it was before; says which, why, and what to do.
        """
        if self._stopped:
            raise DataPathError(f"{address}: the NAT proxy has stopped", blame=Blame.PROCESS)
        former = self._holdings.get(address)
        if former is not None and former.site == site:
            return
        self._fabric.reserve.fill()
        standing = former.listeners if former is not None else {}
        wanted = _services(site)
        added = self._open_all(address, site, {key: wanted[key] for key in wanted if key not in standing})
        # Nothing below can fail.
        kept = {key: listener for key, listener in standing.items() if key in wanted}
        self._holdings[address] = _Holding(site, {**kept, **added})
        for key, listener in standing.items():
            if key in wanted:
                listener.assign(site, wanted[key])
            else:
                listener.close()

    def close(self, address: IPv4Address, site: str) -> None:
        """Stop listening for ``site`` on ``address``, if it does.  TCP connections go on, UDP sessions end."""
        holding = self._holdings.get(address)
        if holding is not None and holding.site.name == site:
            del self._holdings[address]
            for listener in holding.listeners.values():
                listener.close()

    def abort(self, address: IPv4Address, site: str) -> None:
        """Reset the TCP connections of ``site`` on ``address``.  Cost: all connections are looked at."""
        for connection in list(self._fabric.connections):
            if connection.address == address and connection.site.name == site:
                connection.close(reset=True)

    def connections(self) -> list[Flow]:
        """All that is carried now, one row a TCP connection or UDP session, oldest first."""
        now = self._fabric.seconds()
        flows = [connection.flow(now) for connection in self._fabric.connections]
        flows += [session.flow(now) for session in self._fabric.sessions]
        return sorted(flows, key=lambda flow: -flow.age)

    async def stop(self, drain: float) -> None:
        """
        Take nothing new, let connections end by themselves, reset those that have not.

        :param drain: seconds to wait for them; 0 resets at once.  A second call with less patience shortens the first.
        """
        self._stopped = True
        for address, holding in list(self._holdings.items()):
            self.close(address, holding.site.name)
        await self._fabric.emptied(drain)
        for connection in list(self._fabric.connections):
            connection.close(reset=True)
        self._fabric.timers.stop()
        self._fabric.reserve.give_up()

    def _open_all(self, address: IPv4Address, site: Site, services: dict[_Key, Service]) -> dict[_Key, _Listener]:
        opened: dict[_Key, _Listener] = {}
        try:
            for (transport, port), service in services.items():
                opened[transport, port] = _LISTENERS[transport](self._fabric, address, port, site, service)
        except BaseException as error:
            for listener in opened.values():
                listener.close()
            if isinstance(error, DataPathError) and error.blame is Blame.PROCESS:
                self._fabric.out_of_descriptors(error)
            raise
        return opened


def _services(site: Site) -> dict[_Key, Service]:
    """:return: the service of every public port; the first in the configuration where two claim one."""
    services: dict[_Key, Service] = {}
    for service in site.services:
        for port in service.ports():
            services.setdefault((service.transport, port), service)
    return services
