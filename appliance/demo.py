"""
The private servers of the demonstration: for each site a web server and a UDP responder that say the site's name.

They are ordinary servers that know nothing of leases; only that they run inside the process is special.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.server import Site as WebSite

from appliance.errors import ListenError
from appliance.model import Site

HOLD_SECONDS = 30
"""How long ``/hold`` goes on, a line a second."""


def configuration() -> str:
    """The demonstration's configuration, as YAML text."""
    return resources.files("appliance").joinpath("demo.yaml").read_text()


_INSTRUCTIONS = """
The demonstration runs: eight sites share three addresses.  In another terminal, try:

  a DNS answer is a lease; ask again and it is renewed
    dig @127.0.0.1 -p 5300 site4.demo.test +short
    dig @127.0.0.1 -p 5300 site4.demo.test +noall +answer

  traffic to the leased address reaches the site's own server, over TCP and over UDP
    curl http://site4.demo.test:8080/ --resolve site4.demo.test:8080:$(dig @127.0.0.1 -p 5300 +short site4.demo.test)
    echo hello | nc -u -w1 $(dig @127.0.0.1 -p 5300 +short site4.demo.test) 8080

  connections prolong what the next answer promises: fetch the page a few times, and ask for the address again

  three sites have an address at once, the fourth has to wait (SERVFAIL) until one has ended and cooled, some 11 s
    for n in 1 2 3 5; do dig @127.0.0.1 -p 5300 site$n.demo.test +noall +answer +comments | grep -E 'status:|IN.A'; done

  a connection keeps its lease: this one goes on for {hold} s, far longer than its TTL
    curl -N http://$(dig @127.0.0.1 -p 5300 +short site4.demo.test):8080/hold

  who holds what, what is wrong, and why an answer is what it is
    {appliance} leases --watch
    {appliance} status
    {appliance} explain site4.demo.test

Stop it with Ctrl-C.
"""


def instructions(control_socket: str) -> str:
    """What to try, for the person at the terminal."""
    command = Path(sys.executable).parent / "appliance"
    called = f"{command if command.exists() else 'appliance'} --control {control_socket}"
    return _INSTRUCTIONS.format(hold=HOLD_SECONDS, appliance=called)


class _Page(Resource):
    isLeaf = True

    def __init__(self, clock: Any, site: str) -> None:
        super().__init__()
        self._clock = clock
        self._site = site

    def render_GET(self, request: Request) -> bytes | int:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        if request.path != b"/hold":
            return f"This is {self._site}, reached at {request.getRequestHostname().decode()}.\n".encode()
        lines = iter(range(1, HOLD_SECONDS + 1))
        loop = LoopingCall(lambda: self._line(request, lines, loop))
        loop.clock = self._clock
        request.notifyFinish().addErrback(lambda gone: loop.stop() if loop.running else None)
        loop.start(1.0)
        return NOT_DONE_YET

    def _line(self, request: Request, lines: Any, loop: LoopingCall) -> None:
        number = next(lines, None)
        if number is None:
            loop.stop()
            request.finish()
        else:
            request.write(f"{self._site} {number}\n".encode())


class _Responder(DatagramProtocol):
    noisy = False

    def __init__(self, site: str) -> None:
        self._site = site

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self.transport is not None:
            self.transport.write(f"{self._site}: ".encode() + datagram, addr)


class DemoServers(Service):
    """:param sites: each gets its server at the endpoint where the configuration says that it is."""

    name = "demo"

    def __init__(self, reactor: Any, sites: Iterable[Site]) -> None:
        self._reactor = reactor
        self._sites = tuple(sites)
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """:raises ListenError: when one of the private endpoints is in use."""
        for site in self._sites:
            host, port = str(site.servers[0].address), site.servers[0].port
            try:
                factory = WebSite(_Page(self._reactor, site.name))
                # Its dates would be those of the boot clock, and nobody needs a log of the demonstration's pages.
                factory.log = lambda request: None  # type: ignore[method-assign]
                self._ports.append(self._reactor.listenTCP(port, factory, interface=host))
                self._ports.append(self._reactor.listenUDP(port, _Responder(site.name), interface=host))
            except CannotListenError as error:
                reason = f"{error.socketError}; does another demonstration run?"
                raise ListenError(f"demonstration: cannot open {host}:{port}: {reason}") from error
        super().startService()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        ports, self._ports = self._ports, []
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])
