"""
Files that are whole at every instant, and the lock of the folder they are in.

A file is replaced by writing another and renaming it; the journal alone grows in place, and what a failed write left
at its end is cut off before anything else is written.  All of it blocks, and nothing here is safe to be used by two
threads at once: the start uses it before the reactor runs, the background thread afterwards.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from appliance.errors import StateError
from appliance.store.replay import JOURNAL, PREVIOUS


class Disk:
    """The system calls that change what is on the disk, and that can fail."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def truncate(self, fd: int, length: int) -> None:
        os.ftruncate(fd, length)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


def write_all(disk: Disk, fd: int, data: bytes) -> None:
    """:raises OSError: when some of it could not be written; what was, is."""
    rest = memoryview(data)
    while rest:
        written = disk.write(fd, rest)
        if not written:
            raise OSError(errno.EIO, "nothing could be written")
        rest = rest[written:]


def sync_folder(disk: Disk, folder: Path) -> None:
    """Names in ``folder`` are as durable as the files' contents."""
    fd = disk.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(fd)
    finally:
        os.close(fd)


class Replacement:
    """A file that takes another's place when it is complete; ``fd`` is its own until somebody closes it."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._draft = path.with_name(f"{path.name}.new")
        self.fd = disk.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def write(self, data: bytes) -> None:
        """On the disk when it returns: a large file that is synced at its end only would hold up everybody else."""
        write_all(self._disk, self.fd, data)
        self._disk.fsync(self.fd)

    def commit(self) -> None:
        self._disk.replace(self._draft, self._path)
        sync_folder(self._disk, self._path.parent)

    def close(self) -> None:
        os.close(self.fd)

    def discard(self) -> None:
        """What was there before stays; the space that this took is given back."""
        self.close()
        self._disk.remove(self._draft)


def replace_file(disk: Disk, path: Path, data: bytes) -> None:
    """:raises OSError: then ``path`` is as it was, or complete."""
    replacement = Replacement(disk, path)
    try:
        replacement.write(data)
        replacement.commit()
    except OSError:
        replacement.discard()
        raise
    replacement.close()


class JournalFile:
    """``journal.yaml`` and its rotation to ``journal.previous.yaml``."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._previous = folder / PREVIOUS
        self._fd = -1
        self._good = self._synced = 0
        self._torn = self._moved = False
        self._head = 0
        self.path = folder / JOURNAL

    def create(self, head: bytes) -> None:
        """An empty journal in place of what was there; its records must be on the disk in another way."""
        fresh = self._fresh(head)
        try:
            fresh.commit()
        except OSError:
            fresh.discard()
            raise
        self._use(fresh, len(head))

    @property
    def is_empty(self) -> bool:
        """Has nothing been written but its head?"""
        return self._good == self._head

    def append(self, data: bytes) -> None:
        """:raises OSError: then none of it is there, now or after the next thing that succeeds."""
        self._mend()
        try:
            write_all(self._disk, self._fd, data)
        except OSError as error:
            self._torn = True
            self._mend(quietly=True)
            error.filename = str(self.path)
            raise
        self._good += len(data)

    def sync(self) -> None:
        """:raises OSError: then nobody knows what the disk has since the last time, and it is taken back."""
        try:
            self._disk.fsync(self._fd)
        except OSError as error:
            self._good, self._torn = self._synced, True
            self._mend(quietly=True)
            error.filename = str(self.path)
            raise
        self._synced = self._good

    def rotate(self, head: bytes) -> None:
        """
        Begin a new journal; the old one becomes the previous.

        Where there is a previous already, because no snapshot has been completed since, nothing is done.  Can be
        called again after it failed at any point.
        """
        self._mend()
        if self._previous.exists() and not self._moved:
            return
        fresh = self._fresh(head)
        try:
            if not self._moved:
                self._disk.fsync(self._fd)
                self._disk.replace(self.path, self._previous)
                self._moved = True
            fresh.commit()
        except OSError as error:
            fresh.discard()
            error.filename = str(self.path)
            raise
        old = self._fd
        self._use(fresh, len(head))
        os.close(old)

    def drop_previous(self) -> None:
        """What it says is in a snapshot."""
        self._disk.remove(self._previous)

    def finish(self, end: bytes) -> None:
        """The last record, which says that nothing is missing."""
        self.append(end)
        self.sync()

    def close(self) -> None:
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1

    def _fresh(self, head: bytes) -> Replacement:
        fresh = Replacement(self._disk, self.path)
        try:
            fresh.write(head)
        except OSError as error:
            fresh.discard()
            error.filename = str(self.path)
            raise
        return fresh

    def _use(self, fresh: Replacement, length: int) -> None:
        self._fd = fresh.fd
        self._good = self._synced = self._head = length
        self._torn = self._moved = False

    def _mend(self, *, quietly: bool = False) -> None:
        """Cut off what a failed write left."""
        if not self._torn:
            return
        try:
            self._disk.truncate(self._fd, self._good)
            self._torn = False
        except OSError as error:
            error.filename = str(self.path)
            if not quietly:
                raise


class Lock:
    """Keeps a second process out of the folder for as long as this one lives."""

    def __init__(self, folder: Path) -> None:
        """:raises StateError: when another process has it."""
        path = folder / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StateError(
                f"{path}: process {holder} uses this state folder: stop it, or use another folder"
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, b"%d\n" % os.getpid())

    def release(self) -> None:
        os.close(self._fd)
