"""
One connection, or one UDP session, as the balancing knows it.
"""

from __future__ import annotations

import enum


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
    """

    __slots__ = ("attempts", "buddy", "client", "key", "number", "state")
