"""How connections are spread among real servers, and what else may become of them (requirements 4 and 5)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network

import attrs

from appliance.model.endpoints import Endpoint
from appliance.model.services import Server, Service


class Predictor(enum.Enum):
    """How a server is chosen for a new connection (5.7)."""

    LEAST_CONNECTIONS = "least-connections"
    """The one with the fewest connections for its weight, those being opened included; ties in rotation."""
    ROUND_ROBIN = "round-robin"
    WEIGHTED_ROUND_ROBIN = "weighted-round-robin"
    """Smooth: turns of one server are spread over the cycle."""
    FASTEST_RESPONSE = "fastest-response"
    """The one with the least connect and first-byte time, decayed."""
    SOURCE_HASH = "source-hash"
    """The client's address decides, and few clients move when servers come and go (Maglev)."""


class Spill(enum.Enum):
    """When the clients of an instance use the general servers (5.6)."""

    BUSY = "busy"
    """All of its own are at ``max_connections``, or failed."""
    ONE_FAILED = "one-failed"
    ALL_FAILED = "all-failed"
    NEVER = "never"


class Refusal(enum.Enum):
    """How a client is turned away."""

    CLOSE = "close"
    RESET = "reset"


@attrs.frozen(kw_only=True)
class Behaviour:
    """
    What makes a client one of an instance by itself (5.11).  A limit of 0 is none; any one suffices.

    :param connections: new ones within ``window`` seconds.
    :param window: seconds.
    :param bytes: from and to the client within ``window``.
    :param short: connections within ``window`` that ended without a byte from the client.
    :param hold: seconds that a client stays in after the last time that a limit was reached.
    """

    connections: int = 100
    window: float = 10.0
    bytes: int = 0
    short: int = 0
    hold: float = 600.0


@attrs.frozen(kw_only=True)
class Instance:
    """
    What certain clients get in place of the site itself, which is the instance with bind id 0 (5.3 to 5.6).

    :param bind_id: 1 to 65535, once in a site.
    :param name: for people, once in a site.
    :param clients: who is assigned to it.
    :param services: a part of the site's ports, and where they lead; empty: the site's.
    :param servers: empty where there is an ``answer``.
    :param answer: in place of servers: a refusal, or the bytes that a client gets before its connection is closed.
    :param welcome: bytes that a client gets before what its server sends; empty: none.
    :param backup: of the instance's virtual servers: the name of another site.
    :param lend: clients of the site itself may use its servers while they have nothing to do.
    """

    bind_id: int
    name: str
    clients: tuple[IPv4Network, ...] = ()
    behaviour: Behaviour | None = None
    services: tuple[Service, ...] = ()
    servers: tuple[Server, ...] = ()
    predictor: Predictor = Predictor.LEAST_CONNECTIONS
    spill: Spill = Spill.BUSY
    lend: bool = False
    backup: str | None = None
    answer: Refusal | bytes | None = None
    welcome: bytes = b""
    in_service: bool = True


class ProxyProtocol(enum.Enum):
    """What is said to a server of the client, in front of the client's bytes."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"


class Reuse(enum.Enum):
    """When a pair of a client NAT pool may be taken again."""

    BLOCK = "block"
    """After its quarantine."""
    SUBPOOL = "subpool"
    """When all pairs of its subpool are free, and after their quarantine (US 7,660,909 claim 3)."""


@attrs.frozen(kw_only=True)
class NatPool:
    """
    Source addresses and ports of connections to servers (4.1).

    :param first: first address; ``last`` included.
    :param netmask: of the network or networks that they lie in, whose first and last addresses are skipped.
    :param first_port: of each address; ``last_port`` included.
    :param initial: blocks of the first subpool; ``subpool``: of each later one.
    :param maximum: blocks in all.
    :param low_water: with so few free blocks the next subpool is made.
    :param quarantine: seconds that a pair rests before it is taken again.
    """

    name: str
    first: IPv4Address
    last: IPv4Address
    netmask: IPv4Address
    first_port: int = 1024
    last_port: int = 65535
    initial: int = 1024
    maximum: int = 65536
    subpool: int = 1024
    low_water: int = 64
    reuse: Reuse = Reuse.BLOCK
    quarantine: float = 60.0


@attrs.frozen
class Pair:
    """One source that a connection may have."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return str(Endpoint(self.address, self.port))
