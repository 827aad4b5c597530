"""All zone transfers, in and out, as a service that follows the configuration."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import dns.message
from twisted.application.service import Service
from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from appliance.config import DNSConfig, TransferConfig
from appliance.naming import Answer, Zone, Zones, to_text
from appliance.naming.names import wire
from appliance.transfers.answering import Answering, Sending
from appliance.transfers.fetching import Fetching, Patience
from appliance.transfers.incoming import Bounds, version_of
from appliance.transfers.keys import Keyring, keyring_of, unproven
from appliance.transfers.notifying import Notifying
from appliance.transfers.schedule import Chance, ZoneState, is_newer
from appliance.transfers.secondary import Secondary, World
from appliance.transfers.zonefiles import ZoneFiles
from appliance.views import Row, secondary_row

MOST_INCOMING = 10
"""Transfers in at once; further zones wait for their turn."""
FOLDER = "zones"


class ZoneTransfers(Service):
    """
    :param zones: what is answered from now.
    :param replace: takes a zone's new records, and answers from them at once.
    :param folder: the state folder; None keeps transferred zones in memory only.
    """

    name = "transfers"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        zones: Callable[[], Zones],
        replace: Callable[[Zone], None],
        folder: Path | None,
        *,
        rng: Chance | None = None,
        wall: Callable[[], float] = time.time,
        patience: Patience | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._reactor = reactor
        self._zones = zones
        self._replace = replace
        self._folder = folder
        self._answering = Answering(zones)
        self._notifying = Notifying(reactor)
        self._secondaries: dict[bytes, Secondary] = {}
        self._answering.secondaries = self._secondaries
        self.keyring: Keyring = {}
        self._world = World(
            reactor=reactor,
            rng=rng if rng is not None else random.SystemRandom(),
            wall=wall,
            fetching=Fetching(reactor, DeferredSemaphore(MOST_INCOMING), patience or Patience(), bounds or Bounds()),
            replace=self._replaced,
            files=ZoneFiles(reactor, folder / FOLDER) if folder is not None else None,
        )

    # -- following the configuration -----------------------------------------------------------------------------------

    def keys(self, config: DNSConfig) -> Keyring:
        """
        The keys of a configuration with their secrets; changes nothing but that one may be made.

        :raises SecretError: when a file cannot be read or made, others can read it, or it holds something else.
        """
        return keyring_of(config.tsig, self._folder)

    def configure(self, config: DNSConfig, keyring: Keyring) -> None:
        """
        Take over another configuration; zones that are still transferred in are kept.

        :meth:`zones_of` is good after it, and :meth:`settle` is to be called when they are answered from.
        """
        self.keyring = keyring
        self._warn_of_serials(config)
        self._answering.configured = {wire(zone.apex): zone for zone in config.zones}
        secondary = {wire(zone.apex): zone for zone in config.zones if zone.primary is not None}
        for apex in [apex for apex in self._secondaries if apex not in secondary]:
            self._secondaries.pop(apex).stop()
        for apex, zone in secondary.items():
            assert zone.primary is not None
            key = keyring[zone.primary.key] if zone.primary.key is not None else None
            if apex in self._secondaries:
                self._secondaries[apex].follow(zone.primary, key)
            else:
                self._secondaries[apex] = Secondary(self._world, zone.apex, zone.primary, key)
                self._secondaries[apex].load()
        self._notifying.follow(
            {
                (wire(zone.apex), endpoint): keyring[zone.transfer.keys[0]] if len(zone.transfer.keys) == 1 else None
                for zone in config.zones
                for endpoint in zone.transfer.notify
            }
        )

    def _warn_of_serials(self, config: DNSConfig) -> None:
        """Other servers ask for the serial, and take nothing that does not have a newer one."""
        for zone in config.zones:
            before = self._answering.configured.get(wire(zone.apex))
            if before is None or before.zone is None or zone.zone is None or zone.transfer == TransferConfig():
                continue
            serials = [version_of(each).serial for each in (before.zone, zone.zone)]
            if before.zone != zone.zone and not is_newer(serials[1], serials[0]):
                self._log.warn(
                    "{event}: {zone} has changed, and its serial {serial} is not newer than {before}; its secondaries "
                    "will not take it",
                    event="zone-serial-not-raised",
                    zone=zone.apex.to_text(omit_final_dot=True),
                    serial=serials[1],
                    before=serials[0],
                )

    def zones_of(self, config: DNSConfig) -> Iterator[Zone]:
        """All configured zones as they are to be answered now, new and without sites."""
        for zone in config.zones:
            yield self._secondaries[wire(zone.apex)].zone() if zone.zone is None else Zone.of(zone.zone)

    def startService(self) -> None:
        super().startService()
        self.settle()

    def settle(self) -> None:
        """The zones are answered from: whoever is to be told of them is told, and new ones are asked for."""
        if not self.running:
            return
        for secondary in list(self._secondaries.values()):
            secondary.start()
        self._notifying.look(self._zones())

    def stopService(self) -> None:
        """Idempotent.  Transfers out end with their connections."""
        super().stopService()
        self._notifying.stop()
        for secondary in self._secondaries.values():
            secondary.stop()

    def _replaced(self, zone: Zone) -> None:
        self._replace(zone)
        self._notifying.look(self._zones())

    # -- answering -----------------------------------------------------------------------------------------------------

    def unproven(self, data: bytes, error: Exception) -> bytes | None:
        """What to say to a query whose signature is not good; None where ``error`` says something else."""
        return unproven(data, error, self.keyring)

    def answer(
        self, query: dns.message.Message, source: IPv4Address | IPv6Address, *, stream: bool
    ) -> Answer | Sending:
        """The answer to a NOTIFY, AXFR or IXFR."""
        return self._answering.answer(query, source, stream=stream)

    def rows(self, wall: Callable[[float], float]) -> list[Row]:
        """The zones that are transferred in, by name; ``wall`` makes Unix time of the reactor's."""
        return [
            secondary_row(
                zone.apex.to_text(omit_final_dot=True),
                primary=str(zone.primary.address),
                serial=zone.version.serial if zone.version is not None else None,
                schedule=zone.schedule,
                error=zone.error,
                wall=wall,
            )
            for _, zone in sorted(self._secondaries.items())
        ]

    def troubles(self) -> list[str]:
        """What somebody has to look at, in words."""
        found = []
        for _, zone in sorted(self._secondaries.items()):
            name, state = zone.apex.to_text(omit_final_dot=True), zone.schedule.state
            if state is not ZoneState.CURRENT:
                found.append(f"zone {name} is {state.value}: {zone.error or 'its primary is being asked'}")
            if zone.unwritten:
                found.append(f"zone {name} is not on the disk: {zone.unwritten}")
        for (apex, endpoint), reason in sorted(self._notifying.failed.items(), key=str):
            found.append(f"zone {to_text(apex)}: {endpoint} could not be told of it: {reason}")
        return found
