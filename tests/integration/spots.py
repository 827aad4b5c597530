"""Servers and POPs of a test's own: pages that say how busy they are, and take as long as the test wants."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.balanced import BalancedCase
from tests.integration.process import dig, free_port, own_address, until


class Spot:
    """
    An HTTP server with ``/load``, ``/ping`` and any other page, and an FTP server with a greeting.

    :ivar load: what ``/load`` says.
    :ivar delays: seconds that a page, or ``ftp``, takes.
    :ivar dribble: each page comes a byte at a time, and has no end.
    :ivar asked: how often a page, or ``ftp``, was asked for.
    """

    def __init__(self, case: TestCase) -> None:
        self.address = own_address()
        self.port, self.ftp_port = free_port(self.address), free_port(self.address)
        self.load: dict[str, float] = {"cpu": 0.1, "memory": 0.1, "connections": 0, "capacity": 100}
        self.delays: dict[str, float] = {}
        self.dribble = False
        self.asked: Counter[str] = Counter()
        self._over = threading.Event()
        self._http: ThreadingHTTPServer | None = None
        self.rise()
        self._ftp = socket.create_server((self.address, self.ftp_port))
        threading.Thread(target=self._greet, daemon=True).start()
        case.addCleanup(self._end)

    def rise(self) -> None:
        """Listen, where it did before."""
        spot = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    spot._page(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer((self.address, self.port), Page)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def fall(self) -> None:
        """Nobody listens for pages any more."""
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.socket.close()

    def pop(self, **keys: object) -> dict[str, object]:
        """An entry of ``pops``."""
        where = f"http://{self.address}:{self.port}"
        ftp = f"{self.address}:{self.ftp_port}"
        return {
            "address": self.address,
            "peers": where,
            "http": f"{where}/ping",
            "ftp": ftp,
            "interval": "250ms",
            **keys,
        }

    def server(self, *probes: str) -> dict[str, object]:
        """An entry of ``servers``."""
        return {"address": self.address, "port": self.port, "probes": list(probes), "retries": 1}

    def _page(self, request: BaseHTTPRequestHandler) -> None:
        self.asked[request.path] += 1
        self._over.wait(self.delays.get(request.path, 0.0))
        said = json.dumps(self.load).encode() if request.path == "/load" else f"{self.address}\n".encode()
        request.send_response(200)
        if not self.dribble:
            request.send_header("Content-Length", str(len(said)))
            request.end_headers()
            request.wfile.write(said)
            return
        request.end_headers()
        while not self._over.wait(0.02):
            request.wfile.write(b"x")

    def _greet(self) -> None:
        while True:
            try:
                client, _ = self._ftp.accept()
            except OSError:
                return
            threading.Thread(target=self._greet_one, args=(client,), daemon=True).start()

    def _greet_one(self, client: socket.socket) -> None:
        self.asked["ftp"] += 1
        client.settimeout(5)
        with client, contextlib.suppress(OSError):
            self._over.wait(self.delays.get("ftp", 0.0))
            client.sendall(b"220 welcome\r\n")
            client.recv(100)
            client.sendall(b"221 bye\r\n")

    def _end(self) -> None:
        self._over.set()
        self.fall()
        self._ftp.shutdown(socket.SHUT_RDWR)
        self._ftp.close()


NOTHING = dict.fromkeys(("latency", "cpu", "memory", "connections", "http", "ftp"), 0.0)


class DeliveryCase(BalancedCase):
    """The appliance with customers; their names lie in ``example.test``."""

    def setUp(self) -> None:
        super().setUp()
        quick = {"interval": "250ms", "fast_interval": "250ms", "idle_interval": "250ms", "timeout": "200ms"}
        self.configuration["probes"] = {
            "busy": {"type": "load", "path": "/load", **quick},
            "web": {"type": "http", "path": "/ping", "rise": 2, "fall": 2, **quick},
        }
        self.configuration["appliance"]["name"] = "here"
        self.configuration["delivery"] = {}
        self.configuration["pops"] = {}
        self.spots: list[Spot] = []

    def pop(self, name: str, **keys: object) -> Spot:
        """One that the appliance knows as a POP."""
        spot = Spot(self)
        self.spots.append(spot)
        self.configuration["pops"][name] = spot.pop(**keys)
        return spot

    def two(self) -> tuple[Spot, Spot]:
        return Spot(self), Spot(self)

    def customer(self, name: str, rule: dict[str, object], **keys: object) -> None:
        """One whose name is ``NAME.example.test``."""
        kind = "pages" if "origins" in keys else "static"
        self.configuration["delivery"][name] = {kind: [f"{name}.example.test"], "rule": rule, **keys}

    def start_names(self, *names: str) -> None:
        """Run it, with a server for the site that nobody asks for, until the names are answered."""
        if not self.site["servers"]:
            self.origin("unused")
            self.site["servers"] = ["unused"]
        self.start()
        # A choice among POPs that nothing is known of is made anew, and then stands for half a minute.
        for spot in self.spots:
            until(lambda spot=spot: min(map(spot.asked.__getitem__, ("/load", "/ping", "ftp"))) > 1, "a look at it")  # type: ignore[misc]
        for name in names:
            until(lambda name=name: self.asked(name), f"{name} is answered")  # type: ignore[misc]

    def asked(self, name: str, *words: str) -> list[str]:
        """What dig says that the customer's name is answered with."""
        where = (f"@{self.dns}", "-p", str(self.dns_port))
        return sorted(dig(*where, f"{name}.example.test", "+short", *words).split())
