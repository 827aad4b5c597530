"""
One connection, or one UDP session, as the balancing knows it.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Iterable

from appliance.model import Instance, Server

if typing.TYPE_CHECKING:
    from appliance.balancing.affinity import Ties
    from appliance.balancing.real import Real
    from appliance.balancing.virtual import Need, Virtual


class State(enum.Enum):
    """
    Where a ticket stands::

        begin --> WAITING --room--> OPENING --connected--> OPEN
          |          |  ^              | |                  |
          +----------+--+--failed------+ |                  |
                     |                   |                  |
                     +------ended, refused------------------+--> OVER
    """

    WAITING = "waiting"
    OPENING = "opening"
    OPEN = "open"
    OVER = "over"


class Ticket:
    """
    Whoever carries a connection keeps this, gives it back with each call, and reads it for its tables.

    :ivar number: unique since the start.
    :ivar client: packed IPv4 address; ``key`` is the port that it came to, as :data:`appliance.model.Keys` has it.
    :ivar attempts: dials on the present server, this one included; 0 while it waits.
    :ivar buddy: number of the connection whose server it was sent to (5.12); 0 for none.
    :ivar virtual: for the room only, as are ``real``, ``tried`` (servers that ditched it), ``dialled_at``, ``need``
        (the queue it stands in) and ``ties`` (where its client is counted).
    """

    __slots__ = (
        "attempts",
        "buddy",
        "client",
        "dialled_at",
        "key",
        "need",
        "number",
        "real",
        "state",
        "ties",
        "tried",
        "virtual",
    )

    def __init__(self, number: int, virtual: Virtual, key: int, client: int, now: float) -> None:
        self.number = number
        self.virtual = virtual
        self.key = key
        self.client = client
        self.dialled_at = now
        self.attempts = 0
        self.buddy = 0
        self.state = State.WAITING
        self.real: Real | None = None
        self.tried: frozenset[Real] = _NONE
        self.need: Need | None = None
        self.ties: Ties | None = None

    @property
    def site(self) -> str:
        return self.virtual.section.place.name

    @property
    def bind_id(self) -> int:
        return self.virtual.section.bind_id

    @property
    def instance(self) -> Instance | None:
        """None for bind id 0."""
        return self.virtual.section.instance

    @property
    def virtual_name(self) -> str:
        """``SITE:PORT:BIND``."""
        return self.virtual.name

    @property
    def server(self) -> Server | None:
        """None while it waits."""
        return self.real.server if self.real is not None else None


_NONE: frozenset[Real] = frozenset()

Tickets = Iterable[Ticket]
