"""What the wire cache keeps: responses, and how often each kind of them was given."""

from __future__ import annotations

import struct

import attrs

from appliance.model import Address
from appliance.nameserver.forms import OPT
from appliance.nameserver.ratelimit import Kind


@attrs.define(eq=False)
class Tally:
    """
    What was answered of one kind in a tick; all spellings and forms of a question share it.

    Names behind one DNAME are of one kind, and may be of several sites or customers: each has its own.

    :param rcode: of these answers; ``site``: whose lease is in them, lately at ``address``; ``customer``: whose choice
        is.
    :param left: how many more may be answered in this tick before the rate limiter is asked about each.
    :param allowed: what ``left`` began with; ``over``: how many were answered when nothing was left,
        and ``limited``: not answered.
    :param tick: the tick that it is about.
    :param entries: how many entries share it.
    """

    kind: Kind
    rcode: str
    site: str | None
    customer: str | None
    address: Address | None = None
    left: int = 0
    allowed: int = 0
    over: int = 0
    limited: int = 0
    tick: int = -1
    entries: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """Where it is found."""
        return self.kind, self.site, self.customer


@attrs.define(eq=False)
class Entry:
    """
    A kept response.

    :param key: where it is found; ``exact_key`` likewise, empty where it has no single one.
    :param wire: all of it behind the id, with the name in lower case; ends with the OPT where a cookie is to follow.
    :param head: flags and counts, ``tail``: what follows the question.
    :param lease_at: where in ``tail`` TTL, length and address of the lease are, as far as there is one.
    :param told: TTL and address that are written there.
    :param pointers: for names that are not there, which share a response: where in ``tail`` compression pointers are,
        that follow the question's length; ``end`` is where the question ended that they are right for.
    :param tick: the tick in which it was asked for last; in another one it must be asked for anew: its lease, or the
        plain path where somebody was chosen too long ago.
    :param until: where somebody was chosen, the instant at which that is over.
    """

    key: bytes
    exact_key: bytes
    wire: bytes
    head: bytes
    tail: bytes
    tally: Tally
    lease_at: int = 0
    told: bytes = b""
    pointers: tuple[int, ...] = ()
    end: int = 0
    tick: int = -1
    until: float = 0.0
    size: int = 0

    def tell(self, ttl: int, address: Address) -> None:
        """Say these of the lease from now on."""
        told = struct.pack("!IH", ttl, 4) + address.packed
        if told != self.told:
            at, self.told = self.lease_at, told
            self.tail = self.tail[:at] + told + self.tail[at + len(told) :]
            self.wire = self.wire[: -len(self.tail)] + self.tail

    def tail_for(self, end: int) -> bytes:
        """What follows a question that ends at ``end``."""
        if not self.pointers or end == self.end:
            return self.tail
        tail, moved = bytearray(self.tail), end - self.end
        for at in self.pointers:
            pointer = (tail[at] << 8 | tail[at + 1]) + moved
            tail[at], tail[at + 1] = pointer >> 8, pointer & 0xFF
        return bytes(tail)


def place_of_lease(tail: bytes, address: bytes, *, opt: bool) -> int:
    """
    Where the TTL of the last address record is, which nothing but the OPT may follow.

    :param address: what the record says; ``opt``: there is an OPT.
    :return: -1 where it is not there.
    """
    end = tail.rindex(OPT) if opt else len(tail)
    place = end - 10
    return place if place > 0 and tail[place + 4 : end] == b"\0\4" + address else -1


def pointers_of(tail: bytes, first: int) -> tuple[int, ...] | None:
    """
    Where the compression pointers of a SOA record are, with which ``tail`` begins.

    :param first: where the zone's apex is in the question; pointers to what is before it are of that name only.
    :return: None where there is one of those, and for what is no SOA record.
    """
    found: list[int] = []
    after = _skip_name(tail, 0, found)
    if tail[after : after + 2] != b"\0\6":
        return None
    _skip_name(tail, _skip_name(tail, after + 10, found), found)
    targets = ((tail[at] & 0x3F) << 8 | tail[at + 1] for at in found)
    return tuple(found) if all(target >= first for target in targets) else None


def _skip_name(data: bytes, at: int, pointers: list[int]) -> int:
    """Where a name ends; the pointer that it ends with is added to ``pointers``."""
    while length := data[at]:
        if length >= 0xC0:
            pointers.append(at)
            return at + 2
        at += 1 + length
    return at + 1
