"""What lets people and programs in, as the configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service

from appliance.config import Config
from appliance.control.changing import Changing
from appliance.control.orders import Orders
from appliance.control.reading import Reading
from appliance.control.socket import PrivateSocket
from appliance.control.verbs import Verbs
from appliance.control.web import api_factory
from appliance.shared import SharedState


def make_doors(
    reactor: Any, config: Config, state: SharedState, reading: Reading, changing: Changing, orders: Orders
) -> list[Service]:
    """They are closed; whoever starts one opens it."""
    doors: list[Service] = []
    if config.control_socket is not None:
        factory = api_factory(reading, changing, orders, reactor)
        doors.append(PrivateSocket(reactor, "control.socket", Path(config.control_socket), factory))
    if config.manhole is not None:
        # Imported late because Twisted's terminal code installs the global reactor.
        from appliance.control.manhole import manhole_service

        verbs = Verbs(state, reading, changing, orders)
        keys = Path(config.state_directory) if config.state_directory is not None else None
        doors.append(manhole_service(reactor, config.manhole, verbs.namespace(), keys))
    return doors
