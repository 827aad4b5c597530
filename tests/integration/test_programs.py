"""Real programs through a leased address, behind which two servers share the work."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.carried import LASTING, CarriedCase
from tests.integration.process import PATIENCE, ROOT, dig, free_port, own_address, tool, until

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{servers}
}}
"""
ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n@ 60 TXT {name}\n"
OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes")


class ProgramsCase(CarriedCase):
    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.places = {name: own_address() for name in ("alpha", "beta")}
        self.inner = free_port(self.places["alpha"])

    def carried(self, more: str = "", *, udp: bool = False) -> str:
        """The site's two servers, at one port."""
        listed = ", ".join(f"{{address: {place}, port: {self.inner}}}" for place in self.places.values())
        services = f"{{port: {self.port}}}" + (f", {{port: {self.port}, protocol: udp}}" if udp else "")
        keys = f"pool: public, services: [{services}], servers: [{listed}], predictor: round-robin{more}"
        self.write({"www": keys}, addresses=1, pool=LASTING)
        return self.carry()

    def program(self, *words: str | Path, ready: str = "") -> None:
        """A server, until the test ends, when it ends those that it started; it is ready when it has said ``ready``."""
        nothing = subprocess.DEVNULL
        pipe = subprocess.PIPE if ready else nothing
        server = subprocess.Popen([*map(str, words)], cwd=ROOT, stdin=nothing, stdout=pipe, stderr=nothing, text=True)
        self.addCleanup(server.communicate, timeout=PATIENCE)
        self.addCleanup(server.terminate)
        if server.stdout is not None:
            line = server.stdout.readline()
            self.assertIn(ready, line)

    def listens(self, place: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((place, self.inner)) == 0

    def run_client(self, *words: str, given: bytes = b"") -> bytes:
        """What a program prints that succeeds."""
        done = subprocess.run(words, input=given, capture_output=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def totals(self) -> list[int]:
        """Connections and sessions that each server was given."""
        return [row["total"] for row in self.told("servers")]


class HttpTests(ProgramsCase):
    def served(self) -> str:
        nginx = tool("nginx", "nginx-light")
        (self.folder / "large").write_bytes(b"0123456789abcdef" * 2_000_000)
        servers = "".join(
            f"server {{ listen {place}:{self.inner}; client_max_body_size 99m; root {self.folder};"
            f" location = /name {{ return 200 {name}; }} }}\n"
            for name, place in self.places.items()
        )
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, servers=servers))
        address = self.carried()
        os.chmod(self.folder, 0o755)
        self.program(nginx, "-c", self.folder / "nginx.conf", "-p", self.folder)
        until((self.folder / "nginx.pid").exists, "nginx runs")
        return address

    def test_curl(self) -> None:
        """In turn, and a large page whole."""
        curl, address = tool("curl", "curl"), self.served()
        url = f"http://{address}:{self.port}"
        names = [self.run_client(curl, "-sS", f"{url}/name").decode() for _ in range(4)]
        self.assertEqual(names, ["alpha", "beta"] * 2)
        page = self.run_client(curl, "-sS", f"{url}/large")
        expected = (self.folder / "large").read_bytes()
        self.assertEqual(hashlib.sha256(page).digest(), hashlib.sha256(expected).digest())

    def test_wrk(self) -> None:
        """40 connections that are kept, and then one a request: no errors, and the servers share both."""
        wrk, address = tool("wrk", "wrk"), self.served()
        url = f"http://{address}:{self.port}/name"
        for more in ((), ("-H", "Connection: close")):
            before = self.totals()
            said = self.run_client(wrk, "-t1", "-c40", "-d1s", *more, url).decode()
            self.assertNotIn("Socket errors", said)
            self.assertNotIn("Non-2xx", said)
            self.assertGreater(int(re.findall(r"(\d+) requests in", said)[0]), 100)
            one, other = (after - earlier for after, earlier in zip(self.totals(), before, strict=True))
            self.assertLessEqual(abs(one - other), 1)
            self.assertGreaterEqual(one, 20)
        self.empty()
        self.assertNotIn("connects_failed", self.status()["nat"])


class IperfTests(ProgramsCase):
    def test_iperf3(self) -> None:
        """Both ways, several streams, and UDP: ``sticky`` keeps a client's connections and sessions together."""
        iperf3 = tool("iperf3", "iperf3")
        address = self.carried(", sticky: 1m", udp=True)
        for place in self.places.values():
            self.program(iperf3, "-s", "-B", place, "-p", str(self.inner), "--forceflush", ready="---")
        homes = set()
        for source in (own_address(), own_address()):
            base = (iperf3, "-c", address, "-p", str(self.port), "-B", source, "-J")
            for more in ((), ("-R",), ("-P", "3")):
                found = self.ended(*base, "-t", "1", *more)
                # Much less than goes through: what is on its way when the sender has done is not counted.
                self.assertGreater(found["sum_received"]["bytes"], 1e6)
            found = self.ended(*base, "-u", "-b", "8M", "-l", "1200", "-t", "1")
            self.assertEqual(found["sum"]["lost_packets"], 0)
            self.assertGreater(found["sum"]["packets"], 500)
            homes.add(tuple(self.totals()))
        self.assertTrue(all(total > 5 for total in self.totals()), homes)

    def ended(self, *words: str) -> dict[str, Any]:
        """What a client says at its end; a server that is not done with the one before says that it is busy."""

        def tried() -> Any:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
            said = json.loads(done.stdout)
            return None if "busy" in said.get("error", "") else said

        said = until(tried, "the server is free")
        self.assertNotIn("error", said)
        return dict(said["end"])


class SshTests(ProgramsCase):
    def test_ssh(self) -> None:
        """A command, and megabytes both ways through ``cat``; whoever comes again finds the other server."""
        ssh, keygen = tool("ssh", "openssh-client"), tool("ssh-keygen", "openssh-client")
        for name in ("host", "client"):
            self.run_client(keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        address = self.carried()
        for name, place in self.places.items():
            keys = self.folder / "host", self.folder / "client.pub"
            where = (place, str(self.inner), *keys, name)
            self.program(sys.executable, "-m", "tests.integration.sshd", *where, ready="listening")
        options = [part for option in OPTIONS for part in ("-o", option)]
        words = (ssh, "-F", "none", "-i", str(self.folder / "client"), "-p", str(self.port), *options)
        command = (*words, f"operator@{address}")
        self.assertEqual([self.run_client(*command, "name") for _ in range(2)], [b"alpha\n", b"beta\n"])
        bulk = os.urandom(4_000_000)
        self.assertEqual(self.run_client(*command, "cat", given=bulk), bulk)


class OpenSshTests(ProgramsCase):
    def test_rsync(self) -> None:
        """OpenSSH's own server, and rsync over it: files there and back are what they were."""
        sshd, rsync = tool("sshd", "openssh-server"), tool("rsync", "rsync")
        ssh, keygen = tool("ssh", "openssh-client"), tool("ssh-keygen", "openssh-client")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where its unprivileged half lives; a unit would make it
        for name in ("host", "client"):
            self.run_client(keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        address = self.carried()
        for name, place in self.places.items():
            own = {
                "ListenAddress": f"{place}:{self.inner}",
                "HostKey": self.folder / "host",
                "AuthorizedKeysFile": self.folder / "client.pub",
                "SetEnv": f"WHO={name}",
                "StrictModes": "no",
                "UsePAM": "no",
                "PidFile": "none",
            }
            options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
            self.program(sshd, "-D", "-f", "/dev/null", *options)
            until(lambda: self.listens(place), "it listens")  # noqa: B023
        options = [part for option in OPTIONS for part in ("-o", option)]
        words = (ssh, "-F", "none", "-i", str(self.folder / "client"), "-p", str(self.port), *options)
        user = getpass.getuser()
        said = {self.run_client(*words, f"{user}@{address}", "echo $WHO") for _ in range(2)}
        self.assertEqual(said, {b"alpha\n", b"beta\n"})
        here, there, back = (self.folder / name for name in ("here", "there", "back"))
        here.mkdir()
        files = {f"{number}": os.urandom(number * 40_000) for number in range(50)}
        for name, content in files.items():
            (here / name).write_bytes(content)
        shell = ("-e", " ".join(words))
        self.run_client(rsync, "-a", *shell, f"{here}/", f"{user}@{address}:{there}/")
        (there / "7").write_bytes(files["7"][:9] + b"changed" + files["7"][16:])
        files["7"] = (there / "7").read_bytes()
        self.run_client(rsync, "-a", *shell, f"{user}@{address}:{there}/", f"{back}/")
        self.assertEqual({file.name: file.read_bytes() for file in back.iterdir()}, files)


class DigTests(ProgramsCase):
    def test_dig(self) -> None:
        """Over UDP and TCP, to two name servers in turn; a client that goes on stays where it is."""
        knotd = tool("knotd", "knot")
        for name, place in self.places.items():
            folder = self.folder / name
            folder.mkdir()
            (folder / "example.org.zone").write_text(ZONE.format(name=name))
            (folder / "knot.conf").write_text(
                f"server:\n  rundir: {folder}\n  listen: {place}@{self.inner}\ndatabase:\n  storage: {folder}\n"
                f"zone:\n  - domain: example.org\n    storage: {folder}\n    file: example.org.zone\n"
            )
            self.program(knotd, "-c", folder / "knot.conf")
            until(lambda place=place: self.asked(place, self.inner), f"{name} answers")  # type: ignore[misc]
        address = self.carried(udp=True)
        for how in ("+notcp", "+tcp"):
            found = [self.asked(address, self.port, "-b", own_address(), how) for _ in range(4)]
            self.assertEqual(sorted(found), ["alpha", "alpha", "beta", "beta"])

    def asked(self, address: str, port: int, *words: str) -> str:
        return dig(f"@{address}", "-p", str(port), "example.org", "TXT", "+short", *words).strip('"\n')
