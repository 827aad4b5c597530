"""What the ledger says."""

from __future__ import annotations

import enum

import attrs


class Verdict(enum.Enum):
    """What the ledger says of a resolver."""

    ADMITTED = "admitted"
    RENEWED = "renewed"
    """It had a place, and there is room for all who have one."""
    KEPT = "kept"
    """There is not; but it ranks before those that have to go."""
    FULL = "full"
    """Its weight does not fit beside what is promised."""
    LOADED = "loaded"
    """Its weight does not fit beside what is measured."""
    SHED = "shed"
    """It had a place, and has to go."""
    NO_CAPACITY = "no-capacity"
    """The target has none, or has not said anything for too long."""


YES = frozenset((Verdict.ADMITTED, Verdict.RENEWED, Verdict.KEPT))


@attrs.frozen(kw_only=True)
class Standing:
    """
    Every number behind a verdict, in the ledger's unit.

    :param capacity: as it counts now; ``limit`` is what of it may be promised.
    :param promised: to resolvers whose answers live; ``held`` for those whose answers do not, but who are about to ask
        again; ``others`` by other observers.
    :param load: as it was last measured, ``age`` seconds ago; None: never.
    :param kappa: the part of the promises that is taken to come.
    :param resolvers: that have a place.
    :param overbooked: what live answers may bring that were given though there was no room; it is not promised.
    """

    capacity: float
    limit: float
    promised: float
    held: float
    others: float
    load: float
    age: float | None
    kappa: float
    resolvers: int
    overbooked: float

    def times(self, factor: float) -> Standing:
        """The same in another unit."""
        return attrs.evolve(
            self,
            capacity=self.capacity * factor,
            limit=self.limit * factor,
            promised=self.promised * factor,
            held=self.held * factor,
            others=self.others * factor,
            load=self.load * factor,
            overbooked=self.overbooked * factor,
        )
