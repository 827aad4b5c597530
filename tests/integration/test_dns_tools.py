"""The running name server, asked with the programs that people have: dig, kdig, drill."""

from __future__ import annotations

import re
import socket
import subprocess
import threading

import dns.message
import dns.rcode

from tests.integration.packets import ZONE
from tests.integration.process import tool, until
from tests.integration.test_leases import OPEN, PERIOD, LeaseCase


class ToolsCase(LeaseCase):
    def setUp(self) -> None:
        super().setUp()
        self.zone_file = self.folder / "example.test.zone"
        self.zone_file.write_text(ZONE)
        server = self.server("s")
        (self.folder / "appliance.yaml").write_text(
            "appliance: {state_directory: state, stop_timeout: 0s, name: ams1}\n"
            f"dns: {{listen: ['{self.dns}:{self.dns_port}'], {self.limit}version: four, "
            "client_subnet: true, zones: {example.test: {file: example.test.zone}}}\n"
            f"pools: {{public: {{addresses: [{self.address(1)}], {PERIOD}, {OPEN}}}}}\n"
            f"sites: {{site.example.test: {{{self.to(server)}}}}}\n"
        )
        self.start()

    def words(self, program: str, package: str, *words: str) -> str:
        place = ["-p", str(self.dns_port), f"@{self.dns}"]
        found = subprocess.run(
            [tool(program, package), *place, *words], capture_output=True, text=True, timeout=30, check=False
        )
        return found.stdout

    def kdig(self, *words: str) -> str:
        return self.words("kdig", "knot-dnsutils", *words)

    def drill(self, *words: str) -> str:
        return self.words("drill", "ldnsutils", *words)


class ToolTests(ToolsCase):
    def test_dig(self) -> None:
        """Twice each, for the second answer comes from the wire cache, though dig's cookie is another one."""
        for _ in range(2):
            said = self.dig("site")
            self.assertRegex(said, rf"site\.example\.test\.\s+\d+\s+IN\s+A\s+{self.address(1)}")
            self.assertRegex(said, r"COOKIE: [0-9a-f]{48} \(good\)")
            self.assertIn("flags: qr aa rd;", said)
            self.assertIn('("ams1")', self.dig("www", "+nsid"))
            self.assertIn("CLIENT-SUBNET: 198.51.100.0/24/0", self.dig("www", "+subnet=198.51.100.0/24"))
            self.assertIn("BADVERS", self.dig("www", "+edns=1", "+noednsneg"))
            self.assertIn("flags: do;", self.dig("www", "+dnssec"))
            self.assertIn("status: NXDOMAIN", self.dig("nothing"))
        for asked, text in (("version.bind", '"four"'), ("id.server", '"ams1"')):
            self.assertIn(text, self.words("dig", "dnsutils", "+short", asked, "CH", "TXT"))

    def test_kdig_over_tcp(self) -> None:
        """Several questions on one connection, with keepalive; the big answer is cut over UDP and whole over TCP."""
        many = [word for name in ("site", "www", "big", "x.wild") for word in (f"{name}.example.test", "A")]
        said = self.kdig("+tcp", "+keepopen", "+edns", *many)
        self.assertEqual(len(re.findall(r"status: NOERROR", said)), 4)
        self.assertEqual(len(re.findall(r"198\.51\.100\.\d+$", said, re.MULTILINE)), 99)
        said = self.kdig("+notcp", "+ignore", "big.example.test")
        self.assertIn("tc", re.findall(r"Flags: ([a-z ]+);", said)[0].split())
        self.assertIn("ams1", self.kdig("+nsid", "www.example.test"))
        self.assertIn("COOKIE", self.kdig("+cookie", "www.example.test"))
        self.assertIn("198.51.100.0/24/0", self.kdig("+subnet=198.51.100.0/24", "www.example.test"))

    def test_drill(self) -> None:
        self.assertIn("192.0.2.80", self.drill("www.example.test", "A"))
        self.assertIn("198.51.100.99", self.drill("-t", "big.example.test", "A"))

    def test_pipelining(self) -> None:
        """A hundred queries in one segment, and byte by byte; a response for each, in their order."""
        query = dns.message.make_query("www.example.test", "A").to_wire()
        messages = [number.to_bytes(2, "big") + query[2:] for number in range(100)]
        stream = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
        for size in (len(stream), 1):
            with socket.create_connection((self.dns, self.dns_port), timeout=10) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for begin in range(0, len(stream), size):
                    sock.sendall(stream[begin : begin + size])
                with sock.makefile("rb") as read:
                    ids = []
                    for _ in messages:
                        response = read.read(int.from_bytes(read.read(2), "big"))
                        self.assertEqual(dns.message.from_wire(response).rcode(), dns.rcode.NOERROR)
                        ids.append(int.from_bytes(response[:2], "big"))
            self.assertEqual(ids, list(range(100)))

    def test_a_connection_that_has_asked_enough(self) -> None:
        """Three thousand queries where a thousand are allowed: a thousand answers, and an end, not a reset."""
        query = dns.message.make_query("www.example.test", "A").to_wire()
        stream = (len(query).to_bytes(2, "big") + query) * 3000
        for _ in range(3):
            with socket.create_connection((self.dns, self.dns_port), timeout=10) as sock:
                threading.Thread(target=sock.sendall, args=(stream,), daemon=True).start()
                with sock.makefile("rb") as read:
                    answers = 0
                    while size := int.from_bytes(read.read(2), "big"):
                        self.assertEqual(len(read.read(size)), size)
                        answers += 1
                self.assertEqual(answers, 1000)

    def test_a_reload_counts_at_once(self) -> None:
        """What was answered a moment ago is not answered any more."""
        self.assertIn("192.0.2.80", self.dig("www", "+short"))
        self.zone_file.write_text(ZONE.replace("192.0.2.80", "192.0.2.81"))
        self.assertEqual(self.control("reload").returncode, 0)
        self.assertEqual(self.dig("www", "+short").strip(), "192.0.2.81")

    def test_a_lease_that_ends_is_not_answered(self) -> None:
        """Also not out of the wire cache; and what was asked is counted."""
        for _ in range(3):
            self.assertIn(self.address(1), self.dig("site", "+short"))
        self.control("release", self.address(1), "--now")
        self.assertNotIn(self.address(1), self.dig("site", "+short"))
        self.assertRegex(self.control("status").stdout, r"dns: .*NOERROR 3.* queries 4")


class FloodTests(ToolsCase):
    limit = "rate_limit: {responses_per_second: 20, slip: 2}, "

    def test_rate_limit(self) -> None:
        """A thousand questions with one source: some answers, then silence and TC=1; who comes over TCP is answered."""
        query = dns.message.make_query("www.example.test", "A").to_wire()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect((self.dns, self.dns_port))
            sock.settimeout(0.3)
            whole = short = 0
            for _ in range(50):
                for _ in range(20):
                    sock.send(query)
                try:
                    while True:
                        response = sock.recv(4096)
                        short += response[2] >> 1 & 1
                        whole += response[7]
                        if short + whole >= 30:
                            sock.settimeout(0.005)
                except TimeoutError:
                    continue
        self.assertLess(whole, 200)
        self.assertGreaterEqual(whole, 20)
        self.assertGreater(short, 100)
        self.assertLess(short, 500)
        said = self.kdig("+nocookie", "www.example.test")
        self.assertIn("192.0.2.80", said)
        until(lambda: "limited-drop" in self.control("status").stdout, "the status says that it limits")

    def test_names_without_number(self) -> None:
        """Random names of a wildcard are one kind of answer, and so are those below a delegation."""
        for below, rdtype in (("wild.example.test", "TXT"), ("cut.example.test", "A")):
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.connect((self.dns, self.dns_port))
                sock.settimeout(0.3)
                whole = 0
                for number in range(200):
                    sock.send(dns.message.make_query(f"n{number}.{below}", rdtype).to_wire())
                    if number % 20 == 19:
                        try:
                            while True:
                                whole += not sock.recv(4096)[2] & 2
                                sock.settimeout(0.02)
                        except TimeoutError:
                            continue
                self.assertLess(whole, 120, below)
                self.assertGreaterEqual(whole, 20, below)
