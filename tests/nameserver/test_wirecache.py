"""The fast path says what the plain path says, and promises no more than a lease can keep."""

from __future__ import annotations

import math
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.nameserver.wirecache import CHOICE_SECONDS, TICK
from tests import fakes
from tests.nameserver.world import CHOSEN, NAMES, QUESTIONS, SITES, Asked, World, without_lease, zones


class Differential(RuleBasedStateMachine):
    """Questions of all forms while leases come and go, others are chosen, the disk fails and zones change."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.setting = self.world.setting
        self.serial, self.sites, self.hits = 1, SITES, Counter[str]()
        self.ttls = [(math.inf, self.world.choosing.ttl)]
        """TTLs of choices, and until when they were told."""
        self.reload(SITES)

    @rule(asked=QUESTIONS)
    def ask(self, asked: Asked) -> None:
        world, state = self.world, self.setting.state
        hit = world.hit(asked)
        if hit is None:
            world.miss(asked)
            return
        now = self.setting.clock.seconds()
        said = dns.message.from_wire(hit)
        site = {"alias": SITES[0], "other": SITES[0]}.get(asked.name, f"{asked.name}.example.test")
        if asked.name in CHOSEN and asked.rdtype in ("A", "AAAA"):
            assert CHOSEN[asked.name] not in world.choosing.apart, "an answer that was another's"
            right = world.miss(asked, world.plain)
            assert right is not None and without_lease(hit) == without_lease(right), "not the choice of now"
            if said.answer and said.answer[-1].rdtype == dns.rdatatype.from_text(asked.rdtype):
                lately = {ttl for until, ttl in self.ttls if until > now - CHOICE_SECONDS}
                assert said.answer[-1].ttl in lately, "kept for too long"
        elif asked.rdtype == "A" and site in self.sites and asked.name != "ns1":
            [record] = said.answer[-1]
            address, ttl = IPv4Address(record.address), said.answer[-1].ttl
            pin = state.pins.of(site)
            if pin is None or pin.address != address:
                [lease] = [one for one in state.tables()["public"].holders(address) if one.site == site]
                assert lease.is_answered(), "an answer from a lease that is over"
                assert ttl >= 1 and now + ttl <= lease.promised_until, "promised for longer than the lease (1.1)"
            assert site in self.setting.path.sites_at(address), "answered before its data path stood (1.4)"
            right = world.miss(asked, world.plain)
            if right is not None and dns.message.from_wire(right).answer:
                assert without_lease(hit) == without_lease(right)
        else:
            right = world.miss(asked, world.plain)
            assert right is not None
            if "hostmaster" in asked.name:
                # The SOA names it too, and the plain path points there for a few bytes less, whatever its spelling.
                assert str(without_lease(hit)).lower() == str(without_lease(right)).lower()
            else:
                assert hit == right

    @rule(
        asked=QUESTIONS.filter(lambda asked: asked.name in NAMES and asked.rdtype == "A"),
        waits=st.lists(st.sampled_from([0.0, 0.1, TICK, 4.0, 12.0]), min_size=1, max_size=5),
    )
    def insist(self, asked: Asked, waits: list[float]) -> None:
        """The same again, in the same tick and in later ones."""
        for seconds in waits:
            self.ask(asked)
            self.wait(seconds)

    @rule(seconds=st.sampled_from([0.01, 0.1, TICK, 1.0, 5.0, 11.0, 30.0]))
    def wait(self, seconds: float) -> None:
        end = self.setting.clock.seconds() + seconds
        while (due := self.setting.state.next_deadline()) is not None and due <= end:
            self.setting.clock.advance(max(0.0, due - self.setting.clock.seconds()))
            self.setting.state.reclaim(limit=9)
        self.setting.clock.advance(end - self.setting.clock.seconds())

    @rule(address=st.sampled_from(fakes.addresses(3)), lasts=st.booleans())
    def connect(self, address: IPv4Address, lasts: bool) -> None:
        for site in self.setting.path.sites_at(address):
            self.setting.state.connection_opened(address, site)
            if not lasts:
                self.setting.state.connection_closed(address, site)

    @rule(
        asked=QUESTIONS.filter(lambda asked: asked.name in CHOSEN and asked.rdtype in ("A", "AAAA")),
        steps=st.lists(
            st.one_of(
                st.sampled_from([0.1, TICK, "drift"]),
                st.tuples(st.sampled_from(["shop", "gallery"]), st.sampled_from([0, 1, 2, 40, 90]), st.booleans()),
            ),
            max_size=4,
        ),
    )
    def choose(self, asked: Asked, steps: list[Any]) -> None:
        """Others are chosen while the same is asked again, perhaps for each asker others, or only for another time."""
        self.ask(asked)
        for step in steps:
            match step:
                case str(), int(), bool():
                    self.change(*step)
                case "drift":
                    now, ttl = self.setting.clock.seconds(), self.world.choosing.ttl
                    self.ttls[-1:] = [(now, ttl), (math.inf, ttl % 60 + 1)]
                    self.world.choosing.ttl = ttl % 60 + 1
                case seconds:
                    self.wait(seconds)
            self.ask(asked)

    def change(self, customer: str, count: int, apart: bool) -> None:
        choosing, first = self.world.choosing, len(self.world.choosing.asked) % 100
        choosing.addresses[customer] = [
            *(IPv4Address("198.51.100.0") + (first + number) for number in range(count)),
            *(IPv6Address("2001:db8::") + (first + number) for number in range(count // 2)),
        ]
        choosing.apart = choosing.apart | {customer} if apart else choosing.apart - {customer}
        self.world.choose(customer)

    # One rule for all that seldom happens, for hypothesis picks rules with even chances.
    @rule(
        trouble=st.one_of(
            st.tuples(st.just("pin"), st.sampled_from(SITES), st.sampled_from(fakes.addresses(3))),
            st.tuples(st.just("unpin"), st.sampled_from(SITES)),
            st.tuples(st.just("release"), st.sampled_from(fakes.addresses(3))),
            st.tuples(st.just("reload"), st.sampled_from([SITES, SITES[:2], SITES[2:]])),
            st.tuples(st.just("disk"), st.sampled_from(["slow", "lost"])),
        )
    )
    def trouble(self, trouble: tuple[Any, ...]) -> None:
        """Somebody changes something, or the disk is in trouble, which the next trouble ends."""
        state, journal = self.setting.state, self.setting.journal
        journal.slow = False
        if journal.failure is not None:
            journal.heal(state.entries())
        journal.write()
        try:
            match trouble:
                case "pin", site, address:
                    state.by_hand.pin(site, address)
                case "unpin", site:
                    state.by_hand.unpin(site)
                case "release", address:
                    state.by_hand.release(address, at_once=False)
                case "reload", sites:
                    self.reload(sites)
                case "disk", "slow":
                    journal.slow = True
                case "disk", "lost":
                    journal.failure = "no space left on device"
                    journal.lose()
        except RequestError:
            pass

    def reload(self, sites: list[str]) -> None:
        self.serial, self.sites = self.serial + 1, sites
        pool = fakes.pool(3)
        configured = {name: fakes.site(name) for name in sites}
        self.setting.state.configure({pool.name: pool}, configured, zones(self.serial, sites))

    @invariant()
    def counted(self) -> None:
        """Everything that was kept is found in each of the tables."""
        for cache in self.world.caches:
            assert len(cache.exact) <= len(cache)


class DifferentialTests(SynchronousTestCase):
    def test_the_two_paths_agree(self) -> None:
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(Differential, settings=settings(stateful_step_count=60, suppress_health_check=checks))
