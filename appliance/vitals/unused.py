"""What a POP does not need of its capacity itself: watched while the process runs, and foretold (2.1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.capacity import Forecast, Supply
from appliance.model import Capacity
from appliance.views import capacity_row, coming_rows
from appliance.vitals.loadfile import NAME, PastLoad, UnusableLoad, read_load, set_aside, write_load

SAMPLE_INTERVAL = 1.0


@attrs.frozen
class _Watched:
    """:param capacity: as it is configured now; the supply has its numbers."""

    capacity: Capacity
    supply: Supply

    def kept(self) -> PastLoad:
        forecast = self.supply.forecast
        return PastLoad(
            unit=self.capacity.unit.value,
            servers=tuple(sorted(self.capacity.servers)),
            slot=forecast.slot,
            past=forecast.past(),
            under_way=forecast.under_way(),
        )


class Unused(Service):
    """
    Takes a sample of the own load each second; at the end of each slot, and at a stop, past slots go to the disk.

    Slots are parts of the UTC day, so the clock on the wall counts, and it may be set at any time:
    :class:`~appliance.capacity.Forecast` bears it.

    :param folder: where ``load.yaml`` is; None: a restart forgets.
    :param load: the connections of servers of these names, or of all where there are none; asked each second.
    """

    name = "unused"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path | None,
        *,
        load: Callable[[tuple[str, ...]], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._load = load
        self._wall = wall
        self._watched: _Watched | None = None
        self._slot: int | None = None
        self._disk = DeferredLock()
        self._unsaved = ""
        self._failing = False
        self._sampling = LoopingCall(self._turn)
        self._sampling.clock = reactor

    def configure(self, capacity: Capacity | None) -> None:
        """
        Take over a configuration; None: there is nothing to watch.

        What is known of past days holds for the servers that it was measured at: with others it is begun anew, for the
        load of some foretells too little of the load of more.
        """
        before, self._watched = self._watched, None
        if capacity is None:
            return
        if before is not None and _measured(before.capacity) == _measured(capacity):
            supply = before.supply
            supply.hard, supply.reserve, supply.stated = capacity.hard, capacity.reserve, capacity.stated
            supply.forecast.quantile = capacity.forecast
        else:
            supply = Supply(
                hard=capacity.hard, reserve=capacity.reserve, stated=capacity.stated, forecast=self._recalled(capacity)
            )
        self._watched = _Watched(capacity, supply)
        if self.running:
            self._turn()

    def startService(self) -> None:
        super().startService()
        self._sampling.start(SAMPLE_INTERVAL)

    def stopService(self) -> Deferred[None]:
        """Done when all is on the disk, or the disk has refused it."""
        super().stopService()
        if not self._sampling.running:
            return succeed(None)
        self._sampling.stop()
        return self._disk.run(self._save)

    # -- what is told ----------------------------------------------------------------------------------------------

    def row(self, *, coming: bool) -> dict[str, Any] | None:
        """
        The capacity and what is unused of it; None: none is configured.

        :param coming: with the next 24 hours.
        """
        watched, now = self._watched, self._wall()
        if watched is None:
            return None
        row = capacity_row(watched.capacity, watched.supply, now)
        return {**row, "coming": coming_rows(watched.supply, now)} if coming else row

    def troubles(self) -> list[str]:
        """What somebody has to look at."""
        return [f"past load is not on the disk: {self._unsaved}"] if self._unsaved else []

    # -- what is seen ----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        watched = self._watched
        if watched is None:
            return
        try:
            watched.supply.measured(float(self._load(watched.capacity.servers)), self._wall())
        except Exception:
            if not self._failing:
                self._log.failure("{event}: said again after it could be measured", event="load-unmeasured")
            self._failing = True
            return
        self._failing = False
        under_way = watched.supply.forecast.under_way()
        before, self._slot = self._slot, under_way[0] if under_way is not None else None
        # Who waits for the disk already will write what there is then.
        if before is not None and before != self._slot and not self._disk.waiting:
            self._disk.run(self._save)

    # -- what is kept ----------------------------------------------------------------------------------------------

    def _recalled(self, capacity: Capacity) -> Forecast:
        """A forecast with what the disk has; reads a small file, at a start and where a reload changes the servers."""
        forecast = Forecast(quantile=capacity.forecast)
        self._slot = None
        if self._folder is None:
            return forecast
        try:
            kept = read_load(self._folder)
            if kept is None:
                return forecast
            if (kept.unit, kept.servers) != _measured(capacity):
                raise UnusableLoad(f"it is about {kept.unit} of {' '.join(kept.servers) or 'all servers'}")
            if kept.slot != forecast.slot:
                raise UnusableLoad(f"its slots have {kept.slot:g} s, and now they have {forecast.slot:g} s")
        except UnusableLoad as error:
            self._begin_anew(self._folder, str(error))
        else:
            forecast.recall(kept.past, kept.under_way)
        return forecast

    def _begin_anew(self, folder: Path, reason: str) -> None:
        try:
            set_aside(folder)
        except OSError as error:
            reason = f"{reason}; it cannot be kept: {error.strerror}"
        path = folder / NAME
        self._log.warn("{event}: {path}: {reason}", event="load-begun-anew", path=str(path), reason=reason)

    def _save(self) -> Deferred[None]:
        """Off the reactor's thread, for it waits for the disk; fires when it is done, or has failed."""
        watched = self._watched
        if self._folder is None or watched is None:
            return succeed(None)
        pool = self._reactor.getThreadPool()
        written: Deferred[None] = deferToThreadPool(self._reactor, pool, write_load, self._folder, watched.kept())
        return written.addCallbacks(self._saved, self._not_saved)

    def _saved(self, _: None) -> None:
        if self._unsaved:
            self._log.info("{event}: past load is on the disk again", event="load-saved")
        self._unsaved = ""

    def _not_saved(self, failure: Failure) -> None:
        """Said once; it is tried again at the end of the next slot."""
        error: Any = failure.value
        reason = f"{self._folder}/{NAME}: {getattr(error, 'strerror', None) or error}"
        if not self._unsaved:
            self._log.error("{event}: {reason}", event="load-unsaved", reason=reason)
        self._unsaved = reason


def _measured(capacity: Capacity) -> tuple[str, tuple[str, ...]]:
    """What is counted, and where."""
    return capacity.unit.value, tuple(sorted(capacity.servers))
