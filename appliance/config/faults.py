"""
Where faults are gathered, so that a person sees all of a file's faults at once.

Whoever reads a value notes what is wrong with it here and goes on with the next.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from appliance.config.tree import Node
from appliance.errors import ConfigError, Fault

_LONGEST_GUESSED = 80
"""Characters of a word that is compared with the known ones; difflib is quadratic in it."""

_COMPARISONS = 200_000
"""Words compared for 'did you mean' in one file, in all.  Ours: a second or two at worst."""


class Unusable(Exception):
    """A value cannot be used; its faults have been noted, so whoever catches this only leaves the value out."""


class Faults:
    """
    The faults and warnings of one load.

    :param file: the configuration's file as the user named it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[Fault] = []
        self.warnings: list[Fault] = []
        self._comparisons_left = _COMPARISONS

    def add(self, node: Node, message: str) -> None:
        """Note that ``node`` is wrong."""
        self.errors.append(self._fault(node, message))

    def wrong(self, node: Node, message: str) -> Unusable:
        """Note that ``node`` is wrong; the caller raises what this returns."""
        self.add(node, message)
        return Unusable(message)

    def warn(self, node: Node, message: str) -> None:
        """Note that ``node`` is suspicious but legal."""
        self.warnings.append(self._fault(node, message))

    def add_elsewhere(self, file: str, line: int, path: str, message: str) -> None:
        """Note that line ``line`` of another file, that the value at ``path`` names, is wrong."""
        self.errors.append(Fault(file=file, line=line, path=path, message=message))

    def did_you_mean(self, word: str, known: Collection[str]) -> str:
        """
        The end of a message about an unknown word.

        :return: ``"; did you mean 'x'?"`` with the nearest known word, or ``""`` where none is near.
        """
        self._comparisons_left -= len(known)
        if len(word) > _LONGEST_GUESSED or self._comparisons_left < 0:
            return ""
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
        return f"; did you mean '{near[0]}'?" if near else ""

    def refuse(self) -> None:
        """
        End the load if anything was wrong.

        :raises ConfigError: with all errors; the warnings wait for a file that can be used.
        """
        if self.errors:
            raise ConfigError(self.errors)

    def _fault(self, node: Node, message: str) -> Fault:
        return Fault(file=self.file, line=node.line, path=node.path, message=message)
