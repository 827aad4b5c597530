"""Names of customers whose servers and POPs have IPv6 addresses only, asked for over IPv6 (3.1, 3.2)."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.balanced import Origin
from tests.integration.hosts import Host, need_namespaces
from tests.integration.process import Running, tool, until

NAMES = "fd00:9::53"
SERVERS = ("fd00:9::1", "fd00:9::2")
POPS = {"fra": "fd00:9::11", "nyc": "fd00:9::12"}
ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\n@ 60 NS ns1\nns1 60 AAAA fd00:9::53\n"
QUICK = {"interval": "250ms", "fast_interval": "250ms", "idle_interval": "250ms", "timeout": "200ms"}


class NetworkTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        need_namespaces()
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.host = Host()
        self.addCleanup(self.host.close)
        for address in (NAMES, *SERVERS, *POPS.values()):
            self.host.run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        self.servers = {address: Origin(self, address, address, self.host) for address in (*SERVERS, *POPS.values())}
        file = self.folder / "appliance.yaml"
        file.write_text(json.dumps(self.configuration()))
        running = Running("--config", str(file), through=self.host.words())
        self.addCleanup(running.stop)
        running.started()

    def configuration(self) -> dict[str, object]:
        return {
            "appliance": {"name": "here", "state_directory": "state", "stop_timeout": "0s", "fsync": "never"},
            "dns": {"listen": [f"[{NAMES}]:53"], "zones": {"example.test": {"records": ZONE}}},
            "probes": {"web": {"type": "http", "path": "/", "rise": 2, "fall": 2, **QUICK}},
            "servers": {
                f"s{number}": {"address": address, "port": self.servers[address].port, "probes": ["web"]}
                for number, address in enumerate(SERVERS)
            },
            "pops": {
                name: {
                    "address": address,
                    "http": f"http://[{address}]:{self.servers[address].port}/ping",
                    "interval": "250ms",
                }
                for name, address in POPS.items()
            },
            "delivery": {
                "page": {"pages": ["page.example.test"], "origins": ["s0", "s1"], "answers": 2},
                "static": {"static": ["static.example.test"], "answers": 2, "rule": {"tolerance": 10}},
            },
        }

    def asked(self, name: str, rdtype: str = "AAAA") -> set[str]:
        command = (tool("dig", "dnsutils"), "+time=2", "+tries=1", "-6", f"@{NAMES}", f"{name}.example.test", rdtype)
        return set(self.host.tried(*command, "+short").stdout.split())

    def one_dies(self, name: str, addresses: tuple[str, ...]) -> None:
        """All are answered, and then without it.  There is no IPv4 address."""
        until(lambda: self.asked(name) == set(addresses), f"all of {name}")
        self.servers[addresses[0]].fall()
        until(lambda: self.asked(name) == set(addresses[1:]), f"what is left of {name}")
        self.assertEqual(self.asked(name, "A"), set())

    def test_pages(self) -> None:
        self.one_dies("page", SERVERS)
        self.servers[SERVERS[0]].rise()
        until(lambda: self.asked("page") == set(SERVERS), "all of page again")

    def test_static(self) -> None:
        """Who comes back is answered after his dwell; tests with a clock see that."""
        self.one_dies("static", tuple(POPS.values()))
