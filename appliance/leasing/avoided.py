"""Addresses where a site's ports could not be opened: that site leaves them alone for a while, others may have them."""

from __future__ import annotations

from collections.abc import Container

from appliance.model import Address

MOST_AVOIDED = 64
"""
Of one site; then it is taken to be unable to open anything, until the first of them may be tried again.  A program that
has the port on all addresses at once is in the way everywhere.
"""


class _Everything:
    def __contains__(self, address: object) -> bool:
        return True


class Avoided:
    """By site, until when each address is left alone; bounded by the number of configured sites."""

    def __init__(self) -> None:
        self._until: dict[str, dict[Address, float]] = {}

    def avoid(self, site: str, address: Address, until: float) -> None:
        self._until.setdefault(site, {})[address] = until

    def of(self, site: str, now: float) -> Container[Address]:
        """What ``site`` leaves alone now."""
        avoided = self._until.get(site)
        if not avoided:
            return ()
        for address in [address for address, until in avoided.items() if until <= now]:
            del avoided[address]
        return avoided if len(avoided) < MOST_AVOIDED else _Everything()

    def forget(self, site: str) -> None:
        """The site is gone, or wants other ports."""
        self._until.pop(site, None)
