"""Knot DNS and NSD as processes, with zones that a test changes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

from tests.integration.process import PATIENCE, free_port, own_address, tool, until

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
KEY = "xfr.test"

RECORDS = """\
$ORIGIN {apex}.
@ 60 SOA ns1 h {serial} 3600 60 86400 5
@ 60 NS ns1
ns1 60 A 192.0.2.1
sub 60 NS ns.sub
ns.sub 60 A 192.0.2.2
*.wild 60 TXT "a; \\"b\\""
{more}
"""


def records(apex: str, serial: int, more: str = "") -> str:
    return RECORDS.format(apex=apex, serial=serial, more=more)


class Peer:
    """
    Another name server.

    :param folder: its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.address = own_address()
        self.port = free_port(self.address)
        self.where = f"{self.address}:{self.port}"
        self.lines: list[str] = []

    def run(self) -> None:
        """Until it answers."""
        raise NotImplementedError

    def start(self, *words: str) -> None:
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip() for line in self.process.stdout)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def kdig(self, *words: str) -> str:
        return kdig(self.address, self.port, *words)

    def serial(self, apex: str) -> int:
        """0 where it does not have the zone."""
        words = self.kdig(apex, "SOA", "+short", "+notcp").split()
        return int(words[2]) if len(words) == 7 else 0

    def ready(self) -> None:
        def answers() -> bool:
            if self.process.poll() is not None:
                raise AssertionError("it ended:\n" + "\n".join(self.lines))
            return "status: " in self.kdig("nothing.invalid", "A")

        until(answers, "it answers")


def kdig(address: str, port: int, *words: str) -> str:
    path = tool("kdig", "knot-dnsutils")
    place = (f"@{address}", "-p", str(port), "+retry=0", "+timeout=2")
    return subprocess.run([path, *place, *words], capture_output=True, text=True, check=False).stdout


class Knot(Peer):
    """
    :param zones: apex to its zone's keys, in Knot's words.
    """

    def __init__(self, folder: Path, other: str, zones: dict[str, str]) -> None:
        knotd = tool("knotd", "knot")
        super().__init__(folder)
        address, _, port = other.rpartition(":")
        lines = [
            "server:",
            f"  rundir: {folder}",
            f"  listen: {self.address}@{self.port}",
            "log:",
            *_item("target: stdout, any: debug"),
            "database:",
            f"  storage: {folder}",
            "key:",
            *_item(f"id: {KEY}, algorithm: hmac-sha256, secret: {SECRET}"),
            "remote:",
            *_item(f"id: us, address: {address}@{port}, key: {KEY}"),
            *_item(f"id: plain, address: {address}@{port}"),
            "acl:",
            *_item(f"id: signed, key: {KEY}, action: [transfer; notify]"),
            *_item("id: open, address: 127.0.0.0/8, action: [transfer; notify]"),
            "template:",
            *_item(f"id: default, storage: {folder}, zonefile-load: difference, journal-content: changes"),
            "zone:",
            *(line for apex, keys in zones.items() for line in _item(f"domain: {apex}, file: {apex}.zone, {keys}")),
        ]
        (folder / "knot.conf").write_text("\n".join(lines) + "\n")
        self._command = (knotd, "-c", str(folder / "knot.conf"))

    def run(self) -> None:
        self.start(*self._command)
        self.ready()

    def control(self, *words: str) -> str:
        done = subprocess.run(
            [tool("knotc", "knot"), "-s", str(self.folder / "knot.sock"), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def change(self, apex: str, *records: str) -> None:
        """Set records, as an operator would; Knot raises the serial itself."""
        self.control("zone-begin", apex)
        for record in records:
            self.control("zone-set", apex, *record.split())
        self.control("zone-commit", apex)


def _item(keys: str) -> list[str]:
    """An entry of a list in Knot's own kind of YAML; ``;`` stands for a comma inside a value."""
    first, *others = keys.replace(", ", "\n    ").replace(";", ",").split("\n")
    return [f"  - {first}", *others]


class Nsd(Peer):
    """
    :param zones: apex to its zone's lines, in NSD's words.
    """

    def __init__(self, folder: Path, zones: dict[str, list[str]]) -> None:
        nsd = tool("nsd", "nsd")
        super().__init__(folder)
        lines = [
            "server:",
            f"  ip-address: {self.address}@{self.port}",
            f'  zonesdir: "{folder}"',
            '  database: ""',
            f'  zonelistfile: "{folder}/zone.list"',
            f'  xfrdfile: "{folder}/xfrd.state"',
            f'  xfrdir: "{folder}"',
            f'  pidfile: "{folder}/nsd.pid"',
            '  username: ""',
            "  server-count: 1",
            "  verbosity: 2",
            "remote-control:",
            "  control-enable: no",
            "key:",
            f"  name: {KEY}",
            "  algorithm: hmac-sha256",
            f'  secret: "{SECRET}"',
        ]
        for apex, words in zones.items():
            lines += ["zone:", f"  name: {apex}", f"  zonefile: {apex}.zone", *(f"  {word}" for word in words)]
        (folder / "nsd.conf").write_text("\n".join(lines) + "\n")
        self._command = (nsd, "-d", "-c", str(folder / "nsd.conf"))

    def run(self) -> None:
        self.start(*self._command)
        self.ready()

    def reload(self) -> None:
        os.kill(self.process.pid, signal.SIGHUP)
