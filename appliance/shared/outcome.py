"""What becomes of a question for a site's address, beside a promise: refusals, and how they are answered."""

from __future__ import annotations

import enum

import attrs
import dns.rcode

from appliance.leasing import Verdict
from appliance.model import Exhausted
from appliance.naming import Answer, ExtendedError, NeedsLease, exhausted


class Refusal(enum.Enum):
    """Why there is no address now.  The values are for counters, logs and people."""

    EXHAUSTED = "exhausted"
    """No address is free, or none can be opened."""
    JOURNAL = "journal"
    """A new lease cannot be recorded."""
    COOKIE = "cookie"
    STREAM = "tcp"
    SOURCE_QUOTA = "source-quota"
    SITE_QUOTA = "site-quota"
    REPUTATION = "reputation"


REFUSAL_OF = {verdict: Refusal(verdict.value) for verdict in Verdict if verdict is not Verdict.OPEN}
"""What a gate's verdict comes to."""

_ERRORS = {
    Refusal.EXHAUSTED: ExtendedError(0, "no address is free for this name now"),
    Refusal.JOURNAL: ExtendedError(14, "new leases cannot be recorded now"),
    Refusal.SOURCE_QUOTA: ExtendedError(18, "too many unused leases for your network"),
    Refusal.SITE_QUOTA: ExtendedError(18, "too many unused leases for this name"),
    Refusal.REPUTATION: ExtendedError(18, "leases asked for by your network are seldom used"),
}
"""RFC 8914: 0 Other, 14 Not Ready, 18 Prohibited."""


def refused(needs: NeedsLease, refusal: Refusal, how: Exhausted) -> Answer | None:
    """
    The answer where there is no address.

    :param how: what the pool's ``when_exhausted`` says; who only has to prove where it is, is told so instead.
    :return: None where the query is to be dropped.
    """
    if refusal in (Refusal.COOKIE, Refusal.STREAM):
        return Answer(truncated=True, for_all=False)
    error = _ERRORS[refusal]
    if how is Exhausted.DROP:
        return None
    if how is Exhausted.NODATA:
        return attrs.evolve(exhausted(needs), error=error)
    return Answer(rcode=dns.rcode.SERVFAIL, authoritative=False, error=error, for_all=False)
