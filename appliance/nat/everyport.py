"""
Where TCP connections to every port of an address come in (5.1, ``port: all``).

There is one listener, at a port that the kernel chose, in place of 65 535; :mod:`~appliance.nat.redirects` leads the
other ports to it.  The kernel remembers what each client asked for, and tells.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address

from appliance.model import Site, Transport
from appliance.nat.fabric import Fabric
from appliance.nat.listener import TcpListener
from appliance.nat.opening import EVERY_PORT, keep_alive, open_socket

_SO_ORIGINAL_DST = 80
"""``linux/netfilter_ipv4.h``: where the first packet of a connection went before it was translated."""
_SOCKADDR_IN = struct.Struct("!2xH4s8x")


class EveryPort(TcpListener):
    """
    A listening endpoint for all TCP ports of an address that have none of their own.

    :raises DataPathError: where it cannot listen.
    :ivar redirect_port: where it does.
    """

    def __init__(self, fabric: Fabric, address: IPv4Address, port: int, site: Site, home: str) -> None:
        assert port == EVERY_PORT
        super().__init__(fabric, address, port, site, home)
        self.redirect_port: int = self._sock.getsockname()[1]

    def move(self, lead: Callable[[int], None]) -> None:
        """
        Listen at another port, for somebody wants this one for himself.  Who waits to be accepted is reset.

        :param lead: leads what comes from now on to a port.
        :raises DataPathError: nothing has changed.
        """
        sock = open_socket(Transport.TCP, self._address, EVERY_PORT)
        keep_alive(sock, self._site.timeouts.keepalive)
        port: int = sock.getsockname()[1]
        try:
            lead(port)
        except BaseException:
            sock.close()
            raise
        if self._resume_at is None:
            self._fabric.poll.removeReader(self)
        self._sock.close()
        self._sock, self.redirect_port = sock, port
        if self._resume_at is None:
            self._fabric.poll.addReader(self)

    def port_of(self, client: socket.socket) -> int | None:
        """
        The redirect's own port is like any other: who asks for it gets it.  None comes of connections that nothing
        redirected, or something else, so that it is not known what they are for.
        """
        try:
            port, address = _SOCKADDR_IN.unpack(client.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, _SOCKADDR_IN.size))
        except OSError:
            return None
        return port if address == self._address.packed else None
