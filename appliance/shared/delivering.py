"""
What the names of customers are answered with (3.1, 3.2, 3.3, 3.5): figures, choices and ledgers with the one clock.

A question brings the figures of its customer up to date, at most once a second unless somebody went up or down; nothing
is worked out for those who are not asked for.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import attrs

from appliance.balancing.events import ServerBack, ServerFailed
from appliance.delivery import Candidate, Choice, Chooser, Explanation, OriginFigures, Why
from appliance.delivery.events import DeliveryDown, DeliveryUp
from appliance.events import ChoiceChanged, Event
from appliance.health import SubjectEvent
from appliance.model import Asker, Delivery, Server
from appliance.naming import Answer, NeedsChoice, chosen, from_text, unchosen
from appliance.shared.carrying import Carrying
from appliance.shared.checking import Checking
from appliance.shared.guarding import Guard, prefix
from appliance.shared.poptable import PopTable
from appliance.shared.room import AHEAD, Foretold, beyond, foretell, with_room
from appliance.shared.telling import Telling

LOOK_INTERVAL = 1.0
"""Seconds for which a customer's figures are not gathered anew; who goes up or down counts at once."""
_AS_WANTED = frozenset({Why.BEST, Why.ABSENT})


@attrs.define(eq=False)
class _Customer:
    """
    :param looked_at: when its figures were gathered last; minus infinity: they are out of date.
    :param over_at: when an answer was last given though nobody had room.
    :param why: behind its last choices: pages or static, and the family, as far as there are any.
    """

    delivery: Delivery
    chooser: Chooser
    looked_at: float = -math.inf
    choices: int = 0
    answers: int = 0
    over: int = 0
    over_at: float = -math.inf
    why: dict[tuple[bool, int], Why] = attrs.Factory(dict)

    def reason(self, *, static: bool) -> Why | None:
        """Of the families together: one that is not as it should be is what people have to hear of."""
        found = [why for (of_static, _), why in sorted(self.why.items()) if of_static is static]
        return next((why for why in found if why not in _AS_WANTED), found[0] if found else None)


class Delivering:
    """
    :param carrying: knows how many connections a server has, and whether it takes new ones.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        telling: Telling,
        carrying: Carrying,
        checking: Checking,
        pops: PopTable,
        guard: Guard,
        rng: random.Random | None = None,
    ) -> None:
        self._seconds = seconds
        self._telling = telling
        self._carrying = carrying
        self._checking = checking
        self._pops = pops
        self._guard = guard
        self._rng = rng or random.Random()  # noqa: S311 - it spreads clients, it keeps no secret
        self._customers: dict[str, _Customer] = {}
        self._names: dict[bytes, tuple[_Customer, bool]] = {}

    # -- what there is -------------------------------------------------------------------------------------------------

    def configure(self, deliveries: Mapping[str, Delivery]) -> None:
        """Follow another configuration; whoever stays keeps its dwell and what was good last."""
        former, self._customers = self._customers, {}
        self._names = {}
        for name, delivery in deliveries.items():
            customer = former.get(name) or _Customer(delivery, Chooser(delivery))
            customer.delivery, customer.looked_at = delivery, -math.inf
            customer.chooser.configure(delivery)
            self._customers[name] = customer
            for static, names in ((True, delivery.static), (False, delivery.pages)):
                for each in names:
                    # A shared static name is the first customer's; one that is both is answered with a POP (3.3).
                    self._names.setdefault(from_text(each), (customer, static))

    def customers(self) -> Mapping[str, Delivery]:
        return {name: customer.delivery for name, customer in self._customers.items()}

    def follow(self, event: Event) -> None:
        """Whoever goes up or down may change choices: those concerned are looked at anew at once."""
        if isinstance(event, SubjectEvent):
            kind, _, name = event.subject.partition(" ")
        elif isinstance(event, ServerFailed | ServerBack):
            # Also of one that its checks have brought back: what carries connections hears of it after us.
            kind, name = "server", event.server
        else:
            return
        if kind == "pop":
            self.look_at_pops()
            return
        for customer in self._customers.values():
            if customer.choices and any(origin.name == name for origin in customer.delivery.origins):
                self._look(customer)
                self._note_again(customer)

    def look_at_pops(self) -> None:
        """What is believed of the POPs may be something else: choices among them are made anew at once."""
        self._pops.look(at_once=True)
        for customer in self._customers.values():
            if customer.choices and customer.delivery.static:
                self._look(customer)
                self._note_again(customer)

    # -- answering -----------------------------------------------------------------------------------------------------

    def complete(self, needs: NeedsChoice, asker: Asker | None) -> Answer:
        """The answer at a customer's name; never fails."""
        found = self._names.get(needs.owner)
        if found is None:
            # It left the configuration this moment.
            return unchosen(needs)
        customer, static = found
        now = self._seconds()
        self._refresh(customer, now)
        customer.choices += 1
        choice = self._choose(customer, needs.owner, needs.family, asker, static=static)
        self._note(customer, static, needs.family, choice.why)
        if not choice.candidates:
            for_all = not choice.depends_on_client
            return unchosen(needs, customer=customer.delivery.name, for_all=for_all)
        guarded = static and any(each.name in self._guard for each in choice.candidates)
        by_client = choice.depends_on_client or guarded
        ttl = float(choice.lifetime(now if by_client else now + AHEAD, self._rng))
        if guarded and asker is not None:
            named, ttl = self._promise(customer, choice, asker, ttl, now)
        else:
            named = choice.answer
        customer.answers += len(named)
        # A page is drawn by chance, whoever asks.  What the ledger allows one network is not promised to others.
        scope = asker.client.prefixlen if static and by_client and asker is not None and asker.client else 0
        return chosen(
            needs,
            [candidate.address for candidate in named],
            max(1, int(ttl)),
            customer=customer.delivery.name,
            for_all=not by_client,
            scope=scope,
        )

    def foretell(self, name: bytes, family: int, asker: Asker, explained: Choice | None = None) -> Foretold | None:
        """
        What would be answered now, with what the ledgers say; nothing is promised.

        :param explained: the choice that :meth:`explain` spoke of, where chance had a part in it; else one is made.
        :return: None: no customer's name.
        """
        found = self._names.get(name)
        if found is None:
            return None
        customer, static = found
        now = self._seconds()
        self._refresh(customer, now)
        choice = explained or self._choose(customer, name, family, asker, static=static)
        return foretell(self._guard, customer.delivery, choice, asker, now, static=static)

    def explain(self, name: bytes, family: int, asker: Asker | None) -> tuple[Delivery, bool, Explanation, int] | None:
        """
        Every number behind an answer; nothing is promised.

        :return: the customer, whether it is static content, the reasons, and the TTL; None: no customer's name.
        """
        found = self._names.get(name)
        if found is None:
            return None
        customer, static = found
        now = self._seconds()
        self._refresh(customer, now)
        if static:
            told = customer.chooser.explain_static(name, _client(asker), family)
        else:
            told = customer.chooser.explain_pages(family, self._rng)
        return customer.delivery, static, told, told.choice.lifetime(now)

    def standing(self, customer: str) -> tuple[int, int, int, dict[bool, Why]]:
        """Questions, addresses answered, answers over capacity, and why the last ones were as they were."""
        known = self._customers[customer]
        why = {static: reason for static in (False, True) if (reason := known.reason(static=static)) is not None}
        return known.choices, known.answers, known.over, why

    def look_again(self, most: int) -> None:
        """Bring up to date what is said of answers that were not as wanted, of so many customers; nobody asked here."""
        troubled = (one for one in self._customers.values() if not _AS_WANTED.issuperset(one.why.values()))
        for customer in itertools.islice(troubled, most):
            if self._seconds() >= customer.looked_at + LOOK_INTERVAL:
                self._look(customer)
            self._note_again(customer)

    def over_at(self, customer: str) -> float:
        """When an answer was last given though nobody had room; minus infinity: never."""
        return self._customers[customer].over_at

    # -- inside --------------------------------------------------------------------------------------------------------

    def _choose(self, customer: _Customer, name: bytes, family: int, asker: Asker | None, *, static: bool) -> Choice:
        if static:
            return customer.chooser.static(name, _client(asker), family)
        return customer.chooser.pages(family, self._rng)

    def _promise(
        self, customer: _Customer, choice: Choice, asker: Asker, ttl: float, now: float
    ) -> tuple[Sequence[Candidate], float]:
        """The first whose ledgers have room for who asks, or :func:`~appliance.shared.room.beyond` them."""
        guard, name = self._guard, customer.delivery.name
        resolver, weight = guard.asked(name, asker, now)
        share = weight / choice.count

        def admit(pop: str, life: float) -> bool:
            return guard.admit(pop, name, resolver, share, life, now)

        named, ttl = with_room(guard, choice, share, ttl, now, admit)
        guard.told(name, resolver, ttl, now)
        if named:
            return named, ttl
        customer.over, customer.over_at = customer.over + 1, now
        others = beyond(guard, customer.delivery, choice, resolver, now)
        for each in others:
            guard.overbook(each.name, name, resolver, weight, ttl, now)  # a backup is no POP
        return others, ttl

    def _refresh(self, customer: _Customer, now: float) -> None:
        if now >= customer.looked_at + LOOK_INTERVAL or now >= customer.chooser.deadline():
            self._checking.wanted(origin.name for origin in customer.delivery.origins)
            self._look(customer)

    def _look(self, customer: _Customer) -> None:
        now = customer.looked_at = self._seconds()
        delivery = customer.delivery
        origins = [self._figures(origin) for origin in delivery.origins]
        pops = self._pops.figures() if delivery.static else []
        if customer.chooser.refresh(origins, pops, now) and customer.choices:
            self._telling.publish([ChoiceChanged(at=now, customer=delivery.name)])

    def _figures(self, origin: Server) -> OriginFigures:
        health = self._checking.server(origin.name)
        carried = self._carrying.at(origin.name)
        if carried is None:
            return OriginFigures(server=origin, health=health)
        if health.up and not carried.takes:
            # A person says so, or connections were not answered; when that ends is not a matter of checks.
            health = attrs.evolve(health, up=False, until=math.inf)
        return OriginFigures(server=origin, health=health, connections=carried.live)

    def _note(self, customer: _Customer, static: bool, family: int, why: Why) -> None:
        """Say it when answers are not what they should be, and when they are again; once for both families."""
        if customer.why.get((static, family)) is why:
            return
        before = customer.reason(static=static)
        customer.why[static, family] = why
        after = customer.reason(static=static)
        was_wanted = before is None or before in _AS_WANTED
        if after is None or was_wanted is (after in _AS_WANTED):
            return
        now, name, names = self._seconds(), customer.delivery.name, "static" if static else "pages"
        if was_wanted:
            self._telling.publish([DeliveryDown(at=now, customer=name, names=names, reason=after.value)])
        else:
            self._telling.publish([DeliveryUp(at=now, customer=name, names=names)])

    def _note_again(self, customer: _Customer) -> None:
        """What was said of its answers is to end with its reason, and not with the next question."""
        for static, family in list(customer.why):
            # The reason is the same for all names and networks.
            self._note(customer, static, family, self._choose(customer, b"", family, None, static=static).why)


def _client(asker: Asker | None) -> bytes:
    """By whom static names are spread: the network of the client, or of its resolver."""
    found = prefix(asker)
    if found is None:
        return b""
    address, bits = found
    whole: IPv4Address | IPv6Address = address
    kept = int(whole) >> whole.max_prefixlen - bits << whole.max_prefixlen - bits
    return bytes([bits]) + kept.to_bytes(whole.max_prefixlen // 8, "big")
