"""
Where connections go, and from which source: balancing and client NAT pools with the one clock.

The NAT asks; what happens to servers and clients is told to all who follow events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from twisted.internet.defer import Deferred

from appliance.balancing import (
    Balancer,
    Carried,
    ClientRow,
    Decision,
    Override,
    Refused,
    Route,
    ServerRow,
    Ticket,
    Turned,
    VirtualRow,
    Wait,
)
from appliance.balancing.events import Overridden, OverrideEnded, ServerBack, ServerFailed, VirtualBack, VirtualFailed
from appliance.balancing.rows import Place, Where
from appliance.errors import BalancingError
from appliance.events import Event
from appliance.events import Override as Recorded
from appliance.model import NatPool, Server, Site, Transport
from appliance.ports import Block, Counts
from appliance.shared.overrides import Overrides
from appliance.shared.sources import Sources
from appliance.shared.telling import Telling


def servers_of(site: Site) -> Iterator[Server]:
    """Its own, and those of its instances."""
    yield from site.servers
    for instance in site.instances:
        yield from instance.servers


class Carrying:
    """
    :param nearer: called when :meth:`next_deadline` came nearer without an event.
    :param recorded: what persons have changed, as a snapshot has it.
    :ivar failing: names of servers and virtual servers that have failed and are not back, perhaps of some that were.
    :ivar proceed: who is told what becomes of connections that waited; ``reset``: whose connections to a server end;
        ``live``: the tickets of all that is carried.
    """

    def __init__(
        self, seconds: Callable[[], float], telling: Telling, nearer: Callable[[], None], recorded: Overrides
    ) -> None:
        self._seconds = seconds
        self._telling = telling
        self._nearer = nearer
        self._recorded = recorded
        self._wake_at = math.inf
        self._balancer = Balancer()
        self._servers: Mapping[str, Server] = {}
        self._sources = Sources(seconds, self._look_at)
        self.failing: set[str] = set()
        self.proceed: Callable[[Iterable[Decision]], None] = lambda decisions: None
        self.reset: Callable[[str], None] = lambda server: None
        self.live: Callable[[], Iterable[Ticket]] = tuple

    # -- following the configuration -----------------------------------------------------------------------------------

    def configure(
        self, sites: Mapping[str, Site], servers: Mapping[str, Server], client_nat: Mapping[str, NatPool]
    ) -> None:
        """
        Take over a configuration.

        :param sites: those that have left it, but hold an address still, included: their clients are carried on.
        :param servers: the named ones, which may be somebody's backup.
        """
        now = self._seconds()
        self._servers = {**{server.name: server for site in sites.values() for server in servers_of(site)}, **servers}
        self._sources.configure(client_nat, {site.client_nat for site in sites.values()})
        self._balancer.configure(sites, servers, now, self.live())
        self._after()
        if self.failing:
            self.failing &= {*(row.name for row in self.virtuals()), *(row.name for row in self.servers())}

    def probed(self, server: str, up: bool, reason: str) -> None:
        """What a server's probes say: :meth:`Balancer.probed`.  It is not recorded; a start takes servers to be up."""
        self._balancer.probed(server, up, reason, self._seconds())
        self._after()

    # -- people --------------------------------------------------------------------------------------------------------

    def virtuals(self) -> list[VirtualRow]:
        return self._balancer.virtuals(self._seconds())

    def servers(self) -> list[ServerRow]:
        return self._balancer.servers(self._seconds())

    def clients(self, place: Place, after: Where | None, limit: int) -> list[ClientRow]:
        return self._balancer.clients(self._seconds(), place, after, limit)

    def nat_pools(self) -> list[tuple[NatPool, Transport, Counts]]:
        """Each client NAT pool: :meth:`Sources.counts`."""
        return self._sources.counts()

    def at(self, server: str) -> Carried | None:
        """How a server stands; None: nobody has it."""
        return self._balancer.at(server)

    def live_at(self, servers: Iterable[str]) -> int:
        """Connections that these have together, each name once; nobody's server has none.  O(servers)."""
        standing = (self._balancer.at(server) for server in servers)
        return sum(each.live for each in standing if each is not None)

    def canonical(self, subject: str) -> str:
        """
        The one way in which a server or virtual server is written: ``server NAME`` or ``virtual SITE:PORT[/udp]:BIND``.

        :param subject: as :meth:`Balancer.override` takes it.
        :raises BalancingError: there is no such one, or several.
        """
        return self._balancer.canonical(subject)

    def overrides(self) -> list[Override]:
        """What persons have changed, and what the file says of it; in the order in which they did."""
        return self._balancer.overrides()

    def override(self, subject: str, setting: str, value: str | None) -> Override | None:
        """
        Change something at run time (5.10), and have it on the way to the disk.

        :param subject: ``server NAME`` or ``virtual SITE:PORT:BIND``; ``Balancer.override`` says what can be set.
        :param value: None takes the change back.
        :return: what lies over the file now; None where the file holds.
        :raises BalancingError: and nothing has changed.
        """
        if value is not None and self._recorded.is_full and self._recorded.of(subject, setting) is None:
            count = len(self._recorded)
            raise BalancingError("too-many", f"{count} settings differ from the file; write them into it, and reload")
        override = self._balancer.override(subject, setting, value, self._seconds())
        self._after()
        return override

    def override_all(self, subject: str, settings: Mapping[str, str]) -> dict[str, Override | None]:
        """
        Change several things of one subject, or none of them.

        :param settings: with ``made`` it is the first.
        :return: by setting, what :meth:`override` returns.
        :raises BalancingError: and all is as it was.
        """
        former: dict[str, str] = {}
        if "made" not in settings:
            known = self.canonical(subject)
            former = {each.setting: each.value for each in self.overrides() if each.subject == known}
        done: dict[str, Override | None] = {}
        for setting, value in settings.items():
            try:
                done[setting] = self.override(subject, setting, value)
            except BalancingError:
                for changed in reversed(done):
                    self.override(subject, changed, former.get(changed))
                raise
        return done

    def durable(self) -> Deferred[None] | None:
        """When what persons have changed so far cannot be lost any more; as :meth:`Journal.durable`."""
        return self._telling.durable()

    def restore(self) -> None:
        """Take up what persons had changed before this process; what does not fit the configuration any more ends."""
        now = self._seconds()
        # Those of POPs are not its business.
        found = [each for each in self._recorded.current() if not each.subject.startswith("pop ")]
        overrides = [Override(each.subject, each.setting, each.value or "", each.configured or "") for each in found]
        dropped = self._balancer.restore(overrides, now)
        self._after()
        reason = "it does not fit the configuration any more"
        self._telling.publish(
            self._as_recorded(OverrideEnded(at=now, override=each, reason=reason)) for each in dropped
        )

    def _as_recorded(self, event: Event) -> Event:
        """What is journalled and told of an event of the balancing."""
        if not isinstance(event, Overridden | OverrideEnded):
            return event
        order, ended = event.override, isinstance(event, OverrideEnded)
        recorded = Recorded(
            at=event.at,
            subject=order.subject,
            setting=order.setting,
            value=None if ended else order.value,
            configured=order.configured,
            reason=event.reason if isinstance(event, OverrideEnded) else "",
        )
        self._recorded.put(recorded)
        return recorded

    # -- the NAT's questions -----------------------------------------------------------------------------------------

    def begin(self, site: str, key: int, client: int, home: str) -> Route | Wait | Turned | Refused:
        decision = self._balancer.begin(site, key, client, self._seconds(), home=home)
        self._after()
        return decision

    def connected(self, ticket: Ticket) -> None:
        self._balancer.connected(ticket, self._seconds())
        self._after()

    def first_byte(self, ticket: Ticket) -> None:
        self._balancer.first_byte(ticket, self._seconds())

    def failed(self, ticket: Ticket, why: str, *, refused: bool) -> Route | Wait | Refused:
        decision = self._balancer.failed(ticket, self._seconds(), why, refused=refused)
        self._after()
        return decision

    def ended(self, ticket: Ticket, received: int, sent: int) -> None:
        decisions = self._balancer.ended(ticket, self._seconds(), received=received, sent=sent)
        self._after(decisions)

    def take_source(self, pool: str, transport: Transport) -> Block | None:
        return self._sources.take(pool, transport)

    def give_source(self, pool: str, transport: Transport, source: Block) -> None:
        self._sources.give(pool, transport, source)

    # -- time ----------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling."""
        deadlines = (self._balancer.next_deadline(), self._sources.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def due(self) -> None:
        """Do what time brings."""
        now = self._seconds()
        self._wake_at = math.inf
        self._sources.due()
        at = self._balancer.next_deadline()
        if at is not None and at <= now:
            self._after(self._balancer.due(now))

    def _after(self, decisions: Sequence[Decision] = ()) -> None:
        """Tell of what happened, and those who waited of what becomes of them."""
        if not decisions and not self._balancer.has_news():
            return  # as after nearly every connection
        events = self._balancer.happened()
        if events:
            self._telling.publish([self._as_recorded(event) for event in events])
            for event in events:
                if isinstance(event, ServerFailed | VirtualFailed):
                    self.failing.add(event.server if isinstance(event, ServerFailed) else event.virtual)
                elif isinstance(event, ServerBack | VirtualBack):
                    self.failing.discard(event.server if isinstance(event, ServerBack) else event.virtual)
                if isinstance(event, ServerFailed):
                    server = self._servers.get(event.server)
                    if server is not None and server.reset_on_failure:
                        self.reset(event.server)
        if decisions:
            self.proceed(decisions)
        self._look_at(self._balancer.next_deadline())

    def _look_at(self, at: float | None) -> None:
        """A deadline, which is perhaps the next of all now: nobody else tells of it."""
        if at is not None and at < self._wake_at:
            self._wake_at = at
            self._nearer()
