"""The process: how it refuses, starts, follows its configuration and stops."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.process import ROOT, Running, dig, free_port, own_address, tool, until

CONFIGURATION = """
appliance: {{state_directory: {folder}/state, stop_timeout: 0s}}
dns:
  listen: [{dns}:{port}]
  zones:
    example.test:
      records: |
        @ 60 SOA ns1 hostmaster 1 7200 3600 1209600 5
        @ 60 NS ns1
        ns1 60 A 127.0.0.1
pools:
  public: {{addresses: [{leased}], period: {{base: {base}s, minimum: 1s, grace: 1s, cooling: 5s}}}}
servers:
  one: {{address: {server}, port: {server_port}}}
sites:
  {site}.example.test: {{pool: public, servers: [one], services: [{{port: {service_port}}}]}}
control:
  manhole: {{socket: manhole.sock}}
"""

WRONG = """
dns:
  listne: [127.0.0.1:5399]
  zones: {example.test: {records: "@ 60 SOA ns1 h 1 7200 3600 1209600 60\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"}}
pools:
  public: {addresses: [127.0.99.1-127.0.99.9]}
  second: {addresses: [127.0.99.9], period: {base: soon}}
servers:
  alpha: {address: 10.0.0.1}
sites:
  www.example.test: {pool: public, servers: [alhpa], services: [{port: 80}]}
  w2.example.test: {pool: second, servers: [alpha], services: [{port: 80}]}
"""


class Setting(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.folder)], check=True)
        self.file = self.folder / "appliance.yaml"
        self.values = {
            "folder": str(self.folder),
            "dns": own_address(),
            "leased": own_address(),
            "server": own_address(),
            "site": "www",
            "base": 10,
        }
        self.values["port"] = free_port(str(self.values["dns"]))
        self.values["service_port"] = free_port(str(self.values["leased"]))
        self.server = socket.create_server((str(self.values["server"]), 0))
        self.addCleanup(self.server.close)
        self.values["server_port"] = self.server.getsockname()[1]
        self.write()

    def status(self) -> str:
        words = [sys.executable, "-m", "appliance.commands", "--control", f"{self.folder}/state/control.sock", "status"]
        done = subprocess.run(words, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def write(self, **values: object) -> None:
        self.values.update(values)
        self.file.write_text(CONFIGURATION.format(**self.values))

    def run_it(self, *words: str) -> Running:
        running = Running(*(words or ("--config", str(self.file))))
        self.addCleanup(running.stop)
        return running

    def dig(self, *words: str) -> str:
        return dig(f"@{self.values['dns']}", "-p", str(self.values["port"]), *words)

    def shell(self, *lines: str) -> str:
        """What the manhole says to these lines."""
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "shell", str(self.folder / "state" / "manhole.sock")],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=20,
        )
        return done.stdout + done.stderr


class RefusalTests(Setting):
    def test_four_errors_in_one_go(self) -> None:
        """A wrong key, a wrong type, an overlapping address, an unknown server: file, line, key, and what to do."""
        self.file.write_text(WRONG)
        for words in (("--config", str(self.file)), ("--check", "--config", str(self.file))):
            running = self.run_it(*words)
            self.assertEqual(running.ended(), 1)
            lines = [line.removeprefix(str(self.file)) for line in running.lines]
            self.assertEqual(len(lines), 5, lines)
            self.assertRegex(lines[0], r"^:3: dns\.listne: .*'listen'")
            self.assertRegex(lines[1], r"^:7: pools\.second\.addresses\[0\]: 127\.0\.99\.9 .*public")
            self.assertRegex(lines[2], r"^:7: pools\.second\.period\.base: .*'soon'")
            self.assertRegex(lines[3], r"^:11: sites\.www\.example\.test\.servers\[0\]: .*'alpha'")
            self.assertEqual(lines[4], "4 error(s); nothing was started.")

    def test_check(self) -> None:
        """A good file is said to be good, with and without a reactor, and nothing is started."""
        running = self.run_it("--check", "--config", str(self.file))
        self.assertEqual(running.ended(), 0, running.output())
        done = subprocess.run(
            [sys.executable, "-m", "appliance.commands", "check", str(self.file)],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout.decode()), (0, f"{self.file}: good\n"))
        self.assertFalse((self.folder / "state").exists())

    def test_a_port_in_use(self) -> None:
        """One line that says which, exit 1, no traceback."""
        with socket.create_server((str(self.values["dns"]), int(str(self.values["port"])))):
            running = self.run_it()
            self.assertEqual(running.ended(), 1)
        [line] = [line for line in running.lines if line.startswith("appliance: ")]
        self.assertIn(f"{self.values['dns']}:{self.values['port']}", line)
        self.assertIn("in use", line)
        self.assertNotIn("Traceback", running.output())
        # A start that came to nothing is no crash.
        last = (self.folder / "state" / "journal.yaml").read_text().splitlines()[-1]
        self.assertIn('"kind": "end"', last)

    def test_neither_file_nor_demonstration(self) -> None:
        """Says what to say."""
        running = self.run_it("--check")
        running.ended()
        self.assertIn("--config FILE or --demo", running.output())


class RunTests(Setting):
    def test_a_failing_address_is_declined(self) -> None:
        """1.4: no answer names an address whose port belongs to another program; the log says why."""
        with socket.create_server((str(self.values["leased"]), int(str(self.values["service_port"])))):
            running = self.run_it().started()
            self.assertIn("SERVFAIL", self.dig("www.example.test"))
            running.wait_for("address-declined: ")
            self.assertIn("in use", running.output())

    def test_reload(self) -> None:
        """HUP: another site and another listener come, what left is gone, and a lease that was given is kept."""
        running = self.run_it().started()
        address = self.dig("www.example.test", "+short").strip()
        self.assertEqual(address, self.values["leased"])
        before = self.values["port"]
        self.write(site="web", port=free_port(str(self.values["dns"])))
        running.hang_up()
        running.wait_for("reloaded: ")
        self.assertIn("NXDOMAIN", self.dig("www.example.test"))
        self.assertIn("SERVFAIL", self.dig("web.example.test"), "its only address is still leased to www")
        self.assertRegex(self.shell("leases()"), rf"{address} +www\.example\.test +one +draining")
        self.assertIn("refused", dig(f"@{self.values['dns']}", "-p", str(before), "web.example.test"))

    def test_a_faulty_reload_changes_nothing(self) -> None:
        """The errors are in the log; what ran before runs on."""
        running = self.run_it().started()
        good = self.file.read_text()
        self.file.write_text(good.replace("base: 10s", "base: soon").replace("sites:", "seits:"))
        running.hang_up()
        running.wait_for("reload-refused: ")
        self.assertIn("seits", running.output())
        self.assertIn("NOERROR", self.dig("www.example.test"))
        said = r"ALARM  the last reload was refused, and a start would be: .*'soon'.*\(and 1 more\)"
        self.assertRegex(self.status(), said)
        self.file.write_text(good)
        running.hang_up()
        running.wait_for("reloaded")
        self.assertIn("all is well", self.status())

    def test_a_reload_whose_port_is_in_use(self) -> None:
        """Refused as a whole: the old listeners go on."""
        running = self.run_it().started()
        before = self.values["port"]
        with socket.create_server((str(self.values["dns"]), 0)) as taken:
            self.write(port=taken.getsockname()[1], site="web")
            running.hang_up()
            running.wait_for("reload-refused: ")
        self.assertIn("in use", running.output())
        self.values["port"] = before
        self.assertIn("NOERROR", self.dig("www.example.test"))

    def test_the_manhole(self) -> None:
        """On a socket of mode 600 in a folder of mode 700; it shows the state and has verbs."""
        self.run_it().started()
        path = self.folder / "state" / "manhole.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        self.dig("www.example.test")
        said = self.shell(
            "leases()", "sites()", "pools()", "connections()", "status()", "help()", "state", "answer('x y')"
        )
        self.assertRegex(said, rf"{self.values['leased']} +www\.example\.test +one +offered")
        self.assertIn("LeaseGranted 1", said)
        self.assertIn("SharedState object", said)
        self.assertNotIn("Traceback", said)
        said = self.shell(
            "reload()",
            "snapshot()",
            "'between'",
            f"history('{self.values['leased']}')",
            "history('x')",
            f"history('{self.values['leased']}', 'x')",
        )
        words = ("reloaded", r"\bwritten\b", "'between'\n", "ADDRESS +SITE", r"www\.example\.test", "Z +now ")
        self.assertRegex(said, "(?s)" + ".*".join((*words, "'x' is no IPv4 address", "'x' is no Unix time")))

    def test_the_manhole_over_ssh(self) -> None:
        """With a key that is listed, under any name; without one nobody comes in.  The host key is kept, mode 600."""
        ssh, keygen = tool("ssh", "openssh-client"), tool("ssh-keygen", "openssh-client")
        for name in ("listed", "other"):
            words = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(words, check=True)
        (self.folder / "listed.pub").rename(self.folder / "authorized_keys")
        port = free_port(str(self.values["dns"]))
        text = self.file.read_text().replace(
            "{socket: manhole.sock}", f"{{ssh: '{self.values['dns']}:{port}', authorized_keys: authorized_keys}}"
        )
        self.file.write_text(text)
        self.run_it().started()

        def attach(key: str) -> subprocess.CompletedProcess[str]:
            options = [
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
                "IdentitiesOnly=yes",
                "BatchMode=yes",
            ]
            words = [ssh, "-tt", "-F", "none", "-i", str(self.folder / key), "-p", str(port)]
            words += [part for option in options for part in ("-o", option)]
            return subprocess.run(
                [*words, f"operator@{self.values['dns']}"],
                input="status()\n\x04",
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )

        self.assertIn("appliance 0.", attach("listed").stdout)
        refused = attach("other")
        self.assertNotIn("appliance 0.", refused.stdout)
        self.assertIn("Permission denied", refused.stderr)
        key = self.folder / "state" / "manhole_host_key"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)

    def test_the_manhole_wants_a_private_folder(self) -> None:
        """One that others can enter is refused, with what to do."""
        (self.folder / "state").mkdir(mode=0o755)
        (self.folder / "state").chmod(0o755)
        running = self.run_it()
        self.assertEqual(running.ended(), 1)
        self.assertIn(f"chmod 700 {self.folder}/state", running.output())

    def test_a_socket_that_a_killed_process_left(self) -> None:
        """Does not hinder the next start."""
        running = self.run_it().started()
        running.process.kill()
        running.ended()
        self.run_it().started()
        self.assertIn("appliance 0.", self.shell("status()"))

    def test_shell_without_a_process(self) -> None:
        """Says which socket and what to look at."""
        self.assertIn("is the process running", self.shell("status()"))

    def test_stop(self) -> None:
        """TERM ends it (twistd ends by the signal, as it should be); the sockets are gone, and its ports are free."""
        running = self.run_it().started()
        address = (str(self.values["leased"]), int(str(self.values["service_port"])))
        self.dig("www.example.test")
        with socket.create_connection(address) as client:
            accepted, _ = self.server.accept()
            with accepted:
                self.assertEqual(running.stop(), -signal.SIGTERM, running.output())
                client.settimeout(10)
                self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertFalse((self.folder / "state" / "manhole.sock").exists())
        socket.create_server(address).close()
        self.assertNotIn("Traceback", running.output())

    def test_a_stop_drains(self) -> None:
        """For ``stop_timeout`` connections may end by themselves; no new ones and no answers."""
        self.file.write_text(self.file.read_text().replace("stop_timeout: 0s", "stop_timeout: 20s"))
        running = self.run_it().started()
        self.dig("www.example.test")
        address = (str(self.values["leased"]), int(str(self.values["service_port"])))
        with socket.create_connection(address) as client:
            accepted, _ = self.server.accept()
            running.process.terminate()
            until(lambda: "no servers could be reached" in self.dig("www.example.test"), "it answers no more")
            client.sendall(b"still here")
            accepted.settimeout(10)
            self.assertEqual(accepted.recv(100), b"still here")
            accepted.close()
            self.assertEqual(client.recv(100), b"")
        self.assertEqual(running.ended(), -signal.SIGTERM)

    def test_json_log(self) -> None:
        """A line an event, each one JSON."""
        self.file.write_text(self.file.read_text() + "  log: {format: json}\n")
        running = self.run_it()
        running.wait_for('"event": "started"')
        self.dig("www.example.test")
        running.wait_for("lease-granted")
        events = [json.loads(line) for line in running.lines if line.startswith("{")]
        self.assertIn("lease-granted", [event.get("event") for event in events])

    def test_the_clock_of_timers_and_leases(self) -> None:
        """The boot clock: a step of the wall clock neither ends nor prolongs anything."""
        self.run_it().started()
        boot = "time.clock_gettime(time.CLOCK_BOOTTIME)"
        said = self.shell(
            "import time",
            "from twisted.internet import reactor",
            f"'timers', 0 <= reactor.seconds() - {boot} + 1 < 2",
            f"'leases', 0 <= state.now() - {boot} + 1 < 2",
        )
        self.assertIn("('timers', True)", said)
        self.assertIn("('leases', True)", said)
