"""
What stands open on which leased address, and for whom.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address

import attrs

from appliance.balancing import Decision, Ticket
from appliance.errors import Blame, DataPathError, ListenError
from appliance.model import Server, Site, Transport
from appliance.nat.connection import Connection
from appliance.nat.everyport import EveryPort
from appliance.nat.fabric import Fabric
from appliance.nat.listening import EVERY, Key, Listener, close_all, kind_of, services_of
from appliance.nat.netfilter import Netfilter, NetfilterError
from appliance.nat.opening import EVERY_PORT, is_here, named
from appliance.nat.redirects import PacketFilter, Redirect, Redirects
from appliance.nat.sessions import Session
from appliance.nat.traffic import Balance, Counters, Flow, Traffic
from appliance.polling import Reactor


@attrs.define
class _Holding:
    """What stands on an address for ``site``, and the server that it leads to."""

    site: Site
    server: Server
    listeners: dict[Key, Listener]


class Nat:
    """
    The user-space NAT proxy.

    :param reactor: for its descriptors and its time.
    :param traffic: told of each live connection.  What it raises is logged; it may be told from within
        :meth:`close` and :meth:`abort` too, when they end UDP sessions.
    :param balance: says where each connection goes.
    :param packet_filter: where all ports of an address are led to one; by default the kernel's.
    """

    def __init__(
        self, reactor: Reactor, traffic: Traffic, balance: Balance, packet_filter: PacketFilter | None = None
    ) -> None:
        self._fabric = Fabric(reactor, traffic, balance)
        self._redirects = Redirects(packet_filter if packet_filter is not None else Netfilter())
        self._holdings: dict[tuple[IPv4Address, str], _Holding] = {}
        self._owners: dict[IPv4Address, dict[Key, str]] = {}
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """Failures since the start, as they are now."""
        return attrs.evolve(self._fabric.counters)

    def prepare(self, sites: Iterable[Site]) -> None:
        """
        See to it that these sites can be opened, as far as that depends on none of their addresses.

        :raises ListenError: ``port: all`` cannot be had, and why.
        """
        for site in sites:
            if any(service.every for service in site.services):
                try:
                    self._redirects.prepare()
                except NetfilterError as error:
                    raise ListenError(f"sites.{site.name}: port: all {error}") from error
                return  # one table is for all

    def open(self, address: IPv4Address, site: Site, server: Server) -> None:
        """
        Let every port of ``site`` answer on ``address``.

        :param server: its home server, for which the address was leased; where a connection goes, the balancing says.

        For a changed site or server only the difference is opened and closed, and what runs keeps what it began with;
        who waits for a place has not begun.

        :raises DataPathError: a port cannot be opened, or is another site's, and all is as it was before; says which,
            why, and what to do.
        """
        if self._stopped:
            raise DataPathError(f"{address}: the NAT proxy has stopped", blame=Blame.PROCESS)
        place = address, site.name
        former = self._holdings.get(place)
        if former is not None and (former.site, former.server) == (site, server):
            return
        wanted = services_of(site)
        owners = self._owners.get(address, {})
        for key in wanted:
            owner = owners.get(key, site.name)
            if owner != site.name:
                raise DataPathError(f"{named(address, *key)}: port in use by site {owner}", blame=Blame.PORT)
        self._fabric.reserve.fill()
        standing = former.listeners if former is not None else {}
        missing = [key for key in wanted if key not in standing]
        self._make_way(address, missing)
        added = self._open_all(address, site, server.name, missing)
        kept = {key: listener for key, listener in standing.items() if key in wanted}
        holding = _Holding(site, server, {**kept, **added})
        owners = {key: owner for key, owner in owners.items() if owner != site.name}
        owners.update(dict.fromkeys(wanted, site.name))
        try:
            self._lead(address, self._redirect(address, owners, holding))
        except DataPathError:
            close_all(added)
            raise
        # Nothing below can fail.  The tables are whole before a listener is closed: whom the end of its UDP sessions is
        # told may call us.
        self._holdings[place] = holding
        self._owners[address] = owners
        self._fabric.leased.add(str(address))
        if former is not None and former.site.client_nat != site.client_nat:
            for waiting in self._fabric.waiting.values():
                waiting.reconfigured(site)
        for key, listener in standing.items():
            if key in wanted:
                listener.assign(site, server.name)
            else:
                listener.close()

    def close(self, address: IPv4Address, site: str) -> None:
        """Stop listening for ``site`` on ``address``, if it does.  TCP connections go on, UDP sessions end."""
        holding = self._holdings.pop((address, site), None)
        if holding is None:
            return
        owners = {key: owner for key, owner in self._owners.pop(address, {}).items() if owner != site}
        if owners:
            self._owners[address] = owners
        else:
            self._fabric.leased.discard(str(address))
        try:
            self._redirects.give_up(address, self._redirect(address, owners))
        except DataPathError as error:
            self._fabric.not_redirected(error)
        close_all(holding.listeners)

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

    def tickets(self) -> Iterator[Ticket]:
        """Of all that is carried now."""
        yield from (connection.ticket for connection in self._fabric.connections)
        yield from (session.ticket for session in self._fabric.sessions)

    def absent(self, addresses: Iterable[IPv4Address]) -> list[IPv4Address]:
        """Those that this host has not, now; a few microseconds each."""
        return [address for address in addresses if not is_here(address)]

    def count(self) -> int:
        """How many connections and sessions are carried now; O(1)."""
        return len(self._fabric.connections) + len(self._fabric.sessions)

    def connections(self, after: int = 0, limit: int | None = None) -> list[Flow]:
        """
        What is carried now, one row a TCP connection or UDP session, oldest first.

        :param after: only those with a higher number.
        :param limit: only so many, which costs little more than to look at the numbers of all.
        """
        now = self._fabric.seconds()
        carried: Iterable[Connection | Session] = (*self._fabric.connections, *self._fabric.sessions)
        found = [(each.ticket.number, each) for each in carried if each.ticket.number > after]
        chosen = heapq.nsmallest(len(found) if limit is None else limit, found, key=lambda each: each[0])
        return [each.flow(now) for _, each in chosen]

    def delivered_bytes(self) -> int:
        """
        What servers ever sent to clients; it never falls.

        O(n) of what is alive, about 0.1 us each: a sum that is kept while bytes move would cost each read of a socket.
        """
        fabric = self._fabric
        alive = sum(each.delivered_bytes for each in fabric.connections)
        return fabric.delivered_bytes + alive + sum(each.delivered_bytes for each in fabric.sessions)

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
        self._redirects.close()
        self._fabric.timers.stop()
        self._fabric.reserve.give_up()

    def _open_all(self, address: IPv4Address, site: Site, home: str, keys: list[Key]) -> dict[Key, Listener]:
        opened: dict[Key, Listener] = {}
        try:
            for key in keys:
                opened[key] = kind_of(key)(self._fabric, address, key[1], site, home)
        except BaseException as error:
            close_all(opened)
            if isinstance(error, DataPathError) and error.blame is Blame.PROCESS:
                self._fabric.out_of_descriptors(error)
            raise
        return opened

    def _make_way(self, address: IPv4Address, keys: Collection[Key]) -> None:
        """One of these ports may happen to be the one that all others of ``address`` lead to."""
        every = self._every_port(address, self._owners.get(address, {}))
        if every is not None and (Transport.TCP, every.redirect_port) in keys:
            standing = self._redirects.standing(address)
            assert standing is not None
            every.move(lambda port: self._lead(address, attrs.evolve(standing, port=port)))

    def _lead(self, address: IPv4Address, redirect: Redirect | None) -> None:
        try:
            self._redirects.lead(address, redirect)
        except DataPathError as error:
            self._fabric.not_redirected(error)
            raise

    def _every_port(
        self, address: IPv4Address, owners: Mapping[Key, str], newest: _Holding | None = None
    ) -> EveryPort | None:
        """:param newest: what is about to stand on ``address`` for its site."""
        owner = owners.get(EVERY)
        if owner is None:
            return None
        holding = newest if newest is not None and newest.site.name == owner else self._holdings[address, owner]
        listener = holding.listeners[EVERY]
        assert isinstance(listener, EveryPort)
        return listener

    def _redirect(
        self, address: IPv4Address, owners: Mapping[Key, str], newest: _Holding | None = None
    ) -> Redirect | None:
        """Where the TCP connections to ``address`` are to come in; None: each at the port that it is for."""
        every = self._every_port(address, owners, newest)
        if every is None:
            return None
        exact = frozenset(port for transport, port in owners if transport is Transport.TCP and port != EVERY_PORT)
        return Redirect(every.redirect_port, exact)
