"""
What people have set at run time, beside what the file says (5.10).

The table does not know what the settings mean: who reads the configuration says what it has in their place, and who
they are for follows the events.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import attrs

from appliance.events import Override


class Missing(enum.Enum):
    """What a configuration says in place of a value."""

    MISSING = enum.auto()
    """It does not have the subject at all; None is that it has it and says nothing of the setting."""


MISSING = Missing.MISSING

Configured = Callable[[str, str], str | Missing | None]
"""What a configuration says of (subject, setting)."""

MOST = 65536
"""Most settings that are kept: a program that assigns clients one by one shall not fill memory and disk."""


class Overrides:
    """One for each setting of each subject, in the order in which they were set."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Override] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def is_full(self) -> bool:
        """Is there no room for another one?"""
        return len(self._by_key) >= MOST

    def of(self, subject: str, setting: str) -> Override | None:
        """The one that counts; None: what the file says does."""
        return self._by_key.get((subject, setting))

    def put(self, override: Override) -> None:
        """It counts in place of the one before; without a value none does."""
        key = override.subject, override.setting
        self._by_key.pop(key, None)
        if override.value is not None:
            self._by_key[key] = override

    def current(self) -> Iterator[Override]:
        """
        All that count, in the order in which they were set, so that one may build on those before it.

        They may change meanwhile: each was there at the beginning, and still is when it comes.
        """
        for override in list(self._by_key.values()):
            if self.of(override.subject, override.setting) is override:
                yield override

    def reconcile(self, configured: Configured, now: float) -> list[Override]:
        """
        Drop those that the file has overtaken: it says something else there than when they were made, or does not have
        their subject any more.  What was set stays where only other things have changed.

        :return: that these are taken back, and why, to be recorded.
        """
        dropped = []
        for override in self.current():
            says = configured(override.subject, override.setting)
            if says is MISSING:
                dropped.append(_back(override, None, "the file does not have it any more", now))
            elif says != override.configured:
                dropped.append(_back(override, says, "the file was changed there", now))
        for override in dropped:
            self.put(override)
        return dropped


def _back(override: Override, says: str | None, reason: str, now: float) -> Override:
    return attrs.evolve(override, at=now, value=None, configured=says, reason=reason)
