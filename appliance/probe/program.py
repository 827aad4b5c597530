"""
A check that is a program: its exit code says it, the first line it writes says why.

No shell: the words of ``command`` are the program, absolute, and its arguments, where ``{address}`` and ``{port}`` are
filled in.  It has a session of its own, an almost empty environment and no input.  At its deadline its whole process
group gets SIGTERM, a second later SIGKILL; whoever it leaves behind when it exits gets SIGKILL at once.  The number of
those that run at the same time is bounded, the others wait in a queue, and their deadline runs all the while.

A process is followed by a descriptor (pidfd_open(2)), not by SIGCHLD, which belongs to whoever else starts processes:
the group is killed before the process is waited for, so its number cannot be somebody else's by then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable

from twisted.python.failure import Failure

from appliance.model.health import Cause, Check, Layer, Result
from appliance.probe.causes import EXHAUSTED
from appliance.probe.conversation import shown
from appliance.probe.descriptor import Descriptor
from appliance.probe.ground import Ground

MOST_PROGRAMS = 16
MOST_OUTPUT_BYTES = 4096
"""Of its output, what is looked at; the rest is read and thrown away."""
_GRACE = 1.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

Done = Callable[[Result], None]


class _Reader(Descriptor):
    """Calls ``readable`` when the descriptor, which is its own, is."""

    __slots__ = ("_call", "number")

    def __init__(self, ground: Ground, number: int, call: Callable[[], None]) -> None:
        super().__init__(ground.reactor)
        self.number = number
        self._call = call
        self.fileno = lambda: self.number
        self.read_on(True)

    def readable(self) -> None:
        self._call()

    def broke(self, failure: Failure) -> None:
        self.read_on(False)
        Ground.log.failure("{event}: a program could not be followed", failure, event="probe-failed")

    def close(self) -> None:
        """Idempotent."""
        self.read_on(False)
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


class Program:
    """
    One run.

    :param done: told once, at the exit or at the deadline; the place is free only when nothing of it is left.
    """

    def __init__(self, programs: Programs, check: Check, done: Done) -> None:
        self._programs = programs
        self._ground = programs.ground
        self._check = check
        self._done: Done | None = done
        self._began_at = self._ground.stopwatch()
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[_Reader] = []
        self._output = b""
        self._killing = False
        self.deadline: float | None = self._ground.seconds() + check.probe.timeout
        self._ground.begin(self, self.deadline)

    def run(self) -> None:
        words = [self._filled_in(word) for word in self._check.probe.command]
        try:
            process = self._process = subprocess.Popen(  # noqa: S603 - the operator's program, and no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as problem:
            self._not_begun(problem)
            return
        assert process.stdout is not None
        try:
            descriptor = os.pidfd_open(process.pid)
            self._readers.append(_Reader(self._ground, descriptor, self._exited))
            output = os.dup(process.stdout.fileno())
            os.set_blocking(output, False)
            self._readers.append(_Reader(self._ground, output, self._read))
        except OSError as problem:
            self._signal(signal.SIGKILL)
            process.wait()
            self._free()
            self._not_begun(problem)

    def expire(self) -> None:
        """The deadline, or a second after it."""
        if self._process is None:
            self.deadline = None
            self._programs.forget(self)
            self._tell(Layer.LOCAL, Cause.TIMEOUT, "no place to run it in time")
        elif self._killing:
            self.deadline = None
            self._signal(signal.SIGKILL)
        else:
            self._killing = True
            self._signal(signal.SIGTERM)
            self.deadline = self._ground.seconds() + _GRACE
            self._ground.begin(self, self.deadline)
            self._tell(Layer.APPLICATION, Cause.TIMEOUT, "did not exit in time")

    def cancel(self) -> None:
        """Kill it, and wait until it is gone; but no longer than a second, should the kernel not let go of it."""
        self._done = None
        if self._process is not None:
            self._signal(signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self._over()

    # -- following it --------------------------------------------------------------------------------------------------

    def _exited(self) -> None:
        process = self._process
        assert process is not None
        self._signal(signal.SIGKILL)  # not waited for yet: the number is its own still
        self._read()
        code = process.wait()
        self._over()
        said = shown(self._output)
        if code == 0:
            self._tell(Layer.APPLICATION, Cause.OK, said)
        elif code > 0:
            self._tell(Layer.APPLICATION, Cause.STATUS, f"exit {code}: {said}" if said else f"exit {code}")
        else:
            name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
            self._tell(Layer.APPLICATION, Cause.ERROR, f"ended by {name}")

    def _read(self) -> None:
        if len(self._readers) < 2:
            return
        try:
            data = os.read(self._readers[1].number, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._output += data[: MOST_OUTPUT_BYTES - len(self._output)]
        else:
            self._readers.pop().close()

    # -- the end -------------------------------------------------------------------------------------------------------

    def _filled_in(self, word: str) -> str:
        """Not by ``format``: other braces are the program's own."""
        return word.replace("{address}", str(self._check.address)).replace("{port}", str(self._check.port))

    def _not_begun(self, problem: OSError | ValueError) -> None:
        number = problem.errno if isinstance(problem, OSError) else None
        if number in EXHAUSTED:
            self._ground.exhausted(os.strerror(number or errno.EAGAIN))
        self._over()
        self._tell(Layer.LOCAL, Cause.ERROR, shown(os.strerror(number) if number else str(problem)))

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the second: it has another user by now
            os.killpg(self._process.pid, number)

    def _tell(self, layer: Layer, cause: Cause, detail: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            latency = self._ground.stopwatch() - self._began_at if cause in (Cause.OK, Cause.STATUS) else None
            done(Result(layer=layer, cause=cause, latency=latency, detail=detail))

    def _free(self) -> None:
        while self._readers:
            self._readers.pop().close()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def _over(self) -> None:
        self.deadline = None
        self._free()
        self._ground.over(self)
        self._programs.forget(self)


class Programs:
    """
    Those that run, and those that wait for a place, in their order.

    :param most: at once.
    """

    def __init__(self, ground: Ground, most: int = MOST_PROGRAMS) -> None:
        self.ground = ground
        self._most = most
        self._running: set[Program] = set()
        self._waiting: deque[Program] = deque()

    def __len__(self) -> int:
        return len(self._running)

    def run(self, check: Check, done: Done) -> Program:
        """``done`` may be told before this returns."""
        program = Program(self, check, done)
        self._waiting.append(program)
        self._go_on()
        return program

    def forget(self, program: Program) -> None:
        self._running.discard(program)
        with contextlib.suppress(ValueError):
            self._waiting.remove(program)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < self._most:
            program = self._waiting.popleft()
            self._running.add(program)
            program.run()

    def stop(self) -> None:
        """Kill them all, and wait for them.  Idempotent."""
        self._waiting.clear()
        for program in list(self._running):
            program.cancel()
