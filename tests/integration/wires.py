"""
Wires between hosts of a test's own that take their time: packets are carried by the test itself, and wait on their way.

Each end is a TUN interface, so that also the handshake of a connection takes as long as the way is far; netem may be
missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import itertools
import os
import select
import struct
import threading
import time

from twisted.trial.unittest import SkipTest, TestCase

from tests.integration.hosts import Host

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MOST_BYTES = 65536


class Wires:
    """All wires of a test; one thread carries what is on them."""

    def __init__(self, case: TestCase) -> None:
        if not os.path.exists("/dev/net/tun"):
            if os.environ.get("CI") == "true":
                raise AssertionError("/dev/net/tun is missing")
            raise SkipTest("/dev/net/tun is missing")
        self._ends: dict[int, tuple[int, float]] = {}
        self._wake, self._awake = os.pipe()
        self._over = False
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()
        case.addCleanup(self._end)

    def join(self, one: tuple[Host, str], other: tuple[Host, str], delay: float) -> None:
        """
        A wire between two hosts, called ``toPID`` at each, where PID is the other's; each knows the other's address.

        :param one: a host and its address; ``delay``: seconds each way.
        """
        ends = [self._open(*one, *other), self._open(*other, *one)]
        self._ends |= {ends[0]: (ends[1], delay), ends[1]: (ends[0], delay)}
        os.write(self._awake, b"x")

    def _open(self, host: Host, address: str, peer: Host, peers_address: str) -> int:
        name = f"to{peer.pid}"

        def tun() -> int:
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
            return end

        end = host.do(tun)
        host.run("ip", "address", "add", address, "peer", peers_address, "dev", name)
        host.run("ip", "link", "set", name, "up")
        return end

    def _carry(self) -> None:
        """What comes in at one end leaves at the other, in its time."""
        under_way: list[tuple[float, int, int, bytes]] = []
        count = itertools.count()
        while not self._over:
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            readable, _, _ = select.select([self._wake, *self._ends], [], [], wait)
            for end in readable:
                if end == self._wake:
                    os.read(self._wake, 64)
                    continue
                with contextlib.suppress(OSError):
                    packet = os.read(end, _MOST_BYTES)
                    other, delay = self._ends[end]
                    heapq.heappush(under_way, (time.monotonic() + delay, next(count), other, packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, other, packet = heapq.heappop(under_way)
                with contextlib.suppress(OSError):  # an interface that is down takes nothing
                    os.write(other, packet)

    def _end(self) -> None:
        self._over = True
        os.write(self._awake, b"x")
        self._thread.join()
        for end in (*self._ends, self._wake, self._awake):
            os.close(end)
