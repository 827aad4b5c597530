"""Who asks other POPs for their rows: how often, what is taken, and what is said of those that say nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Cause, Endpoint, Layer, Pop, Result, Rows, Url
from appliance.probe.gossip import Gossip

OK = Result(layer=Layer.APPLICATION, cause=Cause.OK)
REFUSED = Result(layer=Layer.CONNECT, cause=Cause.REFUSED)

Heard = Callable[[Result, Rows | None], None]


def pop(name: str, number: int, interval: float = 5.0, *, speaks: bool = True) -> Pop:
    address = ip_address(f"192.0.2.{number}")
    peers = Url(endpoint=Endpoint(address, 8054), host=str(address)) if speaks else None
    return Pop(name=name, address=address, peers=peers, interval=interval)


class FakeProber:
    """Notes who was asked, and answers with what stands in ``answers``; who does not stand there is silent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[tuple[str, float]] = []
        self.timeouts: list[float] = []
        self.answers: dict[str, tuple[Result, Rows | None]] = {}
        self.late: list[Heard] = []
        self.broken = False

    def rows(self, url: Url, timeout: float, heard: Heard) -> None:
        host = str(url.endpoint.address)
        self.asked.append((host, self._clock.seconds()))
        self.timeouts.append(timeout)
        if self.broken:
            raise RuntimeError("broken")
        if host in self.answers:
            heard(*self.answers[host])
        else:
            self.late.append(heard)

    def times(self, number: int) -> list[float]:
        return [at for host, at in self.asked if host == f"192.0.2.{number}"]


class GossipTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.prober = FakeProber(self.clock)
        self.taken: list[Rows] = []
        self.gossip = Gossip(cast(Any, self.clock), cast(Any, self.prober), self.take, random.Random(3))
        self.said: list[LogEvent] = []
        observer = cast(ILogObserver, self.said.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def take(self, rows: Rows) -> bool:
        self.taken.append(rows)
        return True

    def start(self, *pops: Pop) -> None:
        self.gossip.configure(pops)
        self.gossip.startService()
        self.addCleanup(self.gossip.stopService)

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def answer(self, number: int, rows: Rows | None, result: Result = OK) -> None:
        self.prober.answers[f"192.0.2.{number}"] = result, rows

    def lines(self) -> list[tuple[str, str]]:
        return [(each["event"], each["pop"]) for each in self.said if str(each.get("event")).startswith("pop-")]

    def test_each_at_its_interval(self) -> None:
        """The first time within it, and then with a jitter of a tenth; one without a listener is never asked."""
        self.start(pop("fra", 1), pop("nyc", 2, 1.0), pop("sin", 3, speaks=False))
        self.run_for(60)
        for number, interval in ((1, 5.0), (2, 1.0)):
            times = self.prober.times(number)
            self.assertLessEqual(times[0], interval + 0.1)
            gaps = [after - before for before, after in itertools.pairwise(times)]
            self.assertTrue(all(0.9 * interval - 0.1 <= gap <= 1.1 * interval + 0.2 for gap in gaps), gaps)
            if number == 1:  # the clock's steps would hide it in the shorter one
                self.assertGreater(max(gaps) - min(gaps), 0.3, "they come in step")
        self.assertEqual(self.prober.times(3), [])
        self.assertEqual({round(each, 3) for each in self.prober.timeouts}, {2.0, 0.9})

    def test_what_is_taken(self) -> None:
        rows = Rows(observer="fra", epoch=1, version=1)
        self.answer(1, rows)
        self.start(pop("fra", 1))
        self.run_for(5.1)
        self.assertEqual((self.taken, self.lines()), ([rows], []))

    def test_one_that_speaks_for_another(self) -> None:
        """It is not believed, and what to do is said, once."""
        self.answer(1, Rows(observer="nyc", epoch=1, version=1))
        self.start(pop("fra", 1))
        self.run_for(30)
        self.assertEqual((self.taken, self.lines()), ([], [("pop-unheard", "fra")]))
        [line] = [each for each in self.said if each.get("event") == "pop-unheard"]
        self.assertIn("it says that it is nyc", line["reason"])

    def test_silent_and_back(self) -> None:
        """A line when it begins, and one when it ends, however often it was asked in between."""
        self.answer(1, None, REFUSED)
        self.start(pop("fra", 1))
        self.run_for(30)
        self.assertEqual(self.lines(), [("pop-unheard", "fra")])
        self.answer(1, Rows(observer="fra", epoch=1, version=1))
        self.run_for(12)
        self.assertEqual(self.lines(), [("pop-unheard", "fra"), ("pop-heard", "fra")])

    def test_reload(self) -> None:
        """Who stays keeps its turn; who is another, or new, is asked anew; who leaves is asked no more, nor heard."""
        self.start(pop("fra", 1), pop("nyc", 2))
        self.run_for(12)
        [stays] = [call for call in self.clock.getDelayedCalls() if cast(Any, call).args[0].pop.name == "fra"]
        self.gossip.configure([pop("fra", 1), pop("sin", 3)])
        self.assertIn(stays, self.clock.getDelayedCalls())
        for heard in self.prober.late:
            heard(OK, Rows(observer="nyc", epoch=1, version=1))
        self.assertEqual(self.taken, [])
        before = len(self.prober.times(2))
        self.gossip.configure([pop("fra", 1, 1.0), pop("sin", 3)])
        self.assertNotIn(stays, self.clock.getDelayedCalls())
        asked = len(self.prober.times(1))
        self.run_for(10)
        self.assertEqual(len(self.prober.times(2)), before)
        self.assertGreaterEqual(len(self.prober.times(1)) - asked, 8)
        self.assertGreaterEqual(len(self.prober.times(3)), 1)

    def test_nothing_before_the_start_and_after_the_stop(self) -> None:
        self.gossip.configure([pop("fra", 1)])
        self.run_for(12)
        self.assertEqual(self.prober.asked, [])
        self.gossip.startService()
        self.gossip.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_bug_of_ours(self) -> None:
        """It is said, and the next time comes all the same."""
        self.prober.broken = True
        self.start(pop("fra", 1))
        self.run_for(12)
        self.assertGreaterEqual(len(self.prober.asked), 2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), len(self.prober.asked))
