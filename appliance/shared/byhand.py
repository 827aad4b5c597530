"""What a person does to the leases of the running process."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from appliance.errors import DataPathError, RequestError
from appliance.interfaces import Journal
from appliance.model import Address, Site
from appliance.shared.configuring import Configuring
from appliance.shared.pinning import maximum_ttl
from appliance.shared.pins import Pin
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


class ByHand:
    """The part of SharedState that the control socket and the manhole use."""

    def __init__(
        self,
        tables: Tables,
        telling: Telling,
        journal: Journal,
        configuring: Configuring,
        seconds: Callable[[], float],
    ) -> None:
        self._tables = tables
        self._telling = telling
        self._journal = journal
        self._configuring = configuring
        self._seconds = seconds

    def release(self, address: Address, site: str | None = None, *, at_once: bool) -> list[str]:
        """
        End the lease of an address: drain it, or end its connections now.

        :param site: whose, where several sites share the address; None: all of them.
        :return: the sites whose leases end.
        :raises RequestError: nobody holds it, or that site does not.
        """
        table = self._tables.holding(address)
        now = self._seconds()
        ended: list[str] = []
        for lease in table.holders(address) if table is not None else ():
            if table is not None and site in (None, lease.site) and not lease.pending:
                self._telling.publish([table.ending.give_up(lease, now, at_once=at_once)])
                ended.append(lease.site)
        if not ended:
            if address in self._tables.pins:
                pin = self._tables.pins.at(address)
                hint = "the configuration gives it" if pin is not None and pin.static else "unpin it instead:"
                whose_pin = f"{hint} to {pin.site}" if pin is not None and pin.static else hint
                raise RequestError("pinned", f"{address} is not leased but a site's for good; {whose_pin}")
            whose = f"{site} does not hold" if site is not None else "nobody holds"
            raise RequestError("not-found", f"{whose} {address}", field="address")
        return ended

    def pin(self, site_name: str, address: Address) -> bool:
        """
        Give ``address`` to a site until :meth:`unpin`; it need not be in a pool.

        :return: whether it stands; False while another site's lease of it has yet to end.
        :raises RequestError: no such site, one of both is pinned already, it cannot be opened, or cannot be recorded.
        """
        site = self._site(site_name)
        pins = self._tables.pins
        if (pin := pins.of(site.name) or pins.at(address)) is not None:
            raise RequestError("pinned", f"{pin.address} is {'static' if pin.static else 'pinned'} for {pin.site}")
        if self._journal.failure is not None:
            raise RequestError("journal", self._journal.failure)
        try:
            self._configuring.pinning.open(site, address)
        except DataPathError as error:
            raise RequestError("data-path", str(error), field="address") from None
        now = self._seconds()
        longest = maximum_ttl(self._tables.pools, site)
        pin = Pin(site=site.name, address=address, static=False, since=now, longest=longest)
        pin.waits = self._configuring.pinning.has_to_wait(site.name, address)
        self._telling.publish([pin.event(now)])
        self._configuring.pin([pin], now)
        if pin.trouble:
            self._configuring.withdraw(pin, now)
            raise RequestError("data-path", pin.trouble, field="address")
        if (waiting := self._journal.durable()) is not None:
            waiting.addErrback(self._pin_lost, pin)
        return pin.standing

    def _pin_lost(self, failure: Failure, pin: Pin) -> None:
        """The disk does not have it, so it is as if nobody had asked."""
        if self._tables.pins.of(pin.site) is pin:
            self._configuring.unpin(pin, self._seconds())

    def unpin(self, site_name: str) -> Address:
        """
        The site leases like others again; its address cools first.

        :raises RequestError: it has no pin, or one of the configuration.
        """
        site = self._site(site_name)
        pin = self._tables.pins.of(site.name)
        if pin is None or pin.static:
            why = "its address is in the configuration" if pin is not None else "nothing is pinned for it"
            raise RequestError("not-pinned", f"{site.name}: {why}", field="site")
        self._configuring.unpin(pin, self._seconds())
        return pin.address

    def _site(self, name: str) -> Site:
        site = self._tables.sites.get(name.lower().removesuffix("."))
        if site is None:
            raise RequestError("not-found", f"{name} is no site of the configuration", field="site")
        return site
