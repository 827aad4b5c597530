"""Zone transfers between the running appliance and Knot DNS and NSD, asked with kdig."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.peers import KEY, SECRET, Knot, Nsd, Peer, kdig, records
from tests.integration.process import ROOT, Running, free_port, own_address, tool, until

SIGNED = ("-y", f"hmac-sha256:{KEY}:{SECRET}")


class TransferCase(TestCase):
    def setUp(self) -> None:
        tool("kdig", "knot-dnsutils")
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.folder)], check=True)
        self.file = self.folder / "appliance.yaml"
        self.address = own_address()
        self.port = free_port(self.address)
        self.where = f"{self.address}:{self.port}"
        (self.folder / "secret").write_text(SECRET + "\n")
        (self.folder / "secret").chmod(0o600)

    def write(self, *zones: str, more: str = "") -> None:
        """The configuration; each zone as ``apex: {...}``."""
        self.file.write_text(
            "appliance: {state_directory: state, stop_timeout: 0s}\n"
            f"dns:\n  listen: ['{self.where}']\n  tsig: {{{KEY}: {{secret: secret}}}}\n  zones:\n"
            + "".join(f"    {zone}\n" for zone in zones)
            + more
        )

    def zone_file(self, apex: str, serial: int, more: str = "") -> str:
        """A zone of ours, to be written again when it changes."""
        (self.folder / f"{apex}.zone").write_text(records(apex, serial, more))
        return f"file: {apex}.zone"

    def start(self) -> Running:
        running = Running("--config", str(self.file))
        self.addCleanup(running.stop)
        return running.started()

    def begin(self, peer: Peer) -> None:
        self.addCleanup(peer.stop)
        peer.run()

    def kdig(self, *words: str) -> str:
        return kdig(self.address, self.port, *words)

    def serial(self, apex: str) -> int:
        words = self.kdig(apex, "SOA", "+short", "+notcp").split()
        return int(words[2]) if len(words) == 7 else 0

    def status(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "--control", "state/control.sock", "status", *words],
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def zone_lines(self, said: str) -> set[str]:
        """The records of kdig's transfer or answer, without their spacing."""
        lines = (" ".join(line.split()) for line in said.splitlines() if line and not line.startswith(";"))
        return {line for line in lines if " TSIG " not in line and " OPT " not in line}

    def same_zone(self, peer: Peer, apex: str) -> None:
        """Both say the same when they are asked for all of it."""
        ours = self.zone_lines(self.kdig(apex, "AXFR", *SIGNED))
        self.assertGreater(len(ours), 5)
        self.assertEqual(ours, self.zone_lines(peer.kdig(apex, "AXFR", *SIGNED)))


class KdigTests(TransferCase):
    """Out, to a program."""

    def setUp(self) -> None:
        super().setUp()
        hosts = "".join(f"h{number} 60 A 192.0.2.{number % 250}\n" for number in range(2000))
        self.write(
            f"open.test: {{{self.zone_file('open.test', 7, hosts)}, transfer: {{allow: [127.0.0.0/8]}}}}",
            f"keys.test: {{{self.zone_file('keys.test', 7)}, transfer: {{keys: [{KEY}]}}}}",
            f"closed.test: {{{self.zone_file('closed.test', 7)}}}",
        )
        self.start()

    def test_axfr(self) -> None:
        """By address, in several messages; by key; and not at all."""
        said = self.kdig("open.test", "AXFR")
        self.assertRegex(said, r"Received \d+ B \([3-9] messages, 2007 records\)")
        said = self.kdig("open.test", "AXFR", "+edns", "+cookie", *SIGNED)
        self.assertRegex(said, r"\([3-9] messages, 2007 records\)")
        self.assertIn("7 records", self.kdig("keys.test", "AXFR", *SIGNED))
        for words in (("keys.test", "AXFR"), ("closed.test", "AXFR", *SIGNED)):
            self.assertNotIn("records", self.kdig(*words))

    def test_ixfr(self) -> None:
        """All of it, or "that is the newest"."""
        self.assertIn("2007 records", self.kdig("open.test", "IXFR=5", "+tcp"))
        self.assertIn("1 records", self.kdig("open.test", "IXFR=7", "+tcp"))
        self.assertIn("7 records", self.kdig("keys.test", "IXFR=5", "+tcp", *SIGNED))

    def test_a_signed_question(self) -> None:
        """kdig checks the answer's signature."""
        said = self.kdig("ns1.open.test", "A", *SIGNED)
        self.assertIn("192.0.2.1", said)
        self.assertIn("NOERROR 0", said)

    def test_a_wrong_key(self) -> None:
        said = self.kdig("open.test", "SOA", "-y", f"hmac-sha256:other.test:{SECRET}")
        self.assertIn("BADKEY", said)
        wrong = SECRET.replace("MDEy", "MDEx")
        self.assertIn("BADSIG", self.kdig("open.test", "SOA", "-y", f"hmac-sha256:{KEY}:{wrong}"))


class SecretTests(TransferCase):
    def test_a_secret_that_others_can_read(self) -> None:
        """A start is refused with a line that says what to do; so is a reload, and what ran before runs on."""
        self.write(f"keys.test: {{{self.zone_file('keys.test', 7)}, transfer: {{keys: [{KEY}]}}}}")
        secret = self.folder / "secret"
        secret.chmod(0o644)
        refused = Running("--config", str(self.file))
        self.assertEqual(refused.ended(), 1)
        self.assertIn(f"others can read it (mode 644); chmod 600 {secret}", refused.output())
        refused.stop()
        secret.chmod(0o600)
        running = self.start()
        secret.chmod(0o644)
        running.hang_up()
        running.wait_for("reload-refused: dns.tsig.xfr.test.secret: ")
        self.assertIn("7 records", self.kdig("keys.test", "AXFR", *SIGNED))

    def test_another_secret(self) -> None:
        """Counts after a reload."""
        self.write(f"keys.test: {{{self.zone_file('keys.test', 7)}, transfer: {{keys: [{KEY}]}}}}")
        running = self.start()
        other = SECRET.replace("MDEy", "MDEx")
        (self.folder / "secret").write_text(other)
        running.hang_up()
        running.wait_for("reloaded: ")
        self.assertNotIn("records", self.kdig("keys.test", "AXFR", *SIGNED))
        self.assertIn("7 records", self.kdig("keys.test", "AXFR", "-y", f"hmac-sha256:{KEY}:{other}"))

    def test_a_secret_of_our_own(self) -> None:
        """Made in the state folder, for the other side."""
        self.write(f"keys.test: {{{self.zone_file('keys.test', 7)}, transfer: {{keys: [{KEY}]}}}}")
        self.file.write_text(self.file.read_text().replace("{secret: secret}", "{}"))
        self.start()
        made = (self.folder / "state" / f"{KEY}.tsig").read_text().strip()
        self.assertIn("7 records", self.kdig("keys.test", "AXFR", "-y", f"hmac-sha256:{KEY}:{made}"))


class KnotTests(TransferCase):
    def test_it_is_our_secondary(self) -> None:
        """It has the zone after our start, and again after each reload with a newer serial."""
        knot = Knot(self.folder / "knot", self.where, {"out.test": "master: us, acl: signed"})
        out = f"transfer: {{keys: [{KEY}], notify: ['{knot.where}']}}"
        self.write(f"out.test: {{{self.zone_file('out.test', 7)}, {out}}}")
        self.begin(knot)
        running = self.start()
        until(lambda: knot.serial("out.test") == 7, "Knot has the zone")
        self.same_zone(knot, "out.test")
        running.wait_for("transfer-sent: out.test 7 to 127.0.0.1 (key xfr.test): 7 records")
        self.zone_file("out.test", 8, "new 60 A 192.0.2.9\n")
        running.hang_up()
        until(lambda: knot.serial("out.test") == 8, "Knot has the new zone")
        self.assertEqual(knot.kdig("new.out.test", "A", "+short"), "192.0.2.9\n")
        self.same_zone(knot, "out.test")

    def test_it_is_our_primary(self) -> None:
        """The zone comes at the start, its changes come with NOTIFY and IXFR, and a restart has it at once."""
        knot = Knot(self.folder / "knot", self.where, {"in.test": "notify: us, acl: signed"})
        (knot.folder / "in.test.zone").write_text(records("in.test", 5))
        self.begin(knot)
        self.write(f"in.test: {{primary: {{address: '{knot.where}', key: {KEY}}}, transfer: {{keys: [{KEY}]}}}}")
        running = self.start()
        until(lambda: self.serial("in.test") == 5, "we have the zone")
        running.wait_for("zone-transferred: in.test 5 from")
        self.same_zone(knot, "in.test")
        for number in (1, 2):
            knot.change("in.test", f"new{number} 60 A 192.0.2.9")
            until(lambda number=number: self.serial("in.test") == 5 + number, "we have the change")  # type: ignore[misc]
        running.wait_for("bytes, ixfr")
        self.same_zone(knot, "in.test")
        self.assertRegex(
            self.status(), r"zone in\.test 7 from 127\.[\d.]+:\d+: current, refreshed \S+ ago, next in 5\dm"
        )
        [row] = json.loads(self.status("--json"))["secondaries"]
        self.assertEqual((row["serial"], row["state"], row["error"]), (7, "current", None))
        running.stop()
        knot.stop()
        self.start()
        self.assertEqual(self.kdig("new2.in.test", "A", "+short"), "192.0.2.9\n")
        until(lambda: "stale" in self.status(), "the status says that the primary has gone")
        self.assertIn("ALARM  zone in.test is stale: no answer over UDP", self.status())

    def test_without_a_key(self) -> None:
        """By address alone, both ways; and a chain: what comes in goes out."""
        zones = {"in.test": "notify: plain, acl: open", "out.test": "master: plain, acl: open"}
        knot = Knot(self.folder / "knot", self.where, zones)
        (knot.folder / "in.test.zone").write_text(records("in.test", 5))
        self.begin(knot)
        out = f"{{allow: [127.0.0.1], notify: ['{knot.where}']}}"
        self.write(
            f"in.test: {{primary: {{address: '{knot.where}'}}}}",
            f"out.test: {{{self.zone_file('out.test', 3)}, transfer: {out}}}",
        )
        self.start()
        until(lambda: (self.serial("in.test"), knot.serial("out.test")) == (5, 3), "both have both")

    def test_a_site_in_a_zone_that_comes_in(self) -> None:
        """It leases, before and after the zone has changed."""
        knot = Knot(self.folder / "knot", self.where, {"in.test": "notify: us, acl: signed"})
        (knot.folder / "in.test.zone").write_text(records("in.test", 5))
        self.begin(knot)
        leased, server = own_address(), own_address()
        port = free_port(leased)
        self.write(
            f"in.test: {{primary: {{address: '{knot.where}', key: {KEY}}}, transfer: {{keys: [{KEY}]}}}}",
            more=f"pools: {{public: {{addresses: [{leased}]}}}}\nservers: {{one: {{address: {server}, port: 80}}}}\n"
            f"sites: {{www.in.test: {{pool: public, servers: [one], services: [{{port: {port}}}]}}}}\n",
        )
        self.start()
        until(lambda: self.serial("in.test") == 5, "we have the zone")
        self.assertEqual(self.kdig("www.in.test", "A", "+short"), f"{leased}\n")
        knot.change("in.test", "new 60 A 192.0.2.9")
        until(lambda: self.serial("in.test") == 6, "we have the change")
        self.assertEqual(self.kdig("www.in.test", "A", "+short"), f"{leased}\n")
        self.assertNotIn(leased, self.kdig("in.test", "AXFR", *SIGNED))


class NsdTests(TransferCase):
    def test_both_ways(self) -> None:
        """One zone goes to NSD, another comes from it, and both follow their changes."""
        transfer = [
            f"request-xfr: AXFR {self.address}@{self.port} {KEY}",
            f"allow-notify: 127.0.0.0/8 {KEY}",
            f"provide-xfr: 127.0.0.0/8 {KEY}",
        ]
        serve = [f"provide-xfr: 127.0.0.0/8 {KEY}", f"notify: {self.address}@{self.port} {KEY}"]
        nsd = Nsd(self.folder / "nsd", {"in.test": serve, "out.test": transfer})
        (nsd.folder / "in.test.zone").write_text(records("in.test", 5))
        out = f"transfer: {{keys: [{KEY}], notify: ['{nsd.where}']}}"
        self.write(
            f"in.test: {{primary: {{address: '{nsd.where}', key: {KEY}}}, transfer: {{keys: [{KEY}]}}}}",
            f"out.test: {{{self.zone_file('out.test', 3)}, {out}}}",
        )
        self.begin(nsd)
        running = self.start()
        until(lambda: (self.serial("in.test"), nsd.serial("out.test")) == (5, 3), "both have both")
        self.same_zone(nsd, "in.test")
        self.same_zone(nsd, "out.test")
        (nsd.folder / "in.test.zone").write_text(records("in.test", 6, "new 60 A 192.0.2.9\n"))
        nsd.reload()
        until(lambda: self.serial("in.test") == 6, "we have the change")
        self.zone_file("out.test", 4, "new 60 A 192.0.2.9\n")
        running.hang_up()
        until(lambda: nsd.serial("out.test") == 4, "NSD has the change")
        self.same_zone(nsd, "in.test")
        self.same_zone(nsd, "out.test")
