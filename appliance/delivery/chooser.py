"""
What the names of one customer are answered with (3.1, 3.2, 3.3, 3.5).

Whoever knows the figures calls :meth:`Chooser.refresh` when some have changed, and then :meth:`Chooser.pages` or
:meth:`Chooser.static` for each answer.  A customer's chooser shares nothing with another's.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence

from appliance.delivery.costs import known, rate_pops
from appliance.delivery.dwell import patience_of
from appliance.delivery.explaining import Explanation, explain_origins, explain_pops
from appliance.delivery.origins import Loads, OriginCost, origin_costs
from appliance.delivery.pages import Pages
from appliance.delivery.plan import Situation
from appliance.delivery.statics import Statics
from appliance.delivery.values import Choice, OriginFigures, PopFigures, Rated, Standing, Why
from appliance.model import Delivery

FAMILIES = (4, 6)


class Chooser:
    """
    One customer's.

    :ivar delivery: as configured; :meth:`configure` changes it.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self._loads = Loads()
        self._capacities: dict[str, float] = {}
        self._pages = {family: Pages() for family in FAMILIES}
        self._statics = {family: Statics() for family in FAMILIES}
        self._origins: tuple[OriginCost, ...] = ()
        self._pops: tuple[PopFigures, ...] = ()
        self._rated: tuple[Rated, ...] = ()
        self._patience = 0.0

    def configure(self, delivery: Delivery) -> None:
        """
        From the next refresh on this holds.  With another rule nobody stays for the sake of what was.

        What is answered until then is the former one's; the refresh is True if that differs.
        """
        if delivery.rule != self.delivery.rule:
            for statics in self._statics.values():
                statics.forget()
        self.delivery = delivery

    def refresh(self, origins: Iterable[OriginFigures], pops: Iterable[PopFigures], now: float) -> bool:
        """
        Take in what is known now; who is not among them is nobody's candidate any more.

        :param now: at least that of the last time; also to be called at :meth:`deadline`.
        :return: some name would be answered otherwise than before; a changed ``ttl_until`` alone does not count, for
            what was promised still holds.  O(n log n).
        """
        changed = self._refresh_pages(sorted(origins, key=_server_name), now)
        return self._refresh_statics(sorted(pops, key=_pop_name), now) or changed

    def deadline(self) -> float:
        """When somebody comes or goes among the POPs if no figure changes until then; infinity: nobody."""
        return min(statics.dwell.deadline(self._patience) for statics in self._statics.values())

    def pages(self, family: int, rng: random.Random) -> Choice:
        """
        What a page's name is answered with.

        :param family: 4 for A, 6 for AAAA.
        """
        return self._pages[family].choose(rng) or self._unknown()

    def static(self, name: bytes, client_prefix: bytes, family: int) -> Choice:
        """
        What a name of static content, or one of both kinds, is answered with.

        :param name: the same bytes for the same name, e.g. as it is on the wire, lower case.
        :param client_prefix: the network of the client, or of its resolver; empty: all clients are one.
        """
        return self._statics[family].choose(name, client_prefix) or self._unknown()

    def explain_pages(self, family: int, rng: random.Random) -> Explanation:
        """Every number behind :meth:`pages`; changes nothing but ``rng``."""
        return explain_origins(self.pages(family, rng), self.delivery.rule, self._origins, self._loads, family)

    def explain_static(self, name: bytes, client_prefix: bytes, family: int) -> Explanation:
        """Every number behind :meth:`static`; changes nothing."""
        return explain_pops(
            self.static(name, client_prefix, family),
            self.delivery.rule,
            self._pops,
            self._rated,
            self._statics[family],
            self._patience,
            (name, client_prefix, family),
        )

    def _refresh_pages(self, figures: Sequence[OriginFigures], now: float) -> bool:
        figures = [one for one in figures if one.server.weight > 0]
        self._loads.sample(figures, now)
        self._origins = tuple(origin_costs(figures, self.delivery.rule.origins, self._loads))
        rated = [one.rated() for one in self._origins]
        until = min((one.health.until for one in figures), default=math.inf)
        changed = [self._pages[family].refresh(self._situation(rated, family, until)) for family in FAMILIES]
        return any(changed)

    def _refresh_statics(self, figures: Sequence[PopFigures], now: float) -> bool:
        self._pops = tuple(figures)
        self._patience = patience_of(max((one.pop.interval for one in figures), default=0.0))
        self._rated = tuple(rate_pops(figures, self.delivery.rule.pops, self._shares(figures)))
        until = min((one.until for one in figures), default=math.inf)
        changed = [
            self._statics[family].refresh(self._situation(self._rated, family, until), self._patience, now)
            for family in FAMILIES
        ]
        return any(changed)

    def _shares(self, figures: Sequence[PopFigures]) -> list[float]:
        """Capacities as last known; unknown ones are the median of the others."""
        former, self._capacities = self._capacities, {}
        for one in figures:
            said = one.load.capacity if one.load is not None else None
            capacity = known(one.pop.capacity) or known(said) or former.get(one.pop.name)
            if capacity:
                self._capacities[one.pop.name] = capacity
        neutral = statistics.median(self._capacities.values()) if self._capacities else 1.0
        return [self._capacities.get(one.pop.name, neutral) for one in figures]

    def _situation(self, rated: Sequence[Rated], family: int, until: float) -> Situation:
        return Situation(
            delivery=self.delivery,
            family=family,
            rated=tuple(one for one in rated if one.candidate.address.version == family),
            elsewhere=any(
                one.standing is not Standing.DOWN for one in rated if one.candidate.address.version != family
            ),
            until=until,
        )

    def _unknown(self) -> Choice:
        """Before the first refresh nobody is a candidate, and the next moment can change that."""
        return Choice(candidates=(), count=0, ttl=0.0, ttl_until=-math.inf, depends_on_client=False, why=Why.ABSENT)


def _server_name(one: OriginFigures) -> str:
    return one.server.name


def _pop_name(one: PopFigures) -> str:
    return one.pop.name
