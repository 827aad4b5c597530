"""
``twistd appliance``: its options, and the process around the services.

The only module that touches the global reactor.  It gives the reactor the boot clock before any timer exists, so that
neither timers nor leases see the wall clock step.
"""

from __future__ import annotations

import functools
import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.logfile import LogFile
from twisted.python.usage import UsageError

from appliance import demo
from appliance.assembly import Appliance
from appliance.config import Config, ManholeSocket, load, loads
from appliance.control import log_observer
from appliance.errors import ApplianceError, ConfigError

reactor: Any = _reactor


boot_seconds = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since the machine was booted, sleep included; never steps.  Asked a dozen times for each connection."""


@contextmanager
def settled_memory() -> Iterator[None]:
    """
    What is made meanwhile stays, so the garbage collector need look at it neither now nor later.

    Leases and sites hold no cycles, and with a hundred thousand of them one full collection stops everything for
    longer than a client should wait.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


class Options(usage.Options):
    """What follows ``twistd appliance`` on the command line."""

    synopsis = "[--config FILE | --demo] [--check | --recover]"
    optParameters = (("config", "c", None, "The configuration file (YAML)."),)
    optFlags = (
        ("demo", None, "Run the built-in demonstration; needs no root and no files."),
        ("check", None, "Check the configuration and exit: 0 when it can be used, 1 with all its errors."),
        ("recover", None, "Start from a damaged state folder: keep what can be proved, and let the rest cool."),
    )

    loaded: Config

    def postOptions(self) -> None:
        """Read the configuration before anything is started; every error of it at once, then exit 1."""
        if bool(self["config"]) == bool(self["demo"]):
            raise UsageError("say either --config FILE or --demo")
        try:
            self.loaded = self.read()
        except ConfigError as error:
            sys.exit(f"{error}\n{len(error.faults)} error(s); nothing was started.")
        if self["check"]:
            for warning in self.loaded.warnings:
                print(f"{warning} (warning)", file=sys.stderr)  # noqa: T201
            print(f"{self['config'] or 'demonstration'}: good")  # noqa: T201
            sys.exit(0)

    def read(self) -> Config:
        """:raises ConfigError: with every fault of the file."""
        if self["demo"]:
            return loads(demo.configuration(), file="demo.yaml", folder=".")
        return load(self["config"])


def makeService(options: Options) -> Service:
    """What twistd runs."""
    reactor.seconds = boot_seconds
    return _Process(options)


class _Process(Service):
    """
    The appliance and what belongs to the process as a whole: signals, limits, the log, the demonstration's servers.
    """

    name = "process"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._config = options.loaded
        self._folder: str | None = None
        self._parts: list[Service] = []
        self._stopped: Deferred[None] | None = None

    def setServiceParent(self, parent: Any) -> None:
        """The parent is twistd's application, and the place to say how its log looks."""
        super().setServiceParent(parent)
        outer = self._options.parent
        if outer is None or outer.get("syslog"):
            return
        name = outer.get("logfile")
        if name and name != "-":
            out: Any = LogFile.fromFullPath(name, rotateLength=None)
        elif outer.get("nodaemon"):
            out = sys.stdout
        else:
            return
        parent.setComponent(ILogObserver, log_observer(self._config.log, out))

    def startService(self) -> None:
        # Before anything tells that it has started: whoever reads that may send one at once.
        signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(self._tell, "reload"))
        signal.signal(signal.SIGUSR1, lambda number, frame: reactor.callFromThread(self._tell, "snapshot"))
        try:
            _raise_file_limit(self._config.max_files)
            with settled_memory():
                self._start()
        except ApplianceError as error:
            self._give_up(error)
        super().startService()
        if self._options["demo"]:
            # Not sys.stdout, which twistd has turned into log lines.
            assert self._folder is not None
            print(demo.instructions(f"{self._folder}/control.sock"), file=sys.__stdout__, flush=True)

    def _tell(self, what: str) -> None:
        """A signal came."""
        if self._parts and self._stopped is None:
            getattr(self._parts[0], what)()

    def _start(self) -> None:
        if self._options["demo"]:
            self._folder = tempfile.mkdtemp(prefix="appliance-demo-")
        config = self._with_sockets(self._config)
        recover = bool(self._options["recover"])
        self._parts = [Appliance(reactor, config, lambda: self._with_sockets(self._options.read()), recover=recover)]
        if self._options["demo"]:
            self._parts.append(demo.DemoServers(reactor, config.sites.values()))
        for part in reversed(self._parts):
            part.startService()

    def _with_sockets(self, config: Config) -> Config:
        """The demonstration keeps no state, so its sockets have a folder of their own that goes with it."""
        if self._folder is None:
            return config
        folder = Path(self._folder)
        manhole = ManholeSocket(str(folder / "manhole.sock"))
        return attrs.evolve(config, manhole=manhole, control_socket=str(folder / "control.sock"))

    def _give_up(self, error: ApplianceError) -> None:
        """
        One line that says what hinders the start, and exit 1 without a traceback.

        Under a daemon's parent the exception itself has to travel, for that is how twistd tells the parent.
        """
        outer = self._options.parent
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if outer is None or not outer.get("nodaemon"):
            raise error
        pidfile = outer.get("pidfile")
        if pidfile and Path(pidfile).exists():
            Path(pidfile).unlink()
        # Not sys.stderr, which twistd has turned into log lines.
        print(f"appliance: {error}", file=sys.__stderr__, flush=True)
        sys.exit(1)

    def stopService(self) -> Deferred[None]:
        """Idempotent; done when nothing of ours is open."""
        if self._stopped is None:
            super().stopService()
            self._stopped = Deferred.fromCoroutine(self._stop())
        return self._stopped

    async def _stop(self) -> None:
        for part in self._parts:
            stopped = part.stopService()
            if stopped is not None:
                await stopped
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _raise_file_limit(wanted: int | None) -> None:
    """Connections are files: take as many as are allowed, or as the configuration says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if wanted is None else wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard) if os.geteuid() == 0 else hard))
    except (OSError, ValueError) as error:
        raise ApplianceError(
            f"appliance.max_files: cannot have {limit} open files ({error}); limits: {soft} (soft), {hard} (hard)"
        ) from error
