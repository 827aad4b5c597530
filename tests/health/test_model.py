"""A board beside lists: in no order of results, demands, time and reloads is a check done twice or too late."""

from __future__ import annotations

import math
from random import Random

import attrs
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Board
from appliance.health.watch import IDLE_AFTER
from appliance.model import Check, Forced, Probe, Result
from tests.health.making import check, failed, passed

SUBJECTS = ("a", "b", "c", "d")
CHECKS = st.one_of(
    st.sampled_from([check(number) for number in range(1, 5)]),
    st.sampled_from(
        [check(1, fall=1, rise=1), check(1, interval=4.0), check(2, interval=3.0, ok=2), check(3, rise=4, fall=2)]
    ),
    st.sampled_from([check(number, name="slow", interval=20.0, fast_interval=2.0, fall=2) for number in (1, 2)]),
)
CONFIGURATIONS = st.dictionaries(st.sampled_from(SUBJECTS), st.lists(CHECKS, max_size=3), max_size=4)


@attrs.define(eq=False)
class Known:
    """
    What the model has of a check.

    :ivar results: all, with the thresholds of their time.
    :ivar late_at: when it has to have begun, where there is a place for it.
    """

    check: Check
    late_at: float
    results: list[tuple[bool, Probe]] = attrs.Factory(list)
    began_at: float | None = None
    ends_at: float | None = None
    wanted_at: float = -math.inf

    def is_down(self) -> bool:
        return self.state()[0]

    def state(self) -> tuple[bool, bool]:
        """(down, in doubt): the rules in their own words, from the beginning."""
        down = failures = successes = 0
        for index, (ok, probe) in enumerate(self.results):
            if index == 0:
                down = not ok
            elif down:
                successes = successes + 1 if ok else 0
                if successes >= probe.rise:
                    down = successes = failures = 0
            elif not ok:
                failures, successes = failures + 1, 0
                if failures >= probe.fall:
                    down, failures = True, 0
            elif failures:
                successes += 1
                if successes >= probe.ok:
                    failures = successes = 0
        return bool(down), bool(successes if down else failures)


def _target(each: Check) -> tuple[object, ...]:
    return each.address, each.port, each.probe.name


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.subjects: dict[str, list[Check]] = {}
        self.forced: dict[str, Forced] = {}
        self.known: dict[Check, Known] = {}
        self.promises: dict[str, tuple[bool, float]] = {}

    @initialize(most=st.integers(1, 5), configuration=CONFIGURATIONS)
    def start(self, most: int, configuration: dict[str, list[Check]]) -> None:
        self.most = most
        self.board = Board(most=most)
        self.configure(configuration)

    # -- what is done ----------------------------------------------------------------------------------------------

    @rule(configuration=CONFIGURATIONS)
    def configure(self, configuration: dict[str, list[Check]]) -> None:
        useless = self.board.configure(configuration, self.now)
        wanted = {each for checks in configuration.values() for each in checks}
        assert set(useless) == {each for each, known in self.known.items() if known.ends_at and each not in wanted}
        assert len(set(useless)) == len(useless)
        leaving = {_target(each): known for each, known in self.known.items() if each not in wanted}
        kept = {}
        for each in dict.fromkeys(each for checks in configuration.values() for each in checks):
            kept[each] = self.known.get(each) or self.successor(each, leaving)
        self.known = kept
        self.subjects = {name: list(dict.fromkeys(checks)) for name, checks in configuration.items()}
        self.forced = {name: forced for name, forced in self.forced.items() if name in configuration}
        self.promises.clear()

    def successor(self, each: Check, leaving: dict[tuple[object, ...], Known]) -> Known:
        known = leaving.pop(_target(each), None)
        if known is None:
            return Known(each, self.now + each.probe.interval)
        return Known(each, self.now, results=known.results, wanted_at=known.wanted_at)

    @rule(subject=st.sampled_from(SUBJECTS), forced=st.sampled_from([None, *Forced]))
    def force(self, subject: str, forced: Forced | None) -> None:
        if subject not in self.subjects:
            return
        self.board.force(subject, forced, self.now)
        self.forced.pop(subject, None)
        if forced is not None:
            self.forced[subject] = forced
        self.promises.pop(subject, None)

    @rule(
        seconds=st.sampled_from([0.3, 3.0, 20.0, 100.0]),
        seed=st.integers(0, 1000),
        health=st.sampled_from([0.0, 0.4, 0.8, 1.0]),
        slowness=st.sampled_from([0.0, 0.5, 8.0]),
        wanted=st.lists(st.sampled_from(SUBJECTS), max_size=2),
    )
    def run(self, seconds: float, seed: int, health: float, slowness: float, wanted: list[str]) -> None:
        """Time passes; targets pass with chance ``health`` after up to ``slowness`` seconds; some are asked for."""
        chance, end = Random(seed), self.now + seconds
        asks = sorted(self.now + chance.random() * seconds for _ in range(3)) if wanted else []
        while True:
            self.begin(chance, slowness)
            self.promise(chance)
            due = self.board.next_deadline()
            ends = [known.ends_at for known in self.known.values() if known.ends_at is not None]
            self.now = max(self.now, min([end, *ends, *asks[:1], *([] if due is None else [due])]))
            if asks and asks[0] <= self.now:
                asks.pop(0)
                for subject in wanted:
                    self.want(subject)
            self.hear(chance, health)
            if self.now >= end:
                self.begin(chance, slowness)
                return

    @rule(seconds=st.sampled_from([IDLE_AFTER + 1.0]), seed=st.integers(0, 1000))
    def sleep(self, seconds: float, seed: int) -> None:
        """Nobody asks for anything, and all is well."""
        self.run(seconds, seed, 1.0, 0.0, [])

    def want(self, subject: str) -> None:
        self.board.wanted(subject, self.now)
        for each in self.subjects.get(subject, ()):
            self.known[each].wanted_at = self.now

    def begin(self, chance: Random, slowness: float) -> None:
        begun = self.board.due(self.now, chance)
        assert len(set(begun)) == len(begun)
        for each in begun:
            known = self.known[each]
            assert known.ends_at is None, "twice at once"
            if known.began_at is not None and self.now < known.late_at:
                probe = each.probe
                assert self.now >= known.began_at
                assert known.wanted_at == self.now or self.now >= known.began_at + 0.9 * probe.fast_interval - 1e-6
            known.began_at = self.now
            known.ends_at = self.now + chance.random() * slowness
        under_way = sum(known.ends_at is not None for known in self.known.values())
        assert under_way == self.board.under_way <= self.most
        if under_way < self.most:
            for known in self.known.values():
                assert known.ends_at is not None or self.now < known.late_at + 1e-6, "late"
            due = self.board.next_deadline()
            assert due is None or due > self.now, "would never rest"

    def hear(self, chance: Random, health: float) -> None:
        for each, known in self.known.items():
            if known.ends_at is None or known.ends_at > self.now:
                continue
            ok = chance.random() < health
            before = {name: self.is_up(name) for name in self.subjects}
            self.board.heard(each, self.result(ok), self.now)
            known.results.append((ok, each.probe))
            known.ends_at = None
            assert known.began_at is not None
            # A demand is remembered for a second before another is.
            asleep = self.now - known.wanted_at > IDLE_AFTER - 1.0
            interval = each.probe.idle_interval if asleep else each.probe.interval
            if known.state()[1]:
                interval = each.probe.fast_interval
            known.late_at = max(self.now, known.began_at + 1.1 * interval)
            for name, was_up in before.items():
                if self.is_up(name) is not was_up:
                    self.changes(name)

    def result(self, ok: bool) -> Result:
        return passed() if ok else failed()

    # -- what has to hold ------------------------------------------------------------------------------------------

    def promise(self, chance: Random) -> None:
        """What an answer might say now, for one that somebody asks for or not."""
        for name in self.subjects:
            if chance.random() < 0.5:
                health = self.board.health(name, self.now)
                assert health.until >= self.now
                known = self.promises.get(name)
                latest = max(health.until, known[1] if known else 0.0)
                self.promises[name] = health.up, latest

    def changes(self, name: str) -> None:
        """No answer was promised longer than that."""
        was_up, until = self.promises.pop(name, (None, 0.0))
        assert was_up is not self.is_up(name)
        assert self.now >= until - 1e-6, f"{until - self.now} s too early"

    def is_up(self, name: str) -> bool:
        forced = self.forced.get(name)
        if forced is not None:
            return forced is Forced.UP
        return not any(self.known[each].is_down() for each in self.subjects[name])

    @invariant()
    def states_agree(self) -> None:
        for name, checks in self.subjects.items():
            health = self.board.health(name, self.now)
            assert health.until == self.board.until(name, self.now)
            assert health.up is self.board.is_up(name) is self.is_up(name)
            if any(self.known[each].is_down() for each in checks):
                assert health.measured is False
            else:
                whole = bool(checks) and all(self.known[each].results for each in checks)
                assert health.measured is (True if whole else None)
            assert [row.check for row in self.board.checks(name, self.now)] == checks


PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SETTINGS = settings(max_examples=settings().max_examples, stateful_step_count=15, phases=PHASES)


class ModelTests(SynchronousTestCase):
    def test_no_order_of_things_breaks_the_rules(self) -> None:
        run_state_machine_as_test(Machine, settings=SETTINGS)
