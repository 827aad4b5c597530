"""Pages that are fetched while the name server works, so that where they are does not depend on names."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs

from appliance.config.faults import Faults
from appliance.config.scalars import normal_name, text
from appliance.config.shapes import Key, Shape, whole
from appliance.config.tree import Node, shorten
from appliance.model import Endpoint, Url

LONGEST_PATH = 2000
"""Characters; servers are known that refuse more."""

_ALLOWED = "http://ADDRESS[:PORT][/PATH], such as http://192.0.2.1:8080/ping"
_URL = re.compile(r"http://(\[[^\]/?#@]*\]|[^\[\]:/?#@]*)(?::([0-9]{1,5}))?([/?].*)?", re.IGNORECASE)
_PATH = re.compile(r"/[\x21\x22\x24-\x7e]*")
"""What may stand in a request line: visible ASCII, without the ``#`` that a server never sees."""


def web_path(node: Node, faults: Faults) -> str:
    """A reader of the path, and the query, of a page."""
    written = text(node, faults)
    if len(written) > LONGEST_PATH or not _PATH.fullmatch(written):
        allowed = f"a path that begins with '/', of at most {LONGEST_PATH} visible ASCII characters without '#'"
        raise faults.wrong(node, f"found {node.found()}; allowed: {allowed}")
    return written


def web_host(node: Node, faults: Faults) -> str:
    """A reader of what a Host header, a certificate or EHLO says: a name, or an IPv4 address."""
    return normal_name(text(node, faults), node, faults)


def url(node: Node, faults: Faults) -> Url:
    """A reader of a page at an address; its own text is the Host header."""
    written = text(node, faults)
    match = _URL.fullmatch(written)
    if not match:
        hint = "; https is not fetched here" if written.lower().startswith("https:") else ""
        raise faults.wrong(node, f"found {node.found()}; allowed: {_ALLOWED}{hint}")
    host, port = match[1], int(match[2] or 80)
    address = _address(node, host, faults)
    if not 1 <= port <= 65535:
        raise faults.wrong(node, f"found port {port}; allowed: 1 to 65535")
    path = match[3] or "/"
    if path.startswith("?"):
        path = f"/{path}"
    if len(path) > LONGEST_PATH or not _PATH.fullmatch(path):
        allowed = f"at most {LONGEST_PATH} visible ASCII characters without '#'"
        raise faults.wrong(node, f"found the path '{shorten(path)}'; allowed: {allowed}")
    return Url(endpoint=Endpoint(address, port), host=host + (f":{match[2]}" if match[2] else ""), path=path)


def bare_url(node: Node, faults: Faults) -> Url:
    """A reader of a server whose paths are known: an address and a port alone."""
    found = url(node, faults)
    if found.path != "/":
        raise faults.wrong(node, f"found the path '{shorten(found.path)}'; allowed: none, http://ADDRESS[:PORT]")
    return found


def url_and_host(place: str) -> Shape:
    """The longer form of :func:`url`, for a page that a server has under a name: ``{url: ..., host: NAME}``."""
    return Shape(place, {"url": Key(url), "host": Key(web_host)})


def named_url(of: Shape, node: Node, faults: Faults) -> Url:
    """
    A page, in its short form or in the longer one.

    :param of: made by :func:`url_and_host`.
    """
    if node.kind != "mapping":
        return url(node, faults)
    return whole(of, _joined)(node, faults)


def _joined(url: Url, host: str) -> Url:
    return attrs.evolve(url, host=host)


def _address(node: Node, host: str, faults: Faults) -> IPv4Address | IPv6Address:
    bracketed = host.startswith("[")
    try:
        found = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        why = "an address in place of the name, for a check must not depend on DNS"
        raise faults.wrong(node, f"found host '{shorten(host)}'; allowed: {why}") from None
    if isinstance(found, IPv6Address) != bracketed:
        raise faults.wrong(node, f"found host '{shorten(host)}'; allowed: {_ALLOWED}, an IPv6 address in brackets")
    if found.is_multicast or found.is_unspecified or found == IPv4Address("255.255.255.255"):
        raise faults.wrong(node, f"found host {found}; allowed: the address of one host")
    return found
