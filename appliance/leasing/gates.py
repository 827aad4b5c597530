"""
What a new grant has to pass, and nothing else does (1.9): a name that is already leased is answered to anyone.

Memory is bounded whatever is sent: quotas count leases in the state *offered*, of which there are never more than
addresses in the pool, and the reputation table is bounded.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from appliance.leasing.reputation import Reputation
from appliance.model import Asker, Pool, Proof, Quota

_IPV6 = 1 << 128
"""Keeps prefixes of the two families apart."""


class Verdict(enum.Enum):
    """What a gate says about a newcomer."""

    OPEN = "open"
    COOKIE = "cookie"
    """A valid DNS cookie, or TCP, would do."""
    STREAM = "tcp"
    """TCP would do."""
    SOURCE_QUOTA = "source-quota"
    SITE_QUOTA = "site-quota"
    REPUTATION = "reputation"


PROOF_WANTED = frozenset({Verdict.COOKIE, Verdict.STREAM})
"""The asker may come back with more; a truncated answer tells it so."""


class Gates:
    """Of one pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.reputation = Reputation()
        self._offers: dict[int, int] = {}

    def judge(self, asker: Asker, offers_of_site: int, used_fraction: float, now: float, replaced: int = 0) -> Verdict:
        """
        May ``asker`` have a new lease now?

        :param offers_of_site: offers that the site has already, not yet bound.
        :param used_fraction: of the pool, 0 to 1.
        :param replaced: the prefix that asked for an offer which a new lease would take the place of; 0 for none.
        """
        tiers, quota = self.pool.tiers, self.pool.quota
        if _reached(used_fraction, tiers.tcp) and asker.proof < Proof.STREAM:
            return Verdict.STREAM
        if _reached(used_fraction, tiers.cookie) and asker.proof < Proof.COOKIE:
            return Verdict.COOKIE
        if offers_of_site >= quota.per_site:
            return Verdict.SITE_QUOTA
        prefix = prefix_of(asker.source, quota)
        if self._offers.get(prefix, 0) - (prefix == replaced) >= quota.per_source:
            return Verdict.SOURCE_QUOTA
        if _reached(used_fraction, tiers.reputation) and self.reputation.score(prefix, now) < tiers.minimum:
            return Verdict.REPUTATION
        return Verdict.OPEN

    def offers(self, prefix: int) -> int:
        """Offers of a prefix that wait for their first connection."""
        return self._offers.get(prefix, 0)

    def offered(self, prefix: int) -> None:
        """One more offer waits for its first connection."""
        self._offers[prefix] = self._offers.get(prefix, 0) + 1

    def withdrawn(self, prefix: int) -> None:
        """It is no offer any more, and nobody is to be judged for it."""
        left = self._offers[prefix] - 1
        if left:
            self._offers[prefix] = left
        else:
            del self._offers[prefix]

    def settled(self, prefix: int, now: float, *, proven: bool, used: bool) -> None:
        """An offer got its first connection, or ended without one."""
        self.withdrawn(prefix)
        if proven:
            self.reputation.judge(prefix, now, used=used)


def prefix_of(source: IPv4Address | IPv6Address, quota: Quota) -> int:
    """The network that a source counts for, as a number that is never 0 and differs between IPv4 and IPv6."""
    if isinstance(source, IPv6Address) and source.ipv4_mapped is not None:
        source = source.ipv4_mapped
    if isinstance(source, IPv4Address):
        return 1 << 33 | int(source) >> 32 - quota.ipv4_prefix
    return _IPV6 | int(source) >> 128 - quota.ipv6_prefix


def _reached(used_fraction: float, tier: float) -> bool:
    return tier < 1.0 and used_fraction >= tier
