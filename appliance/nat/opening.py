"""
Opening the sockets that stand on a leased address, and saying what a person can do when one does not open.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address

from appliance.errors import Blame, DataPathError
from appliance.model import Pair, Transport

SocketAddress = tuple[str, int]

EVERY_PORT = 0
"""In place of a port: all of them (US 6,324,177)."""

NO_SOURCE = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
"""
Errors of binding and connecting that speak of the source: somebody else has it, the host has not got its address, or
the host has no port left.
"""

_BACKLOG = 1024
_KINDS = {Transport.TCP: socket.SOCK_STREAM, Transport.UDP: socket.SOCK_DGRAM}


def named(address: IPv4Address, transport: Transport, port: int) -> str:
    """A leased endpoint in a message: ``203.0.113.9:80/tcp``, ``203.0.113.9:all/tcp``."""
    return f"{address}:{port or 'all'}/{transport.value}"


def family_of(address: SocketAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def keep_alive(sock: socket.socket, after: float) -> None:
    """
    Have the kernel ask, after so many seconds without a byte and then three times, whether the other end is there.

    :param after: 0: never.  A listening socket gives it to all that it accepts.
    """
    if after:
        seconds = max(1, round(after))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 3))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def bind_source(sock: socket.socket, source: Pair) -> None:
    """
    What goes out comes from this pair; raises OSError.

    SO_REUSEADDR, because the pair may still be in TIME_WAIT towards another server, or serve UDP too.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((str(source.address), source.port))


def is_here(address: IPv4Address) -> bool:
    """Can sockets of this host come from it?  That there is none for the question is no reason to doubt it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as problem:
        return problem.errno != errno.EADDRNOTAVAIL
    return True


def open_socket(transport: Transport, address: IPv4Address, port: int) -> socket.socket:
    """
    A non-blocking socket on exactly this endpoint; a TCP one listens, and what it accepts has TCP_NODELAY already.

    :param port: :data:`EVERY_PORT`: one that is free.
    :raises DataPathError: with what to do about it.
    """
    sock: socket.socket | None = None
    try:
        sock = socket.socket(socket.AF_INET, _KINDS[transport] | socket.SOCK_NONBLOCK)
        if transport is Transport.TCP:
            # A new holder can listen while connections of the former site still use the endpoint.  Not for UDP: there
            # the option would let two programs share the port unnoticed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((str(address), port))
        if transport is Transport.TCP:
            sock.listen(_BACKLOG)
    except OSError as problem:
        if sock is not None:
            sock.close()
        blame, advice = _diagnosis(problem, address)
        raise DataPathError(f"{named(address, transport, port)}: {advice}", blame=blame) from problem
    return sock


def _diagnosis(problem: OSError, address: IPv4Address) -> tuple[Blame, str]:
    match problem.errno:
        case errno.EADDRNOTAVAIL:
            hint = f"add it to an interface: ip address add {address}/32 dev ..."
            return Blame.ADDRESS, f"address not on this host ({hint})"
        case errno.EADDRINUSE:
            return Blame.PORT, "port in use by another program (ss -lnp shows which)"
        case errno.EACCES | errno.EPERM:
            return Blame.PORT, "no right to open ports below 1024 (grant CAP_NET_BIND_SERVICE)"
        case errno.EMFILE | errno.ENFILE | errno.ENOBUFS | errno.ENOMEM:
            return Blame.PROCESS, f"{os.strerror(problem.errno)} (raise LimitNOFILE)"
        case number:
            return Blame.ADDRESS, os.strerror(number or 0)
