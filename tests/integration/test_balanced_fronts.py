"""The PROXY protocol with real programs: HAProxy in front of the process, nginx behind it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.balanced import BalancedCase
from tests.integration.process import PATIENCE, free_port, own_address, own_port, tool, until

GENERAL, PREFERRED, UNWELCOME = "127.0.0.1", "127.0.0.11", "127.0.0.66"
MESSAGE = "HTTP/1.0 403 Forbidden\r\n\r\nNot you."

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port} proxy_protocol;
        location / {{
            set $to $proxy_protocol_server_addr:$proxy_protocol_server_port;
            return 200 "$proxy_protocol_addr $proxy_protocol_port $to";
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode tcp
    timeout connect 3s
    timeout client 20s
    timeout server 20s
"""
FRONT = """
listen front{number}
    bind {bind}
    source {source}
    server appliance {address}:{port} {words}
"""


class Program:
    """One that runs until the end of the test, and says nothing that matters before."""

    def __init__(self, case: TestCase, *words: str) -> None:
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        case.addCleanup(self._end)

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


class Nginx:
    """A server that answers with what the PROXY header of a connection says, and wants one."""

    def __init__(self, case: TestCase, folder: Path) -> None:
        folder.mkdir()
        self.address = own_address()
        self.port = free_port(self.address)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=self.address, port=self.port))
        Program(case, tool("nginx", "nginx-light"), "-p", str(folder), "-c", str(folder / "nginx.conf"))


class ProxyCase(BalancedCase):
    def setUp(self) -> None:
        super().setUp()
        tool("curl", "curl")

    def nginx(self, name: str) -> None:
        server = Nginx(self, self.folder / name)
        self.configuration["servers"][name] = {"address": server.address, "port": server.port}

    def page(self, source: str, place: str = "", *words: str) -> str:
        """What a client gets; of an empty ``place`` from the leased address itself."""
        if not place:
            return self.curl(source, *words).stdout
        command = [tool("curl", "curl"), "-sS", "-m", "9", "--interface", source, *words, f"http://{place}/"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE).stdout


class TowardsServersTests(ProxyCase):
    def test_nginx(self) -> None:
        """Is told who the client is, where it came to, and from which port."""
        self.nginx("alpha")
        self.site["servers"] = ["alpha"]
        for version in ("v1", "v2"):
            self.site["proxy_protocol"] = version
            if version == "v1":
                self.start()
                until(lambda: self.page(GENERAL), "nginx answers")
            else:
                self.reload()
            for source in (GENERAL, PREFERRED):
                said = self.page(source, "", "--local-port", "20000-60000", "-w", " %{local_port}")
                address, port, place, own_port = said.split()
                self.assertEqual((address, port, place), (source, own_port, f"{self.address}:{self.port}"), version)
        self.site["proxy_protocol"] = "none"
        self.reload()
        self.assertEqual(self.page(GENERAL), "", "it wants a header")

    def test_from_a_pool(self) -> None:
        """Who the client is stays true, also where connections come from a pool of addresses."""
        self.nginx("alpha")
        pool = own_address()
        self.configuration["client_nat"] = {"snat": {"first": pool, "last": pool, "netmask": "255.255.255.255"}}
        self.site |= {"servers": ["alpha"], "proxy_protocol": "v2", "client_nat": "snat"}
        self.start()
        until(lambda: self.page(GENERAL), "nginx answers")
        self.assertEqual(self.page(PREFERRED).split()[0], PREFERRED)


class BehindFrontEndsTests(ProxyCase):
    """HAProxy in front; who its client is decides the instance."""

    def setUp(self) -> None:
        super().setUp()
        tool("haproxy", "haproxy")
        self.alpha, self.best = self.origin("alpha"), self.origin("best")
        self.front = own_address()
        self.fronts: list[str] = []
        self.site |= {
            "servers": ["alpha"],
            "accept_proxy_from": [self.front],
            "instances": [
                {"bind_id": 1, "name": "preferred", "clients": [PREFERRED], "servers": ["best"]},
                {"bind_id": 2, "name": "unwelcome", "clients": [UNWELCOME], "answer": MESSAGE},
            ],
        }

    def add_front(self, words: str, bind: str = "") -> str:
        """:return: where a client reaches it."""
        place = f"{self.front}:{free_port(self.front)}"
        number = len(self.fronts)
        values = {"number": number, "source": self.front, "address": self.address, "port": self.port, "words": words}
        self.fronts.append(FRONT.format(bind=bind or place, **values))
        return place

    def start_fronts(self) -> None:
        file = self.folder / "haproxy.cfg"
        file.write_text(HAPROXY + "".join(self.fronts))
        self.start()
        Program(self, tool("haproxy", "haproxy"), "-db", "-q", "-f", str(file))

    def pages(self, place: str) -> list[str]:
        until(lambda: self.page(GENERAL, place), f"{place} answers")
        return [self.page(source, place).strip() for source in (GENERAL, PREFERRED, UNWELCOME)]

    def test_both_versions(self) -> None:
        places = [self.add_front(words) for words in ("send-proxy", "send-proxy-v2")]
        self.start_fronts()
        for place in places:
            self.assertEqual(self.pages(place), ["alpha", "best", "Not you."])
        with self.connect(PREFERRED, *place_of(places[0])):
            until(lambda: self.control.items("connections"), "a row of it")
            [row] = self.control.items("connections")
            self.assertEqual((row["client"].split(":")[0], row["bind_id"]), (PREFERRED, 1))

    def test_a_front_end_with_both_families(self) -> None:
        """Names IPv4 clients by IPv6 addresses that stand for theirs; they are who they are."""
        places = []
        for words in ("send-proxy", "send-proxy-v2"):
            port = own_port()
            self.add_front(words, f":::{port} v4v6")
            places.append(f"127.0.0.1:{port}")
        self.start_fronts()
        for place in places:
            self.assertEqual(self.pages(place), ["alpha", "best", "Not you."])
            page = subprocess.run(
                [tool("curl", "curl"), "-sS", f"http://[::1]:{place.split(':')[1]}/"],
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(page.stdout.strip(), "alpha", "who has IPv6 is nobody's client")

    def test_its_own_checks(self) -> None:
        """Speak for nobody, and find that the servers answer."""
        place = self.add_front("send-proxy-v2 check inter 200ms rise 1 fall 1")
        self.start_fronts()
        self.assertEqual(self.pages(place), ["alpha", "best", "Not you."])
        until(lambda: len(self.alpha.peers) > 5, "checks reach the server")
        self.assertEqual(self.page(GENERAL, place).strip(), "alpha")

    def test_who_is_not_listed(self) -> None:
        """Is itself, whatever it says: its header is nothing but bytes."""
        self.start()
        self.assertEqual(self.page(UNWELCOME, "", "--haproxy-protocol"), "Not you.")
        self.assertEqual(self.page(PREFERRED).strip(), "best")
        with self.connect(GENERAL) as client:
            client.sendall(f"PROXY TCP4 {PREFERRED} {self.address} 1 80\r\nwho\n".encode())
            self.assertEqual(client.recv(99), b"alpha\n")

    def test_without_a_header(self) -> None:
        """A listed front end that sends none is reset, and the log says who."""
        place = self.add_front("")
        self.start_fronts()
        until(lambda: self.page(GENERAL, place) or "nat-proxy-header" in self.running.output(), "it is refused")
        self.assertEqual(self.page(GENERAL, place), "")
        self.running.wait_for(f"A front end sent no good PROXY header ({self.front}: it begins with something else;")
        self.assertEqual(self.alpha.peers, [])

    def test_limits_are_the_clients(self) -> None:
        """Of ``max_per_client``: all come from the front end, and each has as many as on its own."""
        self.site["max_per_client"] = 2
        place = self.add_front("send-proxy-v2")
        self.start_fronts()
        self.pages(place)
        until(lambda: not self.control.items("connections"), "nobody is left")
        clients = [self.connect(source, *place_of(place)) for source in (GENERAL, GENERAL, PREFERRED, PREFERRED)]
        until(lambda: len(self.control.items("connections")) == 4, "four are there")
        for source in (GENERAL, PREFERRED):
            self.assertEqual(self.page(source, place), "", "one more is refused")
        self.assertEqual(len(clients), 4)

    def test_from_end_to_end(self) -> None:
        """HAProxy, the process, nginx: the server hears of the client that HAProxy had."""
        self.nginx("nginx")
        self.site |= {"servers": ["nginx"], "proxy_protocol": "v1"}
        place = self.add_front("send-proxy-v2")
        self.start_fronts()
        until(lambda: self.page(GENERAL, place), "nginx answers")
        self.assertEqual(self.page("127.0.0.12", place).split()[0], "127.0.0.12")


def place_of(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port)
