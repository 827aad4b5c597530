"""One reload after the other: the configuration is read in a thread, and what it says is followed in the reactor."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from appliance.config import Config
from appliance.errors import ApplianceError

SLOW = 60.0
"""Seconds after which a read is likely to hang: a disk that is not there, or a pipe that nobody writes to."""


class Reloads:
    """
    :param read: called in a thread, for a big configuration takes seconds; raises ConfigError.
    :param follow: takes it over, and says what to tell a person; an ApplianceError of it or of ``read`` has changed
        nothing, and is given to ``refuse``, which says what to tell then.
    :ivar is_slow: a read has been under way for longer than :data:`SLOW`; nothing is reloaded before it ends.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        read: Callable[[], Config],
        follow: Callable[[Config], str],
        refuse: Callable[[ApplianceError], str],
    ) -> None:
        self.is_slow = False
        self._reactor = reactor
        self._read = read
        self._follow = follow
        self._refuse = refuse
        self._asked: list[Deferred[tuple[bool, str]]] = []
        self._is_busy = False

    def ask(self) -> Deferred[tuple[bool, str]]:
        """
        Reload; those who ask while it is being done share the next one, for the file may be another by now.

        :return: whether it was taken over, and what to tell a person.
        """
        asked: Deferred[tuple[bool, str]] = Deferred()
        self._asked.append(asked)
        if not self._is_busy:
            Deferred.fromCoroutine(self._work())
        return asked

    async def _work(self) -> None:
        self._is_busy = True
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                outcome = await self._reload()
                for each in asked:
                    each.callback(outcome)
        finally:
            self._is_busy = False

    async def _reload(self) -> tuple[bool, str]:
        # What is made stays, and a collection of a big configuration stops everything for longer than a client should
        # wait; the little that has come and gone meanwhile is not worth that.  What is refused has to be collected.
        gc.disable()
        slow = self._reactor.callLater(SLOW, self._say_slow)
        try:
            found = await self._in_thread()
            if isinstance(found, ApplianceError):
                return False, self._refuse(found)
            if isinstance(found, BaseException):
                raise found
            said = self._follow(found)
            gc.freeze()
            return True, said
        except ApplianceError as error:
            return False, self._refuse(error)
        except Exception:
            self._log.failure("{event}", event="reload-failed")
            return False, "a bug of the appliance; its log has the traceback"
        finally:
            gc.enable()
            if slow.active():
                slow.cancel()
            self.is_slow = False

    def _in_thread(self) -> Deferred[Config | BaseException]:
        """One of its own, that nobody waits for at the end: what it reads may hang."""
        found: Deferred[Config | BaseException] = Deferred()

        def work() -> None:
            outcome: Config | BaseException
            try:
                outcome = self._read()
            except ApplianceError as error:
                outcome = _alone(error)
            except BaseException as error:
                outcome = error
            self._reactor.callFromThread(found.callback, outcome)

        threading.Thread(target=work, name="reload", daemon=True).start()
        return found

    def _say_slow(self) -> None:
        self.is_slow = True
        gc.enable()
        self._log.error("{event}: still reading after {seconds:.0f} s", event="reload-slow", seconds=SLOW)


def _alone(error: ApplianceError) -> ApplianceError:
    """Without the frames that it came from, which hold the whole file."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error
