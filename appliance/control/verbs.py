"""What a person at the manhole can ask and do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import dns.exception
import dns.rcode
import dns.rdatatype
from twisted.internet.defer import Deferred

from appliance.control.changing import Changing
from appliance.control.reading import MOST_ROWS, Reading
from appliance.errors import RequestError
from appliance.naming import Answer, Question, from_text, to_text
from appliance.shared import SharedState
from appliance.views import as_table, explanation_text, for_people, status_text


class Verbs:
    """Each verb prints; ``help()`` says which there are."""

    def __init__(self, state: SharedState, reading: Reading, changing: Changing) -> None:
        self._state = state
        self._reading = reading
        self._changing = changing

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
            self.release,
            self.pin,
            self.unpin,
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

    def connections(self) -> None:
        """What the NAT carries now."""
        self._table("connections", self._reading.connections())

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

    def reload(self) -> None:
        """Read the configuration again, as HUP does."""
        self._say(lambda: self._changing.reload({}))

    def _table(self, what: str, rows: list[dict[str, Any]]) -> None:
        print(as_table(for_people(what, rows, time.time())))
        if len(rows) == MOST_ROWS:
            print(f"(the first {MOST_ROWS}; 'appliance {what}' shows all)")

    def _say(
        self, verb: Callable[[], Mapping[str, Any]], text: Callable[[Mapping[str, Any]], str] | None = None
    ) -> None:
        try:
            found = verb()
        except RequestError as error:
            print(error)
        else:
            print(text(found) if text is not None else " ".join(map(str, found.values())))


def print_answer(answer: Answer | None) -> None:
    """As dig would."""
    if answer is None:
        print("(dropped: there is no address)")
        return
    print(dns.rcode.to_text(answer.rcode), answer.error.text if answer.error is not None else "")
    for rrset in (*answer.answer, *answer.authority, *answer.additional):
        for rdata in rrset.rdatas:
            print(f"{to_text(rrset.owner)} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}")
