"""
The appliance as a process, driven from outside as a person would.

Everything here blocks, with a bound: these tests have no reactor of their own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from twisted.trial.unittest import SkipTest

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0
"""Seconds after which a condition that should come about is said to have failed."""

Result = TypeVar("Result")


def _claim() -> tuple[int, socket.socket]:
    """
    A number that is this process's alone while it lives, among all that run tests on this host.

    ``make test`` runs two, and somebody may test another checkout beside.  Claimed is the name of an abstract socket,
    for that goes with the process however it ends; a number made of the process's own might be another's too.

    :return: 0 to 126, and what holds it.
    """
    for number in range(127):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0appliance's tests {number}")
        except OSError:
            holder.close()
        else:
            return number, holder
    raise AssertionError("127 processes run tests on this host already")


_number, _holder = _claim()
_addresses, _subnets, _ports = itertools.count(), itertools.count(), itertools.count()

OWN = f"127.{128 + _number}"
"""The first two numbers of the loopback addresses that no other process's tests use."""


def own_address() -> str:
    """A loopback address that no other test uses, so that no port of ours is taken; one after the other is far off."""
    number = next(_addresses) % 25_000
    return f"{OWN}.{number % 100}.{1 + number // 100}"


def own_subnet() -> str:
    """The first three numbers of addresses of which :func:`own_address` gives none, and that no test had of late."""
    return f"{OWN}.{100 + next(_subnets) % 100}"


def own_port() -> int:
    """
    A port that no other process's tests use, for an address that they do: ``::1``, or all.

    It is not one of those that the kernel gives to whoever asks for any.
    """
    return 10_000 + 64 * _number + next(_ports) % 64


def free_port(address: str) -> int:
    """A port that is free for TCP and UDP on an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port


def tool(name: str, package: str) -> str:
    """The path of a program; on a laptop a missing one skips the test, in continuous integration it fails it."""
    path = shutil.which(name)
    if path is not None:
        return path
    missing = f"{name} is missing; apt install {package}"
    if os.environ.get("CI") == "true":
        raise AssertionError(missing)
    raise SkipTest(missing)


def until(condition: Callable[[], Result], what: str, patience: float = PATIENCE) -> Result:
    """Ask again and again until the condition holds; its value, or an AssertionError that says what did not happen."""
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)
    return value


def dig(*words: str) -> str:
    """What dig prints."""
    path = tool("dig", "dnsutils")
    return subprocess.run([path, "+time=2", "+tries=1", *words], capture_output=True, text=True, check=False).stdout


class Running:
    """
    ``twistd -n appliance ...`` as a process.

    :param words: what follows ``appliance``.
    :param twistd: which twistd.
    :param through: a command that runs the rest of its words as a command.
    """

    def __init__(
        self, *words: str, twistd: Path | None = None, folder: Path | None = None, through: Sequence[str] = ()
    ) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if twistd is None:
            twistd = Path(sys.executable).parent / "twistd"
            environment["PYTHONPATH"] = str(ROOT)
        else:
            environment.pop("PYTHONPATH", None)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*through, str(twistd), "-n", "--pidfile=", "appliance", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder or ROOT,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, patience: float = PATIENCE) -> None:
        """Until a line of its output contains ``text``."""

        def seen() -> bool:
            if any(text in line for line in list(self.lines)):
                return True
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"it ended without saying {text!r}:\n{self.output()}")
            return False

        until(seen, f"{text!r} in\n{self.output()}", patience)

    def started(self) -> Running:
        self.wait_for("started: ")
        return self

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """TERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"TERM did not end it:\n{self.output()}") from None
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
