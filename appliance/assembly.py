"""
The composition root: from a configuration to running services.

A start is a diff from nothing, a reload a diff from what runs.  Order matters: what was on the disk is in the tables,
and the data paths stand, before the first query is answered; the last thing that a stop does is to write it down again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from appliance import __version__
from appliance.config import Config
from appliance.control import Changing, Doors, EventLog, Orders, Reading, private_folder
from appliance.errors import ApplianceError, ConfigError
from appliance.events import Recovered
from appliance.interfaces import DataPath
from appliance.nameserver import CookieSecrets, NameServer, cookie_secrets
from appliance.naming import Zones
from appliance.nat import Nat
from appliance.probe import Looking
from appliance.reaper import Reaper
from appliance.reloading import Reloads
from appliance.shared import NetworkConfig, SharedState, delivered_names, site_names
from appliance.store import MemoryJournal, bounds_of, journal_of
from appliance.transfers import ZoneTransfers
from appliance.vitals import ThisMachine, Unused, Vitals

_ONLY_AT_START = (
    "name",
    "state_directory",
    "snapshot_interval",
    "fsync",
    "history",
    "max_files",
    "log",
    "manhole",
    "control_socket",
)

STOP_PATIENCE = 60.0
"""Beyond ``stop_timeout``, for each part of a stop; writing a great snapshot to a slow disk takes some time."""


class Appliance(Service):
    """
    Everything that runs, as one service.

    :param reactor: its ``seconds`` is the clock of timers and leases alike.
    :param read: reads the configuration anew for a reload; raises ConfigError.
    """

    name = "appliance"
    _log = Logger()

    def __init__(self, reactor: Any, config: Config, read: Callable[[], Config], *, recover: bool = False) -> None:
        self._reactor = reactor
        self._reloads = Reloads(reactor, read, self._follow, self._refuse)
        self._recover = recover
        self.config = config
        self.nat: Nat
        self.store = journal_of(reactor, config)
        journal = self.store if self.store is not None else MemoryJournal()
        self.state = SharedState(
            seconds=reactor.seconds,
            journal=journal,
            data_path=self._make_nat,
            name=config.name,
            epoch=int(time.time()),  # a later process has a larger one
        )
        self.state.subscribe(EventLog())
        self.reaper = Reaper(reactor, self.state)
        self._folder = folder = Path(config.state_directory) if config.state_directory is not None else None
        self.transfers = ZoneTransfers(reactor, lambda: self.state.zones, self.state.replace_zone, folder)
        self.nameserver: NameServer | None = None
        self._secrets: CookieSecrets | None = None
        self.vitals = Vitals(
            reactor,
            ThisMachine(),
            connections=self.nat.count,
            sent_bytes=self.nat.delivered_bytes,
            capacity=lambda: self.config.carries(config.name),
        )
        self.unused = Unused(reactor, folder, load=self._own_load)
        network = self.state.network
        network.pops.own_load = self.vitals.load
        self.looking = Looking(reactor, network.checking, network.pops.observe)
        self._reading = Reading(
            self.state,
            name=config.name,
            version=__version__,
            carrier=lambda: self.nat,
            asked=lambda: self.nameserver.happened if self.nameserver is not None else {},
            find=self.store.find if self.store is not None else None,
            transfers=self.transfers,
            vitals=self.vitals,
            unused=self.unused,
            is_reload_slow=lambda: self._reloads.is_slow,
        )
        self._changing = Changing(
            self.state,
            reload=self.reload,
            listen=lambda: self.config.dns.listen,
            snapshot=self.store.snapshot if self.store is not None else None,
        )
        self._orders = Orders(self.state, self._reading.carried, self._reading.delivered)
        self._doors = Doors(
            reactor,
            self.state,
            self._reading,
            self._changing,
            self._orders,
            load=self.vitals.load,
            rows=network.pops.rows,
        )

    def _make_nat(self, state: SharedState) -> DataPath:
        self.nat = Nat(self._reactor, state, state.carrying)
        state.carrying.proceed = self.nat.proceed
        state.carrying.reset, state.carrying.live = self.nat.abort_server, self.nat.tickets
        return self.nat

    def startService(self) -> None:
        """
        State folder, tables, data paths, and only then the name server.

        :raises ListenError: when an endpoint of ours cannot be opened.
        :raises StateError: when the state folder cannot be used.
        """
        config = self.config
        for warning in config.warnings:
            self._log.warn("{event}: {warning}", event="config-warning", warning=str(warning))
        if config.control_socket is not None:
            # Before anything is done, for it would have to be undone.
            private_folder(Path(config.control_socket).parent)
        recovered = self.store.open(recover=self._recover) if self.store is not None else Recovered()
        try:
            self._open(recovered)
        except BaseException:
            if self.store is not None:
                self.store.abandon()
            raise
        self.vitals.startService()
        self.unused.startService()
        super().startService()
        self._log.info(
            "{event}: {name} shares {addresses} addresses among {sites} sites; {leases} leases from before",
            event="started",
            name=config.name,
            addresses=sum(len(pool.addresses) for pool in config.pools.values()),
            sites=len(config.sites),
            leases=sum(1 for table in self.state.tables().values() for _ in table.held()),
        )

    def _open(self, recovered: Recovered) -> None:
        """Everything that is not the state folder."""
        config = self.config
        self.nat.prepare(config.sites.values())
        self.transfers.configure(config.dns, self.transfers.keys(config.dns))
        self._configure(config, self._zones(config), recovered)
        self.state.carrying.restore()
        self.state.network.forcing.restore()
        if self.store is not None:
            self.store.serve(self.state.entries)
        self.reaper.startService()
        self._secrets = cookie_secrets(self._reactor, config.dns.cookies, self._folder)
        cookies = self._secrets.cookies if self._secrets is not None else None
        self.nameserver = NameServer(self._reactor, self.state.answer, config.dns, cookies, self.state, self.transfers)
        if self._secrets is not None:
            self._secrets.startService()
        self.state.subscribe(self.nameserver.follow)
        self.nameserver.startService()
        self.transfers.startService()
        self.looking.startService()
        self._doors.open(config)

    def _configure(self, config: Config, zones: Zones, recovered: Recovered | None = None) -> None:
        network = NetworkConfig(
            servers=config.servers, probe_ports=config.probe_ports, pops=config.pops, delivery=config.delivery
        )
        self.state.configure(
            config.pools, config.sites, zones, recovered, client_nat=config.client_nat, network=network
        )
        self.looking.configure(pop for name, pop in config.pops.items() if name != self.state.network.name)
        self.unused.configure(config.market.capacity)

    def _zones(self, config: Config) -> Zones:
        return Zones(
            self.transfers.zones_of(config.dns),
            site_names(config.sites, config.pools),
            delivered_names(config.delivery.values()),
        )

    def _own_load(self, servers: tuple[str, ...]) -> float:
        """What this POP carries at these servers, or at all."""
        return self.state.carrying.live_at(servers) if servers else self.nat.count()

    def snapshot(self) -> None:
        """Write the state to the disk now, as USR1 asks; the log says when it is there."""
        if self.store is None:
            self._log.warn("{event}: there is no state folder", event="snapshot-refused")
            return
        self.store.snapshot().addCallbacks(
            lambda _: self._log.info("{event}", event="snapshot-written"),
            lambda failure: self._log.error("{event}: {reason}", event="snapshot-failed", reason=str(failure.value)),
        )

    def reload(self) -> Deferred[tuple[bool, str]]:
        """Read the configuration and follow what has changed; see :meth:`Reloads.ask`."""
        return self._reloads.ask()

    def _refuse(self, error: ApplianceError) -> str:
        lines = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
        self._reading.refused = lines
        for line in lines:
            self._log.error("{event}: {reason}", event="reload-refused", reason=line)
        return "\n".join(["refused; what ran before still runs:", *lines])

    def _follow(self, config: Config) -> str:
        """
        :return: what to tell a person.
        :raises ApplianceError: where it cannot be; nothing has changed.
        """
        if not self.running:
            raise ApplianceError("the appliance is being stopped")
        keyring = self.transfers.keys(config.dns)
        secrets = self._secrets.read() if self._secrets is not None else ()
        self.nat.prepare(config.sites.values())
        if self.nameserver is not None:
            self.nameserver.configure(config.dns)
        if self._secrets is not None:
            self._secrets.take(secrets)
        self._reading.refused = []
        before, self.config = self.config, config
        for warning in config.warnings:
            self._log.warn("{event}: {warning}", event="config-warning", warning=str(warning))
        self.transfers.configure(config.dns, keyring)
        zones = self.state.zones
        if any(getattr(config, key) != getattr(before, key) for key in ("sites", "pools", "delivery")) or (
            config.dns.zones != before.dns.zones
        ):
            zones = self._zones(config)
        if self.store is not None:
            self.store.allow(bounds_of(config))
        self._configure(config, zones)
        self.transfers.settle()
        later = [key for key in _ONLY_AT_START if getattr(config, key) != getattr(before, key)]
        if config.dns.cookies != before.dns.cookies:
            later.append("dns.cookies")
        later += self._doors.configure(config, before)
        self._log.info(
            "{event}: {later}",
            event="reloaded",
            later=f"at the next start: {', '.join(later)}" if later else "all of it",
        )
        return f"reloaded; only a new start changes {', '.join(later)}" if later else "reloaded"

    def stopService(self) -> Deferred[None]:
        """No more answers, then no more connections, then the last snapshot."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        parts: list[tuple[str, Callable[[], object]]] = [
            ("vitals", self.vitals.stopService),
            ("unused", self.unused.stopService),
            ("looking", self.looking.stopService),
        ]
        if self._secrets is not None:
            parts.append(("cookie-secrets", self._secrets.stopService))
        if self.nameserver is not None:
            parts.append(("nameserver", self.nameserver.stopService))
        parts.append(("transfers", self.transfers.stopService))
        parts += [("control", door.stopService) for door in self._doors.services]
        parts.append(("nat", lambda: self.nat.stop(self.config.stop_timeout)))
        parts.append(("reaper", self.reaper.stopService))
        if self.store is not None:
            parts.append(("tables", self.state.finish))
            parts.append(("store", self.store.stop))
        for name, stop in parts:
            try:
                stopped = stop()
                if isinstance(stopped, Deferred):
                    # A disk that hangs must not keep the process for ever.
                    stopped.addTimeout(self.config.stop_timeout + STOP_PATIENCE, self._reactor)
                if isinstance(stopped, Awaitable):
                    await stopped
            except Exception:
                self._log.failure("{event}: {part}", event="stop-failed", part=name)
        self._log.info("{event}", event="stopped")
