"""
One lease and its life.

::

             grant                connection
    (free) -------> OFFERED ----------------------> BOUND --+ end, somebody connected: another period
       ^             |   |                          |   ^   |
       |             |   +--- let go ---+- let go --+   +---+
       |             |                  v           |
       |             |              DRAINING        |
       |         end |                  | end       | end, nobody connected
       |             v                  v           v
       +--------- COOLING <-------------+-----------+
     cooled          |
                     +---> OFFERED, or BOUND where connections live on: the same site asks again

*let go*: its site or its address left the configuration, a person released it, or connections held it for as long as
they may.  A draining lease is not answered; its data path stands.  :class:`Declined` addresses have no lease.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance.events import LeaseRecord, State
from appliance.leasing.periods import Span, decayed
from appliance.model import Address, Keys, Periods, shown

NEVER = float("inf")


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


@attrs.frozen
class Plan:
    """
    A grant that the rules allow and that has not happened yet.

    The data path is opened between plan and commit; where it refuses, nothing has changed.

    :param lease: what it would be, in no table so far.
    :param former: the lease of the same site on the same address that the grant takes up again; its data path stands.
    :param keys: the site's; the lease may have more, which ``former`` has left.
    """

    lease: Lease
    at: float
    ttl: int
    former: Lease | None
    keys: Keys = attrs.field(repr=shown)

    @property
    def site(self) -> str:
        return self.lease.site

    @property
    def address(self) -> Address:
        return self.lease.address

    @property
    def server(self) -> str:
        return self.lease.server


@attrs.define(eq=False, kw_only=True)
class Lease:
    """
    A site's hold on an address; owned and changed by its LeaseTable alone.

    :param server: name of the server that the address leads to, with its ``weight``.
    :param keys: what it takes there, what its site has given up and has not cooled included; counts where the pool
        shares by service.
    :param promised_until: the latest instant that any answer promised.
    :param ends_at: ``promised_until + grace``; while cooling, when the address is free.
    :param longest: longest TTL that was promised, seconds; cooling is never shorter.
    :param unused: counted renewals since the last connection.
    :param counted_at: when the last of them was counted, or the grant.
    :param requests: connections to the server, decayed, as of ``requested_at``.
    :param answers: answers that named the address, decayed, as of ``answered_at``; counted where a site has several.
    :param pending: the grant is on its way to the disk, and nobody has been told of it.
    :param durable_until: how far the disk lets answers promise; ``horizon``: how far when all that is on its way is
        there.
    :param asked_by: the prefix whose offer this is, until it is used; 0 for none.
    :param proven: that prefix was sure to have asked.
    :param drain_timeout: how long its connections may go on once it drains.
    :param drain_until: while draining, when they are ended; NEVER: they are not.
    :param given_up: the site may not take it up again.
    :param gone: replaced, or the address is free again; whoever still sees it forgets it.
    """

    site: str
    address: Address
    server: str
    weight: int = 1
    keys: Keys = attrs.field(repr=shown)
    granted_at: float
    promised_until: float
    ends_at: float
    state: State
    longest: int
    unused: int
    counted_at: float
    requests: float
    requested_at: float
    answers: float = 0.0
    answered_at: float = 0.0
    pending: bool = False
    durable_until: float = NEVER
    horizon: float = NEVER
    asked_by: int = 0
    proven: bool = False
    drain_timeout: float = 300.0
    drain_until: float = NEVER
    given_up: bool = False
    gone: bool = False

    def is_answered(self) -> bool:
        """May answers name it?"""
        return (self.state is State.OFFERED or self.state is State.BOUND) and not self.pending

    def record(self, pool: str, now: float, periods: Periods) -> LeaseRecord:
        """
        All of it at this instant.

        What is written reaches to the horizon, for answers may promise up to there before the next record, even with a
        single TTL.
        """
        reaches, longest = self.promised_until, self.longest
        if self.state is not State.COOLING and self.horizon != NEVER:
            reaches = max(reaches, self.horizon)
            longest = max(longest, min(int(self.horizon - now), int(periods.maximum)))
        return LeaseRecord(
            pool=pool,
            address=self.address,
            site=self.site,
            server=self.server,
            state=self.state,
            granted_at=self.granted_at,
            promised_until=reaches,
            ends_at=max(self.ends_at, reaches + periods.grace) if reaches > self.promised_until else self.ends_at,
            longest=longest,
            unused=self.unused,
            requests=self.recent_requests(now, periods),
            keys=self.keys,
            given_up=self.given_up,
            drain_until=self.drain_until,
        )

    def recent_requests(self, now: float, periods: Periods) -> float:
        """Connections in the last base period, each counting less the longer it is ago."""
        return decayed(self.requests, now - self.requested_at, periods)

    def count_request(self, now: float, periods: Periods) -> None:
        """One more connection came."""
        self.requests = self.recent_requests(now, periods) + 1.0
        self.requested_at = now

    def recent_answers(self, now: float, periods: Periods) -> float:
        return decayed(self.answers, now - self.answered_at, periods)

    def count_answers(self, count: int, now: float, periods: Periods) -> None:
        self.answers = self.recent_answers(now, periods) + count
        self.answered_at = now


@attrs.frozen(kw_only=True)
class Explanation:
    """
    What a question would get.

    :param lease: the lease that would be answered; None for a newcomer.
    :param renews: False where queries alone have renewed it as often as is allowed, and the TTL counts down.
    """

    lease: Lease | None
    ttl: int
    renews: bool
    span: Span


Reach = Callable[[Lease, float, float], float]
"""Of a lease, for how long an answer wants to promise, and now: the instant up to which it may promise."""


@attrs.define(eq=False, kw_only=True)
class Declined:
    """
    An address without a holder that is kept back.

    :param ends_at: when it may be granted.
    :param resting: not because it could not be opened, but because somebody may have been promised it.
    """

    address: Address
    ends_at: float
    resting: bool = False
    gone: bool = False


@attrs.define(eq=False, kw_only=True)
class Surplus:
    """
    Keys that a site has given up on an address that it goes on holding: its own until they have cooled.

    :param keep: what it has there now.
    """

    address: Address
    site: str
    keep: Keys = attrs.field(repr=shown)
    ends_at: float
    gone: bool = False


@attrs.define(eq=False, kw_only=True)
class Unshared:
    """Until ``ends_at`` nobody is put beside a holder, because somebody may have been there whom nobody knows."""

    ends_at: float
    gone: bool = False


Due = Lease | Declined | Surplus | Unshared
"""What has a deadline in a table."""


@attrs.frozen(kw_only=True)
class Counts:
    """
    How many addresses of a pool are what (they add up), and how many sites wait for one.

    An address with several leases is leased while one of them is not cooling.
    """

    free: int
    leased: int
    cooling: int
    declined: int
    waiting: int

    @property
    def all(self) -> int:
        return self.free + self.leased + self.cooling + self.declined
