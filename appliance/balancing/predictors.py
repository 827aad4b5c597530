"""
How one of several servers is chosen for a new connection (5.7).

A chooser has the servers of one kind that a virtual server may use, and picks one that has room.  What a server is
worth is kept by the server itself (:attr:`Real.load` and others), for several virtual servers share it; turns are kept
here.
"""

from __future__ import annotations

import abc
import operator
from array import array
from collections.abc import Sequence

from appliance.balancing.maglev import place_of, table
from appliance.balancing.real import FULL, Real
from appliance.model import Predictor

Stand = tuple[Real, Real | None]
"""A server, and who takes its new connections: itself, a backup, or nobody."""

_LOAD = operator.attrgetter("load")


class Chooser(abc.ABC):
    """:ivar members: who takes new connections, each once."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: list[Real] = []

    def arrange(self, stands: Sequence[Stand]) -> None:
        """Choose among these from now on; turns go on where they were."""
        self.members = list(dict.fromkeys(real for _, real in stands if real is not None))

    @abc.abstractmethod
    def pick(self, client: int, now: float) -> Real | None:
        """:return: None when nobody has room; O(members)."""

    def with_room(self) -> list[Real]:
        """All that could be picked."""
        return [real for real in self.members if real.load < FULL]


class LeastConnections(Chooser):
    """The fewest for its weight, the new one included; of equals the one whose turn is longest ago."""

    __slots__ = ()

    def arrange(self, stands: Sequence[Stand]) -> None:
        former = self.members
        super().arrange(stands)
        if set(former) == set(self.members):
            self.members = former

    def pick(self, client: int, now: float) -> Real | None:
        return _next_of(self.members, min(self.members, key=_LOAD, default=None))


class RoundRobin(Chooser):
    __slots__ = ("_turn",)

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0

    def pick(self, client: int, now: float) -> Real | None:
        members, turn = self.members, self._turn
        for index in range(turn, turn + len(members)):
            real = members[index % len(members)]
            if real.load < FULL:
                self._turn = (index + 1) % len(members)
                return real
        return None


class WeightedRoundRobin(Chooser):
    """
    Smooth: a server's turns are spread over the cycle.

    nginx's way: each gains its weight, the one that has gained most is picked and pays what all have gained.  So no
    server is ever a whole turn ahead of its exact share, and a cycle gives each exactly its weight.
    """

    __slots__ = ("_gained",)

    def __init__(self) -> None:
        super().__init__()
        self._gained: list[float] = []

    def arrange(self, stands: Sequence[Stand]) -> None:
        former = dict(zip(self.members, self._gained, strict=True))
        super().arrange(stands)
        self._gained = [former.get(real, 0.0) for real in self.members]

    def pick(self, client: int, now: float) -> Real | None:
        gained, best, total = self._gained, -1, 0.0
        for index, real in enumerate(self.members):
            if real.load < FULL:
                strength = real.strength
                total += strength
                gained[index] += strength
                if best < 0 or gained[index] > gained[best]:
                    best = index
        if best < 0:
            return None
        gained[best] -= total
        return self.members[best]


class FastestResponse(Chooser):
    """
    The least response time, times the connections that it has not answered yet, the new one included.

    Without that factor all would go to the same one until its next answer (Finagle's peak EWMA has it too).
    """

    __slots__ = ("_faded_at",)

    def __init__(self) -> None:
        super().__init__()
        self._faded_at = 0.0

    def pick(self, client: int, now: float) -> Real | None:
        if now >= self._faded_at + 1.0:
            self._faded_at = now
            for real in self.members:
                real.fade(now)
        best, least = None, FULL
        for real in self.members:
            if real.load < FULL:
                cost = real.response * (real.opening + 1)
                if cost < least:
                    best, least = real, cost
        return _next_of(self.members, best)


class SourceHash(Chooser):
    """
    The client's address decides.

    The table has all servers, whatever their state: while one does not take connections its backup takes them, or its
    clients are spread over the others, and no other client moves.  One that grows takes a growing part of its clients.
    """

    __slots__ = ("_places", "_stands", "_wanted")

    _ATTEMPTS = 64
    """Looks into the table, before every server is asked whether it has room."""

    def __init__(self) -> None:
        super().__init__()
        self._stands: Sequence[Stand] = ()
        self._wanted: list[tuple[str, float]] = []
        self._places: array[int] = array("H")

    def arrange(self, stands: Sequence[Stand]) -> None:
        super().arrange(stands)
        self._stands = [stand for stand in dict(stands).items() if stand[0].weight > 0]
        wanted = [(real.name, float(real.weight)) for real, _ in self._stands]
        if wanted != self._wanted:
            self._wanted = wanted
            self._places = array("H")

    def pick(self, client: int, now: float) -> Real | None:
        if len(self._stands) > 1:
            places = self._places = self._places or table(self._wanted)
            part = (place_of(client) >> 8) / (1 << 24)
            for attempt in range(self._ATTEMPTS):
                real = self._stands[places[place_of(client, attempt) % len(places)]][1]
                if real is not None and real.load < FULL and part < real.share:
                    return real
        return _next_of(self.members, min(self.members, key=_LOAD, default=None))


class Idle(Chooser):
    """Servers that other clients have first: only those with no connection at all (5.6, ``lend``)."""

    __slots__ = ()

    def pick(self, client: int, now: float) -> Real | None:
        for real in self.members:
            if real.live == 0 and real.load < FULL:
                return _next_of(self.members, real)
        return None

    def with_room(self) -> list[Real]:
        return [real for real in self.members if real.live == 0 and real.load < FULL]


_CHOOSERS: dict[Predictor, type[Chooser]] = {
    Predictor.LEAST_CONNECTIONS: LeastConnections,
    Predictor.ROUND_ROBIN: RoundRobin,
    Predictor.WEIGHTED_ROUND_ROBIN: WeightedRoundRobin,
    Predictor.FASTEST_RESPONSE: FastestResponse,
    Predictor.SOURCE_HASH: SourceHash,
}


def chooser_of(predictor: Predictor) -> Chooser:
    return _CHOOSERS[predictor]()


def _next_of(members: list[Real], picked: Real | None) -> Real | None:
    """Put who was picked last, so that equals take turns; None where it has no room after all."""
    if picked is None or picked.load == FULL:
        return None
    if members[-1] is not picked:
        members.remove(picked)
        members.append(picked)
    return picked
