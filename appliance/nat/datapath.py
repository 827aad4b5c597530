"""
What stands open on which leased address, and for whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

import attrs

from appliance.balancing import Decision
from appliance.errors import Blame, DataPathError
from appliance.model import Endpoint, Server, Service, Site, Transport
from appliance.nat.datagrams import UdpListener
from appliance.nat.fabric import Fabric, Reactor
from appliance.nat.listener import TcpListener
from appliance.nat.traffic import Balance, Counters, Flow, Traffic

_Key = tuple[Transport, int]
_Listener = TcpListener | UdpListener
_LISTENERS: dict[Transport, type[TcpListener] | type[UdpListener]] = {
    Transport.TCP: TcpListener,
    Transport.UDP: UdpListener,
}


@attrs.define
class _Holding:
    """What stands on an address for ``site``, and the server that it leads to."""

    site: Site
    server: Server
    listeners: dict[_Key, _Listener]


class Nat:
    """
    The user-space NAT proxy.

    :param reactor: for its descriptors and its time.
    :param traffic: told of each live connection.  What it raises is logged; it may be told from within
        :meth:`close` and :meth:`abort` too, when they end UDP sessions.
    :param balance: says where each connection goes.
    """

    def __init__(self, reactor: Reactor, traffic: Traffic, balance: Balance) -> None:
        self._fabric = Fabric(reactor, traffic, balance)
        self._holdings: dict[tuple[IPv4Address, str], _Holding] = {}
        self._owners: dict[tuple[IPv4Address, _Key], str] = {}
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """Failures since the start, as they are now."""
        return attrs.evolve(self._fabric.counters)

    def open(self, address: IPv4Address, site: Site, server: Server) -> None:
        """
        Let every port of ``site`` answer on ``address``.

        :param server: its home server, for which the address was leased; where a connection goes, the balancing says.

        For a changed site or server only the difference is opened and closed, and what runs keeps what it began with.

        :raises DataPathError: a port cannot be opened, or is another site's, and all is as it was before; says which,
            why, and what to do.
        """
        if self._stopped:
            raise DataPathError(f"{address}: the NAT proxy has stopped", blame=Blame.PROCESS)
        place = address, site.name
        former = self._holdings.get(place)
        if former is not None and (former.site, former.server) == (site, server):
            return
        wanted = _services(site)
        for key in wanted:
            owner = self._owners.get((address, key), site.name)
            if owner != site.name:
                endpoint = Endpoint(address=address, port=key[1])
                raise DataPathError(f"{endpoint}/{key[0].value}: port in use by site {owner}", blame=Blame.PORT)
        self._fabric.reserve.fill()
        standing = former.listeners if former is not None else {}
        added = self._open_all(address, site, server.name, [key for key in wanted if key not in standing])
        # Nothing below can fail.  The tables are whole before a listener is closed: whom the end of its UDP sessions is
        # told may call us.
        kept = {key: listener for key, listener in standing.items() if key in wanted}
        self._holdings[place] = _Holding(site, server, {**kept, **added})
        self._owners.update(((address, key), site.name) for key in added)
        for key, listener in standing.items():
            if key in wanted:
                listener.assign(site, server.name)
            else:
                listener.close()
                del self._owners[address, key]

    def close(self, address: IPv4Address, site: str) -> None:
        """Stop listening for ``site`` on ``address``, if it does.  TCP connections go on, UDP sessions end."""
        holding = self._holdings.pop((address, site), None)
        for key, listener in holding.listeners.items() if holding is not None else ():
            listener.close()
            del self._owners[address, key]

    def abort(self, address: IPv4Address, site: str) -> None:
        """End the TCP connections and UDP sessions of ``site`` on ``address``.  Cost: all of them are looked at."""
        for connection in list(self._fabric.connections):
            if connection.address == address and connection.site.name == site:
                connection.close(reset=True)
        for session in list(self._fabric.sessions):
            if session.is_of(address, site):
                session.close()

    def abort_server(self, server: str) -> None:
        """End the connections and sessions that go to a server.  Cost: all of them are looked at."""
        for connection in list(self._fabric.connections):
            if connection.is_at(server):
                connection.close(reset=True)
        for session in list(self._fabric.sessions):
            if session.is_at(server):
                session.close()

    def proceed(self, decisions: Iterable[Decision]) -> None:
        """What becomes of connections that waited for a place."""
        for decision in decisions:
            waiting = self._fabric.waiting.get(decision.ticket) if decision.ticket is not None else None
            if waiting is not None:
                waiting.proceed(decision)

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
        for address, site in list(self._holdings):
            self.close(address, site)
        await self._fabric.emptied(drain)
        for connection in list(self._fabric.connections):
            connection.close(reset=True)
        for greeting in list(self._fabric.greetings):
            greeting.close()
        for farewell in list(self._fabric.farewells):
            farewell.close()
        self._fabric.timers.stop()
        self._fabric.reserve.give_up()

    def _open_all(self, address: IPv4Address, site: Site, home: str, keys: list[_Key]) -> dict[_Key, _Listener]:
        opened: dict[_Key, _Listener] = {}
        try:
            for transport, port in keys:
                opened[transport, port] = _LISTENERS[transport](self._fabric, address, port, site, home)
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
