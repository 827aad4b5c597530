"""
What people and programs may ask about POPs, customers' names and checks of servers; no answer is another for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from appliance.control.words import SOMEBODY, WHYS, Row, few
from appliance.delivery import Why
from appliance.health import Believed, Standing
from appliance.model import Delivery
from appliance.naming import from_text
from appliance.shared import SharedState
from appliance.shared.checking import pop_subject, server_subject
from appliance.views import delivery_row, measured_row, pop_row, span

OVER_FOR = 60.0
"""Seconds for which an answer over capacity is an alarm."""
MOST_NAMES = 100
"""
Customers' names in one answer of the API, and customers that alarms look at again: each may bring its customer's
figures up to date, half a millisecond.
"""
MOST_NAMED = 8
"""POPs, and customers, that an alarm names; the rest is counted."""

Wall = Callable[[float], float]


class Delivered:
    """
    :param unix: makes what turns an instant of the process's clock into Unix time.
    """

    def __init__(self, state: SharedState, unix: Callable[[], Wall]) -> None:
        self._state = state
        self._network = state.network
        self._unix = unix

    # -- lists -----------------------------------------------------------------------------------------------------

    def standing(self) -> Row:
        """
        Whose word counts about the POPs.

        :return: ``standing``: agreed, or alone-kept and alone-all where nobody can be believed; ``believed`` and
            ``doubted``: POPs.
        """
        believed = self._network.pops.believe()
        return {
            "standing": believed.standing.value,
            "believed": list(believed.observers),
            "doubted": list(believed.doubted),
        }

    def pops(self, *, name: str = "") -> list[Row]:
        """
        The POPs in the order of the configuration.

        :param name: only this one.
        """
        pops, unix, now = self._network.pops, self._unix(), self._state.now()
        believed = pops.believe()
        return [
            pop_row(
                pop,
                believed.rows[each],
                pops.health(each),
                self._network.checking.checks(pop_subject(each)),
                self._network.guard.standing(each, now),
                own=each == self._network.name,
                by=self._by(each, believed),
                heard_at=pops.heard_at(each),
                wall=unix,
            )
            for each, pop in pops.pops.items()
            if name in ("", each)
        ]

    def delivery(self, *, after: str = "", limit: int) -> list[Row]:
        """
        Customers' names by customer and name, and what somebody unknown would be answered now.

        :param after: only what comes after this row, given as its ``customer name``.
        """
        customer, _, name = after.partition(" ")
        places = (
            (delivery, each)
            for key, delivery in sorted(self._network.delivering.customers().items())
            if key >= customer
            for each in sorted({*delivery.pages, *delivery.static})
            if (key, each) > (customer, name)
        )
        return [self._delivery_row(delivery, each) for delivery, each in itertools.islice(places, limit)]

    def checked(self, server: str) -> Row:
        """What checks say of a server, to be laid into its row; all the same fields where it has none."""
        checking = self._network.checking
        row = measured_row(checking.server(server), checking.checks(server_subject(server)), self._unix())
        return row if checking.is_checked(server) else {**row, "measured": None}

    # -- what is wrong ---------------------------------------------------------------------------------------------

    def alarms(self) -> list[str]:
        """
        POPs that are down, that this one is alone, and customers' answers that are not as wanted.

        A POP that a person took out of service is no alarm.  What is said of answers is as of the last question;
        what was wrong then is looked at again.
        """
        found = []
        believed = self._network.pops.believe()
        if self._network.pops.pops and believed.standing is not Standing.AGREED:
            kept = believed.standing is Standing.ALONE_KEPT
            what = "what was last agreed on counts" if kept else "all configured POPs are answered"
            doubted = f" ({', '.join(believed.doubted)})" if believed.doubted else ""
            found.append(f"this POP is alone: whoever is heard{doubted} sees more than half of the others down; {what}")
        down = []
        for name in self._network.pops.pops:
            health = self._network.pops.health(name)
            if health.forced is None and not believed.rows[name].up:
                why = f": {health.reason}" if health.reason else ""
                down.append((name, f"down, {self._by(name, believed)}{why}"))
        return [*found, *few("pop", down, MOST_NAMED), *few("delivery", list(self._troubles()), MOST_NAMED)]

    def _troubles(self) -> Iterator[tuple[str, str]]:
        delivering, now = self._network.delivering, self._state.now()
        delivering.look_again(MOST_NAMES)
        for name in delivering.customers():
            _, _, over, whys = delivering.standing(name)
            for static, why in sorted(whys.items()):
                if why not in (Why.BEST, Why.ABSENT):
                    yield name, f"{'static' if static else 'pages'}: {WHYS[why.value]}"
            since = now - delivering.over_at(name)
            if since < OVER_FOR:
                yield name, f"static: answered over capacity {span(since)} ago, {over} times so far"

    # -- inside ----------------------------------------------------------------------------------------------------

    def _by(self, pop: str, believed: Believed) -> str:
        """Who says that it is up or down."""
        if self._network.pops.health(pop).forced is not None:
            return "forced"
        if believed.standing is not Standing.AGREED:
            return "kept" if believed.standing is Standing.ALONE_KEPT else "configured"
        others = any(each not in (self._network.name, pop) for each in believed.observers)
        return "agreed" if others else "own"

    def _delivery_row(self, delivery: Delivery, name: str) -> Row:
        delivering = self._network.delivering
        kind = kind_of(delivery, name)
        said = {}
        for family in (4, 6):
            told = delivering.foretell(from_text(name), family, SOMEBODY)
            assert told is not None
            said[family] = {
                "answer": [str(each.address) for each in told.named],
                "why": "over capacity" if told.over else told.choice.why.value,
                "ttl": told.ttl,
            }
            if told.delivery.name != delivery.name:
                # The first customer of a shared name has it.
                said[family]["why"] = f"as {told.delivery.name}"
        questions, answers, over, _ = delivering.standing(delivery.name)
        return delivery_row(delivery, name, kind, said, questions, answers, over)


def kind_of(delivery: Delivery, name: str) -> str:
    """``page``, ``static``, or ``both`` for a name that a POP answers and passes pages on for (3.3)."""
    if name not in delivery.static:
        return "page"
    return "both" if name in delivery.pages else "static"
