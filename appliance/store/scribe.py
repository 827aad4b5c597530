"""
Who writes the lines: numbers them, stamps them with the clocks, and notes what the history will want to know.

Lives on the reactor's thread; what it returns are bytes, which any thread may write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from appliance import __version__
from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Entry,
    Event,
    Fsync,
    LeaseEvent,
    LeaseGranted,
    LeaseReclaimed,
    LeaseRecord,
    PinEvent,
    Pinned,
    State,
)
from appliance.model import Address
from appliance.store.codec import FORMAT, Clocks, fields_of
from appliance.store.lines import line_of

DAY_MS = 86_400_000


@attrs.frozen
class Bounds:
    """
    What answers may have promised beyond what is on the disk, in seconds.

    :param maximum: after a crash that may have lost anything.
    :param minimum: while the disk failed.
    """

    maximum: float = 0.0
    minimum: float = 0.0

    def joined(self, other: Bounds) -> Bounds:
        return Bounds(max(self.maximum, other.maximum), max(self.minimum, other.minimum))


NONE = Bounds()

HistoryRow = tuple[int, bytes]
"""(the UTC day of the end, counted from 1970; the line)"""


def boot_id() -> str:
    """The kernel's name of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Scribe:
    """
    :param boot: the kernel's id of this boot.
    :param wall: seconds since 1970.
    :param seconds: the boot clock.
    :ivar seq: the number of the last record.
    :ivar bounds: of this process, and of those before it while a crash has left their promises in doubt.
    :ivar unsure_since: since when it is not sure that all promises are known; None: they are.
    """

    def __init__(self, boot: str, wall: Callable[[], float], seconds: Callable[[], float], fsync: Fsync) -> None:
        self._boot = boot
        self._wall = wall
        self._seconds = seconds
        self._fsync = fsync
        self._used: set[tuple[Address, str]] = set()
        self._pinned: set[tuple[Address, str]] = set()
        self.seq = 0
        self.bounds = NONE
        self.unsure_since: float | None = None

    def clocks(self) -> Clocks:
        return Clocks(self._boot, round(self._wall() * 1000), round(self._seconds() * 1000))

    def head(self, kind: str) -> bytes:
        """The first line of a file; its seq says that older records have nothing to add to what the file holds."""
        clocks = self.clocks()
        since = clocks.start(self.unsure_since) if self.unsure_since is not None else None
        policy = {"fsync": self._fsync.value, "version": __version__, "unsure_since": since}
        bounds = {"maximum": math.ceil(self.bounds.maximum * 1000), "minimum": math.ceil(self.bounds.minimum * 1000)}
        return line_of({"format": FORMAT, "kind": kind, **clocks.stamp(self.seq), **policy, **bounds})

    def event(self, event: Event) -> bytes | None:
        """The next record; None where a start need not know of the event."""
        clocks = self.clocks()
        fields = fields_of(event, clocks)
        if fields is None:
            return None
        self.seq += 1
        return line_of({**clocks.stamp(self.seq), **fields})

    def end(self) -> bytes:
        """The last record of a journal."""
        self.seq += 1
        clocks = self.clocks()
        return line_of({**clocks.stamp(self.seq), "kind": "end", "rows": 0})

    def snapshot(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """
        The lines of a snapshot, head and end included.

        Each entry is taken when its line is asked for, and carries the number of the last record before that: what is
        recorded later wins over it.
        """
        yield self.head("snapshot")
        rows = 0
        for entry in entries:
            clocks = self.clocks()
            fields = fields_of(entry, clocks)
            if fields is not None:
                rows += 1
                yield line_of({**clocks.stamp(self.seq), **fields})
        yield line_of({**self.clocks().stamp(self.seq), "kind": "end", "rows": rows})

    # -- history ---------------------------------------------------------------------------------------------------

    def remember(self, entries: Iterable[Entry]) -> None:
        """Take up, after a start, which leases have been used, and what is pinned."""
        for entry in entries:
            if isinstance(entry, Pinned):
                self._pinned.add((entry.address, entry.site))
            if not isinstance(entry, LeaseRecord):
                continue
            if entry.state is State.BOUND or (entry.state is State.DRAINING and entry.requests > 0):
                self._used.add((entry.address, entry.site))

    def held(self, event: Event) -> HistoryRow | None:
        """The line of the history when a lease ends with ``event``; must see every event, in order."""
        if isinstance(event, PinEvent):
            # A pin's end is told of as that of a lease, and then as its own.
            change = self._pinned.add if isinstance(event, Pinned) else self._pinned.discard
            change((event.address, event.site))
            return None
        if isinstance(event, AddressFreed | AddressRemoved):
            return self._row(event.held, event.at) if event.held is not None else None
        if not isinstance(event, LeaseEvent):
            return None
        row = None
        if isinstance(event, LeaseGranted) and event.former is not None:
            row = self._row(event.former, event.at)
        key = event.address, event.site
        if event.lease.state is State.BOUND:
            self._used.add(key)
        elif event.lease.state is State.OFFERED:
            self._used.discard(key)
        if isinstance(event, LeaseReclaimed):
            if key in self._pinned:
                self._used.add(key)
            row = self._row(event.lease, event.at)
        return row

    def _row(self, lease: LeaseRecord, at: float) -> HistoryRow:
        clocks, key = self.clocks(), (lease.address, lease.site)
        until = clocks.start(at)
        fields = {
            "kind": "held",
            "site": lease.site,
            "server": lease.server,
            "address": str(lease.address),
            "pool": lease.pool,
            "from": clocks.start(lease.granted_at),
            "until": until,
            "used": key in self._used,
        }
        self._used.discard(key)
        return until // DAY_MS, line_of({**clocks.stamp(self.seq), **fields})
