"""What comes in of servers and POPs, and what goes out: a choice."""

from __future__ import annotations

import enum
import math
import random
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import attrs

from appliance.model import Health, Load, Pop, Server

JITTER = 0.2
"""Largest part by which a TTL is shortened at random, so that copies which were made together do not end together."""
SHORTEST = 1
"""No TTL is less, in seconds: 0 would make some resolvers ask for each connection."""


@attrs.frozen(kw_only=True)
class OriginFigures:
    """
    What is believed of a customer's web server.

    :param server: its weight of 0 makes it nobody's candidate, whatever else is down.
    :param connections: live ones, as we count them.
    """

    server: Server
    health: Health
    connections: int = 0


@attrs.frozen(kw_only=True)
class PopFigures:
    """
    What is believed of a POP.

    :param until: the earliest instant at which ``up`` could be another; infinity: not by itself.
    :param latency: seconds, as this POP measured it; None: never.
    :param http: seconds until its page was there; None: not measured.
    :param ftp: the same of its FTP server.
    :param load: None where it is not known, or too old.
    """

    pop: Pop
    up: bool
    until: float = math.inf
    latency: float | None = None
    http: float | None = None
    ftp: float | None = None
    load: Load | None = None


class Candidate(NamedTuple):
    """Who can be answered.  What is not a server or POP (``backup``) has its address as its name."""

    name: str
    address: IPv4Address | IPv6Address


class Standing(enum.IntEnum):
    """Who is asked before whom, whatever the costs."""

    GOOD = 0
    FULL = 1
    """Up, and so busy that it is the last resort."""
    DOWN = 2


class Rated(NamedTuple):
    """
    A candidate and what it costs; a smaller cost is better among those of the same standing.

    :param share: how much of what is spread by chance or hash it gets, relative to the others; above 0.
    """

    candidate: Candidate
    standing: Standing
    cost: float
    share: float


class Why(enum.Enum):
    """What stands behind a choice; all but the first two are to be seen by people."""

    BEST = "best"
    ABSENT = "absent"
    """Nobody has an address of that family, or nobody who is up: other families have some who are."""
    FULL = "full"
    """All that are up are as good as full."""
    ALL = "all"
    """All are down, and all are answered."""
    LAST_GOOD = "last-good"
    """All are down, and what was answered last is answered."""
    EMPTY = "empty"
    BACKUP = "backup"


@attrs.frozen(kw_only=True)
class Choice:
    """
    What a name is answered with.

    :param candidates: the best first; those after :attr:`answer` are who comes next where somebody refuses.  None of
        them is down while anybody is up.
    :param count: how many of them are one answer.
    :param ttl: most seconds that the customer lets an answer be kept.
    :param ttl_until: the earliest instant at which the health of any candidate could be another; infinity: none can.
    :param depends_on_client: somebody else, or the same one later, may get another choice though nothing changed; where
        it is False all get the same until ``refresh`` is True.
    """

    candidates: tuple[Candidate, ...]
    count: int
    ttl: float
    ttl_until: float
    depends_on_client: bool
    why: Why

    @property
    def answer(self) -> tuple[Candidate, ...]:
        return self.candidates[: self.count]

    def lifetime(self, now: float, rng: random.Random | None = None) -> int:
        """
        The TTL of an answer that leaves now: gdnsd's rule, no copy outlives the earliest change that it could miss.

        :param rng: it is shortened by up to :data:`JITTER` at random.
        :return: whole seconds, at least :data:`SHORTEST`.
        """
        most = min(self.ttl, self.ttl_until - now)
        if rng is not None:
            most *= 1.0 - JITTER * rng.random()
        return int(max(SHORTEST, most))
