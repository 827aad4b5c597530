"""
What all listeners, connections and sessions of the room share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
import typing
from collections import Counter
from ipaddress import IPv4Address

from twisted.internet import defer
from twisted.logger import Logger

from appliance.balancing import Ticket
from appliance.nat.timers import Timers
from appliance.nat.traffic import Balance, Counters, Traffic
from appliance.polling import Poll, Reactor

if typing.TYPE_CHECKING:
    from appliance.nat.approach import Approach
    from appliance.nat.connection import Connection
    from appliance.nat.farewell import Farewell
    from appliance.nat.greeting import Greeting
    from appliance.nat.sessions import Session

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say this host, not the peer, has run out of something."""

_BUFFER_BYTES = 256 * 1024
"""One read.  It is also the most that waits in one direction of a connection, and more than any datagram."""
_MOST_SPARE = 256
"""Descriptors, at most, that traffic leaves to DNS over TCP, commands, new leases and the journal."""


def ceiling() -> int:
    """
    The first descriptor that traffic does not get, of those that this process may have now: the last eighth is not its.

    The kernel gives the lowest number that is free, so a number tells how many are in use.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(limit // 8, _MOST_SPARE)


class Complaint:
    """
    A log line that a stranger can trigger: written at most once a minute.

    :param event: the event's name in the log.
    :param text: a constant; it is followed by the fields that the first caller of the minute gave.
    """

    log = Logger(namespace="appliance.nat")
    _INTERVAL = 60.0

    def __init__(self, seconds: typing.Callable[[], float], event: str, text: str) -> None:
        self._seconds = seconds
        self._event = event
        self._format = "{event}: " + text + " ({what}; {kept_back} more since the last such line)"
        self._quiet_until = float("-inf")
        self._kept_back = 0

    def __call__(self, what: object) -> None:
        now = self._seconds()
        if now < self._quiet_until:
            self._kept_back += 1
            return
        self.log.warn(self._format, event=self._event, what=what, kept_back=self._kept_back)
        self._quiet_until = now + self._INTERVAL
        self._kept_back = 0


class Reserve:
    """
    One descriptor kept back for the day when there are no more.

    A connection that waits in a listener's queue cannot be refused without accepting it, and that takes a descriptor.
    """

    def __init__(self) -> None:
        self._descriptor = -1

    def fill(self) -> None:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # still none: the next fill tries again
                self._descriptor = -1

    def give_up(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Fabric:
    """
    The room's shared parts: clock, timers, receive buffer, reserve, and the list of what is alive.

    :ivar ceiling: of descriptors; a client's socket, or one towards a server, with this number or more is closed.

    :ivar leased: addresses that something of ours stands on; what goes there comes back.

    ``buffer`` belongs to whoever is inside one ``doRead``; nothing may keep a view of it after that.
    """

    log = Logger(namespace="appliance.nat")

    def __init__(self, reactor: Reactor, traffic: Traffic, balance: Balance) -> None:
        self.reactor = reactor
        self.poll = Poll(reactor)
        self.seconds = reactor.seconds
        self.timers = Timers(reactor)
        self.buffer = bytearray(_BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.reserve = Reserve()
        self.ceiling = ceiling()
        self.counters = Counters()
        self.connections: set[Connection] = set()
        # Bytes from servers to clients, of connections and sessions that have ended.
        self.delivered_bytes = 0
        self.farewells: set[Farewell] = set()
        self.greetings: set[Greeting] = set()
        self.waiting: dict[Ticket, Approach] = {}
        self.sessions: set[Session] = set()
        self.leased: set[str] = set()
        # By site, and by site and client network.
        self.sessions_of: Counter[str | tuple[str, str]] = Counter()
        self.out_of_descriptors = Complaint(
            reactor.seconds, "nat-descriptors-exhausted", "No file descriptors left for traffic; raise LimitNOFILE"
        )
        self.connect_failed = Complaint(reactor.seconds, "nat-connect-failed", "A server does not take connections")
        self.no_source = Complaint(reactor.seconds, "nat-sources-exhausted", "A connection to a server has no source")
        self.bad_header = Complaint(reactor.seconds, "nat-proxy-header", "A front end sent no good PROXY header")
        self.not_redirected = Complaint(
            reactor.seconds, "nat-not-redirected", "The ports of an address could not be led elsewhere"
        )
        self.balance = balance
        self._traffic = traffic
        self._waiting: list[defer.Deferred[None]] = []

    def opened(self, address: IPv4Address, site: str) -> None:
        """Tell the tables.  What they raise is theirs, and must not disturb the traffic."""
        try:
            self._traffic.connection_opened(address, site)
        except Exception:
            self.log.failure("{event}: counting a new connection failed", event="nat-traffic-failed")

    def closed(self, address: IPv4Address, site: str) -> None:
        try:
            self._traffic.connection_closed(address, site)
        except Exception:
            self.log.failure("{event}: counting the end of a connection failed", event="nat-traffic-failed")

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections and self._waiting:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    async def emptied(self, patience: float) -> None:
        """Wait until no TCP connection is left, but no longer than ``patience`` seconds."""
        if self.connections and patience > 0:
            deferred: defer.Deferred[None] = defer.Deferred(self._stop_waiting)
            self._waiting.append(deferred)
            deferred.addTimeout(patience, self.reactor)  # type: ignore[arg-type]
            with contextlib.suppress(defer.TimeoutError):
                await deferred

    def _stop_waiting(self, deferred: defer.Deferred[None]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)
