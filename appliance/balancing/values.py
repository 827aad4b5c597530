"""
What the balancing says to whoever carries the connections, and to people.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Address
from typing import NamedTuple

import attrs

from appliance.balancing.ticket import Ticket
from appliance.model import Address, Instance, Predictor, Refusal, Server, Transport


class Route(NamedTuple):
    """
    Go there.

    :param server: the real server as it is configured.
    :param host: its address as text; ``port``: the port there.
    :param after: seconds to wait before dialling; 0 nearly always.
    """

    ticket: Ticket
    server: Server
    host: str
    port: int
    after: float


class Wait(NamedTuple):
    """There is no room now: the connection stands in a queue, and its :data:`Decision` comes later."""

    ticket: Ticket


class Carried(NamedTuple):
    """
    How a server stands.

    :param live: its connections, those included that are being opened; ``takes``: new ones, if it has room.
    """

    live: int
    takes: bool


class Turned(NamedTuple):
    """
    The client's instance has an answer in place of servers; there is no ticket, and nothing is to be ended.

    :param answer: a refusal, or the bytes that the client gets before its connection is closed.
    """

    answer: Refusal | bytes
    instance: Instance


class Why(enum.Enum):
    """Why a connection was refused; the values are for people and counters."""

    NO_SERVICE = "no-service"
    """The site is not configured, or has no such port (any more)."""
    DENIED = "denied"
    """The service of the client's instance does not admit it (5.13)."""
    OUT_OF_SERVICE = "out-of-service"
    """A person took the virtual server out of service."""
    TOO_MANY = "too-many"
    """The client has ``max_per_client`` connections."""
    BUSY = "busy"
    """No server has room, and nobody may wait (any more)."""
    FAILED = "failed"
    """No server, spill or backup takes new connections."""
    UNREACHABLE = "unreachable"
    """Every server that was there to be tried did not answer."""


class Refused(NamedTuple):
    """
    The connection cannot be had.

    :param ticket: None where there never was one; else it is over, and need not be ended.
    """

    why: Why
    ticket: Ticket | None = None


Decision = Route | Refused
"""What becomes of one that waited."""


class Operational(enum.Enum):
    """
    Whether a real server answers, whatever a person has ordered::

        UP --threshold ditched in a row--> FAILED --retry_after--> TESTING --connected--> UP
                                             ^                        |
                                             +----its test failed-----+

    That is what live connections say, and what is kept.  What counts is FAILED, too, while its probes fail::

                  probes pass      probes fail
        UP        UP               FAILED, until they pass
        FAILED    FAILED           FAILED, and no test when ``retry_after`` is over
        TESTING   TESTING          FAILED, and no further connection for a test
    """

    UP = "up"
    FAILED = "failed"
    TESTING = "testing"


class Administrative(enum.Enum):
    """What a person has ordered of a real server."""

    IN_SERVICE = "in-service"
    OUT_OF_SERVICE = "out-of-service"
    DRAINING = "draining"
    """No new connections; it is said when the last one has ended."""


class VirtualState(enum.Enum):
    """As of US 6,324,177: failed when nothing that is available to it takes new connections."""

    IN_SERVICE = "in-service"
    OUT_OF_SERVICE = "out-of-service"
    FAILED = "failed"


@attrs.frozen
class Override:
    """
    One run-time change (5.10), as it is stored.

    :param subject: ``server NAME`` or ``virtual SITE:PORT[/udp]:BIND``, in canonical form.
    :param value: what a person ordered.
    :param configured: what the file said then; where it says something else, the file wins.
    """

    subject: str
    setting: str
    value: str
    configured: str


@attrs.frozen(kw_only=True)
class VirtualRow:
    """
    A virtual server for people.

    :param name: ``SITE:PORT:BIND``, with ``/udp`` behind a UDP port; port 0 is every port.
    :param instance: its name; empty for bind id 0.
    :param servers: names of the bound real servers; ``answer`` is what stands in their place, in a word.
    :param waiting: of at most ``places``, which all ports of the instance share.
    :param total: connections since the start.
    """

    name: str
    site: str
    port: int
    transport: Transport
    bind_id: int
    instance: str
    state: VirtualState
    predictor: Predictor
    servers: tuple[str, ...]
    backup: str | None
    answer: str
    connections: int
    waiting: int
    places: int
    total: int


@attrs.frozen(kw_only=True)
class ServerRow:
    """
    A real server for people.

    :param state: in a word: ``in-service``, ``out-of-service``, ``draining``, ``failed`` or ``testing``.
    :param weight: as ordered or configured; ``share`` is what slow start has reached of it, 0 to 1.
    :param opening: of its ``connections``, those that are being opened.
    :param ditched: connections in a row that were; ``ditched_total`` since the start.
    :param operational: what counts of live connections and probes.
    :param failure: what its probes say is wrong, and why the last attempt failed, while some are ditched or it has
        failed; else, or not known: empty.
    :param response: seconds, connect and first-byte time together, decayed.
    :param retried_in: seconds until a failed server is tested; None where it is not, or first its probes have to pass.
    :param leaving: it is not configured any more, and goes when its connections have ended.
    """

    name: str
    address: Address | IPv6Address
    port: int
    state: str
    administrative: Administrative
    operational: Operational
    weight: int
    share: float
    connections: int
    opening: int
    max_connections: int
    threshold: int
    ditched: int
    ditched_total: int
    total: int
    backup: str | None
    response: float
    failure: str
    retried_in: float | None
    leaving: bool


@attrs.frozen(kw_only=True)
class ClientRow:
    """
    An assignment for people (5.3).

    :param by: ``configured``, ``by hand`` or ``behaviour``.
    :param ends_in: seconds until one by behaviour ends, if nothing happens; infinity for others.
    """

    client: IPv4Network
    virtual: str
    by: str
    ends_in: float
