"""
Which servers a virtual server may send to, as configured and as things are (5.2, 5.6).

``reach`` follows every link: bound servers, their backups, general servers, lending instances, backup sites.  ``tiers``
is what is left of it in the present states, in the order in which servers are asked; it is worked out anew when a state
changes, so that a new connection finds it ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from appliance.balancing.predictors import Chooser, Stand
from appliance.balancing.premises import Premises
from appliance.balancing.real import Real
from appliance.balancing.values import VirtualState
from appliance.balancing.virtual import Virtual
from appliance.model import Service, Spill, Transport


class Links:
    """
    :param reals: by name; ``places``: sites by name.
    """

    def __init__(self, reals: Mapping[str, Real], places: Mapping[str, Premises]) -> None:
        self._reals = reals
        self._places = places
        # What one call of arrange() has found out of each server already: a thousand sites may share one.
        self._takers: dict[Real, Real | None] = {}
        self._tested: dict[Real, list[Real]] = {}

    # -- what may ever be used -------------------------------------------------------------------------------------

    def connect(self, virtuals: Iterable[Virtual]) -> None:
        """Work out what these may ever send to; O(that)."""
        for virtual in virtuals:
            self.disconnect(virtual)
            virtual.reach = self._reach(virtual)
            for real in virtual.reach:
                real.users[virtual] = None
                real.hungry |= dict.fromkeys(virtual.needs.values())

    def disconnect(self, virtual: Virtual) -> None:
        """It may send to nobody any more."""
        for real in virtual.reach:
            real.users.pop(virtual, None)
            for need in virtual.needs.values():
                real.hungry.pop(need, None)

    def dependents(self, places: Iterable[Premises]) -> list[Premises]:
        """These, and the sites that have one of them as a backup, and so on; O(virtual servers)."""
        backed: dict[str, list[Premises]] = {}
        for place in self._places.values():
            for name in {virtual.backup for virtual in place.virtuals() if virtual.backup is not None}:
                backed.setdefault(name, []).append(place)
        found = dict.fromkeys(places)
        waiting = list(found)
        while waiting:
            for place in backed.get(waiting.pop().name, ()):
                if place not in found:
                    found[place] = None
                    waiting.append(place)
        return list(found)

    def _reach(self, virtual: Virtual) -> dict[Real, int]:
        reach: dict[Real, int] = {}

        def add(service: Service, reals: Iterable[Real]) -> None:
            for real in reals:
                reach.setdefault(real, service.to - service.first_port)

        add(virtual.service, self._with_backups(virtual.bound))
        if virtual.spill is not Spill.NEVER:
            add(virtual.general.service, self._with_backups(virtual.general.bound))
        for lender in virtual.lenders():
            add(lender.service, lender.bound)
        for other in self._backups(virtual):
            add(other.service, self._with_backups(other.bound))
        return reach

    def _with_backups(self, reals: Iterable[Real]) -> Iterator[Real]:
        for real in reals:
            yield from self._chain(real)

    def _chain(self, real: Real) -> Iterator[Real]:
        """``real``, its backup, the backup of that, until one comes again."""
        seen: set[Real] = set()
        following: Real | None = real
        while following is not None and following not in seen:
            seen.add(following)
            yield following
            following = self._reals.get(following.backup) if following.backup is not None else None
            if following is not None and following.gone:
                return

    def _backups(self, virtual: Virtual) -> Iterator[Virtual]:
        """The backup of ``virtual``, the backup of that, until one comes again or has not the same ports."""
        seen = {virtual}
        following = virtual
        while following.backup is not None:
            place = self._places.get(following.backup)
            other = place.general_for(virtual) if place is not None else None
            if other is None or other in seen:
                return
            seen.add(other)
            yield other
            following = other

    # -- what is used now ------------------------------------------------------------------------------------------

    def arrange(self, virtuals: Iterable[Virtual]) -> list[tuple[Virtual, VirtualState]]:
        """
        States, weights or links have changed: work out who is asked.

        :param virtuals: with each one those whose own servers it may use, if they are concerned too.
        :return: those whose state is another now, with the former one.
        """
        concerned = list(dict.fromkeys(virtuals))
        self._takers.clear()
        self._tested.clear()
        for virtual in concerned:
            virtual.chooser.arrange(self._stands(virtual))
        changed = []
        for virtual in concerned:
            former = virtual.state
            self._choose_tiers(virtual)
            if virtual.state is not former:
                changed.append((virtual, former))
        for section in dict.fromkeys(virtual.section for virtual in concerned):
            section.count_places()
        return changed

    def _stands(self, virtual: Virtual) -> list[Stand]:
        return [(real, self._taker(real)) for real in virtual.bound]

    def _taker(self, real: Real) -> Real | None:
        """Who takes the new connections of ``real``."""
        if real not in self._takers:
            self._takers[real] = self._find_taker(real)
        return self._takers[real]

    def _find_taker(self, real: Real) -> Real | None:
        """The first of its chain that does; without a weight it has none."""
        for following in self._chain(real):
            if following.takes():
                return following
            if following.weight == 0:
                return None
        return None

    def _testers(self, virtual: Virtual) -> list[Real]:
        """Those of its servers and their backups that are tested."""
        tested = self._tested
        for real in virtual.bound:
            if real not in tested:
                tested[real] = [each for each in self._chain(real) if each.is_tested()]
        return [each for real in virtual.bound for each in tested[real]]

    def _choose_tiers(self, virtual: Virtual) -> None:
        tiers, general = [virtual.chooser], virtual.general
        testers = self._testers(virtual)
        alone = not virtual.chooser.members
        virtual.spills = False
        if virtual.spill is not Spill.NEVER and general.in_service and virtual.answer is None:
            if virtual.spill is Spill.ONE_FAILED and not all(real.takes() for real in virtual.bound):
                virtual.wide.arrange(self._stands(virtual) + self._stands(general))
                tiers = [virtual.wide]
                virtual.spills = True
            elif alone or virtual.spill is Spill.BUSY:
                tiers.append(general.chooser)
                virtual.spills = True
            if alone:
                testers += self._testers(general)
        backed = any(tier.members for tier in tiers)
        lenders = [lender for lender in virtual.lenders() if lender.in_service]
        if lenders:
            virtual.lent.arrange([(real, real if real.takes() else None) for each in lenders for real in each.bound])
            tiers.append(virtual.lent)
        if not backed:
            for other in self._backups(virtual):
                if not other.in_service:
                    continue
                testers += self._testers(other)
                if other.chooser.members:
                    tiers.append(other.chooser)
                    break
        self._settle(virtual, [tier for tier in tiers if tier.members], list(dict.fromkeys(testers)))

    def _settle(self, virtual: Virtual, tiers: list[Chooser], testers: list[Real]) -> None:
        virtual.tiers, virtual.testers = tuple(tiers), testers
        if not virtual.in_service:
            virtual.state = VirtualState.OUT_OF_SERVICE
        elif tiers or virtual.answer is not None:
            virtual.state = VirtualState.IN_SERVICE
        else:
            virtual.state = VirtualState.FAILED
        site = virtual.section.place.site
        virtual.special = (
            virtual.state is not VirtualState.IN_SERVICE
            or virtual.answer is not None
            or virtual.filter is not None
            or bool(testers)
            or virtual.transport is Transport.UDP
            or site.sticky > 0
            or bool(site.buddies)
            or site.max_per_client > 0
            or site.addresses > 1
        )
