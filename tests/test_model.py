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
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.events import AddressDeclined, Event, LeaseDraining, LeaseReclaimed, Recovered, State, Unpinned
from appliance.model import Asker, Pool, Proof, Site
from appliance.naming import Answer, Question, from_text
from appliance.shared import SharedState
from tests import fakes
from tests.test_shared import Setting, zones

NAMES = [f"{letter}.example.test" for letter in "abcdef"]
ADDRESSES = fakes.addresses(3)
ASKERS = [
    Asker(IPv4Address(f"198.51.{network}.7"), proof) for network in (100, 101) for proof in (Proof.NONE, Proof.STREAM)
]
PERIODS = attrs.evolve(fakes.PERIODS, hold=90)


class Model(RuleBasedStateMachine):
    """
    The model remembers each answer that was given, each lease that ended and each connection that lives.

    Sites b and e may have two addresses.  :class:`SharingModel` has ports that clash and such that do not.
    """

    flows = Bundle("flows")
    sharing = False
    ports = (80,) * 6

    def __init__(self) -> None:
        super().__init__()
        pool = fakes.pool(3, PERIODS, share_by_service=self.sharing, quota=fakes.QUOTA)
        self.setting = Setting([pool])
        self.pool = pool
        self.promised: dict[tuple[IPv4Address, str], float] = {}
        self.ended: dict[tuple[IPv4Address, str], float] = {}
        self.alive: dict[int, tuple[IPv4Address, str]] = {}
        self.let_go: set[tuple[IPv4Address, str]] = set()
        self.in_use: set[tuple[IPv4Address, str]] = set()
        self.serial = 0
        self.wrong: list[str] = []
        self.setting.state.subscribe(self._hear)
        self._configure(pool, NAMES)

    # -- what is seen ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> SharedState:
        return self.setting.state

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
            # After a restart a lease cools from its recorded end on.
            self.ended[key] = min(event.at, event.lease.ends_at - PERIODS.cooling)
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
        self.expect(1 <= rrset.ttl <= PERIODS.maximum, f"TTL {rrset.ttl}")
        for (other_address, other), until in self.promised.items():
            if other_address != address or other == name or self.site(other).keys.isdisjoint(site.keys):
                continue
            ended_at = self.ended.get((address, other))
            self.expect(until <= now, f"{address} answered for {name} while {other} is promised it")
            cooled = ended_at is not None and now >= max(until, ended_at + PERIODS.cooling)
            self.expect(cooled, f"{address} given to {name} before it had cooled from {other} (1.11)")
        self.promised[address, name] = max(self.promised.get((address, name), 0.0), now + rrset.ttl)
        self.ended.pop((address, name), None)
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
        )
    )
    def trouble(self, trouble: tuple[str, Any]) -> None:
        """The disk fills, an address leaves the host, somebody changes the configuration."""
        path = self.setting.path
        match trouble:
            case "disk", what:
                self._disk(what)
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

    def _disk(self, what: str) -> None:
        journal = self.setting.journal
        match what:
            case "slow":
                journal.slow = True
            case "written":
                journal.slow = False
                journal.write()
            case "lost":
                journal.failure = "no space left on device"
                journal.lose()
            case "full":
                journal.failure = "no space left on device"
                journal.lose()
            case "mended":
                journal.slow = False
                if journal.failure is not None:
                    journal.heal(self.state.entries())
                else:
                    journal.write()

    @rule(
        hand=st.one_of(
            st.tuples(st.just("pin"), st.tuples(st.sampled_from(NAMES), st.sampled_from(ADDRESSES))),
            st.tuples(st.just("unpin"), st.sampled_from(NAMES)),
            st.tuples(st.just("release"), st.tuples(st.sampled_from(ADDRESSES), st.booleans())),
            st.tuples(st.just("crash"), st.booleans()),
        )
    )
    def hand(self, hand: tuple[str, Any]) -> None:
        """A person does something, or the machine dies."""
        try:
            match hand:
                case "pin", (name, address):
                    self.state.by_hand.pin(name, address)
                case "unpin", name:
                    self.state.by_hand.unpin(name)
                case "release", (address, at_once):
                    self.state.by_hand.release(address, at_once=at_once)
                case "crash", orderly:
                    self._restart(orderly=orderly)
        except RequestError:
            pass

    def _restart(self, *, orderly: bool) -> None:
        """What is not on the disk is gone, connections are too; only the answers that were given count."""
        before = self.setting
        if orderly and before.journal.failure is None:
            before.journal.write()
            before.journal.heal(before.state.entries())
        else:
            orderly = False
        self.alive.clear()
        recovered = before.journal.recovered(crashed=not orderly)
        names = list(self.state.sites)
        self.setting = Setting([], clock=before.clock)
        self.setting.path.broken = before.path.broken
        self.setting.state.subscribe(self._hear)
        self._configure(self.configured, names, recovered)
        self.setting.journal.heal(self.state.entries())
        held = {(lease.address, lease.site) for lease in self.state.tables()["public"].held()}
        for key, until in self.promised.items():
            pinned = self.state.pins.at(key[0])
            kept = key in held or (pinned is not None and pinned.site == key[1])
            if not kept and key not in self.ended:
                self.expect(until <= self.now(), f"{key} was forgotten by the restart")
                # It ended while nobody looked, at the latest when its last answer did.
                self.ended[key] = until
        for lease in self.state.tables()["public"].held():
            if lease.state is State.DRAINING:
                self.let_go.add((lease.address, lease.site))
            if lease.state is State.COOLING and (lease.address, lease.site) not in self.ended:
                self.ended[lease.address, lease.site] = self.promised.get((lease.address, lease.site), self.now())

    def site(self, name: str) -> Site:
        number = NAMES.index(name)
        return fakes.site(name, port=self.ports[number], addresses=2 if name[0] in "be" else 1)

    def _configure(self, pool: Pool, names: list[str], recovered: Recovered | None = None) -> None:
        self.configured = pool
        sites = {name: self.site(name) for name in names}
        self.state.configure({pool.name: pool}, sites, zones(*names), recovered)

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def nothing_was_wrong(self) -> None:
        """What was heard and answered agreed with what had been promised."""
        assert not self.wrong, self.wrong
        assert not self.in_use, f"{self.in_use} ended in use (1.6)"

    @invariant()
    def addresses_are_in_one_place(self) -> None:
        """Free, held and kept-back ones partition the pool, and holders of one address have no key in common."""
        table = self.state.tables()["public"]
        counts = table.counts(self.now())
        held: dict[IPv4Address, list[Any]] = {}
        for lease in table.held():
            held.setdefault(lease.address, []).append(lease)
        free = list(table.free())
        assert len(held) == counts.leased + counts.cooling
        assert not set(held) & set(free) and len(free) == counts.free
        assert counts.all <= 3
        cooling = [a for a, leases in held.items() if all(lease.state is State.COOLING for lease in leases)]
        assert len(cooling) == counts.cooling
        for leases in held.values():
            assert len(leases) == 1 or self.sharing
            assert len(frozenset().union(*(lease.keys for lease in leases))) == sum(len(x.keys) for x in leases)
        for site in self.state.sites.values():
            active = [x for x in table.leases_of(site.name) if x.state in (State.OFFERED, State.BOUND)]
            assert len(active) <= site.addresses
            assert len({lease.server for lease in active}) == len(active)

    @invariant()
    def offers_keep_to_their_quota(self) -> None:
        """1.9: per prefix and per site, counted from the leases themselves."""
        table = self.state.tables()["public"]
        by_prefix: dict[int, int] = {}
        for lease in table.held():
            if lease.asked_by:
                assert lease.state is State.OFFERED
                by_prefix[lease.asked_by] = by_prefix.get(lease.asked_by, 0) + 1
        for prefix, offers in by_prefix.items():
            assert offers == table.gates.offers(prefix) <= fakes.QUOTA.per_source
        for name in self.state.sites:
            offers = sum(lease.state is State.OFFERED for lease in table.leases_of(name))
            assert offers <= fakes.QUOTA.per_site + self.state.sites[name].addresses

    @invariant()
    def data_paths_are_those_of_the_leases(self) -> None:
        """Every lease and every standing pin has its data path, and an address that nobody holds has none."""
        table = self.state.tables()["public"]
        holders = {(lease.address, lease.site) for lease in table.held()}
        holders |= {(pin.address, pin.site) for pin in self.state.pins if pin.standing}
        open_paths = set(self.setting.path.open_paths)
        assert open_paths <= holders
        broken = {key for key in holders - open_paths if key[1] in self.state.sites}
        for address, site in broken:
            leases = [lease for lease in table.holders(address) if lease.site == site]
            assert all(lease.given_up or lease.state is State.COOLING for lease in leases), (address, site)

    @invariant()
    def connections_are_those_that_live(self) -> None:
        """The counts of SharedState are the flows of the model."""
        for address, site in self.alive.values():
            expected = sum(flow == (address, site) for flow in self.alive.values())
            assert self.state.connections.count(address, site) == expected


class SharingModel(Model):
    """1.12: three sites on one port, and three on others, share addresses."""

    sharing = True
    ports = (80, 80, 80, 22, 25, 443)


# Hypothesis explains what it found by running it again and again, which takes minutes here.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SETTINGS = settings(max_examples=max(300, settings().max_examples), phases=PHASES)


class ModelTests(SynchronousTestCase):
    def test_no_interleaving_breaks_a_promise(self) -> None:
        """1.1 to 1.6, 1.9, 1.11."""
        run_state_machine_as_test(Model, settings=SETTINGS)

    def test_nor_does_sharing(self) -> None:
        """The same with several sites on an address (1.12)."""
        run_state_machine_as_test(SharingModel, settings=SETTINGS)
