"""All that looks at others: the prober, and who asks POPs for their rows, as one service."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.application.service import Service

from appliance.model.delivery import Pop
from appliance.model.health import Rows
from appliance.polling import Reactor
from appliance.probe.gossip import Gossip
from appliance.probe.prober import Prober, Watch


class Looking(Service):
    """
    :param watch: knows what to check; ``take``: what to do with another POP's rows.
    """

    name = "looking"

    def __init__(self, reactor: Reactor, watch: Watch, take: Callable[[Rows], bool]) -> None:
        self.prober = Prober(reactor, watch)
        self.gossip = Gossip(reactor, self.prober, take)

    def configure(self, others: Iterable[Pop]) -> None:
        """These are the other POPs."""
        self.gossip.configure(others)

    def startService(self) -> None:
        super().startService()
        self.prober.startService()
        self.gossip.startService()

    def stopService(self) -> None:
        """Nothing is begun any more, and what is under way ends unheard."""
        super().stopService()
        self.gossip.stopService()
        self.prober.stopService()
