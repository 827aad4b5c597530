"""
The composition root: from a configuration to running services.

A start is a diff from nothing, a reload a diff from what runs.  Order matters: the tables and the data path are there
before the first query is answered, and the last thing that a stop does is to end the connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from appliance import __version__
from appliance.config import Config
from appliance.control import EventLog, Verbs
from appliance.errors import ApplianceError, ConfigError
from appliance.interfaces import DataPath
from appliance.nameserver import NameServer
from appliance.naming import SiteNames, Zones, from_text
from appliance.nat import Nat
from appliance.reaper import Reaper
from appliance.shared import SharedState
from appliance.store import MemoryJournal

_ONLY_AT_START = ("name", "state_directory", "max_files", "log", "manhole")


class Appliance(Service):
    """
    Everything that runs, as one service.

    :param reactor: its ``seconds`` is the clock of timers and leases alike.
    :param read: reads the configuration anew for a reload; raises ConfigError.
    """

    name = "appliance"
    _log = Logger()

    def __init__(self, reactor: Any, config: Config, read: Callable[[], Config]) -> None:
        self._reactor = reactor
        self._read = read
        self.config = config
        self.nat: Nat
        self.state = SharedState(seconds=reactor.seconds, journal=MemoryJournal(), data_path=self._make_nat)
        self.state.subscribe(EventLog())
        self.reaper = Reaper(reactor, self.state)
        self.nameserver = NameServer(reactor, self.state.answer, config.dns)
        self._manhole: Service | None = None

    def _make_nat(self, state: SharedState) -> DataPath:
        self.nat = Nat(self._reactor, state)
        return self.nat

    def startService(self) -> None:
        """:raises ListenError: when an endpoint of ours cannot be opened."""
        for warning in self.config.warnings:
            self._log.warn("{event}: {warning}", event="config-warning", warning=str(warning))
        self.state.configure(self.config.pools, self.config.sites, zones_of(self.config))
        self.reaper.startService()
        self.nameserver.startService()
        if self.config.manhole is not None:
            self._manhole = self._make_manhole()
            self._manhole.startService()
        super().startService()
        self._log.info(
            "{event}: {name} shares {addresses} addresses among {sites} sites",
            event="started",
            name=self.config.name,
            addresses=sum(len(pool.addresses) for pool in self.config.pools.values()),
            sites=len(self.config.sites),
        )

    def reload(self) -> str:
        """
        Read the configuration and follow what has changed; a faulty one changes nothing.

        :return: what to tell a person.
        """
        try:
            config = self._read()
            self.nameserver.configure(config.dns)
        except ApplianceError as error:
            lines = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
            for line in lines:
                self._log.error("{event}: {reason}", event="reload-refused", reason=line)
            return "\n".join(["refused; what ran before still runs:", *lines])
        before, self.config = self.config, config
        for warning in config.warnings:
            self._log.warn("{event}: {warning}", event="config-warning", warning=str(warning))
        same_names = (
            config.dns.zones == before.dns.zones and config.sites == before.sites and config.pools == before.pools
        )
        zones = self.state.zones if same_names else zones_of(config)
        self.state.configure(config.pools, config.sites, zones)
        later = [key for key in _ONLY_AT_START if getattr(config, key) != getattr(before, key)]
        self._log.info(
            "{event}: {later}", event="reloaded", later=f"at the next start: {later}" if later else "all of it"
        )
        return f"reloaded; only a new start changes {', '.join(later)}" if later else "reloaded"

    def stopService(self) -> Deferred[None]:
        """No more answers, then no more connections, and an end to those that are left after ``stop_timeout``."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for name, stop in (
            ("nameserver", self.nameserver.stopService),
            ("reaper", self.reaper.stopService),
            ("manhole", self._manhole.stopService if self._manhole is not None else None),
            ("nat", lambda: self.nat.stop(self.config.stop_timeout)),
        ):
            try:
                stopped = stop() if stop is not None else None
                if isinstance(stopped, Awaitable):
                    await stopped
            except Exception:
                self._log.failure("{event}: {part}", event="stop-failed", part=name)
        self._log.info("{event}", event="stopped")

    def _make_manhole(self) -> Service:
        # Imported late because Twisted's terminal code installs the global reactor.
        from appliance.control.manhole import ManholeService

        assert self.config.manhole is not None
        verbs = Verbs(
            self.state,
            version=__version__,
            reload=self.reload,
            connection_rows=self._connection_rows,
        )
        keys = Path(self.config.state_directory) if self.config.state_directory is not None else None
        return ManholeService(self._reactor, self.config.manhole, verbs.namespace(), keys)

    def _connection_rows(self) -> list[dict[str, object]]:
        return [
            {**attrs.asdict(flow, recurse=False), "transport": flow.transport.value, "age": round(flow.age, 1)}
            for flow in self.nat.connections()
        ]


def zones_of(config: Config) -> Zones:
    """The zones with the sites laid over them; AAAA answers live as long as an address may at most."""
    return Zones(
        (zone.zone for zone in config.dns.zones),
        (
            SiteNames(
                site=site.name,
                names=tuple(from_text(name) for name in (site.name, *site.aliases)),
                ipv6=site.ipv6,
                ipv6_ttl=int(config.pools[site.pool].periods.maximum),
            )
            for site in config.sites.values()
        ),
    )
