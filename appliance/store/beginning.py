"""How a journal begins: from what was there, and anew."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import Logger

from appliance.store.files import Disk, JournalFile, replace_file
from appliance.store.replay import SNAPSHOT, Replayed, replay
from appliance.store.scribe import Bounds, Scribe

_log = Logger()


def begin(folder: Path, disk: Disk, file: JournalFile, scribe: Scribe, *, recover: bool, rest: float) -> Replayed:
    """
    Read a folder, and leave in it a snapshot of what was found and an empty journal.

    :param recover: leave out what is damaged; the files as they were are kept under ``.damaged``.
    :param rest: how long after an unsure start another one is unsure too.
    :raises StateError: see :func:`~appliance.store.replay.replay`; an OSError where the disk does not take it.
    """
    found = replay(folder, scribe.clocks(), recover=recover, rest=rest)
    for warning in found.warnings:
        _log.warn("{event}: {reason}", event="journal-damaged", reason=warning)
    for path in (path for path in found.damaged if path.exists()):
        copy = path.with_name(f"{path.name}.damaged")
        copy.unlink(missing_ok=True)
        os.link(path, copy)
    scribe.seq, scribe.unsure_since = found.seq, found.unsure_since
    before = found.recovered
    # Until all that is in doubt is over, the starts after this one have to know how long that takes.
    maximum = before.maximum if before.unsure else 0.0
    scribe.bounds = scribe.bounds.joined(Bounds(maximum, before.minimum if before.crashed else 0.0))
    scribe.remember(found.recovered.entries)
    if not found.compact:
        replace_file(disk, folder / SNAPSHOT, b"".join(scribe.snapshot(found.recovered.entries)))
    file.create(scribe.head("journal"))
    file.drop_previous()
    return found
