"""Three appliances on three hosts of a test's own, at distances that the test says: a network of POPs (3.2)."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from appliance.commands.socket import Control
from tests.integration.balanced import Origin
from tests.integration.hosts import Host, need_namespaces
from tests.integration.process import PATIENCE, Running, tool, until
from tests.integration.spots import NOTHING
from tests.integration.wires import Wires

ADDRESSES = {"ams": "10.9.0.1", "fra": "10.9.0.2", "nyc": "10.9.0.3"}
LEASED = {name: f"10.9.1.{number}" for number, name in enumerate(ADDRESSES, 1)}
"""What the site of each POP has; a client that is answered with a POP goes there."""
WAYS = {("ams", "fra"): 0.01, ("ams", "nyc"): 0.06, ("fra", "nyc"): 0.01}
"""Seconds each way: fra is in the middle, so that the others together have the shortest way to it."""
INTERVAL, TTL = 0.5, 2
PORT = 8000
ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\n@ 60 NS ns1\nns1 60 A 127.0.0.1\n"


class PopsCase(TestCase):
    """
    :ivar hosts: by the name of a POP; ``running``: its process; ``servers``: the server of its site.
    :cvar capacity: connections of each.

    Names are ``near.example.test``, by latency alone, and ``middle.example.test``, by the time that a POP's page takes
    those who are not it.
    """

    timeout = 60
    capacity = 0

    def setUp(self) -> None:
        need_namespaces()
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.hosts = {name: self._host() for name in ADDRESSES}
        wires = Wires(self)
        for (one, other), delay in WAYS.items():
            wires.join((self.hosts[one], ADDRESSES[one]), (self.hosts[other], ADDRESSES[other]), delay)
        self.servers: dict[str, Origin] = {}
        self.running: dict[str, Running] = {}
        for name, host in self.hosts.items():
            host.run("ip", "address", "add", f"{LEASED[name]}/32", "dev", "lo")
            self.servers[name] = Origin(self, name, "127.0.0.1", host)
        for name in ADDRESSES:
            self.run_pop(name)
        for running in self.running.values():
            running.started()

    def _host(self) -> Host:
        host = Host()
        self.addCleanup(host.close)
        return host

    def run_pop(self, name: str) -> Running:
        """A process; it has not started yet."""
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps(self.configuration(name)))
        running = self.running[name] = Running("--config", str(file), through=self.hosts[name].words())
        self.addCleanup(running.stop)
        return running

    def configuration(self, name: str) -> dict[str, Any]:
        """All that is of a network is the same everywhere."""
        here = ADDRESSES[name]
        static = {"ttl": TTL}
        return {
            "appliance": {"name": name, "state_directory": name, "stop_timeout": "0s", "fsync": "never"},
            "dns": {
                "listen": [f"{here}:53"],
                "zones": {"example.test": {"records": ZONE}},
                "client_subnet": True,
                "rate_limit": {"responses_per_second": 0},
            },
            "control": {"peers": {"listen": f"{here}:8054", "allow": ["10.9.0.0/24"]}},
            "servers": {"own": {"address": "127.0.0.1", "port": self.servers[name].port}},
            "sites": {"www.example.test": {"address": LEASED[name], "services": [{"port": PORT}], "servers": ["own"]}},
            "pops": {pop: self._pop(address) for pop, address in ADDRESSES.items()},
            "delivery": {
                "near": {"static": ["near.example.test"], "rule": self._rule(latency=1.0), **static},
                "middle": {"static": ["middle.example.test"], "rule": self._rule(http=1.0), **static},
            },
        }

    def _pop(self, address: str) -> dict[str, object]:
        where = f"http://{address}:8054"
        return {
            "address": address,
            "peers": where,
            "http": f"{where}/ping",
            "interval": f"{INTERVAL}s",
            "capacity": self.capacity,
        }

    def _rule(self, **weights: float) -> dict[str, object]:
        return {"pops": {**NOTHING, **weights}, "tolerance": 0}

    # -- looking -----------------------------------------------------------------------------------------------------

    def asked(self, at: str, name: str, *words: str) -> str:
        """The POP that the one at ``at`` answers a name with; or several, or what dig says else."""
        command = (
            tool("dig", "dnsutils"),
            "+time=2",
            "+tries=1",
            f"@{ADDRESSES[at]}",
            f"{name}.example.test",
            "+short",
        )
        found = self.hosts[at].tried(*command, *words).stdout.split()
        by_address = {address: pop for pop, address in ADDRESSES.items()}
        return " ".join(sorted(by_address.get(address, address) for address in found))

    def rows(self, at: str) -> Mapping[str, Mapping[str, Any]]:
        """What the POP at ``at`` says that it has seen."""
        command = (tool("curl", "curl"), "-s", "-m", "2", f"http://{ADDRESSES[at]}:8054/rows")
        said = self.hosts[at].tried(*command).stdout
        return {row["pop"]: row for row in json.loads(said)["rows"]} if said else {}

    def control(self, at: str) -> Control:
        """What people say to the POP."""
        return Control(str(self.folder / at / "control.sock"))

    def happened(self, at: str) -> Mapping[str, int]:
        """How many events of each kind there were there."""
        found: Mapping[str, int] = self.control(at).get("status")["events"]
        return found

    def until_known(self) -> None:
        """Everybody has measured everybody, and read it of the others."""

        def knows(at: str) -> bool:
            said = self.control(at).get("pops")
            others = [row for row in said["items"] if row["pop"] != at]
            checked = all(check["condition"] == "up" for row in others for check in row["checks"])
            return checked and len(others) == 2 and len(said["believed"]) == len(ADDRESSES)

        def is_known() -> bool:
            return all(knows(at) for at in ADDRESSES)

        until(is_known, "all POPs have looked at each other")

    def until_asked(self, at: str, name: str, pop: str, patience: float = PATIENCE) -> None:
        until(lambda: self.asked(at, name) == pop, f"{at} answers {name} with {pop}", patience)

    def cut(self, name: str, state: str = "down") -> None:
        """The network of a POP ends, at its own side."""
        for other, host in self.hosts.items():
            if other != name:
                self.hosts[name].run("ip", "link", "set", f"to{host.pid}", state)

    def connect(self, pop: str) -> socket.socket:
        """A client at the POP itself, that stays."""
        client = self.hosts[pop].connect(LEASED[pop], PORT)
        self.addCleanup(client.close)
        client.sendall(b"who\n")
        self.assertEqual(client.recv(100), f"{pop}\n".encode())
        return client
