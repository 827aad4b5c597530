"""
The listener for other POPs: ``/load``, ``/ping`` and ``/rows``, and nothing else (3.2).

What is told is no secret to those in the access list, and nothing can be changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request

from appliance.control.bounded import MOST_CONNECTIONS, BoundedFactory, Network
from appliance.errors import ListenError
from appliance.model import Endpoint
from appliance.model.health import Load, Rows
from appliance.peering import load_json, rows_json

_JSON = b"application/json"
_TEXT = b"text/plain; charset=utf-8"


class Said(Resource):
    """
    :param load: how busy this appliance is now.
    :param rows: what it has seen of all POPs, its ``age`` as of now.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, load: Callable[[], Load], rows: Callable[[], Rows]) -> None:
        super().__init__()
        self._load = load
        self._rows = rows
        self._pages: dict[bytes, Callable[[Request], bytes]] = {
            b"/load": self._load_page,
            b"/ping": self._ping_page,
            b"/rows": self._rows_page,
        }

    def render(self, request: Request) -> bytes:
        request.responseHeaders.removeHeader(b"server")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-type", _TEXT)
        said = self._answer(request)
        if request.method == b"HEAD":
            request.setHeader(b"content-length", b"%d" % len(said))
            return b""
        return said

    def _answer(self, request: Request) -> bytes:
        path = request.path or b""
        page = self._pages.get(path)
        if page is None:
            request.setResponseCode(404)
            return b"not found\n"
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader(b"allow", b"GET, HEAD")
            return b"use GET\n"
        try:
            return page(request)
        except Exception:
            self._log.failure("{event}: {path}", event="peers-failed", path=path.decode())
            request.setResponseCode(500)
            request.setHeader(b"content-type", _TEXT)
            return b"a bug of the appliance; its log has the traceback\n"

    def _load_page(self, request: Request) -> bytes:
        request.setHeader(b"content-type", _JSON)
        return load_json(self._load())

    def _ping_page(self, request: Request) -> bytes:
        return b"pong\n"

    def _rows_page(self, request: Request) -> bytes:
        request.setHeader(b"content-type", _JSON)
        return rows_json(self._rows())


class Peers(Service):
    """
    :param allow: who may come in, besides this host itself.
    :param load: how busy this appliance is now.
    :param rows: what it has seen of all POPs.  Both are called once a request, and what they raise is logged.
    """

    name = "peers"

    def __init__(
        self,
        reactor: Any,
        listen: Endpoint,
        allow: Iterable[Network],
        *,
        load: Callable[[], Load],
        rows: Callable[[], Rows],
    ) -> None:
        self._reactor = reactor
        self._listen = listen
        self._factory = BoundedFactory(reactor, allow, Said(load, rows))
        self._port: IListeningPort | None = None

    def configure(self, allow: Iterable[Network]) -> None:
        """After a reload; who is in stays until the connection ends."""
        self._factory.allow = tuple(allow)

    def startService(self) -> None:
        """:raises ListenError: when the endpoint cannot be opened."""
        try:
            self._port = self._reactor.listenTCP(
                self._listen.port, self._factory, interface=str(self._listen.address), backlog=MOST_CONNECTIONS
            )
        except CannotListenError as error:
            raise ListenError(f"control.peers: cannot open {self._listen}: {error.socketError}") from error
        super().startService()

    async def _stop(self, port: IListeningPort) -> None:
        await maybeDeferred(port.stopListening)
        await self._factory.empty()

    def stopService(self) -> Deferred[None]:
        """No new connections; fires when those that were there are gone."""
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            return self._factory.empty()
        return Deferred.fromCoroutine(self._stop(port))

    @property
    def listening(self) -> Endpoint:
        """Where it listens; with port 0 in the configuration, the port that it got."""
        assert self._port is not None
        where: Any = self._port.getHost()
        return Endpoint(ip_address(where.host), where.port)
