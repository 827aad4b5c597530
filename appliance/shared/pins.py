"""
Addresses that one site has for good: static ones of the configuration, and those that a person pinned.

They are outside their pool's count, never end, and are promised for the pool's maximum.  One that another site still
holds is waited for: it stays in the pool's table until that site's lease has ended and cooled.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import attrs

from appliance.events import Pinned
from appliance.model import Address, Site


@attrs.define(kw_only=True)
class Pin:
    """
    :param static: from the configuration; else a person set it at run time, and it is journalled.
    :param longest: the longest TTL that the disk lets answers have.
    :param promised_until: the latest instant that any answer promised.
    :param lengthening: a longer one that is on its way there, or 0.
    :param standing: the data path is open.
    :param waits: it never has been, because somebody else has the address, or may have been promised it.
    :param restored: from before a start, since when nobody else was in its way.
    :param recorded: that it stands, and that nobody else has the address, cannot be lost any more.
    :param recording: that is on its way to the disk.
    :param trouble: why its data path could not be opened; empty where it could, or where somebody holds the address.
    :param took_over: it replaced a lease of the same site, whose promises it keeps.
    :param takes_over: that lease is about to be told of as over; its data path goes on.
    """

    site: str
    address: Address
    static: bool
    since: float
    longest: int
    promised_until: float = 0.0
    lengthening: int = 0
    standing: bool = False
    waits: bool = False
    restored: bool = False
    recorded: bool = False
    recording: bool = False
    trouble: str = ""
    took_over: bool = False
    takes_over: bool = False

    def event(self, at: float) -> Pinned:
        """That it is there."""
        longest = max(self.longest, self.lengthening)
        return Pinned(
            at=at, site=self.site, address=self.address, static=self.static, longest=longest, waits=self.waits
        )

    def is_answered(self) -> bool:
        return self.standing and self.recorded


class Pins:
    """By site and by address, one each."""

    def __init__(self) -> None:
        self._by_site: dict[str, Pin] = {}
        self._by_address: dict[Address, Pin] = {}

    def __iter__(self) -> Iterator[Pin]:
        return iter(self._by_site.values())

    def __contains__(self, address: Address) -> bool:
        return address in self._by_address

    def of(self, site: str) -> Pin | None:
        return self._by_site.get(site)

    def at(self, address: Address) -> Pin | None:
        return self._by_address.get(address)

    def add(self, pin: Pin) -> None:
        assert pin.site not in self._by_site and pin.address not in self._by_address, pin
        self._by_site[pin.site] = self._by_address[pin.address] = pin

    def remove(self, pin: Pin) -> None:
        del self._by_site[pin.site]
        del self._by_address[pin.address]

    def obsolete(self, sites: Mapping[str, Site]) -> list[Pin]:
        """Those that another configuration does not know any more: the site, or its static address, is gone."""
        statics = statics_of(sites)
        return [pin for pin in self if not fits(pin, sites.get(pin.site), statics)]

    def missing(self, sites: Mapping[str, Site]) -> list[Site]:
        """Sites with a static address that is not pinned to them yet."""
        return [site for site in sites.values() if site.address is not None and site.name not in self._by_site]


def statics_of(sites: Mapping[str, Site]) -> set[Address]:
    """The addresses that a configuration gives."""
    return {site.address for site in sites.values() if site.address is not None}


def fits(pin: Pin, site: Site | None, statics: Container[Address]) -> bool:
    """
    May a pin stay?

    :param site: its site, as it is configured; None: it is not.
    :param statics: what the configuration gives, to whomever: it goes before what a person pinned.
    """
    if site is None:
        return False
    if pin.static:
        return site.address == pin.address
    return site.address is None and pin.address not in statics
