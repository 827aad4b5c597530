"""
The API over HTTP: JSON in, JSON out, errors as ``{"error": {"code", "message", "field"}}``.

Knows requests and responses; what is asked and done is ``reading``, ``changing`` and ``orders``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.server import Site as WebSite

from appliance.control.changing import Changing
from appliance.control.delivered import MOST_NAMES
from appliance.control.orders import Orders
from appliance.control.reading import MOST_ROWS, Reading
from appliance.control.words import is_number
from appliance.errors import RequestError

PREFIX = b"/api/v1/"
MOST_BYTES = 65536
"""Of a request's body."""

_STATUS = {"not-found": 404, "no-such-path": 404, "method": 405, "too-large": 413, "journal": 503, "internal": 500}
"""By error code; 409 for what the state forbids, 400 for what no state would allow."""
_CONFLICTS = frozenset({"pinned", "not-pinned", "no-state", "refused", "data-path", "in-use", "ambiguous", "exists"})

ORDERS = (
    *("virtual", "real", "bind", "unbind", "assign", "unassign", "backup"),
    *("in-service", "out-of-service", "drain", "revert"),
)
"""Verbs that are methods of :class:`Orders`, with a dash for each underscore."""

Parameters = Mapping[str, str]


class Api(Resource):
    """Everything below ``/api/v1/``."""

    isLeaf = True
    _log = Logger()

    def __init__(self, reading: Reading, changing: Changing, orders: Orders) -> None:
        super().__init__()
        self._reading = reading
        self._asked: dict[str, Callable[[Parameters], Any]] = {
            "status": lambda _: reading.status(),
            "pools": lambda _: listed(reading.pools()),
            "leases": lambda p: paged(reading.leases, p, lambda row: f"{row['address']} {row['site']}"),
            "sites": lambda p: paged(reading.sites, p, lambda row: str(row["site"])),
            "virtuals": lambda p: paged(named(reading.carried.virtuals, p), p, lambda row: str(row["virtual"])),
            "servers": lambda p: paged(named(reading.carried.servers, p), p, lambda row: str(row["server"])),
            "clients": lambda p: paged(reading.carried.clients, p, lambda row: f"{row['virtual']} {row['client']}"),
            "connections": lambda p: paged(reading.connections, p, lambda row: str(row["number"])),
            "nat-pools": lambda _: listed(reading.carried.nat_pools()),
            "pops": lambda _: {**listed(reading.delivered.pops()), **reading.delivered.standing()},
            "delivery": lambda p: paged(
                reading.delivered.delivery, p, lambda row: f"{row['customer']} {row['name']}", MOST_NAMES
            ),
            "market": lambda _: reading.market.market(),
            "history": self._history,
            "explain": lambda p: reading.explain(needed(p, "name"), p.get("type", "A"), p.get("client", "")),
        }
        self._done: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "release": changing.release,
            "pin": changing.pin,
            "unpin": changing.unpin,
            "snapshot": changing.snapshot,
            "reload": changing.reload,
        }
        for verb in ORDERS:
            self._done[verb] = kept(orders, getattr(orders, verb.replace("-", "_")))

    def render(self, request: Request) -> int:
        outcome = maybeDeferred(self._answer, request)
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        outcome.addErrback(self._failed, request)
        outcome.addCallback(lambda found: None if gone else send(request, found))
        outcome.addErrback(lambda failure: self._log.failure("{event}", failure, event="api-failed"))
        return NOT_DONE_YET

    def _answer(self, request: Request) -> Any:
        path = request.path or b""
        name = path.removeprefix(PREFIX).decode("ascii", "replace")
        reads, writes = self._asked.get(name), self._done.get(name)
        if not path.startswith(PREFIX) or (reads is None and writes is None):
            known = ", ".join((*self._asked, *self._done))
            raise RequestError("no-such-path", f"{path.decode('ascii', 'replace')}: below /api/v1/ there is {known}")
        if request.method in (b"GET", b"HEAD") and reads is not None:
            return reads(parameters(request))
        if request.method == b"POST" and writes is not None:
            return writes(body(request))
        raise RequestError("method", f"use {'GET' if reads is not None else 'POST'} for {name}")

    def _history(self, given: Parameters) -> Deferred[Any]:
        return self._reading.history(needed(given, "address"), given.get("at")).addCallback(listed)

    def _failed(self, failure: Failure, request: Request) -> dict[str, Any]:
        error = failure.value
        if not isinstance(error, RequestError):
            self._log.failure("{event}: {path}", failure, event="api-failed", path=request.path)
            error = RequestError("internal", "a bug of the appliance; its log has the traceback")
        request.setResponseCode(_STATUS.get(error.code, 409 if error.code in _CONFLICTS else 400))
        if error.code == "method":
            request.setHeader(b"allow", b"POST" if request.method == b"GET" else b"GET")
        return {"error": {"code": error.code, "message": str(error), "field": error.field or None}}


def api_factory(reading: Reading, changing: Changing, orders: Orders, clock: Any) -> WebSite:
    """What a port that serves the API listens with."""
    factory = WebSite(Api(reading, changing, orders), reactor=clock)
    # Who may reach it is trusted, and a log line a request of a watching person would bury the others.
    factory.log = lambda request: None  # type: ignore[method-assign]
    factory.displayTracebacks = False
    return factory


def send(request: Request, found: Any) -> None:
    """``found`` as JSON, on one line."""
    data = json.dumps(found, separators=(", ", ": ")).encode() + b"\n"
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(data))
    if request.method != b"HEAD":
        request.write(data)
    request.finish()


def listed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole list."""
    return {"items": rows, "next": None}


def paged(
    read: Callable[..., list[dict[str, Any]]],
    given: Parameters,
    place: Callable[[dict[str, Any]], str],
    most: int = MOST_ROWS,
) -> dict[str, Any]:
    """A part of a list, of ``most`` rows at most: ``next`` is the ``after`` of the request for the part after it."""
    wanted = given.get("limit", str(most))
    if not is_number(wanted) or not 1 <= int(wanted) <= most:
        raise RequestError("invalid", f"'{wanted}' is no limit; allowed: 1 to {most}", field="limit")
    rows = read(after=given.get("after", ""), limit=int(wanted) + 1)
    more = len(rows) > int(wanted)
    rows = rows[: int(wanted)]
    return {"items": rows, "next": place(rows[-1]) if more else None}


def kept(orders: Orders, order: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Mapping[str, Any]], Any]:
    """What is ordered is answered when it is on the disk."""
    return lambda request: orders.kept(order(request))


def named(read: Callable[..., list[dict[str, Any]]], given: Parameters) -> Callable[..., list[dict[str, Any]]]:
    """Only the rows that the parameter ``name`` means, where it is given."""
    return functools.partial(read, name=given.get("name", ""))


def parameters(request: Request) -> Parameters:
    """The query's parameters; of one that is there twice, the first."""
    return {key.decode("utf-8", "replace"): values[0].decode("utf-8", "replace") for key, values in _args(request)}


def _args(request: Request) -> Any:
    return (request.args or {}).items()


def needed(given: Parameters, name: str) -> str:
    """:raises RequestError: where it is missing."""
    if not given.get(name):
        raise RequestError("invalid", f"the parameter '{name}' is missing", field=name)
    return given[name]


def body(request: Request) -> Mapping[str, Any]:
    """:raises RequestError: where it is too long, or no JSON object; no body at all is an empty one."""
    assert request.content is not None
    data = request.content.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise RequestError("too-large", f"more than {MOST_BYTES} bytes")
    try:
        found = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        raise RequestError("invalid", f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise RequestError("invalid", "the body is no JSON object")
    return found
