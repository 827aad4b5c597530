"""Servers that fail, those that take over, and virtual servers that fail with them, from outside (5.1, 5.2)."""

from __future__ import annotations

from tests.integration.balanced import SITE, BalancedCase, said_to
from tests.integration.process import free_port, own_address, until

PUBLIC = {"site": SITE, "bind_id": 0}


class FailureTests(BalancedCase):
    """One ditched connection fails a server, which is tested a second later."""

    def setUp(self) -> None:
        super().setUp()
        self.alpha = self.origin("alpha", threshold=1, retry_after="1s", backup="spare")
        self.spare = self.origin("spare", threshold=1, retry_after="1s")
        self.site["servers"] = ["alpha"]

    def back(self, name: str) -> None:
        """A failed server is tested with connections that come, one by one."""
        until(lambda: self.ask() == name, f"{name} is back")

    def test_a_backup_takes_over(self) -> None:
        """The first client that is sent on notices nothing."""
        self.configuration["servers"]["alpha"]["retry_after"] = "60s"
        self.start()
        with self.connect() as old:
            self.assertEqual(said_to(old), "alpha")
            self.alpha.fall()
            self.assertEqual([self.ask() for _ in range(4)], ["spare"] * 4)
            self.assertEqual(said_to(old), "alpha", "what a failed server has goes on")
        row = self.row("servers", server="alpha")
        self.assertEqual((row["operational"], row["ditched_total"], row["backup"]), ("failed", 1, "spare"))
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "in-service")
        why = rf"\(port {self.alpha.port}: Connection refused\)"
        self.assertRegex(
            self.appliance("status"), rf"(?m)^ALARM  server alpha: failed, 1 ditched in a row {why}; tested in "
        )

    def test_a_backup_hands_back(self) -> None:
        """What it has begun it keeps."""
        running = self.start()
        self.alpha.fall()
        before = self.connect()
        self.assertEqual(said_to(before), "spare")
        self.alpha.rise()
        self.back("alpha")
        self.assertEqual([self.ask() for _ in range(3)], ["alpha"] * 3)
        self.assertEqual(said_to(before), "spare")
        self.assertEqual(self.alarms(), [])
        for said in ("server-failed: alpha", "server-tested: alpha", "server-back: alpha"):
            running.wait_for(said)

    def test_nothing_is_left(self) -> None:
        """A virtual server fails with its last server and its backup, not before, and comes back by itself."""
        running = self.start()
        self.spare.fall()
        self.assertEqual(self.ask(), "alpha")
        self.alpha.fall()
        self.assertEqual(self.ask(), "reset")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "failed")
        self.assertRegex(self.appliance("status"), rf"(?m)^ALARM  virtual server {SITE}:{self.port}:0: failed")
        self.assertNotEqual(self.curl().returncode, 0)
        running.wait_for("virtual-failed")
        self.spare.rise()
        self.back("spare")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "in-service")
        running.wait_for("virtual-back")
        self.alpha.rise()
        self.back("alpha")
        self.assertEqual(self.alarms(), [])

    def test_the_backup_fails_alone(self) -> None:
        """That is nothing to the virtual server, while its own server is there; and the other way round."""
        self.start()
        self.appliance("out-of-service", "alpha")
        self.assertEqual(self.ask(), "spare")
        self.spare.fall()
        self.assertEqual(self.ask(), "reset")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "failed")
        self.appliance("in-service", "alpha")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "in-service")
        self.assertEqual(self.ask(), "alpha")

    def test_another_site(self) -> None:
        """Takes over with its servers when nothing of this one is left, and hands back."""
        other = self.origin("other")
        place = own_address()
        services = [{"port": self.port}]
        self.configuration["sites"]["b.example.test"] = {"address": place, "services": services, "servers": ["other"]}
        self.site["backup"] = "b.example.test"
        self.start()
        self.alpha.fall()
        self.assertEqual(self.ask(), "spare")
        self.spare.fall()
        self.assertEqual(self.ask(), "other")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "in-service")
        other.fall()
        self.assertEqual([self.ask() for _ in range(8)], ["reset"] * 8)
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "failed")
        self.spare.rise()
        self.back("spare")
        self.assertEqual(self.row("virtuals", **PUBLIC)["state"], "in-service")
        self.assertEqual(self.row("virtuals", site="b.example.test")["state"], "failed")

    def test_the_last_of_several(self) -> None:
        """Each failed server leaves its share to the others; with the last one its port fails, and no other port."""
        beta = self.origin("beta", threshold=1, retry_after="60s")
        other = self.origin("other")
        port = free_port(self.address)
        del self.configuration["servers"]["alpha"]["backup"]
        self.site |= {"servers": ["alpha", "beta"], "predictor": "round-robin"}
        self.site["services"].append({"port": port})
        self.site["instances"] = [
            {"bind_id": 1, "clients": ["127.0.0.9"], "services": [{"port": port}], "servers": ["other"]}
        ]
        self.start()
        self.assertEqual({self.ask() for _ in range(4)}, {"alpha", "beta"})
        beta.fall()
        self.assertEqual({self.ask() for _ in range(4)}, {"alpha"})
        self.alpha.fall()
        self.assertEqual(self.ask(), "reset")
        states = {row["virtual"]: row["state"] for row in self.control.items("virtuals")}
        self.assertEqual(
            states,
            {
                f"{SITE}:{self.port}:0": "failed",
                f"{SITE}:{port}:0": "failed",
                f"{SITE}:{port}:1": "in-service",
            },
        )
        self.port = port
        self.assertEqual((self.ask("127.0.0.9"), len(other.peers)), ("other", 1))
