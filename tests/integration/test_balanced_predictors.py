"""What each predictor makes of five hundred connections, and of a few that stay, on the running process (5.7)."""

from __future__ import annotations

from collections import Counter

from tests.integration.balanced import BalancedCase, said_to

NAMES = ("one", "two", "three")
MANY = 500


class PredictorTests(BalancedCase):
    """Three servers, the first of which weighs three times as much as each of the others."""

    def begin(self, predictor: str, **keys: object) -> None:
        self.origins = {name: self.origin(name, weight=3 if name == "one" else 1, **keys) for name in NAMES}
        self.site |= {"servers": list(NAMES), "predictor": predictor}
        self.start()

    def asked(self, count: int, *sources: str) -> list[str]:
        """The servers of so many connections, one after the other."""
        return [self.ask(source) for _ in range(count) for source in sources or ("127.0.0.1",)]

    def assertSpread(self, found: Counter[str], expected: dict[str, int], about: int) -> None:
        self.assertEqual(set(found), set(expected))
        for name, count in expected.items():
            self.assertLessEqual(abs(found[name] - count), about, found)

    def test_round_robin(self) -> None:
        """Takes turns, whatever the weights; and goes on without one that is out of service."""
        self.begin("round-robin")
        found = self.asked(MANY)
        self.assertEqual({tuple(found[at : at + 3]) for at in range(0, MANY - 3, 3)}, {tuple(found[:3])})
        self.assertSpread(Counter(found), {"one": 167, "two": 167, "three": 167}, 1)
        self.appliance("out-of-service", "one")
        self.assertEqual(Counter(self.asked(10)), {"two": 5, "three": 5})

    def test_weighted_round_robin(self) -> None:
        """By weight, in every five of them; a weight that a person sets counts at once."""
        self.begin("weighted-round-robin")
        found = self.asked(MANY)
        self.assertEqual(Counter(found), {"one": 300, "two": 100, "three": 100})
        for at in range(0, MANY, 5):
            self.assertEqual(Counter(found[at : at + 5]), {"one": 3, "two": 1, "three": 1})
        self.assertNotIn(("one", "one", "one"), set(zip(found, found[1:], found[2:], strict=False)), "it is smooth")
        self.appliance("real", "two", "--weight", "6")
        self.assertEqual(Counter(self.asked(100)), {"one": 30, "two": 60, "three": 10})

    def test_least_connections(self) -> None:
        """Of those that stay by weight.  One after the other no server has any: the heavier one, until it has some."""
        self.begin("least-connections")
        clients = [self.connect() for _ in range(50)]
        self.assertEqual(Counter(said_to(client) for client in clients), {"one": 30, "two": 10, "three": 10})
        rows = {row["server"]: row["connections"] for row in self.control.items("servers")}
        self.assertEqual(rows, {"one": 30, "two": 10, "three": 10})
        of_one = [row["client"] for row in self.control.items("connections") if row["server"] == "one"]
        for client in clients:
            if f"127.0.0.1:{client.getsockname()[1]}" in of_one:
                client.close()
        self.until_row("servers", {"server": "one"}, connections=0)
        self.assertEqual(set(self.asked(20)), {"one"}, "it has the fewest")
        for client in clients:
            client.close()
        for name in NAMES:
            self.until_row("servers", {"server": name}, connections=0)
        found = Counter(self.asked(MANY))
        self.assertGreater(found["one"], MANY * 0.9, found)
        self.assertEqual(found.total(), MANY)
        self.appliance("real", "one", "--weight", "1")
        self.assertSpread(Counter(self.asked(300)), {"one": 100, "two": 100, "three": 100}, 10)

    def test_fastest_response(self) -> None:
        """Nearly all go to the one that answers at once; when it is slow the others have them."""
        self.begin("fastest-response")
        for name, pause in (("one", 0.02), ("two", 0.0), ("three", 0.03)):
            self.origins[name].pause = pause
        found = Counter(self.asked(MANY))
        self.assertGreater(found["two"], MANY * 0.9, found)
        self.assertEqual(found.total(), MANY)
        shown = {row["server"]: row["response"] for row in self.control.items("servers")}
        self.assertLess(shown["two"], shown["one"], shown)
        self.origins["two"].pause = 0.1
        self.assertLess(Counter(self.asked(50))["two"], 25)

    def test_source_hash(self) -> None:
        """A client is always at the same server, by weight; when one leaves only its clients move, and come back."""
        self.begin("source-hash")
        sources = [f"127.0.{number // 200}.{1 + number % 200}" for number in range(MANY)]
        before = dict(zip(sources, self.asked(1, *sources), strict=True))
        self.assertSpread(Counter(before.values()), {"one": 300, "two": 100, "three": 100}, 50)
        some = sources[::10]
        for _ in range(3):
            self.assertEqual([self.ask(source) for source in some], [before[source] for source in some])
        self.appliance("out-of-service", "two")
        after = dict(zip(sources, self.asked(1, *sources), strict=True))
        moved = {source for source in sources if after[source] != before[source]}
        self.assertEqual(moved, {source for source in sources if before[source] == "two"})
        self.assertEqual({after[source] for source in moved}, {"one", "three"})
        self.appliance("in-service", "two")
        self.assertEqual([self.ask(source) for source in some], [before[source] for source in some])

    def test_source_hash_without_a_server(self) -> None:
        """When one leaves the file, few others move than its own clients."""
        self.begin("source-hash")
        sources = [f"127.0.{number // 200}.{1 + number % 200}" for number in range(MANY)]
        before = dict(zip(sources, self.asked(1, *sources), strict=True))
        self.site["servers"] = ["one", "two"]
        self.reload()
        after = dict(zip(sources, self.asked(1, *sources), strict=True))
        self.assertEqual(set(after.values()), {"one", "two"})
        moved = {source for source in sources if before[source] != "three" and after[source] != before[source]}
        self.assertLess(len(moved), MANY * 0.05)

    def test_a_server_that_comes(self) -> None:
        """Gets its share of what comes."""
        self.begin("weighted-round-robin")
        self.asked(10)
        self.origin("four", weight=5)
        self.site["servers"] = [*NAMES, "four"]
        self.reload()
        self.assertEqual(Counter(self.asked(100)), {"one": 30, "two": 10, "three": 10, "four": 50})
