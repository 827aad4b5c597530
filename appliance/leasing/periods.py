"""How long the next answer promises an address."""

from __future__ import annotations

from appliance.model import Periods


def span(periods: Periods, *, offered: bool) -> int:
    """
    The TTL of the next answer that renews or grants.

    ``clamp(base, minimum, maximum)``, and for a lease that has had no connection yet at most ``offer``; a whole
    number of seconds because that is what a TTL is, and at least 1 because resolvers treat 0 in their own ways.

    :param offered: the lease has had no connection since it was granted.
    :return: seconds.
    """
    period = min(max(periods.base, periods.minimum), periods.maximum)
    if offered:
        period = min(period, periods.offer)
    return max(1, int(period))
