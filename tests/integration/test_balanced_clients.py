"""
Preferred, general and unwelcome clients on a host of their own, through one address that the site leases (5.3 to 5.5).
"""

from __future__ import annotations

import socket
import subprocess

from tests.integration.balanced import SITE, BalancedCase, Origin, said_to
from tests.integration.hosts import APPLIANCE_INSIDE, APPLIANCE_OUTSIDE, CLIENTS, LEASED, SERVERS, Host, Hosts
from tests.integration.process import PATIENCE, tool, until

PREFERRED, PREFERRED_BUT_UNWELCOME, GENERAL, SUSPECT = CLIENTS
"""The first two are of one network."""
PAGE = "Not you.\n"
MESSAGE = f"HTTP/1.0 403 Forbidden\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}"
WELCOME = "220 nice to see you\r\n"


class ClientTests(BalancedCase):
    def setUp(self) -> None:
        super().setUp()
        tool("curl", "curl")
        tool("nc", "netcat-openbsd")
        self.hosts = Hosts(self)
        self.through = self.hosts.appliance.words()
        self.dns, self.dns_port = APPLIANCE_OUTSIDE, 53
        self.address, self.port = f"{LEASED}9", 80
        self.servers = [Origin(self, name, SERVERS[i], self.hosts.servers) for i, name in enumerate(("a", "b", "c"))]
        self.general, self.best, self.slow = self.servers
        self.configuration["dns"]["listen"] = [f"{APPLIANCE_OUTSIDE}:53"]
        self.configuration["pools"]["public"]["addresses"] = [self.address]
        self.configuration["servers"] = {each.name: each.configured() for each in self.servers}
        (self.folder / "message").write_text(MESSAGE, newline="")
        self.preferred = {"bind_id": 1, "name": "preferred", "clients": ["198.51.100.0/24"], "servers": ["b"]}
        self.site |= {
            "services": [{"port": 80}],
            "servers": ["a"],
            "instances": [
                self.preferred,
                {"bind_id": 2, "name": "unwelcome", "clients": [PREFERRED_BUT_UNWELCOME], "answer": "./message"},
                {"bind_id": 3, "name": "suspect", "clients": [SUSPECT], "servers": ["c"]},
            ],
        }

    def lookup(self, site: str = SITE) -> str:
        """As the clients ask."""
        words = (tool("dig", "dnsutils"), f"@{APPLIANCE_OUTSIDE}", "+short", "+time=2", "+tries=1")
        return self.hosts.clients.tried(*words, site).stdout.strip()

    def curl(self, source: str = GENERAL, *words: str) -> subprocess.CompletedProcess[str]:
        place = f"{SITE}:80:{self.lookup()}"
        more = ("-sS", "-m", "9", "--interface", source, "--resolve", place, *words)
        return self.hosts.clients.tried("curl", *more, f"http://{SITE}/")

    def page(self, source: str) -> str:
        return self.curl(source).stdout.strip()

    def nc(self, source: str, said: str = "who\n") -> str:
        words = ("nc", "-N", "-w", "5", "-s", source, self.lookup(), "80")
        done = subprocess.run(
            [*self.hosts.clients.words(), *words], capture_output=True, input=said.encode(), check=False, timeout=20
        )
        return done.stdout.decode()

    def test_three_servers_and_a_message(self) -> None:
        """The most specific network wins: one of the preferred clients' network is unwelcome."""
        self.start()
        for _ in range(3):
            self.assertEqual([self.page(source) for source in (PREFERRED, GENERAL, SUSPECT)], ["b", "a", "c"])
        self.assertEqual([len(each.peers) for each in self.servers], [3, 3, 3])
        self.assertEqual({address for each in self.servers for address, _ in each.peers}, {APPLIANCE_INSIDE})
        self.assertEqual([row["site"] for row in self.control.items("leases")], [SITE])

        done = self.curl(PREFERRED_BUT_UNWELCOME, "-w", "%{http_code}")
        self.assertEqual((done.returncode, done.stdout), (0, f"{PAGE}403"))
        for said in ("", "who\n", "x" * 100_000):
            self.assertEqual(self.nc(PREFERRED_BUT_UNWELCOME, said), MESSAGE)
        self.assertEqual([len(each.peers) for each in self.servers], [3, 3, 3])
        self.assertEqual(self.control.get("status")["nat"]["turned_away"], 4)

        listed = [line.split()[:4] for line in self.appliance("clients").splitlines()[1:]]
        place = f"{SITE}:80"
        self.assertEqual(
            sorted(listed),
            sorted(
                [
                    ["198.51.100.0/24", f"{place}:1", "configured", "in-use"],
                    [f"{PREFERRED_BUT_UNWELCOME}/32", f"{place}:2", "configured", "in-use"],
                    [f"{SUSPECT}/32", f"{place}:3", "configured", "in-use"],
                ]
            ),
        )
        totals = {row["bind_id"]: row["total"] for row in self.control.items("virtuals")}
        self.assertEqual(totals, {0: 3, 1: 3, 2: 4, 3: 3})

    def test_a_welcome(self) -> None:
        """Is read before what the server says, also where that speaks first."""
        self.preferred["welcome"] = WELCOME
        self.general.greeting = self.best.greeting = b"hello\n"
        self.start()
        self.assertEqual(self.nc(PREFERRED), f"{WELCOME}hello\nb\n")
        self.assertEqual(self.nc(GENERAL), "hello\na\n")

    def test_another_port(self) -> None:
        """An instance leads where it likes; the port of its server is a process of its own (5.5)."""
        special = Origin(self, "special", SERVERS[1], self.hosts.servers)
        self.configuration["servers"]["b"]["port"] = 0
        self.preferred["services"] = [{"port": 80, "to": special.port}]
        self.start()
        self.assertEqual([self.page(source) for source in (PREFERRED, GENERAL)], ["special", "a"])

    def test_out_of_service(self) -> None:
        """Such an instance does not compete: its clients are those of the next shorter prefix, at last of bind id 0."""
        self.start()
        self.appliance("out-of-service", f"{SITE}:80:2")
        self.assertEqual(self.page(PREFERRED_BUT_UNWELCOME), "b")
        self.appliance("virtual", f"{self.address}:80:1", "out-of-service")
        self.assertEqual([self.page(source) for source in CLIENTS], ["a", "a", "a", "c"])
        table = self.appliance("clients")
        self.assertRegex(table, rf"198.51.100.0/24 +{SITE}:80:1 +configured +not-in-use")
        self.assertRegex(table, rf"{SUSPECT}/32 +{SITE}:80:3 +configured +in-use")
        self.appliance("in-service", f"{SITE}:80:1")
        self.appliance("in-service", f"{SITE}:80:2")
        self.assertEqual([self.page(source) for source in CLIENTS], ["b", PAGE.strip(), "a", "c"])

    def test_datagrams(self) -> None:
        """Go to the same three servers; over UDP nothing is said to the unwelcome one."""
        self.site["services"].append({"port": 80, "protocol": "udp"})
        receivers = {each.name: self.udp_socket(self.hosts.servers, each.address, each.port) for each in self.servers}
        self.start()
        for source, name in ((PREFERRED, "b"), (GENERAL, "a"), (SUSPECT, "c"), (PREFERRED_BUT_UNWELCOME, "")):
            client = self.udp_socket(self.hosts.clients, source)
            client.sendto(source.encode(), (self.address, 80))
            if name:
                said, back = receivers[name].recvfrom(99)
                self.assertEqual((said.decode(), back[0]), (source, APPLIANCE_INSIDE))
                receivers[name].sendto(b"hello", back)
                self.assertEqual(client.recvfrom(99), (b"hello", (self.address, 80)))
        until(lambda: self.control.get("status")["nat"] == {"turned_away": 1}, "it was turned away")
        self.assertEqual(sorted(row["server"] for row in self.control.items("connections")), ["a", "b", "c"])
        for receiver in receivers.values():
            receiver.setblocking(False)
            self.assertRaises(BlockingIOError, receiver.recv, 99)

    def udp_socket(self, host: Host, address: str, port: int = 0) -> socket.socket:
        sock = host.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.addCleanup(sock.close)
        sock.bind((address, port))
        sock.settimeout(PATIENCE)
        return sock

    def test_no_port_is_left(self) -> None:
        """Of the host's own: one more is refused, and the server has not failed by that."""
        ports = "/proc/sys/net/ipv4/ip_local_port_range"
        self.hosts.appliance.run("sh", "-c", f"echo 40000 40003 > {ports}")
        self.configuration["servers"]["a"]["threshold"] = 1
        self.start()
        clients = [self.hosts.clients.connect(self.address, 80, (GENERAL, 0)) for _ in range(4)]
        self.assertEqual([said_to(client) for client in clients], ["a"] * 4)
        self.assertEqual(self.page(GENERAL), "")
        self.assertEqual(self.row("servers", server="a")["state"], "in-service")
        self.assertEqual(self.control.get("status")["nat"]["sources_exhausted"], 1)
        self.assertEqual(self.page(PREFERRED), "b", "to another server the same ports lead once more")
        for client in clients:
            client.close()

    def test_by_hand(self) -> None:
        """Who is assigned at run time is so at once; what is taken back is as the file says."""
        self.start()
        self.appliance("assign", f"{SITE}:80:2", "192.0.2.0", "255.255.255.0")
        self.assertEqual([self.page(source) for source in CLIENTS], ["b", PAGE.strip(), PAGE.strip(), "c"])
        self.appliance("assign", f"{SITE}:80", GENERAL)
        self.assertEqual(self.page(GENERAL), "a")
        self.appliance("unassign", f"{SITE}:80:3", SUSPECT)
        self.assertEqual(self.page(SUSPECT), PAGE.strip())
        self.appliance("revert", f"{SITE}:80:2")
        self.assertEqual(self.page(SUSPECT), "a")
