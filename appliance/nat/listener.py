"""
Where TCP connections come in.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, ip_address

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.balancing import Refused, Turned
from appliance.model import Refusal, Site, Transport
from appliance.nat.connection import Connection
from appliance.nat.fabric import EXHAUSTED, Fabric
from appliance.nat.farewell import turn_away
from appliance.nat.greeting import Greeting
from appliance.nat.opening import SocketAddress, keep_alive, open_socket
from appliance.nat.side import close_with_reset

_BATCH = 16
"""Most connections taken in one wake-up: about 2 ms of work, in which DNS waits."""
_PAUSE = 0.25
"""How long a listener rests when descriptors ran out; meanwhile connections wait in the kernel's queue."""


@implementer(IReadDescriptor)
class TcpListener:
    """
    A listening endpoint of a site.

    :raises DataPathError: where it cannot listen.
    """

    log = Logger(namespace="appliance.nat")

    def __init__(self, fabric: Fabric, address: IPv4Address, port: int, site: Site, home: str) -> None:
        self._fabric = fabric
        self._address = address
        self._port = port
        self._site = site
        self._home = home
        self._sock = open_socket(Transport.TCP, address, port)
        keep_alive(self._sock, site.timeouts.keepalive)
        self._open = True
        self._resume_at: float | None = None
        fabric.poll.addReader(self)

    def assign(self, site: Site, home: str) -> None:
        """The site was configured anew: so new connections are treated from now on."""
        self._site = site
        self._home = home
        keep_alive(self._sock, site.timeouts.keepalive)

    def close(self) -> None:
        if self._open:
            self._open = False
            if self._resume_at is None:
                self._fabric.poll.removeReader(self)
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "nat"

    def doRead(self) -> None:
        if not self._open or self._resume_at is not None:
            return
        for _ in range(_BATCH):
            try:
                client, peer = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in EXHAUSTED:
                    self._run_dry(problem)
                    return
                continue  # this one is gone already, or a packet filter refused it
            if client.fileno() < self._fabric.ceiling:
                self._take(client, peer)
            else:
                self._fabric.out_of_descriptors("the rest is not for traffic")
                self._fabric.counters.accepts_refused += 1
                close_with_reset(client)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed us over an event we do not expect of a listening socket; so listen on."""
        if self._open and self._resume_at is None:
            self._pause()

    def deadline(self) -> float | None:
        return self._resume_at if self._open else None

    def expired(self) -> None:
        """The rest is over."""
        self._resume_at = None
        self._fabric.reserve.fill()
        self._fabric.poll.addReader(self)

    def port_of(self, client: socket.socket) -> int | None:
        """:return: the public port that an accepted ``client`` came to; None where that cannot be known."""
        return self._port

    def _take(self, client: socket.socket, peer: SocketAddress) -> None:
        """An accepted client: it may have to say first for whom it speaks."""
        try:
            client.setblocking(False)
            fronts = self._site.accept_proxy_from
            if fronts and any(ip_address(peer[0]) in front for front in fronts):
                Greeting(self._fabric, client, peer, self).begin()
            else:
                self.carry(client, peer, int.from_bytes(socket.inet_aton(peer[0]), "big"))
        except Exception:
            self.log.failure("{event}: a connection could not begin", event="nat-accept-failed")
            close_with_reset(client)

    def carry(self, client: socket.socket, peer: SocketAddress, number: int) -> None:
        """
        Carry a client to where the balancing says.

        :param number: its address as one.
        """
        fabric, site = self._fabric, self._site
        port = self.port_of(client)
        if port is None or not self._open:  # closed while a front end was still speaking
            close_with_reset(client)
            return
        decision = fabric.balance.begin(site.name, port, number, self._home)
        if isinstance(decision, Turned):
            fabric.counters.turned_away += 1
            if decision.answer is Refusal.RESET:
                close_with_reset(client)
            else:
                turn_away(fabric, client, decision.answer if isinstance(decision.answer, bytes) else b"")
            return
        if isinstance(decision, Refused):
            fabric.counters.refused += 1
            close_with_reset(client)
            return
        connection = Connection(fabric, site, self._address, port, client, peer, decision.ticket)
        try:
            connection.begin(decision)
        except Exception:
            self.log.failure("{event}: a connection could not begin", event="nat-accept-failed")
            connection.close(reset=True)

    def _run_dry(self, problem: OSError) -> None:
        """No descriptor is left: refuse with the reserved one those who wait, and rest rather than spin."""
        self._fabric.out_of_descriptors(problem.strerror)
        for _ in range(_BATCH):
            self._fabric.reserve.give_up()
            if not self._refuse_one():
                break
            self._fabric.counters.accepts_refused += 1
        self._fabric.reserve.fill()
        self._fabric.poll.removeReader(self)
        self._pause()

    def _pause(self) -> None:
        self._resume_at = self._fabric.seconds() + _PAUSE
        self._fabric.timers.add(self._resume_at, self)

    def _refuse_one(self) -> bool:
        """:return: False when nobody waits any more, or none can be taken."""
        try:
            client, _ = self._sock.accept()
        except OSError as problem:
            return problem.errno in (errno.ECONNABORTED, errno.EPROTO)
        close_with_reset(client)
        return True
