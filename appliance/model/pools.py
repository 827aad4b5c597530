"""What addresses are leased, and by which rules."""

from __future__ import annotations

import enum

import attrs

from appliance.model.endpoints import Address


class Exhausted(enum.Enum):
    """What a new grant is answered with when no address can be had."""

    SERVFAIL = "servfail"
    NODATA = "nodata"
    DROP = "drop"


@attrs.frozen(kw_only=True)
class Periods:
    """
    The spans of a lease, in seconds (LEASES in ``docs/leases.rst``).

    :param base: what an answer promises a site with a connection now and then, while addresses are not short.
    :param minimum: it never promises less than this (but for what remains of a lease that is not renewed),
    :param maximum: nor more than this.
    :param offer: most that is promised before the first connection.
    :param grace: how long after its last promise a lease still stands.
    :param cooling: how long a reclaimed address is kept from other sites.
    :param hold: how long connections may keep resetting a lease before it drains; 0: for ever.
    :param unused_renewals: how often queries alone, without a connection, renew.
    """

    base: float = 30.0
    minimum: float = 5.0
    maximum: float = 300.0
    offer: float = 10.0
    grace: float = 5.0
    cooling: float = 120.0
    hold: float = 0.0
    unused_renewals: int = 3


@attrs.frozen(kw_only=True)
class Quota:
    """
    Most offers that may wait for their first connection (1.9).

    :param per_source: for all askers of one prefix together.
    :param per_site: for one site.
    :param ipv4_prefix: bits of an asker's address that count; ``ipv6_prefix`` likewise.
    """

    per_source: int = 8
    per_site: int = 4
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56


@attrs.frozen(kw_only=True)
class Tiers:
    """
    From which used fraction of a pool on a new grant needs more than a question (1.9); 1.0: never.

    :param cookie: a valid DNS cookie, or TCP.
    :param tcp: TCP.
    :param reputation: that enough of what the asker's prefix was offered before has been used:
    :param minimum: this fraction, where an unknown prefix has one half.
    """

    cookie: float = 0.5
    tcp: float = 0.8
    reputation: float = 0.9
    minimum: float = 0.3


@attrs.frozen(kw_only=True)
class Pool:
    """
    Addresses that are leased.

    :param addresses: each address once, in the order of the configuration.
    :param adequate: the fraction of them that should be free; below it periods shrink.  0: they never do.
    :param share_by_service: sites whose keys do not clash may hold the same address (1.12).
    """

    name: str
    addresses: tuple[Address, ...]
    periods: Periods = Periods()
    adequate: float = 0.25
    share_by_service: bool = False
    quota: Quota = Quota()
    tiers: Tiers = Tiers()
    when_exhausted: Exhausted = Exhausted.SERVFAIL
