"""
Who held an address when: a line for each lease that has ended, for those who ask after abuse.

One file a day (UTC, of the end), in the format of the journal, kept for as long as is configured.  A line is written
before the journal says that the lease is over; after a crash a lease may be there twice, none is missing that the
journal knows to be over.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from appliance.model import Address
from appliance.store.files import Disk, write_all
from appliance.store.lines import Damage, parse
from appliance.store.scribe import DAY_MS, HistoryRow
from appliance.store.worker import Worker

MOST_ROWS = 1000
"""What is found at most, the newest first."""

READ_BYTES = 2**20
"""Read at a time: grants wait for the same thread."""

_SHOWN = ("site", "server", "address", "pool", "from", "until", "used")


class History:
    """
    :param head: the first line of each file.
    :param wall: seconds since 1970.
    :param keep: seconds after its end for which a day is kept.
    :param synced: lines are forced to the disk.
    """

    def __init__(
        self, folder: Path, worker: Worker, disk: Disk, wall: Callable[[], float], *, keep: float, synced: bool
    ) -> None:
        self._folder = folder
        self._worker = worker
        self._disk = disk
        self._wall = wall
        self._keep = keep
        self._synced = synced
        self.head = b""

    # -- in the thread ---------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[HistoryRow]) -> None:
        """:raises OSError: then the rows of a day are all there, or none of them is."""
        days: dict[int, list[bytes]] = {}
        for day, line in rows:
            days.setdefault(day, []).append(line)
        for day, lines in days.items():
            path = self._path(day)
            try:
                self._append(path, b"".join(lines))
            except OSError as error:
                error.filename = str(path)
                raise

    def _append(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fd = self._disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            size = _whole(fd)
            self._disk.truncate(fd, size)
            try:
                write_all(self._disk, fd, data if size else self.head + data)
                if self._synced:
                    self._disk.fsync(fd)
            except OSError:
                self._disk.truncate(fd, size)
                raise
        finally:
            os.close(fd)

    def expire(self) -> None:
        """Delete the days that are over for longer than they are kept."""
        oldest = int((self._wall() - self._keep) * 1000) // DAY_MS
        for day, path in self._days():
            if day < oldest:
                self._disk.remove(path)

    def _read(self, path: Path, offset: int, address: Address, at: int | None) -> tuple[list[dict[str, Any]], int]:
        """(what was found in the next part of a file, where the part after it begins; 0 at the end)"""
        needle = f'"address": "{address}"'.encode()
        try:
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.readlines(READ_BYTES)
                end = file.tell() if lines else 0
        except FileNotFoundError:
            return [], 0
        found = []
        for line in lines:
            if needle not in line or not line.endswith(b"\n"):
                continue
            try:
                row = parse(line[:-1])
            except Damage:
                continue
            if row.get("kind") == "held" and (at is None or row["from"] <= at < row["until"]):
                found.append({key: row[key] for key in _SHOWN})
        return found, end

    def _days(self) -> list[tuple[int, Path]]:
        """The files that are ours, newest first."""
        days = []
        for path in self._folder.glob("*.yaml"):
            try:
                days.append((date.fromisoformat(path.stem).toordinal() - _EPOCH, path))
            except ValueError:
                continue
        return sorted(days, reverse=True)

    def _path(self, day: int) -> Path:
        return self._folder / f"{date.fromordinal(day + _EPOCH).isoformat()}.yaml"

    # -- on the reactor's thread -----------------------------------------------------------------------------------

    async def find(self, address: Address, at: float | None = None) -> list[dict[str, Any]]:
        """
        Who had ``address``, the newest first, at most ``MOST_ROWS``; a lease that has not ended is not here.

        :param at: only who had it then, seconds since 1970.
        :return: rows with site, server, address, pool, from, until (milliseconds since 1970) and used.
        """
        at_ms = None if at is None else int(at * 1000)
        rows: list[dict[str, Any]] = []
        for day, path in await self._worker.call(self._days):
            if len(rows) == MOST_ROWS or (at_ms is not None and day < at_ms // DAY_MS):
                break
            last: deque[dict[str, Any]] = deque(maxlen=MOST_ROWS - len(rows))
            offset = -1
            while offset:
                found, offset = await self._worker.call(self._read, path, max(0, offset), address, at_ms)
                last.extend(found)
            rows.extend(sorted(last, key=lambda row: int(row["until"]), reverse=True))
        return rows


_EPOCH = datetime.fromtimestamp(0, UTC).date().toordinal()


def _whole(fd: int) -> int:
    """The length of a file without the line that a crash has left torn at its end."""
    size = os.fstat(fd).st_size
    while size:
        start = max(0, size - 4096)
        newline = os.pread(fd, size - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0
