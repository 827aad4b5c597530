"""One reload after the other: the configuration is read in a thread, and what it says is followed in the reactor."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from appliance.config import Config
from appliance.errors import ApplianceError


class Reloads:
    """
    :param read: called in a thread, for a big configuration takes seconds; raises ConfigError.
    :param follow: takes it over, and says what to tell a person; an ApplianceError of it or of ``read`` has changed
        nothing, and is given to ``refuse``, which says what to tell then.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        read: Callable[[], Config],
        follow: Callable[[Config], str],
        refuse: Callable[[ApplianceError], str],
    ) -> None:
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
        while self._asked:
            asked, self._asked = self._asked, []
            # What is made stays, and a collection of a big configuration stops everything for longer than a client
            # should wait; the little that has come and gone meanwhile is not worth that.
            gc.disable()
            try:
                config = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read)
                outcome = True, self._follow(config)
            except ApplianceError as error:
                outcome = False, self._refuse(error)
            except Exception:
                self._log.failure("{event}", event="reload-failed")
                outcome = False, "a bug of the appliance; its log has the traceback"
            finally:
                gc.freeze()
                gc.enable()
            for each in asked:
                each.callback(outcome)
        self._is_busy = False
