"""What was changed at run time, after kill -9 and beside a file that was edited meanwhile (5.10)."""

from __future__ import annotations

import contextlib
import random
import threading
import time

from appliance.commands.socket import Control, ControlError
from tests.integration.carried import CarriedCase
from tests.integration.process import own_address, until

SITE = "www.example.test"


class KeptTests(CarriedCase):
    def setUp(self) -> None:
        super().setUp()
        self.alpha, self.beta = self.origin("alpha"), self.origin("beta")
        self.edit()

    def edit(self, alpha: str = "weight: 1", site: str = "") -> None:
        """The file."""
        unwelcome = "instances: [{bind_id: 2, name: unwelcome, clients: [198.51.100.1], answer: go away}]"
        self.configure({self.alpha: alpha, self.beta: ""}, f"predictor: round-robin, {unwelcome}{site}")

    def by_hand(self) -> list[str]:
        """What the status says of it."""
        prefix = "by hand: "
        lines = self.verb("status").splitlines()
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]

    def test_a_virtual_server_out_of_service(self) -> None:
        """New connections are reset, before and after; the list says that the file is of another opinion."""
        address = self.carry()
        self.assertEqual(self.reaches(address), "alpha")
        self.assertIn("out-of-service (file: in-service)", self.verb("virtual", SITE, "out-of-service"))
        for _ in range(2):
            self.assertEqual(self.reaches(address), "reset")
            self.assertIn("out-of-service (file: in-service)", self.verb("virtuals"))
            self.restart()
        self.assertEqual(self.verb("virtual", SITE, "in-service").count("as in the file"), 1)
        self.restart()
        self.assertEqual(self.reaches(address), "alpha")
        self.assertEqual(self.by_hand(), [])

    def test_a_file_that_was_edited_while_nobody_ran(self) -> None:
        """It has the last word about what it says anew; about nothing else."""
        address, other = self.carry(), own_address()
        self.verb("real", "alpha", "--weight", "0", "--threshold", "5")
        self.verb("assign", f"{SITE}:{self.port}:2", other)
        self.verb("drain", "beta")
        self.assertEqual(self.reaches(address), "reset")
        assert self.running is not None
        self.running.process.kill()
        self.running.ended()
        self.edit("weight: 3")
        self.start()
        kept = self.by_hand()
        self.assertEqual(len(kept), 3, kept)
        self.assertIn("server alpha: threshold 5 (file: 8)", kept)
        self.assertIn("server beta: state draining (file: in-service)", kept)
        self.assertIn("assigned", kept[-1] + kept[-2] + kept[-3])
        self.assertEqual([self.reaches(address) for _ in range(3)], ["alpha"] * 3)
        self.assertEqual(self.reaches(address, other), "go away")
        self.restart()
        self.assertEqual(self.by_hand(), kept)

    def test_a_reload_that_is_about_something_else(self) -> None:
        """Ends nothing of it, and neither does the same file again."""
        address = self.carry()
        self.verb("real", "alpha", "--weight", "0")
        for site in ("", ", max_per_client: 9"):
            self.edit(site=site)
            self.reload()
            self.assertEqual(self.by_hand(), ["server alpha: weight 0 (file: 1)"])
            self.assertEqual([self.reaches(address) for _ in range(3)], ["beta"] * 3)
        self.edit("weight: 2", ", max_per_client: 9")
        self.reload()
        self.assertEqual(self.by_hand(), [])

    def test_an_unknown_virtual_server(self) -> None:
        """Is an error, and nothing is stored, also not for the next start."""
        self.carry()
        for unknown in (f"{SITE}:{self.port}:7", "nobody.example.test:80:2", f"{SITE}:{self.port}/udp:2", "x:y:z"):
            done = self.control("assign", unknown, "192.0.2.1")
            self.assertEqual((done.returncode, done.stdout), (1, ""), unknown)
            self.assertTrue(done.stderr.startswith("appliance: "), done.stderr)
        self.assertEqual(self.by_hand(), [])
        self.restart()
        self.assertEqual((self.by_hand(), [row["client"] for row in self.told("clients")]), ([], ["198.51.100.1/32"]))

    def test_killed_while_orders_come(self) -> None:
        """What was answered holds; of the one that was not, either way is right."""
        self.carry()
        rng = random.Random(4)
        for _ in range(5):
            answered = [1]
            orders = threading.Thread(target=self.order, args=(answered,))
            orders.start()
            until(lambda answered=answered: answered[0] > 1, "the first answer")  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, 0.2))  # no condition: it is killed at any moment
            self.restart()
            orders.join()
            self.assertIn(self.known("alpha")["weight"], (answered[0], answered[0] + 1))
            self.verb("revert", "alpha")

    def order(self, answered: list[int]) -> None:
        """One weight after the other, until nobody is there."""
        control = Control(str(self.folder / "state/control.sock"))
        with contextlib.suppress(ControlError):
            for weight in range(2, 60_000):
                control.post("real", {"real": "alpha", "weight": weight})
                answered[0] = weight
