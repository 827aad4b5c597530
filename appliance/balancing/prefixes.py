"""
Which prefix a client belongs to: the most specific one, found among disjoint intervals (5.3, 5.4, 5.13).

Prefixes nest or are apart, never half of each other, so they are laid out once as runs of addresses that each belong
to one of them; a look-up is one bisection, whatever the prefixes' lengths.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Generic, TypeVar

Owner = TypeVar("Owner")

_END = 1 << 32


class Prefixes(Generic[Owner]):
    """
    Owners of prefixes.

    :param owned: of equal prefixes the later one counts.  O(n log n).
    :ivar starts: the first address of each run, packed, the first of all being 0.
    :ivar owners: for each run, (owner, length of its prefix), or None where nobody's prefix is.
    """

    __slots__ = ("owners", "starts")

    def __init__(self, owned: Iterable[tuple[IPv4Network, Owner]] = ()) -> None:
        latest = {(int(prefix.network_address), prefix.prefixlen): owner for prefix, owner in owned}
        self.starts = [0]
        self.owners: list[tuple[Owner, int] | None] = [None]
        around: list[tuple[int, tuple[Owner, int] | None]] = [(_END, None)]
        # In this order a prefix comes after those that contain it, and before those that begin after it.
        for (first, length), owner in sorted(latest.items(), key=lambda item: item[0]):
            self._leave(around, first)
            around.append((first + (1 << 32 - length), (owner, length)))
            self._turn(first, (owner, length))
        self._leave(around, _END - 1)

    def __bool__(self) -> bool:
        return len(self.starts) > 1 or self.owners[0] is not None

    def find(self, client: int) -> tuple[Owner, int] | None:
        """:return: the owner of the longest prefix that ``client`` is in, and its length; O(log n)."""
        return self.owners[bisect_right(self.starts, client) - 1]

    def _leave(self, around: list[tuple[int, tuple[Owner, int] | None]], first: int) -> None:
        """Close the prefixes that end before ``first`` or there; what is around them goes on."""
        while len(around) > 1 and around[-1][0] <= first:
            end, _ = around.pop()
            self._turn(end, around[-1][1])

    def _turn(self, at: int, owner: tuple[Owner, int] | None) -> None:
        """From ``at`` on, addresses are ``owner``'s."""
        if self.starts[-1] == at:
            self.owners[-1] = owner
        else:
            self.starts.append(at)
            self.owners.append(owner)


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
