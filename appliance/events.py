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
    address: Address


@attrs.frozen(kw_only=True)
class LeaseGranted(Event):
    """``site`` got ``address``; it was free, or still cooling from the same site."""

    site: str
    promised_until: float
    ends_at: float


@attrs.frozen(kw_only=True)
class LeaseRenewed(Event):
    """An answer extended the promise (1.2)."""

    site: str
    promised_until: float
    ends_at: float


@attrs.frozen(kw_only=True)
class LeaseBound(Event):
    """The first connection since the grant reached ``site``."""

    site: str


@attrs.frozen(kw_only=True)
class LeaseReset(Event):
    """The lease was at its end with a live connection, and got another period (1.6)."""

    site: str
    promised_until: float
    ends_at: float


@attrs.frozen(kw_only=True)
class LeaseReclaimed(Event):
    """The lease ended; ``address`` cools, and the former site's data path stays, until ``cooling_until``."""

    site: str
    cooling_until: float


@attrs.frozen(kw_only=True)
class AddressFreed(Event):
    """``address`` can be granted to anyone."""


@attrs.frozen(kw_only=True)
class AddressDeclined(Event):
    """The data path could not be opened; nobody gets ``address`` until ``until``."""

    site: str
    reason: str
    until: float


@attrs.frozen(kw_only=True)
class AddressAdded(Event):
    """A configuration brought ``address`` into the pool."""


@attrs.frozen(kw_only=True)
class AddressRemoved(Event):
    """``address`` left the pool: at once when it was free, else when its last holder was done with it."""
