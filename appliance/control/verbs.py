"""What a person at the manhole can ask and do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import dns.exception
import dns.rcode
import dns.rdatatype
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from appliance.control.changing import Changing
from appliance.control.orders import Orders
from appliance.control.reading import MOST_ROWS, Reading
from appliance.errors import RequestError
from appliance.naming import Answer, Question, from_text, to_text
from appliance.shared import SharedState
from appliance.views import as_table, explanation_text, for_people, market_text, order_text, pops_text, status_text


class Verbs:
    """Each verb prints, or returns a Deferred of its text; ``help()`` says which there are."""

    def __init__(self, state: SharedState, reading: Reading, changing: Changing, orders: Orders) -> None:
        self._state = state
        self._reading = reading
        self._changing = changing
        self._orders = orders

    def namespace(self) -> dict[str, object]:
        """The verbs by name, and the state itself."""
        verbs = (
            self.status,
            self.pools,
            self.leases,
            self.sites,
            self.virtuals,
            self.servers,
            self.clients,
            self.connections,
            self.nat_pools,
            self.pops,
            self.delivery,
            self.market,
            self.explain,
            self.history,
            self.answer,
            self.release,
            self.pin,
            self.unpin,
            self.virtual,
            self.real,
            self.bind,
            self.unbind,
            self.assign,
            self.unassign,
            self.backup,
            self.in_service,
            self.out_of_service,
            self.drain,
            self.revert,
            self.snapshot,
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
        """What this process is, what is wrong with it, and what has happened since it started."""
        print(status_text(self._reading.status()))

    def pools(self) -> None:
        """Each pool, and how many of its addresses are what."""
        self._table("pools", self._reading.pools())

    def leases(self) -> None:
        """Who holds which address until when."""
        self._table("leases", self._reading.leases())

    def sites(self) -> None:
        """Each site, its addresses and its servers."""
        self._table("sites", self._reading.sites())

    def virtuals(self) -> None:
        """Each virtual server: its state, its servers, and what it carries."""
        self._table("virtuals", self._reading.carried.virtuals(limit=MOST_ROWS))

    def servers(self) -> None:
        """Each real server: its state, its connections, and how it answers."""
        self._table("servers", self._reading.carried.servers(limit=MOST_ROWS))

    def clients(self) -> None:
        """Who is assigned to which instance, and by what."""
        self._table("clients", self._reading.carried.clients(limit=MOST_ROWS))

    def connections(self) -> None:
        """What the NAT carries now."""
        self._table("connections", self._reading.connections())

    def nat_pools(self) -> None:
        """Each client NAT pool, and how many of its pairs are what."""
        self._table("nat-pools", self._reading.carried.nat_pools())

    def pops(self) -> None:
        """Each POP: who says that it is up, how near and how busy it is, and what was promised of it."""
        delivered = self._reading.delivered
        print(pops_text({"items": delivered.pops(), **delivered.standing()}, time.time()))

    def delivery(self) -> None:
        """Each customer's name, and what it would be answered with now."""
        self._table("delivery", self._reading.delivered.delivery(limit=MOST_ROWS))

    def market(self) -> None:
        """What of the POP's capacity is unused, now and in the coming hours."""
        print(market_text(self._reading.market.market()))

    def explain(self, name: str, rdtype: str = "A") -> None:
        """explain(name, type='A'): what would be answered now, and every number behind it; changes nothing."""
        self._say(lambda: self._reading.explain(name, rdtype), explanation_text)

    def answer(self, name: str, rdtype: str = "A") -> None:
        """answer(name, type='A'): answer a question as if it had been asked; this leases and renews."""
        try:
            question = Question(from_text(name), dns.rdatatype.from_text(rdtype))
        except dns.exception.DNSException as error:
            print(f"{name} {rdtype} is no question: {error}")
            return
        answer = self._state.answer(question)
        if isinstance(answer, Deferred):
            print("granted, when it is on the disk; ask again")
        else:
            print_answer(answer)

    def release(self, address: str, site: str = "", *, now: bool = False) -> None:
        """release(address, site='', now=False): end a lease: drain it, or end its connections now."""
        self._say(lambda: self._changing.release({"address": address, "site": site, "now": now}))

    def pin(self, site: str, address: str) -> None:
        """pin(site, address): give a site an address for good."""
        self._say(lambda: self._changing.pin({"site": site, "address": address}))

    def unpin(self, site: str) -> None:
        """unpin(site): the site leases like others again."""
        self._say(lambda: self._changing.unpin({"site": site}))

    def virtual(self, virtual: str, state: str = "") -> None:
        """virtual(V, state=''): show SITE[:PORT[/udp][:BIND]], or let it be 'in-service' or 'out-of-service'."""
        self._order(self._orders.virtual, {"virtual": virtual, "state": state})

    def real(self, real: str, state: str = "", **limits: int) -> None:
        """real(R, state='', weight=N, threshold=N, max_connections=N): show a server, or change it."""
        self._order(self._orders.real, {"real": real, "state": state, **limits})

    def bind(self, virtual: str, real: str) -> None:
        """bind(V, R): let a real server take a virtual server's connections."""
        self._order(self._orders.bind, {"virtual": virtual, "real": real})

    def unbind(self, virtual: str, real: str) -> None:
        """unbind(V, R): let it take none of them any more."""
        self._order(self._orders.unbind, {"virtual": virtual, "real": real})

    def assign(self, virtual: str, client: str) -> None:
        """assign(V, client): make an address, or a prefix, one of an instance."""
        self._order(self._orders.assign, {"virtual": virtual, "client": client})

    def unassign(self, virtual: str, client: str) -> None:
        """unassign(V, client): let it be one no more."""
        self._order(self._orders.unassign, {"virtual": virtual, "client": client})

    def backup(self, name: str, backup: str | None, kind: str = "") -> None:
        """backup(name, BACKUP or None): who takes its connections while it is failed."""
        self._order(self._orders.backup, {"name": name, "backup": backup, "kind": kind})

    def in_service(self, name: str, kind: str = "") -> None:
        """in_service(name, kind=''): let it take new connections; kind is 'real' or 'virtual', where it is both."""
        self._order(self._orders.in_service, {"name": name, "kind": kind})

    def out_of_service(self, name: str, kind: str = "") -> None:
        """out_of_service(name, kind=''): let it take none; those that exist go on."""
        self._order(self._orders.out_of_service, {"name": name, "kind": kind})

    def drain(self, name: str, kind: str = "") -> None:
        """drain(name, kind=''): let it take none, and say how many are left."""
        self._order(self._orders.drain, {"name": name, "kind": kind})

    def revert(self, name: str, setting: str = "", kind: str = "") -> None:
        """revert(name, setting='', kind=''): take back what was changed by hand: the file holds again."""
        self._order(self._orders.revert, {"name": name, "setting": setting, "kind": kind})

    def history(self, address: str, at: float | None = None) -> Deferred[str]:
        """history(address, at=None): who holds it and who held it, or who did at that Unix time."""
        return _told(
            lambda: self._reading.history(address, at),
            lambda rows: as_table(for_people("history", rows, time.time())),
        )

    def snapshot(self) -> Deferred[str]:
        """Write the state to the disk now, as USR1 does."""
        return _told(lambda: self._changing.snapshot({}), lambda _: "written")

    def reload(self) -> Deferred[str]:
        """Read the configuration again, as HUP does."""
        return _told(lambda: self._changing.reload({}), lambda found: str(found["reload"]))

    def _table(self, what: str, rows: list[dict[str, Any]]) -> None:
        print(as_table(for_people(what, rows, time.time())))
        if len(rows) == MOST_ROWS:
            print(f"(the first {MOST_ROWS}; 'appliance {what}' shows all)")

    def _order(self, verb: Callable[[Mapping[str, Any]], Mapping[str, Any]], request: Mapping[str, object]) -> None:
        self._say(lambda: verb(request), lambda found: order_text(found, time.time()))

    def _say(
        self, verb: Callable[[], Mapping[str, Any]], text: Callable[[Mapping[str, Any]], str] | None = None
    ) -> None:
        try:
            found = verb()
        except RequestError as error:
            print(error)
        else:
            print(text(found) if text is not None else " ".join(map(str, found.values())))


def _told(verb: Callable[[], Deferred[Any]], text: Callable[[Any], str]) -> Deferred[str]:
    """What takes a while: the prompt waits for its text."""

    def refused(failure: Failure) -> str:
        failure.trap(RequestError)
        return str(failure.value)

    return maybeDeferred(verb).addCallback(text).addErrback(refused)


def print_answer(answer: Answer | None) -> None:
    """As dig would."""
    if answer is None:
        print("(dropped: there is no address)")
        return
    print(dns.rcode.to_text(answer.rcode), answer.error.text if answer.error is not None else "")
    for rrset in (*answer.answer, *answer.authority, *answer.additional):
        for rdata in rrset.rdatas:
            print(f"{to_text(rrset.owner)} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}")
