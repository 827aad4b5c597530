"""
The fast path: answers as bytes, kept for as long as they are right.

Invariant: a hit is byte for byte what ``Responder.respond`` said to the same question before, but for the id, the
letters of the name, the cookie, and the TTL and address of a lease.  Those two come from the lease itself, once a tick:
at the first question of a tick the lease is renewed as for any other question, with a promise that covers the rest of
the tick, and whoever asks in the same tick is told the same.  What was chosen for a customer (``Answer.customer``) is
right for a tick at most, and then the plain path chooses anew.  What it says of one asker only is not kept
(``Answer.for_all``), and when zones, leases or choices change, nothing that was kept is used before it was asked for
anew.
tests/nameserver/test_wirecache.py holds the two paths against each other.

What is looked up: the query's bytes behind its id, as they are, which finds what most resolvers send; then a form of
them that is the same for all spellings of a name (0x20) and all cookies, for dig and BIND send a new one each time.
Queries with other options, compressed names and whatever else is not of this form go the plain path.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

import dns.rcode
import dns.rdatatype

from appliance.events import ChoiceChanged, Event, LeaseEvent, LeaseExtended, LeaseReset, PinEvent
from appliance.model import Asker, Proof
from appliance.nameserver.cookies import Cookies, CookieState
from appliance.nameserver.forms import AA, CLASS_IN, COOKIE, SHORTEST, TC, Form, brief, form_of, name_of
from appliance.nameserver.kept import Entry, Tally
from appliance.nameserver.learning import COOKIE_SIZE, entry_of
from appliance.nameserver.ratelimit import Kind, RateLimiter, Verdict
from appliance.nameserver.sources import Source
from appliance.nameserver.standing import Standing
from appliance.naming import Answer, Zones, lacks

TICK = 0.25
"""Seconds for which the same is answered.  Of a site with several addresses one is answered for so long; and a promise
reaches so much further than its TTL."""

CHOICE_SECONDS = 1.0
"""For so long a choice is kept, unless it changes; ``shared/delivering.py`` promises that much less."""

MOST_BYTES = 48 * 2**20
"""What may be kept; beyond it the oldest go.  A flood of different questions fills it no faster than the plain path."""

_UNLIMITED = 2**60

_META = 128  # from here on types are about messages, not data (RFC 6895 s3.1)


class WireCache:
    """
    :param standing: renews leases and says which zones are in force.
    :param stream: for TCP, where neither limits nor UDP's size bounds apply.
    :param seconds: the clock.
    :param happened: counts what was answered, as the plain path does.
    :ivar payload: what our OPT says.
    :ivar age: how often something changed, so that what was decided before is not to be kept.
    :ivar exact: entries by a query's bytes behind its id, for who looks there first after :meth:`begin`.
    """

    def __init__(
        self,
        standing: Standing,
        *,
        stream: bool,
        seconds: Callable[[], float],
        happened: Counter[str],
        cookies: Cookies | None,
        limiter: RateLimiter | None,
    ) -> None:
        self._standing = standing
        self._proof = Proof.STREAM if stream else Proof.NONE
        self._seconds = seconds
        self._happened = happened
        self._cookies = cookies
        self._limiter = None if stream else limiter
        self.payload = 1232
        self._zones: Zones | None = None
        self._tick_ends = 0.0
        self.tick = 0
        self.age = 0
        self.exact: dict[bytes, Entry] = {}
        self._entries: dict[bytes, Entry] = {}
        self._tallies: dict[tuple[object, ...], Tally] = {}
        self._sites: dict[str, set[Entry]] = {}
        self._customers: dict[str, set[Entry]] = {}
        self._bytes = 0

    # -- looking up ------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """
        To be called before entries of :attr:`exact` are used, and again after anything that takes time.

        :return: the tick; an entry of another one is not to be used.
        """
        if self._standing.zones is not self._zones:
            self.clear()
            self._zones = self._standing.zones
        now = self._seconds()
        if now >= self._tick_ends:
            self.tick += 1
            self._tick_ends = now + TICK
        return self.tick

    def answer(self, data: bytes, source: Source) -> bytes | None:
        """
        :return: the response; nothing at all (``b""``) where the rate limiter wants that; None: the plain path knows.
        """
        if len(data) < SHORTEST:
            return None
        tick = self.begin()
        entry, form = self.exact.get(data[2:]), None
        if entry is None:
            form = form_of(data)
            if form is None:
                return None
            entry = self._entries.get(form.key) or self._entries.get(self._shared_key(data, form))
            if entry is None or (
                entry.pointers and form.end + len(entry.tail) + COOKIE_SIZE > form.limit(self.payload)
            ):
                return None
        cookie, proof = b"", self._proof
        if form is not None and form.cookie is not None and self._cookies is not None:
            client, server = form.cookie
            state = self._cookies.check(client, server, source.packed)
            if state is CookieState.VALID:
                proof = max(proof, Proof.COOKIE)
            cookie = client + self._cookies.again(client, server, source.packed, state)
        if entry.tick != tick and not self._renew(entry, Asker(source, proof)):
            return None
        if cookie:
            self._happened[f"cookie-{state.value}"] += 1
        tally = entry.tally
        if tally.left > 0:
            tally.left -= 1
        else:
            tally.over += 1
            if self._limiter is not None and proof is Proof.NONE:
                verdict = self._limiter.judge(tally.kind, source.packed, self._seconds())
                if verdict is not Verdict.SEND:
                    tally.over -= 1
                    tally.limited += 1
                    self._happened["queries"] += 1
                    self._happened[f"limited-{verdict.value}"] += 1
                    return b"" if verdict is Verdict.DROP else self._slip(data, cookie)
        if form is None:
            return data[:2] + entry.wire
        return data[:2] + entry.head + data[12 : form.end] + entry.tail_for(form.end) + cookie

    def _shared_key(self, data: bytes, form: Form) -> bytes:
        """Where the response for a name is that is not there; empty for other names."""
        rdtype = int.from_bytes(data[form.end - 4 : form.end - 2], "big")
        if data[form.end - 2 : form.end] != CLASS_IN or (rdtype >= _META and rdtype != dns.rdatatype.ANY):
            return b""
        apex = lacks(self._standing.zones, name_of(data, form), rdtype)
        # No name begins with this byte, so that it is no other entry's key.
        return form.common[0] + b"\xff" + apex + form.common[1] if apex is not None else b""

    def _slip(self, data: bytes, cookie: bytes) -> bytes:
        """What the plain path says beyond the rate: TC=1, or BADCOOKIE with a good cookie to who sent one."""
        if not cookie:
            self._happened["truncated"] += 1
            self._happened["NOERROR"] += 1
            return brief(data, dns.rcode.NOERROR, self.payload, flags=AA | TC)
        self._happened["BADCOOKIE"] += 1
        options = COOKIE + struct.pack("!H", len(cookie)) + cookie
        return brief(data, dns.rcode.BADCOOKIE, self.payload, options=options)

    # -- keeping ---------------------------------------------------------------------------------------------------

    def learn(self, data: bytes, response: bytes, answer: Answer, kind: Kind, age: int) -> None:
        """
        Remember what the plain path answered; what cannot be kept is passed over.

        :param data: the query, ``response``: all that was sent.
        :param age: :attr:`age` when the query was read.  What was decided before the zones changed is not kept.
        """
        self.begin()
        form = form_of(data)
        if age != self.age or form is None or data[form.end - 2 : form.end] != CLASS_IN:
            return
        tally = Tally(kind, dns.rcode.to_text(answer.rcode), answer.site, answer.customer)
        tally = self._tallies.get(tally.key, tally)
        shared, cookies = self._shared_key(data, form), self._cookies is not None
        entry = entry_of(data, form, response, answer, tally, shared=shared, cookies=cookies)
        if entry is not None:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        tally, former = entry.tally, self._entries.get(entry.key)
        if former is not None and tally.customer is None:
            return
        self._tallies[tally.key] = tally
        tally.entries += 1
        if former is not None:
            # Not before: what was answered of this kind lately is not to be forgotten with it.
            self._forget(former)
        self._entries[entry.key] = entry
        if entry.exact_key:
            self.exact[entry.exact_key] = entry
        if tally.site is not None:
            self._sites.setdefault(tally.site, set()).add(entry)
        if tally.customer is not None:
            self._customers.setdefault(tally.customer, set()).add(entry)
            entry.until = self._seconds() + CHOICE_SECONDS
            self._begin(tally)
            entry.tick = self.tick
        self._bytes += entry.size
        while self._bytes > MOST_BYTES:
            self._forget(next(iter(self._entries.values())))

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self.exact.pop(entry.exact_key, None)
        tally = entry.tally
        tally.entries -= 1
        if not tally.entries:
            self._settle(tally)
            del self._tallies[tally.key]
        for owners, owner in ((self._sites, tally.site), (self._customers, tally.customer)):
            if owner is not None:
                owners[owner].discard(entry)
                if not owners[owner]:
                    del owners[owner]
        self._bytes -= entry.size

    def _renew(self, entry: Entry, asker: Asker) -> bool:
        """The first question of a tick: the last one is counted, and the lease is renewed for the rest of this one."""
        tally = entry.tally
        if tally.customer is not None and self._seconds() >= entry.until:
            # Who is chosen now only the plain path knows, and what it says is kept in the place of this.
            return False
        self._begin(tally)
        if tally.site is not None:
            ahead = max(self._tick_ends - self._seconds(), 0.001)
            promise = self._standing.renew(tally.site, asker, ahead)
            if promise is None:
                return False
            tally.address = promise.address
            entry.tell(promise.ttl, promise.address)
        entry.tick = self.tick
        return True

    def _begin(self, tally: Tally) -> None:
        """Something of this kind is answered in this tick."""
        if tally.tick != self.tick:
            self._settle(tally)
            tally.tick = self.tick

    def _settle(self, tally: Tally) -> None:
        """Count what was answered since it was settled last, and let as many go again."""
        answered = tally.allowed - tally.left + tally.over
        if answered:
            self._happened["queries"] += answered
            self._happened["cached"] += answered
            self._happened[tally.rcode] += answered
            if tally.site is not None and tally.address is not None:
                # Renewing counted one.
                self._standing.answered_also(tally.site, tally.address, answered - 1)
        limiter = self._limiter
        most = int(limiter.rate * TICK) if limiter is not None and limiter.rate else _UNLIMITED
        # What was asked for too often stays under the limiter's eyes until it is not.
        tally.allowed = tally.left = most if answered + tally.limited <= most else 0
        tally.over = tally.limited = 0

    # -- forgetting ------------------------------------------------------------------------------------------------

    def follow(self, event: Event) -> None:
        """What happens to a site's leases, or to whom a customer's names lead, is asked for anew."""
        if isinstance(event, LeaseExtended | LeaseReset):
            # More time for the same answer.
            return
        if isinstance(event, LeaseEvent | PinEvent):
            for entry in self._sites.get(event.site, ()):
                entry.tick = -1
        elif isinstance(event, ChoiceChanged):
            # What is being decided at this moment may be of before.
            self.age += 1
            for entry in self._customers.get(event.customer, ()):
                entry.tick, entry.until = -1, 0.0

    def settle(self) -> None:
        """Count all that was answered so far; for who reads the counters."""
        for tally in self._tallies.values():
            self._settle(tally)

    def clear(self) -> None:
        """Nothing that was kept is right any more."""
        self.age += 1
        self.settle()
        for table in (self.exact, self._entries, self._tallies, self._sites, self._customers):
            table.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)
