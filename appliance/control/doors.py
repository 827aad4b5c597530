"""What lets people, programs and other POPs in, as the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service

from appliance.config import Config
from appliance.control.changing import Changing
from appliance.control.orders import Orders
from appliance.control.peers import Peers
from appliance.control.reading import Reading
from appliance.control.socket import PrivateSocket
from appliance.control.verbs import Verbs
from appliance.control.web import api_factory
from appliance.model.health import Load, Rows
from appliance.shared import SharedState


class Doors:
    """
    :param load: what other POPs are told of this one's load; ``rows``: of what it has seen of them.
    """

    def __init__(
        self,
        reactor: Any,
        state: SharedState,
        reading: Reading,
        changing: Changing,
        orders: Orders,
        *,
        load: Callable[[], Load],
        rows: Callable[[], Rows],
    ) -> None:
        self._reactor = reactor
        self._state = state
        self._reading = reading
        self._changing = changing
        self._orders = orders
        self._load = load
        self._rows = rows
        self._peers: Peers | None = None
        self.services: list[Service] = []

    def open(self, config: Config) -> None:
        """:raises ListenError: when one of them cannot be opened; those before it stay open until they are stopped."""
        self.services = self._make(config)
        for door in self.services:
            door.startService()

    def configure(self, config: Config, before: Config) -> list[str]:
        """After a reload. :return: keys that only the next start follows."""
        if config.peers is not None and self._peers is not None:
            self._peers.configure(config.peers.allow)
        listen = config.peers.listen if config.peers is not None else None
        was = before.peers.listen if before.peers is not None else None
        return ["control.peers"] if listen != was else []

    def _make(self, config: Config) -> list[Service]:
        doors: list[Service] = []
        if config.control_socket is not None:
            factory = api_factory(self._reading, self._changing, self._orders, self._reactor)
            doors.append(PrivateSocket(self._reactor, "control.socket", Path(config.control_socket), factory))
        if config.manhole is not None:
            # Imported late because Twisted's terminal code installs the global reactor.
            from appliance.control.manhole import manhole_service

            verbs = Verbs(self._state, self._reading, self._changing, self._orders)
            keys = Path(config.state_directory) if config.state_directory is not None else None
            doors.append(manhole_service(self._reactor, config.manhole, verbs.namespace(), keys))
        if config.peers is not None:
            self._peers = Peers(
                self._reactor, config.peers.listen, config.peers.allow, load=self._load, rows=self._rows
            )
            doors.append(self._peers)
        return doors
