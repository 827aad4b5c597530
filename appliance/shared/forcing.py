"""
POPs that a person has taken out of service here, whatever is measured of them (3.2); it outlasts restarts.

Only this POP's answers follow.  What it tells the others is what it has measured, so that an order is never taken for
an observation: whoever wants a POP out of all answers orders so at each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from appliance.errors import RequestError
from appliance.events import Override
from appliance.model import Forced
from appliance.shared.checking import Checking, pop_subject
from appliance.shared.overrides import Overrides
from appliance.shared.telling import Telling

SETTING = "state"
IN_SERVICE, OUT_OF_SERVICE = "in-service", "out-of-service"


class Forcing:
    """
    :param recorded: what persons have changed, as a snapshot has it; that of servers is among it.
    """

    def __init__(self, seconds: Callable[[], float], telling: Telling, checking: Checking, recorded: Overrides) -> None:
        self._seconds = seconds
        self._telling = telling
        self._checking = checking
        self._recorded = recorded
        self._pops: Collection[str] = ()

    def configure(self, pops: Collection[str]) -> None:
        """These there are; what was ordered of those that have left ends."""
        gone = [name for name in self._pops if name not in pops]
        self._pops = pops
        for name in gone:
            if self.of(name) is not None:
                self._end(name, "it is not in the file any more")

    def of(self, pop: str) -> Override | None:
        """What was ordered of it; None: nothing."""
        return self._recorded.of(pop_subject(pop), SETTING)

    def order(self, pop: str, state: str) -> Override | None:
        """
        Let it be out of service, or in service as the file says and the checks find; it is on its way to the disk.

        :return: what lies over the file now; None where the file holds.
        :raises RequestError: there is no such POP, no such state, or too much was ordered already.
        """
        if pop not in self._pops:
            raise RequestError("not-found", f"no POP '{pop}'; there is {', '.join(self._pops) or 'none'}", field="name")
        if state not in (IN_SERVICE, OUT_OF_SERVICE):
            raise RequestError("invalid", f"found '{state}'; allowed: {IN_SERVICE} or {OUT_OF_SERVICE}", field="state")
        override = self.of(pop)
        if state == IN_SERVICE:
            if override is not None:
                self._end(pop, "")
                self._checking.force(pop_subject(pop), None)
            return None
        if override is None:
            if self._recorded.is_full:
                count = len(self._recorded)
                raise RequestError("too-many", f"{count} settings differ from the file; write them into it, and reload")
            override = Override(
                at=self._seconds(),
                subject=pop_subject(pop),
                setting=SETTING,
                value=OUT_OF_SERVICE,
                configured=IN_SERVICE,
            )
            self._recorded.put(override)
            self._telling.publish([override])
            self._checking.force(pop_subject(pop), Forced.DOWN)
        return override

    def restore(self) -> None:
        """Take up what persons had ordered before this process; of a POP that is not there any more it ends."""
        for each in list(self._recorded.current()):
            kind, _, name = each.subject.partition(" ")
            if kind != "pop":
                continue
            if name in self._pops:
                self._checking.force(each.subject, Forced.DOWN)
            else:
                self._end(name, "it is not in the file any more")

    def _end(self, pop: str, reason: str) -> None:
        ended = Override(
            at=self._seconds(),
            subject=pop_subject(pop),
            setting=SETTING,
            value=None,
            configured=IN_SERVICE,
            reason=reason,
        )
        self._recorded.put(ended)
        self._telling.publish([ended])
