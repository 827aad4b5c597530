"""
What happened: frozen facts that SharedState hands to journal and subscribers.

Every change of the tables is one of these; replaying them in order rebuilds the tables.  Instants are seconds on the
process's one clock (boot time).
"""

from __future__ import annotations

import attrs

from appliance.model import Address


@attrs.frozen(kw_only=True)
class Event:
    """:param at: when it happened."""

    at: float
    pool: str


@attrs.frozen(kw_only=True)
class PoolExhausted(Event):
    """A site asked and there was no address for it; said once, until a grant succeeds again."""

    site: str


@attrs.frozen(kw_only=True)
class AddressEvent(Event):
    """Something about one address of the pool."""

    address: Address


@attrs.frozen(kw_only=True)
class LeaseGranted(AddressEvent):
    """``site`` got ``address``; it was free, or the same site took it up again before anybody else could."""

    site: str
    promised_until: float
    ends_at: float


@attrs.frozen(kw_only=True)
class LeaseBound(AddressEvent):
    """The first connection since the grant reached ``site``."""

    site: str


@attrs.frozen(kw_only=True)
class LeaseReset(AddressEvent):
    """The lease was at its end with a live connection, and got another period (1.6)."""

    site: str
    promised_until: float
    ends_at: float


@attrs.frozen(kw_only=True)
class LeaseReclaimed(AddressEvent):
    """The lease ended; ``address`` cools, and the former site's data path stays, until ``cooling_until``."""

    site: str
    cooling_until: float


@attrs.frozen(kw_only=True)
class AddressFreed(AddressEvent):
    """``address`` can be granted to anyone.  ``former`` is the site that it cooled from, if any."""

    former: str | None


@attrs.frozen(kw_only=True)
class AddressDeclined(AddressEvent):
    """
    The data path for ``site`` could not be opened, and ``address`` is left alone until ``until``.

    :param by_all: by every site; else by this one only, whose port is taken there.
    """

    site: str
    by_all: bool
    reason: str
    until: float


@attrs.frozen(kw_only=True)
class AddressAdded(AddressEvent):
    """A configuration brought ``address`` into the pool."""


@attrs.frozen(kw_only=True)
class AddressRemoved(AddressEvent):
    """``address`` left the pool: at once when it was free, else when its last holder (``former``) was done with it."""

    former: str | None
