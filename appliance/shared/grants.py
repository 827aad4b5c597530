"""
A new lease, from the gates to the disk.

Only new leases come here: a name that is leased is answered to anyone.  While a grant waits for the disk, others who
ask for the same site wait with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.errors import Blame, DataPathError
from appliance.events import AddressDeclined, LeaseGranted, PoolExhausted, State
from appliance.interfaces import DataPath, Journal
from appliance.leasing import Lease, LeaseTable, Plan, Promise, Verdict, prefix_of
from appliance.model import Asker, Proof, Site
from appliance.shared.horizon import Horizon
from appliance.shared.outcome import REFUSAL_OF, Refusal
from appliance.shared.telling import Telling

MAX_DECLINES = 3
"""Most addresses that one grant tries before it gives up."""

MOST_JOINED = 1000
"""Most who wait for one grant; who asks beyond is refused, and may ask again."""

RECLAIM_ON_DEMAND = 16
"""Most deadlines that a grant looks at when the reaper is late."""

Outcome = Promise | Refusal


class Grants:
    """
    :param seconds: the one clock.
    :ivar denied: refusals by their value, and grants that were given under ``granted``.
    """

    _log = Logger()

    def __init__(
        self,
        seconds: Callable[[], float],
        journal: Journal,
        data_path: DataPath,
        telling: Telling,
        horizon: Horizon,
    ) -> None:
        self._seconds = seconds
        self._journal = journal
        self._data_path = data_path
        self._telling = telling
        self._horizon = horizon
        self._joined: dict[str, list[Deferred[Outcome]]] = {}
        self._exhausted: set[str] = set()
        self.denied: Counter[str] = Counter()

    def grant(self, site: Site, table: LeaseTable, asker: Asker | None) -> Outcome | Deferred[Outcome]:
        """
        Lease an address to a site that has none.

        :param asker: None where the question comes from this process's own people, who pass every gate.
        :return: a Deferred where the answer has to wait for the disk.
        """
        if site.name in self._joined:
            if len(self._joined[site.name]) >= MOST_JOINED:
                return Refusal.JOURNAL
            joined: Deferred[Outcome] = Deferred()
            self._joined[site.name].append(joined)
            return joined
        now = self._seconds()
        if (deadline := table.ending.next_deadline()) is not None and deadline <= now:
            # The reaper is late; an address that is due is not a reason to refuse.
            self._telling.publish(table.ending.reclaim(now, limit=RECLAIM_ON_DEMAND))
        refusal = self._judge(site, table, asker, now)
        if refusal is not None:
            return self._refuse(refusal, site, now)
        outcome = self._try(site, table, asker, now)
        return outcome if outcome is not None else self._refuse(Refusal.EXHAUSTED, site, now)

    def grow(self, site: Site, table: LeaseTable, asker: Asker | None) -> None:
        """
        Give a site one more address where it is due (1.5).

        Nobody waits for it: the answer that led here names an address that the site has.
        """
        now = self._seconds()
        if site.name not in self._joined and self._judge(site, table, asker, now) is None:
            self._try(site, table, asker, now)

    def _judge(self, site: Site, table: LeaseTable, asker: Asker | None, now: float) -> Refusal | None:
        if self._journal.failure is not None:
            return Refusal.JOURNAL
        if asker is None:
            return None
        verdict = table.judge(asker, site.name, now)
        return None if verdict is Verdict.OPEN else REFUSAL_OF[verdict]

    def _refuse(self, refusal: Refusal, site: Site, now: float) -> Refusal:
        self.denied[refusal.value] += 1
        if refusal in (Refusal.EXHAUSTED, Refusal.JOURNAL) and site.pool not in self._exhausted:
            self._exhausted.add(site.pool)
            self._telling.publish([PoolExhausted(at=now, pool=site.pool, site=site.name)])
        return refusal

    def _try(
        self, site: Site, table: LeaseTable, asker: Asker | None, now: float
    ) -> Outcome | Deferred[Outcome] | None:
        """:return: None when no address can be had."""
        for _ in range(MAX_DECLINES):
            plan = table.granting.plan(site, now)
            if plan is None:
                break
            blame = self._open(table, plan, site)
            if blame is None:
                return self._commit(site, table, plan, asker)
            if blame is Blame.PROCESS:
                break
        return None

    def _open(self, table: LeaseTable, plan: Plan, site: Site) -> Blame | None:
        """Open the data path of a plan; where the address or the port is to blame, it is declined."""
        server = next(server for server in site.servers if server.name == plan.server)
        try:
            self._data_path.open(plan.address, site, server)
        except DataPathError as error:
            if error.blame is Blame.PROCESS:
                return error.blame
            by_all = error.blame is Blame.ADDRESS
            until = table.granting.decline(plan, by_all=by_all)
            declined = AddressDeclined(
                at=plan.at,
                pool=site.pool,
                address=plan.address,
                site=site.name,
                by_all=by_all,
                reason=str(error),
                until=until,
            )
            self._telling.publish([declined])
            return error.blame
        return None

    def _commit(self, site: Site, table: LeaseTable, plan: Plan, asker: Asker | None) -> Outcome | Deferred[Outcome]:
        """Make a plan true, and wait until it cannot be lost."""
        asked_by = prefix_of(asker.source, table.pool.quota) if asker is not None else 0
        proven = asker is not None and asker.proof > Proof.NONE
        goes_on = plan.former is not None and plan.former.state is not State.COOLING
        former = table.record(plan.former, plan.at) if plan.former is not None and goes_on else None
        lease = table.granting.commit(plan, asked_by=asked_by, proven=proven)
        self._horizon.begin(lease, plan.ttl)
        granted = LeaseGranted(at=plan.at, lease=table.record(lease, plan.at), former=former)
        self._journal.record(granted)
        waiting = self._journal.durable()
        if waiting is None:
            return self._confirm(table, plan, lease, granted)
        first: Deferred[Outcome] = Deferred()
        self._joined[site.name] = [first]

        def written(_: None) -> Outcome:
            return self._confirm(table, plan, lease, granted)

        def failed(failure: Failure) -> Outcome:
            now = self._seconds()
            self._telling.publish(table.granting.undo(plan, lease, now))
            return self._refuse(Refusal.JOURNAL, site, now)

        outcome: Deferred[Outcome] = waiting.addCallbacks(written, failed)
        outcome.addBoth(lambda result: self._tell_joined(result, site))
        return first

    def _confirm(self, table: LeaseTable, plan: Plan, lease: Lease, granted: LeaseGranted) -> Outcome:
        lease.durable_until = max(lease.durable_until, lease.horizon)
        promise = table.granting.confirm(plan, lease, self._seconds())
        self._exhausted.discard(table.pool.name)
        self.denied["granted"] += 1
        self._telling.deliver([granted])
        return promise if promise is not None else Refusal.JOURNAL

    def _tell_joined(self, outcome: Outcome | Failure, site: Site) -> None:
        """Everybody who waited for this grant goes on; our own bug goes to each as it is."""
        for joined in self._joined.pop(site.name):
            joined.callback(outcome)
