"""
What a newcomer does: install it, start the demonstration, and watch eight sites share three addresses.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.integration.process import ROOT, Running, dig, tool, until

PORT = 8080
ALONE = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""A newcomer's environment: trial tells its workers with PYTHONPATH of what is installed here."""


def installed(folder: Path) -> Path:
    """
    Build a wheel of this checkout and install it into an empty virtual environment.

    :return: the environment's ``bin``.
    """
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    for name in listed or [str(path.relative_to(ROOT)) for path in ROOT.glob("appliance/**/*")]:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, env=ALONE)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for words in (
        ["wheel", "--no-deps", "--wheel-dir", str(folder), str(source)],
        ["install", "--constraint", str(ROOT / "constraints.txt"), "--find-links", str(folder), "appliance"],
    ):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False, env=ALONE)
        if done.returncode:
            if os.environ.get("CI") == "true":
                raise AssertionError(done.stderr)
            raise SkipTest(f"pip could not install it here (no network?): {done.stderr[-300:]}")
    return folder / "venv" / "bin"


def said_by(program: Path, *words: str, folder: Path) -> str:
    return subprocess.run([program, *words], capture_output=True, text=True, cwd=folder, check=True, env=ALONE).stdout


class NewcomerTests(TestCase):
    timeout = 300

    def test_the_demonstration(self) -> None:
        """1.1, 1.2, 1.3, 1.4, 1.6 on the installed program, with dig, curl and sockets."""
        tool("dig", "dnsutils")
        curl = tool("curl", "curl")
        folder = Path(tempfile.mkdtemp(prefix="appliance-newcomer-"))
        self.addCleanup(shutil.rmtree, folder)
        programs = installed(folder)
        helped = said_by(programs / "twistd", "--help", folder=folder)
        self.assertRegex(helped, r"(?m)^ +appliance +Share a few public addresses")
        self.assertRegex(said_by(programs / "appliance", "--version", folder=folder), r"^appliance \d")

        # Its addresses and ports are fixed, so that there is one on a host.
        turn = (Path(tempfile.gettempdir()) / "appliance-demonstration.lock").open("a")
        self.addCleanup(turn.close)
        fcntl.flock(turn, fcntl.LOCK_EX)
        self.running = Running("--demo", twistd=programs / "twistd", folder=folder).started()
        self.addCleanup(self.running.stop)
        self.running.wait_for("dig @127.0.0.1 -p 5300")
        self.check_leases()
        self.check_traffic(curl)
        self.check_expiry()

    def ask(self, number: int, *words: str) -> tuple[str, int] | None:
        """Address and TTL of siteN, or None when it has to wait."""
        name = f"site{number}.demo.test"
        output = dig("@127.0.0.1", "-p", "5300", name, "+noall", "+answer", "+comments", *words)
        if "SERVFAIL" in output:
            return None
        [line] = [line for line in output.splitlines() if line.startswith(name)]
        _, ttl, _, rdtype, address = line.split()
        self.assertEqual(rdtype, "A")
        return address, int(ttl)

    def check_leases(self) -> None:
        """Three sites have the three addresses, over UDP and TCP; the others wait."""
        answers = [self.ask(1), self.ask(2, "+tcp"), self.ask(3)]
        self.addresses = [answer[0] for answer in answers if answer is not None]
        self.assertEqual(sorted(self.addresses), ["127.0.100.1", "127.0.100.2", "127.0.100.3"])
        self.assertEqual([answer[1] for answer in answers if answer is not None], [5, 5, 5])
        self.assertEqual([self.ask(number) for number in range(4, 9)], [None] * 5)
        self.granted_at = time.monotonic()

    def check_traffic(self, curl: str) -> None:
        """Through its leased address each site is reached, over TCP and UDP, and nothing else is."""
        for number, address in enumerate(self.addresses, 1):
            name = f"site{number}.demo.test"
            page = subprocess.run(
                [curl, "-sS", "-m", "10", f"http://{name}:{PORT}/", "--resolve", f"{name}:{PORT}:{address}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            self.assertIn(f"This is {name},", page)
        self.session = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(self.session.close)
        self.session.settimeout(10)
        for _ in range(3):
            self.session.sendto(b"hello", (self.addresses[0], PORT))
            reply, source = self.session.recvfrom(1000)
            self.assertEqual((reply, source), (b"site1.demo.test: hello", (self.addresses[0], PORT)))

    def check_expiry(self) -> None:
        """site1 is kept by its UDP session, site3 by a connection, site2 by queries, which wear out."""
        held = socket.create_connection((self.addresses[2], PORT))
        self.addCleanup(held.close)
        changed = False
        while time.monotonic() < self.granted_at + 25:
            self.session.sendto(b"still here", (self.addresses[0], PORT))
            self.assertEqual(self.session.recv(1000), b"site1.demo.test: still here")
            answer = self.ask(2)
            if answer is None:
                break
            changed = changed or answer[1] < 5
            time.sleep(1)
        for number in (1, 3):
            self.running.wait_for(f"lease-reset: {self.addresses[number - 1]} stays with site{number}.demo.test")
            self.assertNotIn(f"lease-reclaimed: {self.addresses[number - 1]}", self.running.output())
        # The held connection still reaches its own site.
        held.sendall(b"GET / HTTP/1.0\r\n\r\n")
        held.settimeout(10)
        self.assertIn(b"This is site3.demo.test", b"".join(iter(lambda: held.recv(4096), b"")))
        held.close()

        def somebody_elses() -> bool:
            """Until the address that site3 gave up has gone to one that waits; site2's TTL changes meanwhile."""
            nonlocal changed
            answer = self.ask(2)
            changed = changed or (answer is not None and answer[1] < 5)
            return any(
                (other := self.ask(number)) is not None and other[0] == self.addresses[2] for number in range(4, 9)
            )

        until(somebody_elses, "another site gets the address of site3", 60)
        until(lambda: changed or ((answer := self.ask(2)) is not None and answer[1] < 5), "site2's TTL changes", 60)
