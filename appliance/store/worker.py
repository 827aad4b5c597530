"""
The background thread: what blocks on the disk is done there, one thing after the other, in the order of asking.

It is a daemon thread because a process that gives up during its start must be able to end; an orderly stop has waited
for everything that was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from appliance.errors import JournalError

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """:param reactor: where the results come back."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """
        Have it called after all that was asked before.

        :return: fires on the reactor's thread; fails when it raised, or when the worker was stopped before.
        """
        if self._stopped:
            return fail(JournalError("the state folder is closed"))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="store", daemon=True)
            self._thread.start()
        done: Deferred[T] = Deferred()
        self._jobs.put((lambda: function(*args, **kwargs), done))
        return done

    def stop(self) -> None:
        """Returns when the thread has ended; what was asked before is done first."""
        self._stopped = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, done = job
            try:
                result = function()
            except Exception:
                result = Failure()
            self._reactor.callFromThread(done.callback, result)
