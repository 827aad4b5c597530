"""What the wire cache keeps: responses, and how often each kind of them was given."""

from __future__ import annotations

import attrs

from appliance.model import Address
from appliance.nameserver.ratelimit import Kind


@attrs.define(eq=False)
class Tally:
    """
    What was answered of one kind in a tick; all spellings and forms of a question share it.

    :param rcode: of these answers; ``site``: whose lease is in them, lately at ``address``.
    :param left: how many more may be answered in this tick before the rate limiter is asked about each.
    :param allowed: what ``left`` began with; ``over``: how many were asked for when nothing was left.
    :param tick: the tick that it is about.
    :param entries: how many entries share it.
    """

    kind: Kind
    rcode: str
    site: str | None
    address: Address | None = None
    left: int = 0
    allowed: int = 0
    over: int = 0
    tick: int = -1
    entries: int = 0


@attrs.define(eq=False)
class Entry:
    """
    A kept response.

    :param key: where it is found; ``exact_key`` likewise, empty where it has no single one.
    :param wire: all of it behind the id, with the name in lower case; ends with the OPT where a cookie is to follow.
    :param head: flags and counts, ``tail``: what follows the question.
    :param lease_at: where in ``tail`` TTL, length and address of the lease are, as far as there is one.
    :param told: TTL and address that are written there.
    :param tick: the tick in which it was asked for last; in another one it must be asked for anew.
    """

    key: bytes
    exact_key: bytes
    wire: bytes
    head: bytes
    tail: bytes
    tally: Tally
    lease_at: int = 0
    told: bytes = b""
    tick: int = -1
    size: int = 0
