"""Customers of the POP network, and the POPs (requirement 3)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

import attrs

from appliance.model.endpoints import Endpoint
from appliance.model.services import Server


@attrs.frozen(kw_only=True)
class Url:
    """
    A page that is fetched over plain HTTP.

    :param host: as it was written: the Host header.
    """

    endpoint: Endpoint
    host: str
    path: str = "/"


@attrs.frozen(kw_only=True)
class Pop:
    """
    A point of presence: this appliance, where the name is its own, or another.

    :param address: what is answered.
    :param peers: where its ``/load``, ``/ping`` and rows are; None: they are not asked for.
    :param http: a page of it whose response time counts; None: none does.
    :param ftp: a server of it whose response time counts.
    :param capacity: connections that it can carry; 0: as many as come, or as its own load says.
    :param interval: seconds between checks.
    """

    name: str
    address: IPv4Address | IPv6Address
    peers: Url | None = None
    http: Url | None = None
    ftp: Endpoint | None = None
    capacity: float = 0.0
    interval: float = 5.0


class OriginBy(enum.Enum):
    """What customer web servers are compared by."""

    LOAD = "load"
    LATENCY = "latency"
    BOTH = "both"


class Choices(enum.Enum):
    """How many servers are compared for an answer."""

    ALL = "all"
    TWO = "two"
    """Two random ones."""


class AllDown(enum.Enum):
    """What is answered when everything that could be is down."""

    ALL = "all"
    LAST_GOOD = "last-good"
    EMPTY = "empty"
    BACKUP = "backup"


@attrs.frozen(kw_only=True)
class PopWeights:
    """What counts how much in the cost of a POP; 0: not at all."""

    latency: float = 1.0
    cpu: float = 1.0
    memory: float = 0.2
    connections: float = 1.0
    http: float = 0.5
    ftp: float = 0.0


@attrs.frozen(kw_only=True)
class Rule:
    """
    How one customer's answers are chosen (3.1, 3.2, 3.5).

    :param tolerance: costs within so large a part of the best count as equal; 0: strictly the best.
    """

    origins: OriginBy = OriginBy.LOAD
    choices: Choices = Choices.ALL
    all_down: AllDown = AllDown.ALL
    pops: PopWeights = PopWeights()
    tolerance: float = 0.1


@attrs.frozen(kw_only=True)
class Delivery:
    """
    One customer.

    :param pages: names that are answered with a web server of the customer, absolute, lower case, without the last dot.
    :param static: names that are answered with a POP.  A name in both is answered with a POP (3.3).
    :param origins: at least one where there are ``pages``.
    :param answers: most addresses in one answer.
    :param ttl: most seconds that an answer may be kept.
    :param backup: what is answered by ``all_down: backup``.
    """

    name: str
    pages: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    origins: tuple[Server, ...] = ()
    rule: Rule = Rule()
    answers: int = 1
    ttl: float = 10.0
    backup: tuple[IPv4Address | IPv6Address, ...] = ()
