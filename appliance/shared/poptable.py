"""
What is believed of the POPs (3.2): this one's own checks, what it says of itself, and the rows of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import attrs

from appliance.delivery import PopFigures
from appliance.health import Believed, Observers, PopsAgreed, PopsAlone, Standing
from appliance.model import Health, Load, Pop, Row, Rows
from appliance.shared.checking import Checking
from appliance.shared.guarding import Guard
from appliance.shared.telling import Telling

LOOK_INTERVAL = 1.0
"""Seconds for which figures are not gathered anew; who goes up or down counts at once."""
FIGURES_INTERVAL = 0.25
"""Seconds for which all customers are told the same figures, as long as nothing has come: they are many, and each asks
once a second."""


class PopTable:
    """
    :param nearer: is called when :meth:`next_deadline` may have come nearer.
    :param name: of this POP; ``epoch`` of this process: a later one has a larger number.
    :ivar own_load: what this POP says of itself.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        telling: Telling,
        nearer: Callable[[], None],
        checking: Checking,
        guard: Guard,
        name: str,
        epoch: int,
    ) -> None:
        self._seconds = seconds
        self._telling = telling
        self._nearer = nearer
        self._checking = checking
        self._guard = guard
        self._name = name
        self._epoch = epoch
        self._version = 0
        self._looked_at = -LOOK_INTERVAL
        self._pops: Mapping[str, Pop] = {}
        self._observers = Observers(name)
        self._standing = Standing.AGREED
        self._heard: dict[str, float] = {}
        self._loads: dict[str, Load] = {}
        self._figures: tuple[PopFigures, ...] = ()
        self._figures_of: tuple[Believed, int] | None = None
        self._figures_at = -math.inf
        self.own_load: Callable[[], Load] = Load
        checking.call_when_pop_said(lambda: self.look(at_once=True))

    def configure(self, pops: Mapping[str, Pop]) -> None:
        self._pops = pops
        self._observers.configure({name: pop.interval for name, pop in pops.items()}, self._seconds())
        self._looked_at = -LOOK_INTERVAL

    @property
    def pops(self) -> Mapping[str, Pop]:
        return self._pops

    def observe(self, rows: Rows) -> bool:
        """What another POP has seen; see :meth:`Observers.observe`."""
        now = self._seconds()
        taken = self._observers.observe(rows, now)
        if taken:
            self._heard[rows.observer] = now
            self._nearer()
        return taken

    def next_deadline(self) -> float | None:
        """When something else may be believed though nothing has come; None: never.  It may have passed for nothing."""
        return self._observers.next_deadline() if self._pops else None

    def heard_at(self, pop: str) -> float | None:
        """When its rows came last."""
        return self._heard.get(pop)

    def rows(self) -> Rows:
        """What this POP has seen, and says of itself, as of now; for the others, who take no version twice."""
        self.look(at_once=True)
        return self._own_rows()

    def believe(self) -> Believed:
        self.look()
        return self._observers.believe(self._seconds())

    def health(self, pop: str) -> Health:
        """As this POP measures it, or a person has forced it; of itself: it is up, and needs no time."""
        health = self._checking.pop(pop)
        if pop != self._name:
            return health
        return attrs.evolve(health, measured=True, latency=0.0, connect=0.0, load=self.own_load())

    def figures(self) -> tuple[PopFigures, ...]:
        """What answers are chosen by; O(POPs), but O(1) for who asks again soon."""
        now = self._seconds()
        believed = self.believe()
        former, age = self._figures_of, self._checking.age
        is_new = former is None or former[0] is not believed or former[1] != age
        if is_new or not self._figures_at <= now < self._figures_at + FIGURES_INTERVAL:
            self._figures = tuple(self._gather(believed, now))
            self._figures_of, self._figures_at = (believed, age), now
        return self._figures

    def look(self, *, at_once: bool = False) -> None:
        """
        Take in what this POP's own checks say by now.

        :param at_once: somebody went up or down, or said how busy it is, or wants to know it of us.
        """
        now = self._seconds()
        if not self._pops or (now < self._looked_at + LOOK_INTERVAL and not at_once):
            return
        self._looked_at = now
        self._version += 1
        self._observers.observe(self._own_rows(), now)
        believed = self._observers.believe(now)
        self._guard.learn(believed.rows, self._fresh_loads(believed), now)
        if believed.standing is not self._standing:
            self._standing = believed.standing
            if believed.standing is Standing.AGREED:
                self._telling.publish([PopsAgreed(at=now, observers=believed.observers)])
            else:
                everything = believed.standing is Standing.ALONE_ALL
                self._telling.publish([PopsAlone(at=now, doubted=believed.doubted, everything=everything)])

    def _gather(self, believed: Believed, now: float) -> Iterator[PopFigures]:
        for name, pop in self._pops.items():
            health, row = self.health(name), believed.rows[name]
            is_forced = health.forced is not None
            yield PopFigures(
                pop=pop,
                up=health.up if is_forced else row.up,
                until=math.inf if is_forced else self._until(name, pop, health.until, believed, now),
                latency=row.latency,
                http=row.http,
                ftp=row.ftp,
                load=row.load,
            )

    def _fresh_loads(self, believed: Believed) -> dict[str, float]:
        """
        Connections of the POPs of which something new is known.

        What this POP has read itself counts before what the others say, for that is older.  Theirs is put together anew
        each time, and is new where it says something else; two pages that were read are two, whatever they say.
        """
        fresh = {}
        for name in self._pops:
            read, former = self.health(name).load, self._loads.get(name)
            load = read or believed.rows[name].load
            if load is None or load.connections is None or load is former or (read is None and load == former):
                continue
            self._loads[name] = load
            fresh[name] = load.connections
        return fresh

    def _own_rows(self) -> Rows:
        now = self._seconds()
        rows = []
        for name in self._pops:
            health = self.health(name)
            rows.append(
                Row(
                    pop=name,
                    # What a person ordered here is no news of it for the others, and no sign that we are cut off.
                    up=health.measured is not False,
                    latency=health.connect,
                    http=health.http,
                    ftp=health.ftp,
                    load=health.load,
                    promised=self._guard.promised(name, now),
                )
            )
        return Rows(observer=self._name, epoch=self._epoch, version=self._version, rows=tuple(rows))

    def _until(self, name: str, pop: Pop, own: float, believed: Believed, now: float) -> float:
        """
        Rows of others may change the majority when they come next; who is alone may be so no longer any moment.

        :param own: when our checks may change.
        """
        others = any(each not in (self._name, name) for each in believed.observers)
        return min(own, now + pop.interval) if others or believed.standing is not Standing.AGREED else own
