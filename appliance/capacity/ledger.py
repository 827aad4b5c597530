"""
The load that answers have promised to one target, and whether it can take more.

An answer that names a target is a lease on its load: the resolver that got it may bring ``weight`` until the TTL is
over.  A resolver asks again only after its answer has run out, so a place is held for it a while longer (``grace``);
else whoever asks in between would take it, and resolvers would change places all the time.

The law, with L the sum of live weights, H of held ones, O what others have promised, y the measured load, A the
capacity, h the headroom, ``own`` the weight of the place that the resolver has (a stranger: 0)::

    promises fit     kappa * (L + H - own + w + O) <= (1 - h) A
    load fits        y + kappa * (H + N + w) <= (1 - h) A            for a stranger
                     y + kappa * max(0, w - own) <= (1 - h) A        for who has a place

- A stranger is admitted if both fit.  N is what was promised since the load was measured, beyond what was live then: it
  cannot be in y yet.  Nor is H.
- Who has a place is renewed if both fit.  If not, for A fell, or kappa, y or weights rose, he is kept if those who rank
  before him and he himself fit into this ledger's share of the limit, and neither the live weights nor the load go
  beyond the limit by him.  Else he goes when his answer has run out.

The rank is a keyed hash of resolver and target: the same ones stay, whoever asks first, and nobody can choose to be
one of them.  It is known in 256 steps, so what is kept may be a 256th less than what fits.

It knows no names, no resolvers' rates and no clock; a market has one for each contract and target, POP choice one for
each POP.  G1 to G5, which tests hold: docs/capacity.rst.
"""

from __future__ import annotations

import hashlib

from appliance.capacity.overbooked import Overbooked
from appliance.capacity.places import Place, Places, whole
from appliance.capacity.ratio import Ratio
from appliance.capacity.reports import Reports
from appliance.capacity.values import YES, Standing, Verdict

HEADROOM = 0.1
MOST_RESOLVERS = 65536
SHORTEST_TTL = 5.0
HEAVY = 0.25
"""The part of the capacity above which one resolver's answers get a shorter life."""

_SAMPLED_FROM = 0.05
"""The part of the capacity that has to be promised before the measured ratio says anything."""


class Ledger:
    """
    One target, one resource.

    :param target: its name; with ``key``, a secret of this installation, it makes the ranks.
    :param capacity: A, at least 0, as configured or said by the target; may be set at any time.
    :param ttl: seconds, the usual life of an answer.
    :param period: seconds between reports of its load.
    :param grace: seconds for which a place is held after its answer's end; None: half of ``ttl``.
    :param needs_reports: see :class:`appliance.capacity.reports.Reports`.
    :param most: resolvers that may have a place at once; more are refused.
    """

    def __init__(
        self,
        target: str,
        *,
        capacity: float,
        ttl: float,
        period: float = 5.0,
        key: bytes = b"",
        headroom: float = HEADROOM,
        grace: float | None = None,
        needs_reports: bool = True,
        most: int = MOST_RESOLVERS,
    ) -> None:
        self.target = target
        self.period = period
        self.capacity = capacity
        self.others = 0.0
        """What other observers say that they have promised to the target; whoever reads their rows sets it."""
        self._headroom = headroom
        self._most = most
        self._fresh = 0.0
        self._reports = Reports(period=period, ttl=ttl, needed=needs_reports)
        self._ratio = Ratio(period)
        salt = hashlib.blake2b(target.encode(), digest_size=32, key=key).digest()
        grace = ttl / 2.0 if grace is None else grace
        self._places = Places(salt, grace)
        self._overbooked = Overbooked(grace, most)

    def __len__(self) -> int:
        """Resolvers that have a place, late ones that have not been cleared away included."""
        return len(self._places)

    # -- promises ----------------------------------------------------------------------------------------------------

    def admit(self, resolver: int, weight: float, now: float, ttl: float) -> bool:
        """
        May an answer that lives for ``ttl`` name the target?  If so, it is promised.  O(log resolvers).

        :param resolver: at least 0, below 2^160.
        :param weight: what the resolver may bring, in the unit of the capacity, at least 0.
        """
        weight = whole(weight)
        verdict = self._judge(resolver, weight, now)
        if verdict in YES:
            place = self._places.get(resolver)
            self._fresh += weight - place.weight if place is not None and place.is_live else weight
            self._places.take(resolver, weight, now + ttl)
            return True
        if verdict is Verdict.SHED:
            place = self._places.get(resolver)
            assert place is not None
            self._places.leave(place)
        return False

    def judge(self, resolver: int, weight: float, now: float) -> Verdict:
        """What :meth:`admit` would do, and why; nothing is promised."""
        return self._judge(resolver, whole(weight), now)

    def overbook(self, resolver: int, weight: float, now: float, ttl: float) -> None:
        """
        An answer that lives for ``ttl`` names the target though there is no room anywhere.

        It is no promise, and gives the resolver no place; but it brings as much.
        """
        self._overbooked.take(resolver, whole(weight), now + ttl, now)

    def is_overbooked(self, resolver: int, now: float) -> bool:
        """Was this one sent here so, and its answer lives or is about to be asked for again?"""
        return self._overbooked.knows(resolver, now)

    def overbooked(self, now: float) -> float:
        """What such answers may bring."""
        return self._overbooked.sum(now)

    def ttl_for(self, weight: float, ttl: float, now: float) -> float:
        """
        The life that an answer for so heavy a resolver should have: shorter, so that it can be led away sooner.

        :return: ``ttl``, or less for more than a quarter of the capacity, and 5 s at least, if ``ttl`` was.
        """
        heavy = HEAVY * self._capacity(now)
        if weight <= heavy:
            return ttl
        return max(ttl * heavy / weight, min(ttl, SHORTEST_TTL))

    def is_there(self, resolver: int, now: float) -> bool:
        """Does an answer live that names the target?"""
        place = self._places.get(resolver)
        return place is not None and place.is_live and place.due_at > now

    def next_deadline(self) -> float | None:
        """When :meth:`expire` is worth calling: never later than the first end of a place."""
        return self._places.next_deadline()

    def expire(self, now: float) -> None:
        """Clear away what is over, at most 256 ends in a call; every question does so, too."""
        self._places.expire(now)

    # -- what is known of the target ---------------------------------------------------------------------------------

    def measured(self, load: float, now: float) -> None:
        """The target had ``load``, all that it has, whoever brought it."""
        self._places.expire(now)
        self._reports.measured(load, now)
        self._fresh = 0.0
        promised = self._places.promised + self.others + self.overbooked(now)
        if promised > _SAMPLED_FROM * self.capacity:
            self._ratio.measured(load, promised, now)

    def rescale(self, factor: float) -> None:
        """What was measured and what others said is so much more in the unit from now on; promises stay."""
        self.others *= factor
        self._reports.rescale(factor)
        self._ratio.rescale(factor)

    def promised(self, now: float) -> float:
        """L: what this ledger's answers may bring; other observers are told this."""
        self._places.expire(now)
        return self._places.promised

    def kappa(self, now: float) -> float:
        """The part of the promises that is taken to come, 0.25 to 1."""
        return self._ratio.at(now)

    def standing(self, now: float) -> Standing:
        """For people."""
        return Standing(
            promised=self.promised(now),
            held=self._places.held,
            capacity=self._capacity(now),
            limit=self._limit(now),
            others=self.others,
            load=self._reports.load(now),
            age=self._reports.age(now),
            kappa=self._ratio.at(now),
            resolvers=len(self._places),
            overbooked=self.overbooked(now),
        )

    # -- the law -----------------------------------------------------------------------------------------------------

    def _capacity(self, now: float) -> float:
        return self.capacity * self._reports.belief(now)

    def _limit(self, now: float) -> float:
        return (1.0 - self._headroom) * self._capacity(now)

    def _judge(self, resolver: int, weight: float, now: float) -> Verdict:
        places = self._places
        places.expire(now)
        limit = self._limit(now)
        if limit <= 0.0:
            return Verdict.NO_CAPACITY
        place = places.get(resolver)
        own = place.weight if place is not None else 0.0
        kappa = self._ratio.at(now)
        load = self._reports.load(now)
        fits = kappa * (places.promised + places.held - own + weight + self.others) <= limit
        if place is None:
            if not fits or len(places) >= self._most:
                return Verdict.FULL
            is_known = self._reports.is_known(now)
            coming = places.held + self._fresh + weight if is_known else weight
            return Verdict.ADMITTED if load + kappa * coming <= limit else Verdict.LOADED
        if fits and load + kappa * max(weight - own, 0.0) <= limit:
            return Verdict.RENEWED
        return Verdict.KEPT if self._is_kept(place, weight, kappa, load, limit) else Verdict.SHED

    def _is_kept(self, place: Place, weight: float, kappa: float, load: float, limit: float) -> bool:
        """There is too much: does this one rank before those that have to go?  O(256)."""
        places = self._places
        live = places.promised + self.others
        after = live + weight - (place.weight if place.is_live else 0.0)
        brought = load + kappa * max(weight - place.weight, 0.0)
        if kappa * after > limit >= kappa * live or brought > limit >= load:
            return False
        if load > limit:
            # Of what is promised more comes than kappa allows for.
            kappa = max(kappa, self._ratio.latest)
        taken = places.promised + places.held
        share = limit * taken / (taken + self.others) if self.others else limit
        return kappa * (places.before(place) - place.weight + weight) <= share
