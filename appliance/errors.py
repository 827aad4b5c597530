"""
What can go wrong, by whose doing.

A wrong configuration, a refused bind or a full disk is an :class:`ApplianceError`: a person reads its text and acts.
Anything else that is raised is our own bug and deserves its traceback.  What a stranger on the network does wrong is
never an exception here: the packet path returns values.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs


class ApplianceError(Exception):
    """Something a person can mend; ``str()`` of it says what happened, where, and what to do."""


@attrs.frozen(kw_only=True)
class Fault:
    """
    One thing that is wrong in a configuration (or only suspicious, when it is listed under warnings).

    :param file: the file as the user named it.
    :param line: 1-based line in that file; 0 where no line applies.
    :param path: key path such as ``pools.public.period.base``; empty for the file as a whole.
    :param message: what was found and what is allowed.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(ApplianceError):
    """A configuration that cannot be used; carries every fault that was found, in the order of the file's lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.path)))
        super().__init__("\n".join(map(str, self.faults)))


class ListenError(ApplianceError):
    """An endpoint of ours could not be opened (port in use, no right, address not on this host)."""


class Blame(enum.Enum):
    """What is in the way of a data path."""

    ADDRESS = "address"
    """No site can use the address: it is not on this host."""
    PORT = "port"
    """A port that the site wants there cannot be had; a site that wants others may still use the address."""
    PROCESS = "process"
    """We cannot open it anywhere now (no file descriptors, no right); neither the address nor the port is at fault."""


class DataPathError(ApplianceError):
    """
    The data path of a lease could not be opened; the grant that asked for it declines the address.

    :param blame: for whom the address is declined, if for anybody.
    """

    def __init__(self, message: str, *, blame: Blame = Blame.ADDRESS) -> None:
        self.blame = blame
        super().__init__(message)


class JournalError(ApplianceError):
    """A change could not be recorded; the operation that asked for it is undone."""


class StateError(ApplianceError):
    """The state folder cannot be used: taken by another process, damaged, or written by a newer appliance."""


class RequestError(ApplianceError):
    """
    What a person asked of the running process cannot be done.

    :param code: a word for programs, such as ``not-found``.
    :param field: the part of the request that is at fault; empty for the whole of it.
    """

    def __init__(self, code: str, message: str, *, field: str = "") -> None:
        self.code, self.field = code, field
        super().__init__(message)


class BalancingError(RequestError):
    """A change of the balancing at run time names what is not there, or a value that is not allowed (5.10)."""


class SecretError(ApplianceError):
    """A file with a secret cannot be read or made, or is open to others."""
