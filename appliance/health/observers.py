"""
What several POPs have seen of each other, and what is to be believed of it (requirement 3.2).

Every POP checks all others and hands out a row about each.  Of these rows:

- *up* is what the majority of the observers says that are believed.  Nobody judges itself.
- *load* and the times of HTTP and FTP are the median over them; of its load a POP is a witness itself.
- *latency* is always this POP's own: two POPs may rightly answer differently.

An observer that sees more than half of the others down is not believed: it is more likely that its own network has
failed.  When this is true of this POP, and nobody else is there to be believed, it is alone::

             others can be believed, or we can
           +-----------------------------------+----------------------+
           v                                   |                      |
    +------------+  nobody can be    +-------------+  for ``keep``  +-----------+
    |   AGREED   | ----------------> | ALONE_KEPT  | -------------> | ALONE_ALL |
    +------------+                   +-------------+                +-----------+

While ALONE_KEPT the last good table is kept (``lastgood.py``).  When ALONE_ALL, every configured POP counts as up, for
a client that reached us may reach them.  Two halves of the network that do not see each other: the larger goes on with
itself; the smaller, and both when they are equal, keep what was and then answer everything that is configured.

With one other POP alone the rule would take every outage of it for one of ours.  So an observer needs two others to be
doubted; what this POP cannot reach, where that is all there is, is not answered.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Iterable, Mapping

import attrs

from appliance.health.lastgood import LastGood
from appliance.model import Load, Row, Rows

KEEP = 60.0
"""Seconds for which the last good table is kept alone: as long as browsers keep an answer anyway."""
PERIODS = 3
"""Rows expire after so many of their observer's periods."""
DOUBTABLE = 2
"""An observer that judges fewer others is believed whatever it sees."""

_LOAD = tuple(field.name for field in attrs.fields(Load))


class Standing(enum.Enum):
    """What this POP's table rests on."""

    AGREED = "agreed"
    ALONE_KEPT = "alone-kept"
    ALONE_ALL = "alone-all"


@attrs.frozen(kw_only=True)
class Believed:
    """
    The table.

    :param rows: of every configured POP, this one included, in the order of the configuration; ``up``, ``load``,
        ``http`` and ``ftp`` are agreed on, ``latency`` is this POP's own (None: not measured), ``promised`` is the sum
        of what the others have.
    :param observers: who was believed, sorted; ``doubted``: who was heard and was not.
    """

    standing: Standing
    rows: Mapping[str, Row]
    observers: tuple[str, ...]
    doubted: tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Seen:
    """
    :param rows: one about each POP that is configured.
    :param made_at: this and ``expires_at``: infinity for this POP's own.
    """

    epoch: int
    version: int
    made_at: float
    expires_at: float
    rows: Mapping[str, Row]

    def is_doubtful(self, observer: str) -> bool:
        others = [row.up for pop, row in self.rows.items() if pop != observer]
        return len(others) >= DOUBTABLE and 2 * others.count(False) > len(others)


class Observers:
    """
    The rows of all POPs.

    :param own: this POP's name.
    :param keep: seconds.
    """

    def __init__(self, own: str, *, keep: float = KEEP) -> None:
        self._own = own
        self._keep = keep
        self._periods: dict[str, float] = {}
        self._seen: dict[str, _Seen] = {}
        self._good = LastGood(own)
        self._alone_at: float | None = None
        self._table: Believed | None = None
        self._table_until = math.inf

    def configure(self, periods: Mapping[str, float], now: float) -> None:
        """
        These are the POPs.

        :param periods: seconds between two rows of each; this POP may be among them, or else comes last.
        """
        self._periods = {**periods, self._own: periods.get(self._own, 0.0)}
        kept = {name: seen for name, seen in self._seen.items() if name in self._periods}
        self._seen = {
            name: attrs.evolve(seen, rows=self._about_ours(seen.rows.values())) for name, seen in kept.items()
        }
        self._good.configure(self._periods, max(self._periods.values()))
        self._table = None

    def observe(self, rows: Rows, now: float) -> bool:
        """
        A POP's rows came, or this POP's own (which do not expire).

        :return: they count.  Not: their observer is not configured; they are no newer than what is held of it (the
            epoch counts before the version); they have expired on their way; their age is no time at all.
        """
        period = self._periods.get(rows.observer)
        if period is None or not rows.age >= 0.0:
            return False
        made_at = math.inf if rows.observer == self._own else now - rows.age
        expires_at = made_at + PERIODS * period
        held = self._seen.get(rows.observer)
        if held is not None and held.expires_at > now and (rows.epoch, rows.version) <= (held.epoch, held.version):
            return False
        if expires_at <= now:
            return False
        about = self._about_ours(rows.rows)
        self._seen[rows.observer] = _Seen(
            epoch=rows.epoch,
            version=rows.version,
            made_at=made_at,
            expires_at=expires_at,
            rows=about,
        )
        self._table = None
        return True

    def believe(self, now: float) -> Believed:
        """
        What is believed now.

        O(1) until something has come, has expired or is over; else O(observers x POPs).
        """
        if self._table is None or now >= self._table_until:
            self._table = self._decide(now)
            self._table_until = self._ends_at()
        return self._table

    def next_deadline(self) -> float | None:
        """When :meth:`believe` may say something else though nothing has come; None: never.  As of its last call."""
        return None if self._table_until == math.inf else self._table_until

    # -- within ----------------------------------------------------------------------------------------------------

    def _about_ours(self, rows: Iterable[Row]) -> dict[str, Row]:
        return {row.pop: row for row in rows if row.pop in self._periods}

    def _ends_at(self) -> float:
        ends = [seen.expires_at for seen in self._seen.values()]
        if self._table is not None and self._table.standing is Standing.ALONE_KEPT and self._alone_at is not None:
            ends.append(self._alone_at + self._keep)
        if self._table is not None and self._table.standing is Standing.AGREED:
            ends.append(self._good.next_deadline(self._made_at()))
        return min(ends, default=math.inf)

    def _made_at(self) -> dict[str, float]:
        return {name: seen.made_at for name, seen in self._seen.items()}

    def _decide(self, now: float) -> Believed:
        self._seen = {name: seen for name, seen in self._seen.items() if seen.expires_at > now}
        made_at = self._made_at()
        self._good.heard(made_at, now)
        doubted = {name for name, seen in self._seen.items() if seen.is_doubtful(name)}
        believed = {name: seen for name, seen in self._seen.items() if name not in doubted}
        standing = self._stand(believed, doubted, now)
        rows = {}
        for pop in self._periods:
            fresh = self._row(pop, believed)
            if standing is Standing.ALONE_KEPT:
                fresh = _kept(fresh, self._good.rows.get(pop))
            elif standing is Standing.ALONE_ALL:
                fresh = attrs.evolve(fresh, up=True)
            rows[pop] = fresh
        if standing is Standing.AGREED:
            self._good.agree(rows, frozenset(believed), made_at, now)
        else:
            self._good.alone()
        return Believed(standing=standing, rows=rows, observers=tuple(sorted(believed)), doubted=tuple(sorted(doubted)))

    def _stand(self, believed: Mapping[str, _Seen], doubted: set[str], now: float) -> Standing:
        if believed or self._own not in doubted:
            self._alone_at = None
            return Standing.AGREED
        if self._alone_at is None:
            self._alone_at = now
        return Standing.ALONE_KEPT if now < self._alone_at + self._keep else Standing.ALONE_ALL

    def _row(self, pop: str, believed: Mapping[str, _Seen]) -> Row:
        judges = [seen.rows[pop] for name, seen in believed.items() if name != pop and pop in seen.rows]
        witnesses = list(judges)
        of_itself = self._seen.get(pop)
        if of_itself is not None and pop in of_itself.rows:
            witnesses.append(of_itself.rows[pop])
        own = self._seen.get(self._own)
        measured = own.rows.get(pop) if own is not None else None
        casting = measured.up if measured is not None and self._own in believed and pop != self._own else True
        return Row(
            pop=pop,
            up=_majority([row.up for row in judges], casting=casting),
            latency=measured.latency if measured is not None else None,
            http=_median(row.http for row in judges),
            ftp=_median(row.ftp for row in judges),
            load=_load([row.load for row in witnesses if row.load is not None]),
            promised=sum(
                _figure(seen.rows[pop].promised) or 0.0
                for name, seen in self._seen.items()
                if name != self._own and pop in seen.rows
            ),
        )


def _kept(fresh: Row, good: Row | None) -> Row:
    """What nobody says now is as it was last agreed on."""
    if good is None:
        return attrs.evolve(fresh, up=True)
    return attrs.evolve(
        fresh,
        up=good.up,
        http=good.http if fresh.http is None else fresh.http,
        ftp=good.ftp if fresh.ftp is None else fresh.ftp,
        load=good.load if fresh.load is None else fresh.load,
    )


def _majority(votes: list[bool], *, casting: bool) -> bool:
    """:param casting: where the votes are equal, or there are none."""
    ups = votes.count(True)
    return casting if 2 * ups == len(votes) else 2 * ups > len(votes)


def _load(loads: list[Load]) -> Load | None:
    """Each figure's own median: what one witness does not say, the others may."""
    if not loads:
        return None
    return Load(**{name: _median(getattr(load, name) for load in loads) for name in _LOAD})


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in map(_figure, values) if value is not None]
    return statistics.median(known) if known else None


def _figure(value: float | None) -> float | None:
    """Rows come from other machines; what is no figure at all is as if it were not said."""
    return value if value is not None and 0.0 <= value < math.inf else None
