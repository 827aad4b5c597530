"""Names of static content: the nearest and least loaded POP, and the same one for the same client (3.2, 3.3, 3.5)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.delivery import Chooser, PopFigures
from appliance.delivery.rendezvous import BUCKETS, bucket_of
from appliance.model import PopWeights
from tests.delivery.figures import NAME, PREFIXES, answered, delivery, latencies, names, pop, ranking, static, weights

LATENCY: dict[str, Any] = {"pops": weights(latency=1.0)}


def chooser_of(*figures: PopFigures, answers: int = 1, **rule: Any) -> Chooser:
    chooser = Chooser(delivery(answers=answers, **{**LATENCY, **rule}))
    chooser.refresh((), figures, 0)
    return chooser


def by_client(chooser: Chooser) -> dict[bytes, str]:
    return {prefix: names(static(chooser, prefix))[0] for prefix in PREFIXES}


class RuleTests(SynchronousTestCase):
    def test_tolerance(self) -> None:
        """Who is answered to any client."""
        for tolerance, expected in ((0.0, "a"), (0.05, "a"), (0.1, "ab"), (0.3, "abc"), (9.0, "abcd")):
            figures = latencies({"a": 0.100, "b": 0.109, "c": 0.129, "d": 0.900})
            self.assertEqual(answered(chooser_of(*figures, tolerance=tolerance)), set(expected), tolerance)

    def test_metrics_move_the_answer_by_their_weights(self) -> None:
        """3.2: a POP's CPU, memory, connections, HTTP and FTP response time, each where it has a weight."""
        for raised, weighted in (
            ({"cpu": 0.8}, {"cpu": 1.0}),
            ({"memory": 0.95}, {"memory": 1.0}),
            ({"used": 0.8}, {"connections": 1.0}),
            ({"http": 0.5}, {"http": 1.0}),
            ({"ftp": 0.5}, {"ftp": 1.0}),
        ):
            calm = {"cpu": 0.1, "memory": 0.1, "used": 0.1, "http": 0.01, "ftp": 0.01}
            other = pop("b", latency=0.02, **calm)
            for rule, expected in ((weighted, {"b"}), ({}, {"a"})):
                chooser = Chooser(delivery(pops=weights(latency=1.0, **rule)))
                for now in (0, 1, 16):
                    figures = {**calm, **raised} if now else calm
                    chooser.refresh((), [pop("a", latency=0.01, **figures), other], now)
                    if not now:
                        self.assertEqual(answered(chooser), {"a"})
                self.assertEqual(answered(chooser), expected, (raised, rule))

    def test_ranking(self) -> None:
        """Behind the first come its equals, the others by cost, the full ones; who is down is left out."""
        chooser = chooser_of(
            *latencies({"a": 0.10, "b": 0.30, "c": 0.101, "d": 0.20}),
            pop("e", latency=0.01, cpu=0.96),
            pop("f", latency=0.01, up=False),
            pops=weights(latency=1.0, cpu=0.1),
        )
        for prefix in PREFIXES[:20]:
            choice = static(chooser, prefix)
            self.assertEqual(set(ranking(choice)[:2]), {"a", "c"})
            self.assertEqual(ranking(choice)[2:], ["d", "b", "e"])
            self.assertEqual(len(choice.answer), 1)

    def test_several_answers(self) -> None:
        """Only those who are as good as the best."""
        chooser = chooser_of(*latencies({"a": 0.10, "b": 0.101, "c": 0.102, "d": 0.5}), answers=2)
        self.assertEqual({len(static(chooser, prefix).answer) for prefix in PREFIXES}, {2})
        self.assertEqual(answered(chooser), {"a", "b", "c"})
        self.assertEqual(names(static(chooser_of(*latencies({"a": 0.1, "d": 0.5}), answers=2))), ["a"])

    def test_caches_are_told(self) -> None:
        """One POP: the same for all clients; several: it depends."""
        self.assertFalse(static(chooser_of(*latencies({"a": 0.1, "b": 0.5}))).depends_on_client)
        self.assertTrue(static(chooser_of(*latencies({"a": 0.1, "b": 0.1}))).depends_on_client)

    def test_customers_are_independent(self) -> None:
        """3.5: two rules over the same figures, refreshed in turns, answer as each does alone."""
        near: dict[str, Any] = {"pops": weights(latency=1.0)}
        fast: dict[str, Any] = {"pops": weights(http=1.0), "tolerance": 0.5}
        both = Chooser(delivery(**near)), Chooser(delivery(**fast))
        alone = Chooser(delivery(**near)), Chooser(delivery(**fast))
        history = [
            [pop("a", latency=0.01 * step, http=0.05), pop("b", latency=0.05, http=0.01 * step), pop("c", http=0.03)]
            for step in (1, 3, 9, 9, 9, 2, 2, 2, 2)
        ]
        for now, figures in enumerate(history):
            for chooser in both:
                chooser.refresh((), figures, now * 12.0)
        for chooser in alone:
            for now, figures in enumerate(history):
                chooser.refresh((), figures, now * 12.0)
        self.assertEqual([by_client(chooser) for chooser in both], [by_client(chooser) for chooser in alone])
        self.assertNotEqual(by_client(both[0]), by_client(both[1]))

    def test_another_rule_holds_at_once(self) -> None:
        """A person who changes it does not wait for the dwell; another TTL changes nobody's place."""
        figures = [pop("a", latency=0.01, http=0.5), pop("b", latency=0.05, http=0.01)]
        chooser = chooser_of(*figures)
        self.assertEqual(answered(chooser), {"a"})
        chooser.configure(delivery(pops=weights(http=1.0)))
        self.assertEqual(answered(chooser), {"a"})
        self.assertTrue(chooser.refresh((), figures, 1))
        self.assertEqual(answered(chooser), {"b"})
        chooser.configure(delivery(pops=weights(http=1.0), ttl=3.0))
        chooser.refresh((), [pop("a", http=0.001), pop("b", http=0.01)], 2)
        self.assertEqual(answered(chooser), {"b"})
        self.assertEqual(static(chooser).ttl, 3.0)


class RendezvousTests(SynchronousTestCase):
    TEN = "abcdefghij"

    def test_few_move_when_one_leaves(self) -> None:
        """Only its own clients, to all the others."""
        ten = chooser_of(*latencies(dict.fromkeys(self.TEN, 0.1)))
        before = by_client(ten)
        self.assertTrue(ten.refresh((), [pop(name, latency=0.1, up=name != "c") for name in self.TEN], 1))
        after = by_client(ten)
        moved = {prefix for prefix in PREFIXES if before[prefix] != after[prefix]}
        self.assertEqual(moved, {prefix for prefix in PREFIXES if before[prefix] == "c"})
        self.assertGreater(len({after[prefix] for prefix in moved}), 3)

    def test_nobody_moves_when_nothing_changed(self) -> None:
        """Nor when loads change within the tolerance, or the order in which they come."""
        ten = chooser_of(*latencies(dict.fromkeys(self.TEN, 0.1)), tolerance=0.5)
        before = by_client(ten)
        for step in range(1, 20):
            figures = [pop(name, latency=0.1 + 0.002 * ((index * step) % 10)) for index, name in enumerate(self.TEN)]
            self.assertFalse(ten.refresh((), figures[::-1], step * 10.0))
            self.assertEqual(by_client(ten), before)

    def test_all_appliances_agree(self) -> None:
        """With other figures, but the same POPs within the tolerance."""
        one = chooser_of(*latencies(dict.fromkeys("abcd", 0.1)))
        other = chooser_of(*latencies(dict.fromkeys("bcad", 0.02)), pop("z", latency=1.0))
        self.assertEqual(by_client(one), by_client(other))
        self.assertEqual("".join(by_client(one).values())[:12], FIRST_TWELVE)

    def test_names_are_spread(self) -> None:
        """The same client gets another POP for another name."""
        four = chooser_of(*latencies(dict.fromkeys("abcd", 0.1)))
        found = Counter(names(four.static(b"name%d" % number, b"", 4))[0] for number in range(400))
        self.assertGreater(min(found[name] for name in "abcd"), 60)

    def test_shares_follow_capacity(self) -> None:
        """One that can carry three times as much gets three times the clients; who does not say is in the middle."""
        figures = [pop("a", capacity=300.0), pop("b", capacity=100.0), pop("c", used=0.0), pop("d")]
        chooser = chooser_of(*figures, pops=weights())
        found = Counter(names(static(chooser, bytes((198, high, low))))[0] for high in range(8) for low in range(250))
        for name, part in (("a", 0.5), ("b", 1 / 6), ("c", 1 / 6), ("d", 1 / 6)):
            self.assertLess(abs(found[name] / 2000 - part), 0.05, name)

    def test_small_changes_of_capacity_move_nobody(self) -> None:
        """Nor does a load that is not heard for a while; a large one moves as many as it has to."""
        chooser = chooser_of(pop("a", capacity=100.0), pop("b", used=0.0), pops=weights())
        before = by_client(chooser)
        self.assertFalse(chooser.refresh((), [pop("a", capacity=110.0), pop("b")], 1))
        self.assertEqual(by_client(chooser), before)
        self.assertTrue(chooser.refresh((), [pop("a", capacity=300.0), pop("b")], 2))
        after = by_client(chooser)
        self.assertTrue(all(after[prefix] == "a" for prefix in PREFIXES if before[prefix] == "a"))
        self.assertGreater(Counter(after.values())["a"], Counter(before.values())["a"])

    def test_buckets(self) -> None:
        """Neighbours fall apart, and all are used."""
        found = {bucket_of(NAME, bytes((10, high, low))) for high in range(32) for low in range(256)}
        self.assertEqual(len(found), BUCKETS)
        self.assertGreater(len({bucket_of(NAME, bytes((10, 0, low))) for low in range(64)}), 56)


FIRST_TWELVE = "caddbabdddcb"
"""Must not change: with another hash all clients move when an appliance is brought up to date."""


class DefaultTests(SynchronousTestCase):
    def test_default_weights(self) -> None:
        """A far POP is taken when the near one is three quarters in use."""
        chooser = Chooser(delivery())
        near, far = pop("a", latency=0.01, cpu=0.75, used=0.1), pop("b", latency=0.1, cpu=0.1, used=0.1)
        chooser.refresh((), [near, far], 0)
        self.assertEqual(delivery().rule.pops, PopWeights())
        self.assertEqual(answered(chooser), {"b"})
