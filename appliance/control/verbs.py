"""What a person at the manhole can ask and do."""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import dns.rcode
import dns.rdatatype

from appliance.naming import Question, from_text, to_text
from appliance.shared import SharedState
from appliance.views import as_table, lease_rows, pool_rows, site_rows


class Verbs:
    """
    Each verb prints; ``help()`` says which there are.

    :param reload: reads the configuration again; returns what to tell the person.
    :param connection_rows: the connections that the NAT carries, as dicts.
    """

    def __init__(
        self,
        state: SharedState,
        *,
        version: str,
        reload: Callable[[], str],
        connection_rows: Callable[[], list[dict[str, object]]],
    ) -> None:
        self._state = state
        self._version = version
        self._reload = reload
        self._connection_rows = connection_rows
        self._started_at = state.now()

    def namespace(self) -> dict[str, object]:
        """The verbs by name, and the state itself."""
        verbs = (
            self.status,
            self.pools,
            self.leases,
            self.sites,
            self.connections,
            self.explain,
            self.answer,
            self.reload,
        )
        return {"state": self._state, "help": self.help, **{verb.__name__: verb for verb in verbs}}

    def help(self) -> None:
        """This list."""
        for name, verb in self.namespace().items():
            if name != "state":
                print(f"{name + '()':<20} {(verb.__doc__ or '').strip().splitlines()[0]}")
        print(f"{'state':<20} SharedState: the tables themselves; look, do not change")

    def status(self) -> None:
        """What this process is and what has happened since it started."""
        print(f"appliance {self._version}, up {self._state.now() - self._started_at:.0f} s")
        for name, count in sorted(self._state.happened.items()):
            print(f"{name:<20} {count}")

    def pools(self) -> None:
        """Each pool, and how many of its addresses are what."""
        now = self._state.now()
        counts = {name: table.counts(now) for name, table in self._state.tables().items()}
        pressures = {name: table.pressure() for name, table in self._state.tables().items()}
        print(as_table(pool_rows(counts, pressures, self._state.pools)))

    def leases(self) -> None:
        """Who holds which address until when."""
        held = (lease for table in self._state.tables().values() for lease in table.held())
        print(as_table(lease_rows(held, self._state.connections.count, self._state.now())))

    def sites(self) -> None:
        """Each site, its address and its server."""
        leases = {}
        for site in self._state.sites.values():
            lease = self._state.tables()[site.pool].lease_of(site.name)
            if lease is not None:
                leases[site.name] = lease
        print(as_table(site_rows(self._state.sites.values(), leases, self._state.now())))

    def connections(self) -> None:
        """What the NAT carries now."""
        print(as_table(self._connection_rows()))

    def explain(self, name: str) -> None:
        """explain(name): what the next answer for a site would promise, and each factor of it; changes nothing."""
        site = self._state.sites.get(name.lower().removesuffix("."))
        if site is None:
            print(f"{name} is no site; sites() lists them")
            return
        table, now = self._state.tables()[site.pool], self._state.now()
        span, lease = table.explain(site.name, now), table.lease_of(site.name)
        holds = f"{lease.state.value} {lease.address}" if lease is not None else "no lease"
        limit = f", limited by {span.limit}" if span.limit else ""
        print(f"{site.name}: {holds}; next TTL {span.ttl} s")
        print(f"  base {span.base:g} s x demand {span.demand:.2f} x pressure {span.pressure:.2f}{limit}")

    def answer(self, name: str, rdtype: str = "A") -> None:
        """answer(name, type='A'): answer a question as if it had been asked; this leases and renews."""
        try:
            question = Question(from_text(name), dns.rdatatype.from_text(rdtype))
        except dns.exception.DNSException as error:
            print(f"{name} {rdtype} is no question: {error}")
            return
        answer = self._state.answer(question)
        if answer is None:
            print("(dropped: the pool is exhausted)")
            return
        print(dns.rcode.to_text(answer.rcode))
        for rrset in (*answer.answer, *answer.authority, *answer.additional):
            for rdata in rrset.rdatas:
                print(f"{to_text(rrset.owner)} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}")

    def reload(self) -> None:
        """Read the configuration again, as HUP does."""
        print(self._reload())
