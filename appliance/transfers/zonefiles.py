"""
Transferred zones on the disk, so that a restart serves them at once: ``STATE/zones/APEX.zone``.

A file is a master file that anybody can read, and its modification time is when the primary last said that it is the
newest version, as with BIND.  It is written in a thread, beside the one that is there, synced and renamed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dns.name
import dns.zone
from twisted.internet.defer import TimeoutError  # noqa: A004
from twisted.internet.threads import deferToThreadPool

from appliance.config.masterfile import read_zone
from appliance.config.reading import Unreadable, read_text
from appliance.transfers.asking import in_slices
from appliance.transfers.incoming import TransferFailed, Version, version_of

WRITE_TIMEOUT = 60.0
"""Seconds that a refresh waits for the disk; the thread goes on."""
LONGEST_NAME = 200
"""Of a file, so that what is beside it fits into 255 bytes."""
NAMES_A_SLICE = 100


class Unusable(Exception):
    """``str()`` says why a file is not used."""


class ZoneFiles:
    """:param folder: made when it is written to."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._reactor = reactor
        self._folder = folder
        # A refresh that was given up may still be writing when the next one does.
        self._writing = threading.Lock()

    def path(self, apex: dns.name.Name) -> Path:
        name = quote(apex.to_text(omit_final_dot=True), safe="")
        if len(name) > LONGEST_NAME:
            name = f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        return self._folder / f"{name}.zone"

    def read(self, apex: dns.name.Name) -> tuple[Version, float] | None:
        """
        A zone, and when it was refreshed (Unix time); None where there is none.  Blocks.

        :raises Unusable: when it cannot be read, or is no zone.
        """
        path = self.path(apex)
        faults: list[str] = []
        try:
            if not path.exists():
                return None
            refreshed_at = path.stat().st_mtime
            text = read_text(str(path))
        except (OSError, Unreadable) as error:
            raise Unusable(f"{path}: {error}") from None
        source, _ = read_zone(apex, text, None, lambda file, line, reason: faults.append(f"{path}:{line}: {reason}"))
        if faults:
            raise Unusable(faults[0])
        try:
            return version_of(source), refreshed_at
        except TransferFailed as error:
            raise Unusable(f"{path}: {error}") from None

    async def write(self, apex: dns.name.Name, version: Version, refreshed_at: float) -> None:
        """:raises OSError: when the disk does not take it, or not in time."""
        data = await in_slices(self._reactor, _text(version.source))
        await self._in_thread(self._replace, self.path(apex), data, refreshed_at)

    async def touch(self, apex: dns.name.Name, refreshed_at: float) -> None:
        """It is still the newest version.  Raises as :meth:`write` does."""
        await self._in_thread(os.utime, self.path(apex), (refreshed_at, refreshed_at))

    def _replace(self, path: Path, data: bytes, refreshed_at: float) -> None:
        """In a thread."""
        with self._writing:
            _replace(path, data, refreshed_at)

    async def _in_thread(self, work: Any, *arguments: object) -> None:
        doing = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *arguments)
        doing.addTimeout(WRITE_TIMEOUT, self._reactor)
        try:
            await doing
        except TimeoutError:
            raise OSError(f"the disk took more than {WRITE_TIMEOUT:g} s") from None


def _text(source: dns.zone.Zone) -> Generator[None, None, bytes]:
    assert source.origin is not None
    apex = source.origin
    lines = [f"; {apex}, transferred in; the time of this file is that of the last refresh\n"]
    # The apex first, as people expect it.
    nodes = {apex: source.nodes[apex], **source.nodes}
    for count, (name, node) in enumerate(nodes.items(), 1):
        lines.append(node.to_text(name, origin=None, relativize=False) + "\n")
        if count % NAMES_A_SLICE == 0:
            yield
    return "".join(lines).encode()


def _replace(path: Path, data: bytes, refreshed_at: float) -> None:
    """The file is as it was, or complete."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.utime(file.fileno(), (refreshed_at, refreshed_at))
        os.fsync(file.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
