"""The journal that a configuration asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance.config import Config
from appliance.store.journal import FileJournal
from appliance.store.scribe import Bounds


def journal_of(reactor: Any, config: Config) -> FileJournal | None:
    """The journal of a configuration that keeps its state on the disk; None for one that does not."""
    if config.state_directory is None:
        return None
    periods = [pool.periods for pool in config.pools.values()]
    return FileJournal(
        reactor,
        Path(config.state_directory),
        fsync=config.fsync,
        snapshot_interval=config.snapshot_interval,
        history_seconds=config.history,
        bounds=bounds_of(config),
        rest=max((max(each.maximum, each.cooling) + each.grace for each in periods), default=0.0),
    )


def bounds_of(config: Config) -> Bounds:
    """What answers may promise beyond what is on the disk."""
    periods = [pool.periods for pool in config.pools.values()]
    return Bounds(
        max((each.maximum for each in periods), default=0.0), max((each.minimum for each in periods), default=0.0)
    )
