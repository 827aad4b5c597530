"""The states of a TCP connection through the proxy; :mod:`~appliance.nat.connection` draws them."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """The values are for people.  While it is connecting it may wait for a place at a server."""

    CONNECTING = "connecting"
    OPEN = "open"
    HALF_CLOSED = "half-closed"
    BREAKING = "breaking"
    CLOSED = "closed"


MOVES = frozenset(
    {
        (State.CONNECTING, State.OPEN),
        (State.CONNECTING, State.CLOSED),
        (State.OPEN, State.HALF_CLOSED),
        (State.OPEN, State.BREAKING),
        (State.OPEN, State.CLOSED),
        (State.HALF_CLOSED, State.BREAKING),
        (State.HALF_CLOSED, State.CLOSED),
        (State.BREAKING, State.CLOSED),
    }
)
