"""
The rows of other POPs, asked for every interval (requirement 3.2).

Each POP is asked by itself, with its own interval and a random phase, so that many appliances which were started
together do not ask together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from appliance.model.delivery import Pop
from appliance.model.health import Result, Rows
from appliance.polling import Reactor
from appliance.probe.conversation import shown
from appliance.probe.prober import Prober

TIMEOUT = 2.0
"""Seconds, or the POP's interval where that is less."""
JITTER = 0.1


@attrs.define(eq=False)
class _Asked:
    """:param call: when it is asked next; ``told``: what was wrong, as it was logged."""

    pop: Pop
    call: IDelayedCall | None = None
    told: str = ""


class Gossip(Service):
    """
    :param take: what to do with rows of the POP that was asked; False: they are of no use.
    """

    name = "gossip"
    _log = Logger()

    def __init__(
        self, reactor: Reactor, prober: Prober, take: Callable[[Rows], bool], rng: random.Random | None = None
    ) -> None:
        self._reactor = reactor
        self._prober = prober
        self._take = take
        self._rng = rng or random.Random()  # noqa: S311 - of jitter, not of secrets
        self._asked: dict[str, _Asked] = {}

    def configure(self, pops: Iterable[Pop]) -> None:
        """Ask these, as far as they have a listener for others."""
        former, self._asked = self._asked, {}
        for pop in pops:
            if pop.peers is None:
                continue
            asked = former.pop(pop.name, None)
            if asked is None or asked.pop != pop:
                if asked is not None:
                    self._forget(asked)
                asked = _Asked(pop)
                if self.running:
                    self._later(asked, self._rng.random())
            self._asked[pop.name] = asked
        for asked in former.values():
            self._forget(asked)

    def startService(self) -> None:
        super().startService()
        for asked in self._asked.values():
            self._later(asked, self._rng.random())

    def stopService(self) -> None:
        """Nothing more is asked; what is under way ends with the prober."""
        super().stopService()
        for asked in self._asked.values():
            self._forget(asked)

    def _later(self, asked: _Asked, intervals: float) -> None:
        asked.call = self._reactor.callLater(asked.pop.interval * intervals, self._ask, asked)

    def _forget(self, asked: _Asked) -> None:
        if asked.call is not None and asked.call.active():
            asked.call.cancel()
        asked.call = None

    def _ask(self, asked: _Asked) -> None:
        self._later(asked, 1.0 - JITTER + 2.0 * JITTER * self._rng.random())
        assert asked.pop.peers is not None
        timeout = min(TIMEOUT, asked.pop.interval * (1.0 - JITTER))
        try:
            self._prober.rows(asked.pop.peers, timeout, lambda result, rows: self._heard(asked, result, rows))
        except Exception:
            self._log.failure("{event}: {pop} could not be asked", event="gossip-failed", pop=asked.pop.name)

    def _heard(self, asked: _Asked, result: Result, rows: Rows | None) -> None:
        if self._asked.get(asked.pop.name) is not asked:
            return
        wrong = ""
        if rows is None:
            wrong = str(result)
        elif rows.observer != asked.pop.name:
            wrong = (
                f"it says that it is {shown(rows.observer)}; its appliance.name and its name in pops must be the same"
            )
        else:
            self._take(rows)
        if wrong and not asked.told:
            self._log.warn("{event}: {pop}: {reason}", event="pop-unheard", pop=asked.pop.name, reason=wrong)
        elif asked.told and not wrong:
            self._log.info("{event}: {pop}", event="pop-heard", pop=asked.pop.name)
        asked.told = wrong
