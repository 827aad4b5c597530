"""
Reading what a former process left: snapshot, then the journals, the last record of each thing wins.

* A last line without its newline is a record that was being written: it is dropped, with a warning.
* Anything else that is not as it was written is damage.  It stops the start, with file and line, unless ``recover``:
  then it is skipped, and the result is ``unsure``.
* Records at or below the number in the snapshot's head are in the snapshot already, so a journal that was not
  deleted in time does no harm.

Holds one entry a lease in memory, not one a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from appliance import __version__
from appliance.errors import StateError
from appliance.events import AddressFreed, Entry, Fsync, LeaseRecord, Override, Pinned, Recovered, Unpinned
from appliance.model import Address
from appliance.store.codec import FORMAT, UPGRADES, Change, Clocks, End, Upgrades, change_of
from appliance.store.lines import Damage, Record, parse

SNAPSHOT, PREVIOUS, JOURNAL = "snapshot.yaml", "journal.previous.yaml", "journal.yaml"

MOST_WARNINGS = 20
"""Beyond them only a count is said."""


@attrs.frozen(kw_only=True)
class Replayed:
    """
    :param unsure_since: when the first of the unsure starts was; this one's instant, or an earlier one's.
    :param seq: the number of the last record; the next one's is higher.
    :param warnings: what a person should know of, a line each.
    :param damaged: files of which something was left out.
    :param compact: the snapshot alone says it all, as after an orderly stop; it need not be written anew.
    """

    recovered: Recovered
    unsure_since: float | None
    seq: int
    warnings: tuple[str, ...]
    damaged: tuple[Path, ...]
    compact: bool


def replay(
    folder: Path, now: Clocks, *, recover: bool = False, rest: float = 0.0, upgrades: Upgrades = UPGRADES
) -> Replayed:
    """
    :param now: what instants are converted with.
    :param rest: seconds for which an unsure start makes the following ones unsure too: they know no more than it did.
    :raises StateError: damage without ``recover``, a newer format, or a file that cannot be read.
    """
    tables, findings = _Tables(), _Findings(recover)
    snapshot, previous, journal = (
        _File(folder / name, kind, now, findings, upgrades)
        for name, kind in ((SNAPSHOT, "snapshot"), (PREVIOUS, "journal"), (JOURNAL, "journal"))
    )
    files = [file for file in (snapshot, previous, journal) if file.path.exists()]
    added = 0
    try:
        for file in files:
            for seq, change in file.changes():
                if seq > snapshot.base or file is snapshot:
                    tables.apply(seq, change)
                    added += file is not snapshot
    except OSError as error:
        raise StateError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if files and snapshot not in files:
        findings.damage(snapshot.path, 1, "the file is missing")
    elif files == [snapshot] and snapshot.seq:
        findings.damage(journal.path, 1, "the file is missing")
    crashed = bool(files) and not journal.finished
    policies = {file.fsync for file in files if file is not snapshot} or {snapshot.fsync}
    uptime = now.uptime / 1000
    maximum, minimum = (max((getattr(file, each) for file in files), default=0.0) for each in ("maximum", "minimum"))
    since = max((file.unsure_since for file in files if file.unsure_since is not None), default=None)
    if findings.damaged or (crashed and policies != {Fsync.GRANT.value}):
        since = uptime
    elif since is not None and uptime - since >= max(rest, maximum):
        since = None
    warnings = findings.all()
    return Replayed(
        recovered=Recovered(
            entries=tables.entries(), crashed=crashed, unsure=since is not None, maximum=maximum, minimum=minimum
        ),
        unsure_since=since,
        seq=max(file.seq for file in (snapshot, previous, journal)),
        warnings=warnings,
        damaged=tuple(findings.damaged),
        compact=files == [snapshot, journal] and journal.finished and snapshot.is_current and not (added or warnings),
    )


class _Tables:
    """
    The last that was said of each thing, with its number.

    A lease is known by address and site: an address is in one pool at a time, and may change it while nobody runs.
    Of a free address its last holder is known, in the order in which they were freed.
    """

    def __init__(self) -> None:
        self._leases: dict[tuple[Address, str], tuple[int, LeaseRecord]] = {}
        self._freed: dict[Address, tuple[int, AddressFreed]] = {}
        self._pins: dict[str, tuple[int, Pinned]] = {}
        self._overrides: dict[tuple[str, str], tuple[int, Override]] = {}

    def entries(self) -> tuple[Entry, ...]:
        """The leases, and what was set at run time, stand in the order in which they were last recorded."""
        leases = sorted(self._leases.values(), key=lambda known: known[0])
        others = (self._freed.values(), self._pins.values(), self._overrides.values())
        return tuple(entry for known in (leases, *others) for _, entry in known)

    def apply(self, seq: int, change: Change) -> None:
        """Later than what is known, or no change at all: a snapshot's row may be newer than a journal's record."""
        if isinstance(change, LeaseRecord):
            key = change.address, change.site
            if key not in self._leases or self._leases[key][0] <= seq:
                self._leases[key] = seq, change
                self._forget_freed(change.address, seq)
        elif isinstance(change, AddressFreed):
            assert change.former is not None
            key = change.address, change.former
            if key in self._leases and self._leases[key][0] > seq:
                return
            self._leases.pop(key, None)
            if self._forget_freed(change.address, seq):
                self._freed[change.address] = seq, change
        elif isinstance(change, Pinned | Unpinned):
            self._apply_pin(seq, change)
        elif isinstance(change, Override):
            self._apply_override(seq, change)

    def _apply_pin(self, seq: int, change: Pinned | Unpinned) -> None:
        if change.site in self._pins and self._pins[change.site][0] > seq:
            return
        self._pins.pop(change.site, None)
        if isinstance(change, Pinned):
            self._pins[change.site] = seq, change

    def _apply_override(self, seq: int, change: Override) -> None:
        key = change.subject, change.setting
        if key in self._overrides and self._overrides[key][0] > seq:
            return
        self._overrides.pop(key, None)
        if change.value is not None:
            self._overrides[key] = seq, change

    def _forget_freed(self, address: Address, seq: int) -> bool:
        """:return: nothing newer is known of its being free."""
        known = self._freed.get(address)
        if known is not None and known[0] > seq:
            return False
        self._freed.pop(address, None)
        return True


class _Findings:
    """What is wrong with the files."""

    def __init__(self, recover: bool) -> None:
        self._recover = recover
        self._warnings: list[str] = []
        self._count = 0
        self.damaged: dict[Path, None] = {}

    def warn(self, text: str) -> None:
        self._count += 1
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(text)

    def damage(self, path: Path, number: int, what: str) -> None:
        """:raises StateError: unless a person has said to go on."""
        if not self._recover:
            raise StateError(
                f"{path}:{number}: {what}; put back a good copy of the folder, or start once with --recover, "
                "which leaves out what cannot be read and keeps all addresses back until nobody can rely on them"
            )
        self.damaged[path] = None
        self.warn(f"{path}:{number}: {what}; left out")

    def all(self) -> tuple[str, ...]:
        more = self._count - len(self._warnings)
        return (*self._warnings, f"and {more} more of the kind") if more else tuple(self._warnings)


class _File:
    """
    One state file.

    :ivar base: of a snapshot, the number in its head: what was recorded up to there is in it.  (A journal may begin
        with records that are older than its head, which were on their way when it was opened.)
    :ivar seq: the highest number in it.
    :ivar unsure_since: when the process that wrote it, or one before it, started without knowing all promises.
    :ivar maximum: what that process, or one before it, may have promised beyond what is here; ``minimum`` likewise.
    :ivar fsync: the policy of the process that wrote it.
    :ivar finished: its last record says that it is complete.
    """

    def __init__(self, path: Path, kind: str, now: Clocks, findings: _Findings, upgrades: Upgrades) -> None:
        self.path = path
        self._kind = kind
        self._now = now
        self._findings = findings
        self._upgrades = upgrades
        self._format: int | None = None
        self._last = 0
        self.base = self.seq = 0
        self.fsync = ""
        self.maximum = self.minimum = 0.0
        self.unsure_since: float | None = None
        self.finished = False

    @property
    def is_current(self) -> bool:
        """Is it of this program's format?"""
        return self._format == FORMAT

    def changes(self) -> Iterator[tuple[int, Change]]:
        """What it says, in order, without its head and its end."""
        number = rows = 0
        for number, record in self._records():
            try:
                change = change_of(self._upgraded(record), self._now)
                if record["seq"] < self._last or (self._kind == "journal" and record["seq"] == self._last):
                    raise Damage(f"record {record['seq']} comes after {self._last}")
            except Damage as damage:
                self._findings.damage(self.path, number, str(damage))
                continue
            self._last = record["seq"]
            self.seq = max(self.seq, self._last)
            self.finished = isinstance(change, End)
            if not isinstance(change, End):
                rows += 1
                yield record["seq"], change
            elif self._kind == "snapshot" and change.rows != rows:
                self._findings.damage(self.path, number, f"{change.rows} rows were written, {rows} are here")
        if self._kind == "snapshot" and not self.finished:
            self._findings.damage(self.path, number + 1, "the end of the snapshot is missing")

    def _records(self) -> Iterator[tuple[int, Record]]:
        """(line, record) of all but the head."""
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    self.finished = False
                    self._findings.warn(f"{self.path}:{number}: the last record is torn and was dropped")
                    return
                try:
                    record = parse(line[:-1])
                    if self._format is None:
                        self._format = FORMAT
                        self._begin(record)
                        continue
                except Damage as damage:
                    self._format = FORMAT if self._format is None else self._format
                    self.finished = False
                    self._findings.damage(self.path, number, str(damage))
                    continue
                yield number, record

    def _begin(self, head: Record) -> None:
        """:raises StateError: for a format that cannot be read, which nobody can recover."""
        if type(head.get("format")) is not int or head.get("kind") != self._kind:
            raise Damage(f"the file does not begin as a {self._kind} does")
        self._format = head["format"]
        if self._format > FORMAT:
            raise StateError(
                f"{self.path}: written by appliance {head.get('version')} in format {self._format}; this is "
                f"{__version__}, which reads formats up to {FORMAT}: start the newer one, or use another folder"
            )
        if any(number not in self._upgrades for number in range(self._format, FORMAT)):
            raise StateError(f"{self.path}: no appliance has written format {self._format}: use another folder")
        self.seq = head["seq"]
        if self._kind == "snapshot":
            self.base = self._last = self.seq
        self.fsync = str(head.get("fsync"))
        self.maximum, self.minimum = head.get("maximum", 0) / 1000, head.get("minimum", 0) / 1000
        if head.get("unsure_since") is not None:
            self.unsure_since = self._now.read(head["unsure_since"], head)

    def _upgraded(self, record: Record) -> Record:
        assert self._format is not None
        for number in range(self._format, FORMAT):
            record = self._upgrades[number](record)
        return record
