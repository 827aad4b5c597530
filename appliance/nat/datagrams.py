"""
UDP: one socket for each leased endpoint, one connected socket towards the server for each client endpoint.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.balancing import Route, Turned, Wait
from appliance.model import UDP_KEYS, Site, Transport
from appliance.nat.fabric import EXHAUSTED, Fabric
from appliance.nat.opening import NO_SOURCE, SocketAddress, bind_source, family_of, open_socket
from appliance.nat.sessions import BATCH, UNBOUND_TIMEOUT, Session
from appliance.ports import Block

_FEWEST_OF_ONE_NETWORK = 64
"""A quarter of a small site's sessions is less than one busy network needs, so it may have this many."""


@implementer(IReadDescriptor)
class UdpListener:
    """
    A leased endpoint that datagrams come to and replies leave from.

    :raises DataPathError: where it cannot be opened.
    """

    log = Logger(namespace="appliance.nat")

    def __init__(self, fabric: Fabric, address: IPv4Address, port: int, site: Site, home: str) -> None:
        self.fabric = fabric
        self.address = address
        self.port = port
        self._site = site
        self._home = home
        self._sessions: dict[SocketAddress, Session] = {}
        self._sock = open_socket(Transport.UDP, address, port)
        self._sendto = self._sock.sendto
        self._open = True
        fabric.poll.addReader(self)

    def assign(self, site: Site, home: str) -> None:
        """The site was configured anew: so new sessions are treated from now on."""
        self._site = site
        self._home = home

    def close(self) -> None:
        if self._open:
            self._open = False
            self._end_sessions()
            self.fabric.poll.removeReader(self)
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "nat"

    def doRead(self) -> None:
        fabric = self.fabric
        now = fabric.seconds()
        for _ in range(BATCH):
            if not self._open:
                return
            try:
                count, client = self._sock.recvfrom_into(fabric.buffer)
            except BlockingIOError:
                return
            except OSError:
                continue
            session = self._sessions.get(client) or self._begin(client)
            if session is not None:
                session.active_at = now
                session.forward(fabric.view[:count])

    def reply(self, data: memoryview, client: SocketAddress) -> bool:
        """:return: whether the kernel took it."""
        try:
            self._sendto(data, client)
        except OSError:
            self.fabric.counters.datagrams_dropped += 1
            return False
        return True

    def forget(self, client: SocketAddress, session: Session, site: str) -> None:
        """``session`` is over."""
        del self._sessions[client]
        self.fabric.sessions.discard(session)
        for key in (site, (site, _prefix(client))):
            self.fabric.sessions_of[key] -= 1
            if not self.fabric.sessions_of[key]:
                del self.fabric.sessions_of[key]

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed us over an error of the socket; it is cleared, and we listen on."""
        if self._open:
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.fabric.poll.addReader(self)

    def _begin(self, client: SocketAddress) -> Session | None:
        """:return: a session for a new client endpoint; None when there can be none, and its datagram is dropped."""
        fabric = self.fabric
        site, network = self._site.name, (self._site.name, _prefix(client))
        most = self._site.max_sessions
        if fabric.sessions_of[site] >= most or fabric.sessions_of[network] >= _most_of_one_network(most):
            fabric.counters.sessions_refused += 1
            return None
        number = int.from_bytes(socket.inet_aton(client[0]), "big")
        decision = fabric.balance.begin(site, UDP_KEYS + self.port, number, self._home)
        if not isinstance(decision, Route):
            # Nor does a datagram wait for a place, and a message in place of a server is for streams.
            if isinstance(decision, Wait):
                fabric.balance.ended(decision.ticket, 0, 0)
            if isinstance(decision, Turned):
                fabric.counters.turned_away += 1
            else:
                fabric.counters.refused += 1
            return None
        made = self._socket(decision)
        if made is None:
            fabric.balance.ended(decision.ticket, 0, 0)
            return None
        session = self._sessions[client] = Session(self, self._site, decision, client, *made)
        fabric.sessions.add(session)
        fabric.sessions_of[site] += 1
        fabric.sessions_of[network] += 1
        fabric.poll.addReader(session)
        fabric.timers.add(fabric.seconds() + UNBOUND_TIMEOUT, session)
        return session

    def _socket(self, route: Route) -> tuple[socket.socket, Block | None] | None:
        """A socket towards the server, and where it comes from; None where there can be none."""
        fabric, pool = self.fabric, self._site.client_nat
        source: Block | None = None
        sock: socket.socket | None = None
        target = route.host, route.port
        if route.host in fabric.leased:
            fabric.counters.datagrams_dropped += 1
            why = "it is a leased address, from where it would come back"
            fabric.connect_failed(f"{self._site.name} to {route.host}: {why}")
            return None
        try:
            sock = socket.socket(family_of(target), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            if sock.fileno() >= fabric.ceiling:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if pool is not None:
                source = fabric.balance.take_source(pool, Transport.UDP)
                if source is None:
                    sock.close()
                    fabric.counters.sources_exhausted += 1
                    fabric.no_source(f"client NAT pool {pool}, for {self._site.name}: no pair is left")
                    return None
                bind_source(sock, source.pair)
            sock.connect(target)
        except OSError as problem:
            if sock is not None:
                sock.close()
            if source is not None and pool is not None:
                fabric.balance.give_source(pool, Transport.UDP, source)
            if problem.errno in EXHAUSTED:
                fabric.counters.sessions_refused += 1
                fabric.out_of_descriptors(os.strerror(problem.errno))
            elif problem.errno in NO_SOURCE:
                fabric.counters.sources_exhausted += 1
                whose = f"client NAT pool {pool}" if pool is not None else "the host's own addresses"
                fabric.no_source(f"{whose}, for {self._site.name}: {problem.strerror}")
            else:
                fabric.counters.datagrams_dropped += 1
                fabric.connect_failed(f"{self._site.name} to {target[0]} port {target[1]}: {problem.strerror}")
            return None
        return sock, source

    def _end_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session.close()


def _most_of_one_network(most: int) -> int:
    """:return: of a site that may have ``most`` in all; it can be more than that, which is a bound of its own."""
    return max(most // 4, _FEWEST_OF_ONE_NETWORK)


def _prefix(client: SocketAddress) -> str:
    """The /24 that a client is in; leased addresses are IPv4, and so are their clients."""
    return client[0].rpartition(".")[0]
