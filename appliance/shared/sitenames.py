"""Sites and customers as naming sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from appliance.model import Delivery, Pool, Site
from appliance.naming import SiteNames, from_text
from appliance.shared.pinning import maximum_ttl


def site_names(sites: Mapping[str, Site], pools: Mapping[str, Pool]) -> Iterator[SiteNames]:
    """What is to be laid over the zones; AAAA answers live as long as an address may at most."""
    for site in sites.values():
        yield SiteNames(
            site=site.name,
            names=tuple(from_text(name) for name in (site.name, *site.aliases)),
            ipv6=site.ipv6,
            ipv6_ttl=maximum_ttl(pools, site),
        )


def delivered_names(deliveries: Iterable[Delivery]) -> Iterator[bytes]:
    """What is to be laid over the zones for customers."""
    for delivery in deliveries:
        yield from map(from_text, (*delivery.pages, *delivery.static))
