"""Targets of checks: servers that behave, and servers that do not; each a thread that a test writes in a line."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Collection
from ipaddress import IPv4Address
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from appliance.model.health import Check, Probe, ProbeType, Result
from appliance.probe import Prober
from tests.integration.process import own_address

Talk = Callable[[socket.socket], object]


class Target:
    """
    Takes connections, and has ``talk`` with each; with None, nobody ever does.

    :ivar peers: connections that were taken.
    """

    def __init__(self, talk: Talk | None, address: str) -> None:
        self._talk = talk
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self.peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        if talk is not None:
            self._begin(self._take)

    def _begin(self, work: Callable[..., None], *words: Any) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _take(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            self._begin(self._one, peer)

    def _one(self, peer: socket.socket) -> None:
        assert self._talk is not None
        with contextlib.suppress(OSError), peer:
            self._talk(peer)

    def close(self) -> None:
        for sock in (self._listener, *self.peers):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)


class OneByOne:
    """A watch that gives out what a test wants to know, and tells it."""

    def __init__(self) -> None:
        self._asked: list[Check] = []
        self.waiting: dict[Check, Deferred[Result]] = {}
        self._nearer: Callable[[], None] = lambda: None
        self.heard_of: list[Check] = []

    def ask(self, check: Check) -> Deferred[Result]:
        found: Deferred[Result] = Deferred()
        self.waiting[check] = found
        self._asked.append(check)
        self._nearer()
        return found

    def due(self) -> list[Check]:
        asked, self._asked = self._asked, []
        return asked

    def heard(self, check: Check, result: Result) -> None:
        self.heard_of.append(check)
        self.waiting.pop(check).callback(result)

    def next_deadline(self) -> float | None:
        return 0.0 if self._asked else None

    def call_when_nearer(self, callback: Callable[[], None]) -> None:
        self._nearer = callback

    def call_when_useless(self, callback: Callable[[Collection[Check]], None]) -> None:
        self.useless = callback


class ProbingCase(TestCase):
    """A prober on the real reactor.  After each test nothing of it is left."""

    timeout = 30

    def setUp(self) -> None:
        self.address = own_address()
        self.watch = OneByOne()
        self.prober = Prober(global_reactor, self.watch)
        self.prober.startService()
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        self.prober.stopService()
        self.assertEqual(self.prober.checking, 0)

    def target(self, talk: Talk | None) -> Target:
        target = Target(talk, self.address)
        self.addCleanup(target.close)
        return target

    def ask(self, kind: ProbeType, port: int, *, address: str = "", **more: Any) -> Deferred[Result]:
        probe = Probe(name=kind.value, type=kind, **{"timeout": 5.0, **more})
        return self.watch.ask(Check(probe, IPv4Address(address or self.address), port))
