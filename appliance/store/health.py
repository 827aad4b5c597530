"""
How the journal is::

                 too slow                returned
    WELL ----------------------> SLOW ---------------> WELL
     |                            |
     | error                      | error           error
     +----------------------------+---> FAILED <------------ MENDING ---> WELL
                                          |                     ^   snapshot complete
                                          +---------------------+
                                             tried each second

*FAILED*: nothing is recorded.  *MENDING*: a new snapshot is being written, which will make up for what was not; from
its beginning everything is recorded again, but nobody can rely on it until the snapshot is complete.
"""

from __future__ import annotations

import enum
import errno
from pathlib import Path

from twisted.logger import Logger


class State(enum.Enum):
    """As drawn above."""

    WELL = enum.auto()
    SLOW = enum.auto()
    FAILED = enum.auto()
    MENDING = enum.auto()


class Cause(enum.Enum):
    """What may change it."""

    LATE = enum.auto()
    RETURNED = enum.auto()
    ERROR = enum.auto()
    TRY = enum.auto()
    COMPLETE = enum.auto()


_NEXT = {
    (State.WELL, Cause.LATE): State.SLOW,
    (State.WELL, Cause.RETURNED): State.WELL,
    (State.WELL, Cause.ERROR): State.FAILED,
    (State.SLOW, Cause.RETURNED): State.WELL,
    (State.SLOW, Cause.ERROR): State.FAILED,
    (State.FAILED, Cause.LATE): State.FAILED,
    (State.FAILED, Cause.RETURNED): State.FAILED,
    (State.FAILED, Cause.ERROR): State.FAILED,
    (State.FAILED, Cause.TRY): State.MENDING,
    (State.FAILED, Cause.COMPLETE): State.FAILED,
    (State.MENDING, Cause.LATE): State.MENDING,
    (State.MENDING, Cause.RETURNED): State.MENDING,
    (State.MENDING, Cause.ERROR): State.FAILED,
    (State.MENDING, Cause.COMPLETE): State.WELL,
}


class Health:
    """:ivar failure: why nobody may rely on the journal now, for people; None while it is well."""

    _log = Logger()

    def __init__(self) -> None:
        self.state = State.WELL
        self.failure: str | None = None

    def turn(self, cause: Cause, reason: str = "") -> None:
        """Say what happened; each trouble is logged once, and its end."""
        before, self.state = self.state, _NEXT[self.state, cause]
        if self.state is State.WELL:
            self.failure = None
            if before is not State.WELL:
                self._log.info("{event}: everything is recorded again", event="journal-recovered")
        elif reason and self.state in (State.SLOW, State.FAILED):
            self.failure = reason
            if before is State.WELL:
                event = "journal-slow" if self.state is State.SLOW else "journal-failed"
                self._log.error("{event}: {reason}", event=event, reason=reason)
            elif before is State.SLOW and self.state is State.FAILED:
                self._log.error("{event}: {reason}", event="journal-failed", reason=reason)


_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "mount it for writing again",
}


def explained(error: Exception, path: Path) -> str:
    """
    What happened, to which file, and what to do.

    :param path: what was being used, where the error does not say it.
    """
    if not isinstance(error, OSError):
        return f"{path}: {error}"
    advice = _ADVICE.get(error.errno or 0, "see what the kernel says of the disk")
    return f"{error.filename or path}: {error.strerror or error}; {advice}"
