"""
Which prefix a client belongs to: the most specific one, found among disjoint intervals (5.3, 5.4, 5.13).

Prefixes nest or are apart, never half of each other, so they are laid out once as runs of addresses that each belong
to one of them; a look-up is one bisection, whatever the prefixes' lengths.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Generic, TypeVar

Owner = TypeVar("Owner")

_Mark = tuple[Owner, int]
"""An owner, and the length of the prefix that makes it one."""

_END = 1 << 32


class Prefixes(Generic[Owner]):
    """
    Owners of prefixes.

    :param owned: of equal prefixes the later one counts.  O(n log n).
    :ivar starts: the first address of each run, packed, the first of all being 0.
    :ivar owners: for each run, (owner, length of its prefix), or None where nobody's prefix is.
    """

    __slots__ = ("_owned", "owners", "starts")

    def __init__(self, owned: Iterable[tuple[IPv4Network, Owner]] = ()) -> None:
        self._owned = {_key(prefix): owner for prefix, owner in owned}
        self.starts = [0]
        self.owners: list[_Mark[Owner] | None] = [None]
        around: list[tuple[int, _Mark[Owner] | None]] = [(_END, None)]
        # In this order a prefix comes after those that contain it, and before those that begin after it.
        for (first, length), owner in sorted(self._owned.items(), key=lambda item: item[0]):
            self._leave(around, first)
            around.append((first + (1 << 32 - length), (owner, length)))
            self._turn(first, (owner, length))
        self._leave(around, _END - 1)

    def __bool__(self) -> bool:
        return bool(self._owned)

    def find(self, client: int) -> tuple[Owner, int] | None:
        """:return: the owner of the longest prefix that ``client`` is in, and its length; O(log n)."""
        return self.owners[bisect_right(self.starts, client) - 1]

    def put(self, prefix: IPv4Network, owner: Owner) -> None:
        """``prefix`` is ``owner``'s now, whosever it was; O(log n), and the runs within it."""
        first, length = key = _key(prefix)
        self._owned[key] = owner
        for index in self._runs(first, length):
            mark = self.owners[index]
            if mark is None or mark[1] <= length:
                self.owners[index] = owner, length

    def drop(self, prefix: IPv4Network) -> None:
        """``prefix`` is nobody's, if it was somebody's; O(log n), and the runs within it."""
        first, length = key = _key(prefix)
        if self._owned.pop(key, None) is None:
            return
        outer = self._around(first, length)
        runs = self._runs(first, length)
        for index in runs:
            mark = self.owners[index]
            if mark is not None and mark[1] == length:
                self.owners[index] = outer
        self._join(runs.stop)
        self._join(runs.start)

    def _around(self, first: int, length: int) -> _Mark[Owner] | None:
        for shorter in range(length - 1, -1, -1):
            owner = self._owned.get((first >> 32 - shorter << 32 - shorter, shorter))
            if owner is not None:
                return owner, shorter
        return None

    def _runs(self, first: int, length: int) -> range:
        """The runs within a prefix, cut at its ends."""
        return range(self._cut(first), self._cut(first + (1 << 32 - length)))

    def _cut(self, at: int) -> int:
        """:return: the run that begins at ``at``; it does now."""
        index = bisect_left(self.starts, at)
        if at < _END and (index == len(self.starts) or self.starts[index] != at):
            self.starts.insert(index, at)
            self.owners.insert(index, self.owners[index - 1])
        return index

    def _join(self, index: int) -> None:
        """Undo a cut that parts nothing any more."""
        if 0 < index < len(self.starts) and self.owners[index - 1] == self.owners[index]:
            del self.starts[index], self.owners[index]

    def _leave(self, around: list[tuple[int, _Mark[Owner] | None]], first: int) -> None:
        """Close the prefixes that end before ``first`` or there; what is around them goes on."""
        while len(around) > 1 and around[-1][0] <= first:
            end, _ = around.pop()
            self._turn(end, around[-1][1])

    def _turn(self, at: int, owner: _Mark[Owner] | None) -> None:
        """From ``at`` on, addresses are ``owner``'s."""
        if self.starts[-1] == at:
            self.owners[-1] = owner
        else:
            self.starts.append(at)
            self.owners.append(owner)


def _key(prefix: IPv4Network) -> tuple[int, int]:
    return int(prefix.network_address), prefix.prefixlen


class Filter:
    """
    Who may connect (5.13).

    :param allow: only these; empty: everybody.
    :param deny: not these, whatever ``allow`` says.
    """

    __slots__ = ("_allow", "_deny")

    def __init__(self, allow: Iterable[IPv4Network], deny: Iterable[IPv4Network]) -> None:
        self._allow = Prefixes((prefix, True) for prefix in allow)
        self._deny = Prefixes((prefix, True) for prefix in deny)

    def admits(self, client: int) -> bool:
        if self._deny and self._deny.find(client) is not None:
            return False
        return not self._allow or self._allow.find(client) is not None


def filter_of(allow: tuple[IPv4Network, ...], deny: tuple[IPv4Network, ...]) -> Filter | None:
    """:return: None where everybody may."""
    return Filter(allow, deny) if allow or deny else None
