"""The ports that a site offers, and the servers behind them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import attrs

from appliance.model.endpoints import UDP_KEYS, Keys, Transport, keys_of_runs
from appliance.model.health import Probe


@attrs.frozen(kw_only=True)
class Service:
    """
    A port, or a run of ports, that a site offers on its leased address.

    :param first_port: first public port.
    :param last_port: last public port, at least ``first_port``.
    :param to: the server's port for ``first_port``; later ports of a run keep their distance to it.
    :param every: it stands for every port, and one that another service names is that one's (5.1).
    :param allow: only these clients may connect; empty: all may (5.13).
    :param deny: these may not, whatever ``allow`` says.
    """

    transport: Transport = Transport.TCP
    first_port: int
    last_port: int
    to: int
    every: bool = False
    allow: tuple[IPv4Network, ...] = ()
    deny: tuple[IPv4Network, ...] = ()

    def ports(self) -> range:
        return range(self.first_port, self.last_port + 1)

    def target(self, port: int) -> int:
        """The server's port that public ``port`` is translated to."""
        return self.to + port - self.first_port


@attrs.frozen(kw_only=True)
class Server:
    """
    A real server: where the traffic of a site ends.

    :param port: 0 keeps what the service's ``to`` says.
    :param weight: its share of a site's requests, relative to the site's other servers; 0: no new ones.
    :param threshold: ditched connections in a row that fail it (5.8).
    :param distinct_clients: of one client only the first of these counts.
    :param retries: attempts of one connection before it is ditched.
    :param retry_after: seconds after which a failed server is tried with one connection.
    :param max_connections: 0: no limit.
    :param queue: connections that may wait for a place.
    :param slow_start: seconds in which it grows into its weight and limit after it came back.
    :param backup: name of the server that takes its new connections while it is failed.
    :param reset_on_failure: its connections are reset when it fails; else they may go on (5.8).
    :param probes: it takes new connections while all of them pass.
    """

    name: str
    address: IPv4Address | IPv6Address
    port: int = 0
    weight: int = 1
    threshold: int = 8
    distinct_clients: bool = False
    retries: int = 3
    retry_after: float = 60.0
    max_connections: int = 0
    queue: int = 0
    slow_start: float = 0.0
    backup: str | None = None
    reset_on_failure: bool = False
    probes: tuple[Probe, ...] = ()


@attrs.frozen(kw_only=True)
class Timeouts:
    """
    How long the data path waits, in seconds.  Defaults are those of RFC 5382 (idle) and RFC 4787 (udp).

    :param drain: how long connections may go on once their lease drains.
    :param keepalive: after so long without a byte the kernel asks whether the other end is still there; 0: never.
    """

    connect: float = 3.0
    idle: float = 7200.0
    half_closed: float = 30.0
    udp: float = 300.0
    drain: float = 300.0
    keepalive: float = 60.0


def keys_of(services: Iterable[Service]) -> Keys:
    """The keys that ``services`` take on a leased address; the same object for the same keys."""
    runs = []
    for service in services:
        lowest = UDP_KEYS if service.transport is Transport.UDP else 0
        runs.append((lowest + service.first_port, lowest + service.last_port))
    return keys_of_runs(runs)
