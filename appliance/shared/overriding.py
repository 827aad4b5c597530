"""How something is set at run time, so that it outlasts the process (5.10)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from appliance.errors import RequestError
from appliance.events import Override
from appliance.interfaces import Journal
from appliance.shared.overrides import Configured
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


@attrs.define
class _Unwritten:
    """
    Of one setting, what is on its way to the disk.

    :param last: what counts if none of it gets there; None: what the file says.
    :param count: how many changes.
    """

    last: Override | None
    count: int = 0


class Overriding:
    """The part of SharedState that sets what people want, and drops what a changed file overtakes."""

    def __init__(self, tables: Tables, telling: Telling, journal: Journal, seconds: Callable[[], float]) -> None:
        self._tables = tables
        self._telling = telling
        self._journal = journal
        self._seconds = seconds
        self._unwritten: dict[tuple[str, str], _Unwritten] = {}

    def override(
        self, subject: str, setting: str, value: str | None, *, configured: str | None
    ) -> Deferred[None] | None:
        """
        Something is as a person wants it, whatever the file says, until it is taken back.

        Subscribers hear of it at once.  The person is told when the disk has it; if it never does, it is as if nobody
        had asked.

        :param subject: see :class:`Override`; whether there is such a thing the caller knows.
        :param value: None: take back what was set.
        :param configured: what the file says.  When it says something else one day, it has the last word again.
        :return: fires when it cannot be lost any more, or fails with a JournalError; None where that is so already.
        :raises RequestError: nothing was set, too much is, or it cannot be recorded; then nothing has changed.
        """
        table, key = self._tables.overrides, (subject, setting)
        before = table.of(subject, setting)
        if value is None and before is None:
            raise RequestError("not-found", f"{subject}: {setting} is as configured already", field="setting")
        if value is not None and before is None and table.is_full:
            raise RequestError("too-many", f"{len(table)} things are set already; write some into the file, and reload")
        if self._journal.failure is not None:
            raise RequestError("journal", self._journal.failure)
        override = Override(at=self._seconds(), subject=subject, setting=setting, value=value, configured=configured)
        self._put(override)
        waiting = self._journal.durable()
        if waiting is None:
            return None
        unwritten = self._unwritten.setdefault(key, _Unwritten(before))
        unwritten.count += 1
        return waiting.addCallbacks(
            self._written, self._lost, callbackArgs=(unwritten, override), errbackArgs=(unwritten, override)
        )

    def reconcile(self, configured: Configured) -> None:
        """
        Another configuration counts, at the start or by a reload: what it overtakes is taken back.

        :param configured: what it says.
        """
        for override in self._tables.overrides.reconcile(configured, self._seconds()):
            self._unwritten.pop((override.subject, override.setting), None)
            self._telling.publish([override])

    def _put(self, override: Override) -> None:
        self._tables.overrides.put(override)
        self._telling.publish([override])

    def _written(self, _: None, unwritten: _Unwritten, override: Override) -> None:
        unwritten.last = override if override.value is not None else None
        self._settle(unwritten, override)

    def _lost(self, failure: Failure, unwritten: _Unwritten, override: Override) -> Failure:
        """When the last of several is lost, what was there before the first of them is there again."""
        if self._settle(unwritten, override) and not unwritten.count:
            now, last = self._seconds(), unwritten.last
            current = self._tables.overrides.of(override.subject, override.setting)
            if last is not None:
                self._put(attrs.evolve(last, at=now))
            elif current is not None:
                self._put(attrs.evolve(current, at=now, value=None, reason="it could not be recorded"))
        return failure

    def _settle(self, unwritten: _Unwritten, override: Override) -> bool:
        """One less is on its way; :return: nothing else has been decided meanwhile."""
        unwritten.count -= 1
        key = override.subject, override.setting
        stands = self._unwritten.get(key) is unwritten
        if stands and not unwritten.count:
            del self._unwritten[key]
        return stands
