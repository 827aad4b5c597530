"""Servers that do not answer, on the running process: ditched, failed, tested and back (5.8)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.carried import CarriedCase, echoes, line
from tests.integration.process import own_address, until

QUICK = "threshold: 3, retries: 1, retry_after: 500ms"
IN_TURN = "predictor: round-robin, timeouts: {connect: 250ms}"


class FailingCase(CarriedCase):
    def setUp(self) -> None:
        super().setUp()
        self.alpha, self.beta = self.origin("alpha"), self.origin("beta")

    def carried(self, keys: str = QUICK) -> str:
        self.configure({self.alpha: keys, self.beta: ""}, IN_TURN)
        return self.carry()

    def fail_alpha(self, address: str) -> None:
        """Clients come until it has failed; none of them notices."""

        def failed() -> bool:
            self.assertEqual(self.reaches(address), "beta")
            return bool(self.known("alpha")["state"] == "failed")

        until(failed, "alpha has failed")


class FailingTests(FailingCase):
    def check_life(self, address: str) -> None:
        """From the first ditched connection to the full share."""
        for ditched in (1, 2):
            self.fail_once(address)
            self.assertEqual((self.known("alpha")["ditched"], self.known("alpha")["state"]), (ditched, "in-service"))
        self.fail_once(address)
        row = self.known("alpha")
        self.assertEqual((row["state"], row["ditched_total"]), ("failed", 3))
        self.assertIn("server alpha: failed", "\n".join(self.status()["alarms"]))
        total = row["total"]
        self.assertEqual([self.reaches(address) for _ in range(4)], ["beta"] * 4)
        self.assertIn(self.known("alpha")["total"], (total, total + 1))  # at most a test meanwhile
        self.settled(server="alpha", state="testing")
        total = self.known("alpha")["total"]
        with ThreadPoolExecutor(6) as pool:
            self.assertEqual(set(pool.map(lambda _: self.reaches(address), range(6))), {"beta"})
        self.assertEqual(self.known("alpha")["total"], total + 1)
        self.assertIn(self.known("alpha")["state"], ("failed", "testing"))
        self.alpha.serve()
        self.settled(server="alpha", state="testing")
        self.assertEqual(self.reaches(address), "alpha")
        shares = [self.known("alpha")["share"]]

        def grown() -> bool:
            row = self.known("alpha")
            self.assertEqual(row["state"], "in-service")
            if row["share"] != shares[-1]:
                shares.append(row["share"])
            return bool(row["share"] == 1.0)

        until(grown, "its full share")
        self.assertEqual(shares, sorted(shares))
        self.assertGreater(len(shares), 5)
        self.assertEqual(sorted(self.reaches(address) for _ in range(4)), ["alpha"] * 2 + ["beta"] * 2)
        self.assertEqual(self.known("alpha")["ditched"], 0)
        assert self.running is not None
        for said in ("server-failed", "server-back"):
            self.assertIn(said, self.running.output())
        self.assertIn("tested in 0.5 s", self.running.output())

    def fail_once(self, address: str) -> None:
        """As many clients as there are servers: one of them is ditched."""
        total = self.known("alpha")["ditched_total"]
        while self.known("alpha")["ditched_total"] == total:
            self.assertEqual(self.reaches(address), "beta")

    def test_one_that_does_not_answer(self) -> None:
        """Its queue of connections to accept is full."""
        address = self.carried(f"{QUICK}, slow_start: 1s")
        self.alpha.ignore()
        self.check_life(address)

    def test_one_that_refuses(self) -> None:
        address = self.carried(f"{QUICK}, slow_start: 1s")
        self.alpha.refuse()
        self.check_life(address)

    def test_a_row_begins_anew(self) -> None:
        """With a connection that stands."""
        address = self.carried()
        for _ in range(2):
            self.alpha.refuse()
            self.fail_once(address)
            self.fail_once(address)
            self.assertEqual(self.known("alpha")["ditched"], 2)
            self.alpha.serve()
            self.assertIn("alpha", [self.reaches(address) for _ in range(2)])
            self.assertEqual((self.known("alpha")["ditched"], self.known("alpha")["state"]), (0, "in-service"))

    def test_distinct_clients(self) -> None:
        """One client alone does not fail a server, three do."""
        address = self.carried(f"{QUICK}, distinct_clients: true")
        self.alpha.refuse()
        for number in range(1, 4):
            source = own_address()
            row = self.known("alpha")
            self.assertEqual((row["ditched"], row["state"]), (number - 1, "in-service"))
            for _ in range(8 if number < 3 else 2):
                self.assertEqual(self.reaches(address, source), "beta")
        self.assertEqual(self.known("alpha")["state"], "failed")

    def test_the_same_server_again(self) -> None:
        """Where there is no other one, a second later; the client waits, and what it has said is not lost."""
        self.configure({self.alpha: "retries: 3"})
        address = self.carry()
        self.alpha.refuse()
        client = self.client(address)
        client.sendall(b"hello\n")
        until(lambda: [row["attempts"] for row in self.told("connections")] == [2], "a second try")
        self.alpha.serve()
        self.assertEqual((line(client), line(client)), ("alpha", "hello"))

    def test_nobody_is_left(self) -> None:
        """A reset, a failed virtual server and alarms; all is well again by itself."""
        self.configure({self.alpha: QUICK, self.beta: QUICK}, IN_TURN)
        address = self.carry()
        self.alpha.refuse()
        self.beta.refuse()
        self.assertEqual([self.reaches(address) for _ in range(3)], ["reset"] * 3)
        [row] = self.told("virtuals")
        self.assertEqual(row["state"], "failed")
        self.alpha.serve()
        until(lambda: self.reaches(address) == "alpha", "back")
        [row] = self.told("virtuals")
        self.assertEqual(row["state"], "in-service")


class EstablishedTests(FailingCase):
    """What becomes of the connections that a server has when it fails."""

    def test_they_go_on(self) -> None:
        address = self.carried()
        clients = [self.client(address) for _ in range(4)]
        self.assertEqual(sorted(map(line, clients)), ["alpha", "alpha", "beta", "beta"])
        self.alpha.refuse()
        self.fail_alpha(address)
        self.assertTrue(all(map(echoes, clients)))
        self.assertEqual(self.known("alpha")["connections"], 2)

    def test_they_are_reset(self) -> None:
        """With ``on_failure: reset``; those of the other server go on."""
        address = self.carried(f"{QUICK}, on_failure: reset")
        named = [(line(client), client) for client in [self.client(address) for _ in range(4)]]
        self.alpha.refuse()
        self.fail_alpha(address)
        for name, client in named:
            self.assertEqual(line(client) if name == "alpha" else echoes(client), "reset" if name == "alpha" else True)
        self.settled(server="alpha", connections=0)
