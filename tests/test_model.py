"""
SharedState beside what its clients saw: in no order of queries, connections, failures, reloads, crashes and time may
the tables contradict an answer that was given (docs/leases.rst).
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address
from typing import Any

import attrs
import dns.rdatatype
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.events import (
    AddressDeclined,
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseDraining,
    LeaseReclaimed,
    Recovered,
    State,
    Unpinned,
)
from appliance.model import Asker, Pool, Proof, Site
from appliance.naming import Answer, Question, from_text
from tests import fakes
from tests.invariants import Invariants
from tests.promises import Promises
from tests.test_shared import Setting, zones

NAMES = [f"{letter}.example.test" for letter in "abcdef"]
ADDRESSES = fakes.addresses(3)
ASKERS = [
    Asker(IPv4Address(f"198.51.{network}.7"), proof) for network in (100, 101) for proof in (Proof.NONE, Proof.STREAM)
]
PERIODS = attrs.evolve(fakes.PERIODS, hold=90)
PAUSES = [0.0, 0.5, 15.0, 35.0, 100.0]
"""How long nobody runs."""


class Model(Invariants):
    """
    The model remembers each answer that was given, each lease that ended and each connection that lives.

    Sites b and e may have two addresses.  :class:`SharingModel` has ports that clash and such that do not,
    :class:`HastyModel` a minimum that is longer than it cools.
    """

    flows = Bundle("flows")
    ports: tuple[int, ...] = (80,) * 6
    periods = PERIODS

    def __init__(self) -> None:
        super().__init__()
        pool = fakes.pool(3, self.periods, share_by_service=self.sharing, quota=fakes.QUOTA)
        self.setting = Setting([pool])
        self.pool = pool
        self.promises = Promises(self.periods.cooling)
        self.unsure_until = 0.0
        self.port = dict(zip(NAMES, self.ports, strict=True))
        self.let_go: set[tuple[IPv4Address, str]] = set()
        self.serial = 0
        self.setting.state.subscribe(self._hear)
        self._configure(pool, NAMES)

    # -- what is seen ----------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.setting.clock.seconds()

    def expect(self, holds: object, otherwise: str) -> None:
        """An assertion that SharedState cannot swallow."""
        if not holds:
            self.wrong.append(otherwise)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LeaseReclaimed):
            key = event.address, event.site
            connected = key in self.alive.values()
            if connected and key not in self.let_go and not event.connections_end:
                self.in_use.add(key)
            self.promises.ended[key] = event.at
            self.let_go.discard(key)
            if event.connections_end:
                for flow in [flow for flow, where in self.alive.items() if where == key]:
                    del self.alive[flow]
                    self.state.connection_closed(*key)
        elif isinstance(event, LeaseDraining):
            self.let_go.add((event.address, event.site))
        elif isinstance(event, Unpinned):
            # It was no lease's end.  That its address cools is told of first.
            self.in_use.discard((event.address, event.site))
        elif isinstance(event, AddressFreed | AddressRemoved) and event.former is not None:
            pin = self.state.pins.at(event.address)
            cooled = self.promises.freed((event.address, event.former), self.now())
            taken_over = pin is not None and pin.site == event.former
            self.expect(cooled or taken_over, f"{event.address} had not cooled from {event.former} (1.11)")
        elif isinstance(event, AddressDeclined):
            self.expect(len(self.setting.path.sites_at(event.address)) < 2 or self.sharing, "declined in use")

    def _judge(self, name: str, answer: Answer | None) -> None:
        """An answer names an address whose keys nobody else was promised, for no longer than it can be kept."""
        if answer is None or not answer.answer:
            return
        [rrset] = answer.answer
        address = IPv4Address(str(rrset.rdatas[0]))
        now = self.now()
        site = self.state.sites.get(name) or self.site(name)
        self.expect(1 <= rrset.ttl <= self.periods.maximum, f"TTL {rrset.ttl}")
        self.wrong += self.promises.contradict(address, site, now, {each: self.site(each) for each in NAMES})
        self.promises.made((address, name), site.keys, rrset.ttl, now)
        self.expect(name in self.setting.path.sites_at(address), "answered before its data path stood (1.4)")
        pin = self.state.pins.of(name)
        if pin is None or pin.address != address:
            holders = self.state.tables()["public"].holders(address)
            ends_at = max((lease.ends_at for lease in holders if lease.site == name), default=0.0)
            self.expect(ends_at >= now + rrset.ttl, f"the lease of {name} ends before its answer does (1.1)")

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
        asker=st.sampled_from(ASKERS),
    )
    def query(self, names: list[str], asker: Asker) -> None:
        for name in names:
            if name not in self.state.sites:
                continue
            answer = self.state.answer(Question(from_text(name), dns.rdatatype.A), asker)
            if isinstance(answer, Deferred):
                answer.addCallback(partial(self._judge, name))
            else:
                self._judge(name, answer)

    @rule(target=flows, address=st.sampled_from(ADDRESSES), which=st.integers(min_value=0, max_value=5))
    def connect(self, address: IPv4Address, which: int) -> Any:
        """A client reaches whoever the data path leads to."""
        sites = self.setting.path.sites_at(address)
        if not sites:
            return multiple()
        site = sites[which % len(sites)]
        self.serial += 1
        self.alive[self.serial] = (address, site)
        self.state.connection_opened(address, site)
        return self.serial

    @rule(flow=consumes(flows))
    def disconnect(self, flow: int) -> None:
        if flow in self.alive:
            self.state.connection_closed(*self.alive.pop(flow))

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 9.0, 10.0, 11.0, 20.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; the reaper comes when something is due, as its timer makes it."""
        end = self.now() + seconds
        while (due := self.state.next_deadline()) is not None and due <= end:
            self.setting.clock.advance(max(0.0, due - self.now()))
            self.state.reclaim(limit=2)
        self.setting.clock.advance(end - self.now())

    # One rule for all that seldom happens, for hypothesis picks rules with even chances.
    @rule(
        trouble=st.one_of(
            st.tuples(st.just("disk"), st.sampled_from(["slow", "written", "lost", "full", "mended"])),
            st.tuples(st.just("broken"), st.sampled_from(ADDRESSES)),
            st.tuples(st.just("taken"), st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(NAMES))),
            st.tuples(st.just("mended"), st.sampled_from(ADDRESSES)),
            st.tuples(st.just("sites"), st.integers(min_value=1, max_value=len(NAMES))),
            st.tuples(st.just("addresses"), st.sets(st.sampled_from(ADDRESSES), min_size=1)),
            st.tuples(st.just("maximum"), st.sampled_from([40, 60])),
            st.tuples(st.just("port"), st.tuples(st.sampled_from(NAMES), st.sampled_from([22, 25, 80]))),
        )
    )
    def trouble(self, trouble: tuple[str, Any]) -> None:
        """The disk fills, an address leaves the host, somebody changes the configuration."""
        path = self.setting.path
        match trouble:
            case "disk", what:
                self.setting.journal.be(what, self.state.entries())
            case "broken", address:
                path.broken.add(address)
            case "taken", conflict:
                path.taken.add(conflict)
            case "mended", address:
                path.broken.discard(address)
                path.taken.clear()
            case "sites", count:
                self._configure(self.pool, NAMES[:count])
            case "addresses", kept:
                self._configure(attrs.evolve(self.pool, addresses=tuple(sorted(kept))), list(self.state.sites))
            case "maximum", maximum:
                self.pool = attrs.evolve(self.pool, periods=attrs.evolve(self.periods, maximum=maximum))
                self._configure(self.pool, list(self.state.sites))
            case "port", (name, port):
                if self.sharing:
                    self.port[name] = port
                    self._configure(self.configured, list(self.state.sites))

    @rule(
        hand=st.one_of(
            st.tuples(st.just("pin"), st.tuples(st.sampled_from(NAMES), st.sampled_from(ADDRESSES))),
            st.tuples(st.just("unpin"), st.sampled_from(NAMES)),
            st.tuples(st.just("release"), st.tuples(st.sampled_from(ADDRESSES), st.booleans())),
        )
    )
    def hand(self, hand: tuple[str, Any]) -> None:
        """A person does something."""
        try:
            match hand:
                case "pin", (name, address):
                    self.state.by_hand.pin(name, address)
                case "unpin", name:
                    self.state.by_hand.unpin(name)
                case "release", (address, at_once):
                    self.state.by_hand.release(address, at_once=at_once)
        except RequestError:
            pass

    @rule(pause=st.sampled_from(PAUSES), how=st.sampled_from(["stop", "crash", "unsure"]), lost=st.integers(0, 3))
    def restart(self, pause: float, how: str, lost: int) -> None:
        """In order, or the machine dies; some time later the process starts again."""
        journal = self.setting.journal
        if how == "stop":
            self._stop()
            self._start(pause, crashed=journal.failure is not None)
            return
        journal.crash(lost=lost, now=self.now(), synced=how == "crash")
        if how == "unsure":
            self.unsure_until = self.now() + pause + self.periods.maximum + self.periods.grace
        self._start(pause, crashed=True)

    def _stop(self) -> None:
        """In order, where the disk takes it."""
        journal = self.setting.journal
        if journal.failure is None:
            journal.write()
            self.state.finish()
            journal.heal(self.state.entries())

    def _start(self, pause: float, *, crashed: bool) -> None:
        """What is not on the disk is gone, connections are too; only the answers that were given count."""
        before = self.setting
        self.alive.clear()
        before.clock.advance(pause)
        unsure = self.now() < self.unsure_until
        recovered = attrs.evolve(before.journal.recovered(crashed=crashed), unsure=unsure, maximum=self.periods.maximum)
        names = list(self.state.sites)
        self.setting = Setting([], clock=before.clock)
        self.setting.path.broken = before.path.broken
        self.setting.journal.snapshot = list(recovered.entries)
        self.setting.state.subscribe(self._hear)
        self._configure(self.configured, names, recovered)
        leases = {(lease.address, lease.site): lease for lease in self.state.tables()["public"].held()}
        for place in list(self.promises.until):
            if unsure and place not in leases and place[0] not in self.configured.addresses:
                # Nothing is known of it, and nothing says that it is ours: it does not rest (docs/leases.rst).
                del self.promises.until[place]
                continue
            until, ended = self.promises.last(place), self.promises.ended
            pinned = self.state.pins.at(place[0])
            if place not in leases and not (pinned is not None and pinned.site == place[1]):
                self.expect(until <= self.now() or unsure or place in ended, f"{place} was forgotten by the restart")
                # It ended while nobody looked, at the latest when its last answer did.
                ended.setdefault(place, min(until, self.now()))
        for place, lease in leases.items():
            if lease.state is State.DRAINING:
                self.let_go.add(place)
            if lease.state is State.COOLING:
                last = self.promises.last(place) or self.now()
                self.promises.ended.setdefault(place, min(last, self.now()) if unsure else last)

    def site(self, name: str) -> Site:
        return fakes.site(name, port=self.port[name], addresses=2 if name[0] in "be" else 1)

    def _configure(self, pool: Pool, names: list[str], recovered: Recovered | None = None) -> None:
        self.configured = pool
        sites = {name: self.site(name) for name in names}
        self.state.configure({pool.name: pool}, sites, zones(*names), recovered)


class SharingModel(Model):
    """1.12: three sites on one port, and three on others, share addresses."""

    sharing = True
    ports = (80, 80, 80, 22, 25, 443)


class HastyModel(Model):
    """What is promised without the disk outlasts what an address cools."""

    periods = attrs.evolve(PERIODS, minimum=30, base=30, offer=30, cooling=5)


# Hypothesis explains what it found by running it again and again, which takes minutes here.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SETTINGS = settings(max_examples=max(200, settings().max_examples), phases=PHASES)


class ModelTests(SynchronousTestCase):
    def test_no_interleaving_breaks_a_promise(self) -> None:
        """1.1 to 1.6, 1.9, 1.11."""
        run_state_machine_as_test(Model, settings=SETTINGS)

    def test_nor_does_sharing(self) -> None:
        """The same with several sites on an address (1.12)."""
        run_state_machine_as_test(SharingModel, settings=SETTINGS)

    def test_nor_does_a_long_minimum(self) -> None:
        """Nor a short time to cool."""
        run_state_machine_as_test(HastyModel, settings=SETTINGS)
