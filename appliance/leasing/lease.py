"""
One lease and its life.

::

                 connection                     end, nobody connected
    OFFERED ----------------------> BOUND ----------------------------> COOLING ---> (free)
       |                            |   ^                                  |
       |                            +---+ end, somebody connected          |
       +---------------------------------------------------------> COOLING |
       ^             end                                                   |
       +-------------------------------------------------------------------+
                            the same site asks again
"""

from __future__ import annotations

import enum

import attrs

from appliance.events import LeaseReset
from appliance.leasing.periods import decayed
from appliance.model import Address, Periods


class State(enum.Enum):
    """Where a lease stands; an address without a lease is free or declined."""

    OFFERED = "offered"
    BOUND = "bound"
    COOLING = "cooling"


@attrs.frozen
class Promise:
    """
    What an answer may say: this address for that long.

    :param ttl: whole seconds, at least 1.
    :param until: the instant to which the address is promised by this answer; the lease lasts longer.
    """

    address: Address
    ttl: int
    until: float


@attrs.frozen(kw_only=True)
class Plan:
    """
    A grant that the rules allow and that has not happened yet.

    The data path is opened and the journal written between plan and commit; either may refuse, and then nothing has
    changed.

    :param requests: what the lease's count of connections starts with.
    :param bound: connections of the site live on at the address, so it is in use from the start.
    :param former: the lease of the same site on the same address that the grant takes up again; its data path stands.
    """

    site: str
    address: Address
    at: float
    ttl: int
    promised_until: float
    ends_at: float
    requests: float
    bound: bool
    former: Lease | None

    def lease(self, *, unused: int) -> Lease:
        """
        The lease that this plan means.

        :param unused: renewals without a connection that it begins with.
        """
        return Lease(
            site=self.site,
            address=self.address,
            granted_at=self.at,
            promised_until=self.promised_until,
            ends_at=self.ends_at,
            state=State.BOUND if self.bound else State.OFFERED,
            longest=max(self.ttl, self.former.longest) if self.former is not None else self.ttl,
            unused=unused,
            counted_at=self.at,
            requests=self.requests,
            requested_at=self.at,
        )


@attrs.define(eq=False, kw_only=True)
class Lease:
    """
    A site's hold on an address; owned and changed by its LeaseTable alone.

    :param promised_until: the latest instant that any answer promised.
    :param ends_at: ``promised_until + grace``; while cooling, when the address is free.
    :param longest: longest TTL that was promised, seconds; cooling is never shorter.
    :param unused: counted renewals since the last connection.
    :param counted_at: when the last of them was counted, or the grant.
    :param requests: connections to the server, decayed, as of ``requested_at``.
    :param retired: its site or its address has left the configuration: it runs out and is not renewed.
    :param gone: replaced, or the address is free again; whoever still sees it forgets it.
    """

    site: str
    address: Address
    granted_at: float
    promised_until: float
    ends_at: float
    state: State
    longest: int
    unused: int
    counted_at: float
    requests: float
    requested_at: float
    retired: bool = False
    gone: bool = False

    def reset_event(self, pool: str, now: float) -> LeaseReset:
        """It was at its end with a live connection and has another period now (1.6)."""
        return LeaseReset(
            at=now,
            pool=pool,
            address=self.address,
            site=self.site,
            promised_until=self.promised_until,
            ends_at=self.ends_at,
        )

    def recent_requests(self, now: float, periods: Periods) -> float:
        """Connections in the last base period, each counting less the longer it is ago."""
        return decayed(self.requests, now - self.requested_at, periods)

    def count_request(self, now: float, periods: Periods) -> None:
        """One more connection came."""
        self.requests = self.recent_requests(now, periods) + 1.0
        self.requested_at = now


@attrs.define(eq=False, kw_only=True)
class Declined:
    """
    An address whose data path could not be opened.

    :param ends_at: when it may be tried again.
    """

    address: Address
    ends_at: float
    gone: bool = False


@attrs.frozen(kw_only=True)
class Counts:
    """How many addresses of a pool are what (they add up), and how many sites wait for one."""

    free: int
    leased: int
    cooling: int
    declined: int
    waiting: int

    @property
    def all(self) -> int:
        return self.free + self.leased + self.cooling + self.declined
