"""
What the records mean: from facts to fields and back.

On disk every instant is whole milliseconds of wall clock; in memory it is seconds on the boot clock, which is of no
use after a reboot.  Each record carries both clocks of its moment: read on the same boot its instants come out on the
boot clock as they went in, whatever the wall clock did meanwhile; on another boot the wall clock is all there is.
Starts are rounded down and ends up, so nobody's lease is shorter for having been written.  ``null`` is for ever.

Upgrades: a file's head names its format.  What is older is brought up record by record through ``UPGRADES``, a
function for each format that ever shipped; what is newer is refused (``replay.py``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from socket import AF_INET, inet_pton

import attrs

from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Entry,
    Event,
    LeaseEvent,
    LeaseRecord,
    Override,
    Pinned,
    State,
    Unpinned,
)
from appliance.model import Address, Keys, keys_of_runs, shown
from appliance.store.lines import Damage, Record

FORMAT = 1
"""What this appliance writes."""

Upgrades = Mapping[int, Callable[[Record], Record]]
UPGRADES: Upgrades = {}
"""From a format to the next one; the first is the first that shipped, so there is none yet."""

NOISE_MS = 0.001
"""A microsecond is an error of the float, not a promise."""


@attrs.frozen
class Clocks:
    """
    All clocks at one moment.

    :param boot: the kernel's id of this boot.
    :param wall: milliseconds since 1970.
    :param uptime: milliseconds of the boot clock.
    """

    boot: str
    wall: int
    uptime: int

    def stamp(self, seq: int) -> Record:
        """How each record begins."""
        return {"seq": seq, "boot": self.boot, "wall": self.wall, "uptime": self.uptime}

    def start(self, at: float) -> int:
        """A past instant as it is written."""
        return math.floor(at * 1000 + NOISE_MS) + self.wall - self.uptime

    def end(self, at: float) -> int | None:
        """An instant until which something holds, as it is written."""
        return None if at == math.inf else math.ceil(at * 1000 - NOISE_MS) + self.wall - self.uptime

    def read(self, at: int | None, record: Record) -> float:
        """An instant of ``record`` on the boot clock of these clocks."""
        if at is None:
            return math.inf
        offset = record["wall"] - record["uptime"] if record["boot"] == self.boot else self.wall - self.uptime
        seconds: float = (at - offset) / 1000
        return seconds


@attrs.frozen
class End:
    """
    The last record of a file that was finished.

    :param rows: records between it and the head of a snapshot; 0 in a journal.
    """

    rows: int


Change = Entry | Unpinned | End


def fields_of(what: Event | LeaseRecord, clocks: Clocks) -> Record | None:
    """What is written of an event, or of a snapshot's entry; None where it leaves nothing that a start must know."""
    if isinstance(what, LeaseEvent):
        what = what.lease
    if isinstance(what, LeaseRecord):
        return {
            "kind": "lease",
            "pool": what.pool,
            "address": str(what.address),
            "site": what.site,
            "server": what.server,
            "state": what.state.value,
            "granted_at": clocks.start(what.granted_at),
            "promised_until": clocks.end(what.promised_until),
            "ends_at": clocks.end(what.ends_at),
            "longest": what.longest,
            "unused": what.unused,
            "requests_milli": round(what.requests * 1000),
            "keys": shown(what.keys),
            "given_up": what.given_up,
            "drain_until": clocks.end(what.drain_until),
        }
    if isinstance(what, AddressFreed | AddressRemoved):
        if what.former is None:
            return None
        place: Record = {"pool": what.pool, "address": str(what.address), "site": what.former}
        return {"kind": "free", **place, "at": clocks.start(what.at)}
    if isinstance(what, Pinned | Unpinned):
        place = {"site": what.site, "address": str(what.address), "at": clocks.start(what.at)}
        return (
            {"kind": "pin", **place, "static": what.static, "longest": what.longest, "waits": what.waits}
            if isinstance(what, Pinned)
            else {"kind": "unpin", **place}
        )
    if isinstance(what, Override):
        said = {"subject": what.subject, "setting": what.setting, "value": what.value, "configured": what.configured}
        return {"kind": "override", **said, "at": clocks.start(what.at)}
    return None


def change_of(record: Record, now: Clocks) -> Change:
    """
    The opposite of :func:`fields_of`.

    :raises Damage: when it is no record of this format.
    """
    try:
        return _READERS[record["kind"]](record, now)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise Damage(f"the record is not of format {FORMAT}: {error!r}") from None


@functools.lru_cache(maxsize=1024)
def _keys_of(text: str) -> Keys:
    """The opposite of ``shown``: ``80 443 8000-8010 65589``; a ValueError where it is not."""
    runs = (run.split("-") for run in text.split())
    return keys_of_runs((int(run[0]), int(run[-1])) for run in runs)


def _address(text: str) -> Address:
    """Eight times as fast as reading it by ``ipaddress``, which a start with many leases feels."""
    return Address(int.from_bytes(inet_pton(AF_INET, text)))


def _lease(record: Record, now: Clocks) -> LeaseRecord:
    return LeaseRecord(
        pool=record["pool"],
        address=_address(record["address"]),
        site=record["site"],
        server=record["server"],
        state=State(record["state"]),
        granted_at=now.read(record["granted_at"], record),
        promised_until=now.read(record["promised_until"], record),
        ends_at=now.read(record["ends_at"], record),
        longest=record["longest"],
        unused=record["unused"],
        requests=record["requests_milli"] / 1000,
        keys=_keys_of(record.get("keys", "")),
        given_up=record.get("given_up", False),
        drain_until=now.read(record.get("drain_until"), record),
    )


def _free(record: Record, now: Clocks) -> AddressFreed:
    return AddressFreed(
        at=now.read(record["at"], record),
        pool=record["pool"],
        address=_address(record["address"]),
        former=record["site"],
    )


def _pin(record: Record, now: Clocks) -> Pinned:
    return Pinned(
        at=now.read(record["at"], record),
        site=record["site"],
        address=_address(record["address"]),
        static=record["static"],
        longest=record.get("longest", 0),
        waits=record.get("waits", False),
    )


def _unpin(record: Record, now: Clocks) -> Unpinned:
    return Unpinned(at=now.read(record["at"], record), site=record["site"], address=_address(record["address"]))


def _override(record: Record, now: Clocks) -> Override:
    return Override(
        at=now.read(record["at"], record),
        subject=record["subject"],
        setting=record["setting"],
        value=record["value"],
        configured=record["configured"],
    )


_READERS: Mapping[str, Callable[[Record, Clocks], Change]] = {
    "lease": _lease,
    "free": _free,
    "pin": _pin,
    "unpin": _unpin,
    "override": _override,
    "end": lambda record, now: End(record["rows"]),
}
