"""
What people have set at run time, beside what the file says (5.10).

The table does not know what the settings mean; it is what a snapshot has of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.events import Override

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
