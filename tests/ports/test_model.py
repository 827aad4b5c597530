"""A pool beside sets of pairs: in no order of connections, time and reloads is a pair used twice or too early."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import NatPool, Pair, Reuse
from appliance.ports import Block, Level, PairPool
from appliance.ports.blocks import State

SKIPPED = (0, 255)
RANGES = [
    ("10.9.0.253", "10.9.1.2"),
    ("10.9.0.254", "10.9.1.1"),
    ("10.9.1.1", "10.9.1.9"),
    ("10.9.0.255", "10.9.1.0"),
]
PORTS = [(1, 4), (3, 6), (1, 1)]


def configured(ends: tuple[str, str], ports: tuple[int, int], **limits: Any) -> NatPool:
    first, last = map(IPv4Address, ends)
    netmask = IPv4Address("255.255.255.0")
    return NatPool(
        name="snat", first=first, last=last, netmask=netmask, first_port=ports[0], last_port=ports[1], **limits
    )


LIMITS = st.fixed_dictionaries(
    {
        "initial": st.integers(1, 6),
        "subpool": st.integers(1, 5),
        "maximum": st.sampled_from([3, 8, 12, 99]),
        "low_water": st.integers(0, 3),
        "quarantine": st.sampled_from([0.0, 2.0, 5.0]),
        "reuse": st.sampled_from(Reuse),
    }
)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("give"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.tuples(st.sampled_from([0.5, 1.0, 2.0, 3.0, 11.0]), st.booleans())),
    ),
    min_size=3,
    max_size=12,
)


def pairs_of(pool: NatPool) -> set[Pair]:
    numbers = (number for number in range(int(pool.first), int(pool.last) + 1) if number % 256 not in SKIPPED)
    return {Pair(IPv4Address(n), port) for n in numbers for port in range(pool.first_port, pool.last_port + 1)}


class Machine(RuleBasedStateMachine):
    """
    The model knows which pairs are in use, and which came back when.

    Of the pool's own it only asks which subpool a block is of, for ``reuse: subpool`` speaks of that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.configuration = configured(
            RANGES[0], PORTS[0], initial=3, subpool=2, maximum=12, low_water=1, quarantine=5.0
        )
        self.pool = PairPool(self.configuration, self.now)
        self.taken: dict[Pair, Block] = {}
        self.resting: dict[Pair, Block] = {}
        self.refusals = 0

    def ripen(self) -> None:
        """What may be taken again is not known any more."""
        quarantine = self.configuration.quarantine
        for pair, block in list(self.resting.items()):
            if pair not in self.resting:
                continue
            together = [block]
            if self.configuration.reuse is Reuse.SUBPOOL and block.subpool.number >= 0:
                if any(other.subpool is block.subpool for other in self.taken.values()):
                    continue
                together = [other for other in self.resting.values() if other.subpool is block.subpool]
            if max(other.given_at for other in together) + quarantine <= self.now:
                for other in together:
                    del self.resting[other.pair]

    @rule(data=st.data(), acts=ACTS)
    def traffic(self, data: st.DataObject, acts: list[tuple[str, Any]]) -> None:
        """Several at a time, or most of what happens would be changes of the configuration."""
        for act, value in acts:
            match act:
                case "take":
                    self.take(value)
                case "give":
                    self.give(data, value)
                case "wait":
                    self.wait(*value)

    def take(self, count: int) -> None:
        """None only when ``maximum`` or the range is used up, or rests."""
        for _ in range(count):
            self.ripen()
            block = self.pool.take(self.now)
            used = self.taken.keys() | self.resting.keys()
            there = pairs_of(self.configuration)
            full = len(used) >= self.configuration.maximum or there <= used
            assert (block is None) == full, (block, used)
            if block is None:
                self.refusals += 1
                assert self.pool.counts(self.now).level is Level.EXHAUSTED
                return
            assert block.pair in there - used
            self.taken[block.pair] = block

    def give(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.taken))):
            self.ripen()
            pair = data.draw(st.sampled_from(list(self.taken)))
            self.resting[pair] = self.taken.pop(pair)
            self.pool.give(self.resting[pair], self.now)

    def wait(self, seconds: float, is_tidied: bool) -> None:
        """With the timer that somebody runs for the pool, or late."""
        end = self.now + seconds
        while is_tidied and (due := self.pool.next_deadline()) is not None and due <= end:
            self.ripen()
            self.now = max(self.now, due)
            self.pool.tidy(self.now)
            following = self.pool.next_deadline()
            assert following is None or following > self.now, "the timer would never rest"
        self.ripen()
        self.now = end

    # One rule for all that seldom happens, for hypothesis picks rules with even chances.
    @rule(
        change=st.one_of(
            st.tuples(st.just("limits"), LIMITS),
            st.tuples(st.just("range"), st.tuples(st.sampled_from(RANGES), st.sampled_from(PORTS))),
            st.just(("everything", None)),
        )
    )
    def change(self, change: tuple[str, Any]) -> None:
        """Another configuration, or all connections end."""
        self.ripen()
        match change:
            case "limits", limits:
                self.configuration = attrs.evolve(self.configuration, **limits)
            case "range", (ends, ports):
                limits = attrs.asdict(self.configuration, recurse=False)
                kept = ("initial", "subpool", "maximum", "low_water", "quarantine", "reuse")
                self.configuration = configured(ends, ports, **{name: limits[name] for name in kept})
            case "everything", _:
                self.all_come_back()
        self.pool.configure(self.configuration, self.now)

    def all_come_back(self) -> None:
        """4.4: then nothing is left but one interval for each run of addresses."""
        for block in self.taken.values():
            self.pool.give(block, self.now)
        self.taken.clear()
        self.resting.clear()
        for _ in range(100):
            due = self.pool.next_deadline()
            if due is None:
                break
            self.now = max(self.now, due)
            self.pool.tidy(self.now)
        counts = self.pool.counts(self.now)
        assert (counts.subpools, counts.blocks, counts.leaving) == (0, 0, 0)
        networks = {int(pair.address) // 256 for pair in pairs_of(self.configuration)}
        assert counts.intervals == len(networks)
        assert counts.level is Level.OK or not counts.pairs

    @invariant()
    def counts_agree(self) -> None:
        counts = self.pool.counts(self.now)
        self.ripen()
        assert (counts.taken, counts.resting) == (len(self.taken), len(self.resting))
        assert counts.pairs == len(pairs_of(self.configuration))
        assert counts.refusals == self.refusals
        assert counts.blocks <= max(self.configuration.maximum, counts.taken + counts.resting)

    @invariant()
    def every_pair_is_in_one_place(self) -> None:
        """The intervals cover the range; what is taken of it are the pairs of the blocks, in their subpools."""
        stock = self.pool._stock
        free: set[Pair] = set()
        held: dict[Pair, int] = {}
        for interval in self.pool.intervals():
            pairs = [self.pool.pairs.pair(index) for index in range(interval.first, interval.last + 1)]
            if interval.taker is None:
                free.update(pairs)
            else:
                held.update(dict.fromkeys(pairs, interval.taker.number))
        assert free | held.keys() == pairs_of(self.configuration) and free.isdisjoint(held)
        of_blocks: dict[Pair, int] = {}
        for subpool in (*stock.subpools.values(), stock.leaving):
            blocks = [block for block in subpool.blocks if block.state is not State.GONE]
            assert len(blocks) == subpool.size
            assert sum(block.state is State.TAKEN for block in blocks) == subpool.taken
            for block in blocks:
                assert block.subpool is subpool and block.pair not in of_blocks
                of_blocks[block.pair] = subpool.number
        there = pairs_of(self.configuration)
        assert held == {pair: number for pair, number in of_blocks.items() if pair in there}
        assert all(of_blocks[pair] == stock.leaving.number for pair in of_blocks.keys() - there)


# Hypothesis explains what it found by running it again and again, which takes minutes here.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SETTINGS = settings(max_examples=max(200, settings().max_examples), phases=PHASES)


class ModelTests(SynchronousTestCase):
    def test_no_interleaving_uses_a_pair_twice(self) -> None:
        """4.1 to 4.5."""
        run_state_machine_as_test(Machine, settings=SETTINGS)
