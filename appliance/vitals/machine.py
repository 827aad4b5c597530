"""
What the operating system says of the machine and of this process.

Limits of a control group are not looked at: what counts is the machine, as other programs use it, too.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Protocol

import attrs
import psutil

_DESCRIPTORS = "/proc/self/fd"


@attrs.frozen(kw_only=True)
class Times:
    """
    Processor time since some beginning, in seconds.

    :param busy: of all processors of the machine.  Time that a hypervisor took away is busy, since nobody here can
        use it; waiting for a disk is not.
    :param all: the same with what was idle.
    :param process: of this process and its threads.
    """

    busy: float
    all: float
    process: float


class Machine(Protocol):
    """Each raises OSError where it cannot be read, e.g. without a free descriptor."""

    def times(self) -> Times: ...

    def memory(self) -> float:
        """Part of the memory that programs cannot have any more, 0 to 1."""

    def resident_bytes(self) -> int:
        """Memory of this process."""

    def open_files(self) -> int: ...

    def most_files(self) -> int | None:
        """None: as many as it likes."""


class ThisMachine:
    """The one that we run on."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def times(self) -> Times:
        said = psutil.cpu_times()
        # On Linux 'user' has 'guest' in it, 'nice' has 'guest_nice' (proc(5)).
        idle = said.idle + said.iowait
        busy = said.user + said.nice + said.system + said.irq + said.softirq + said.steal
        return Times(busy=busy, all=busy + idle, process=time.process_time())

    def memory(self) -> float:
        said = psutil.virtual_memory()
        return 1.0 - said.available / said.total

    def resident_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def open_files(self) -> int:
        """
        Linux says it at once since 6.2; before that the folder has to be read, and psutil does so.

        Reading takes 25 ms for 9 000 open files, and the reactor would stand still as long.
        """
        return os.stat(_DESCRIPTORS).st_size or int(self._process.num_fds())

    def most_files(self) -> int | None:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if limit == resource.RLIM_INFINITY else limit
