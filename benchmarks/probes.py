"""
What it costs to look at 5 000 targets every 5 seconds, half of them by ``tcp`` and half by ``http``.

Prints the CPU that the prober's process takes, as a share of one core, with its floor beside it: the same conversations
by the barest of loops over the same system calls; and how late checks begin (milliseconds after they were due).  The
targets are ports of one other process on 127.0.106.1.

    PYTHONPATH=. .venv/bin/python benchmarks/probes.py [--targets 5000] [--interval 5] [--seconds 15]
"""

from __future__ import annotations

import argparse
import heapq
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from twisted.internet import reactor as global_reactor

from appliance.model.health import Check, Probe, ProbeType, Result
from appliance.probe import Prober

ADDRESS = "127.0.106.1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: appliance\r\nAccept: */*\r\nConnection: close\r\n\r\n"


def serve(count: int) -> None:
    """So many ports that answer every request with one page, until the standard input ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    poller = select.epoll()
    listeners = {}
    taken: dict[int, socket.socket] = {}
    for _ in range(count):
        listener = socket.create_server((ADDRESS, 0), backlog=16)
        listener.setblocking(False)
        listeners[listener.fileno()] = listener
        poller.register(listener, select.EPOLLIN)
    print(*(listener.getsockname()[1] for listener in listeners.values()), flush=True)
    poller.register(sys.stdin, select.EPOLLIN)
    while True:
        for number, _ in poller.poll():
            if number in listeners:
                try:
                    sock, _ = listeners[number].accept()
                except OSError:
                    continue
                sock.setblocking(False)
                taken[sock.fileno()] = sock
                poller.register(sock, select.EPOLLIN)
            elif number in taken:
                sock = taken.pop(number)
                try:
                    if sock.recv(4096):
                        sock.send(ANSWER)
                except OSError:
                    pass
                sock.close()
            else:
                return


class Schedule:
    """
    A watch of the simplest kind: each check every ``interval`` seconds, evenly spread.

    :ivar late: seconds after it was due that each check began.
    """

    def __init__(self, checks: list[Check], interval: float, seconds: Callable[[], float]) -> None:
        start = seconds()
        self._interval = interval
        self._seconds = seconds
        self._queue = [(start + interval * at / len(checks), at, check) for at, check in enumerate(checks)]
        self._due_at: dict[Check, float] = {}
        self.late: list[float] = []
        self.found: Counter[str] = Counter()

    def due(self) -> list[Check]:
        now, found = self._seconds(), []
        while self._queue and self._queue[0][0] <= now:
            at, number, check = heapq.heappop(self._queue)
            heapq.heappush(self._queue, (at + self._interval, number, check))
            self._due_at[check] = at
            found.append(check)
        return found

    def heard(self, check: Check, result: Result) -> None:
        self.found[str(result)] += 1
        if result.latency is not None:
            self.late.append(self._seconds() - result.latency - self._due_at[check])

    def next_deadline(self) -> float | None:
        return self._queue[0][0]

    def call_when_nearer(self, callback: Callable[[], None]) -> None:
        """It never does."""

    def call_when_useless(self, callback: Callable[[Collection[Check]], None]) -> None:
        """None ever is."""


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ours(ports: list[int], interval: float, seconds: float) -> None:
    kinds = (ProbeType.TCP, ProbeType.HTTP)
    probes = [Probe(name=kind.value, type=kind) for kind in kinds]
    checks = [Check(probes[at % 2], IPv4Address(ADDRESS), port) for at, port in enumerate(ports)]
    reactor = global_reactor
    watch = Schedule(checks, interval, reactor.seconds)
    prober = Prober(reactor, watch)
    figures = {}

    def begin() -> None:
        prober.startService()
        figures["cpu"], figures["at"] = cpu(), time.monotonic()

    def end() -> None:
        figures["cpu"], figures["at"] = cpu() - figures["cpu"], time.monotonic() - figures["at"]
        prober.stopService()
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.callLater(seconds, end)
    reactor.run()
    count, late = sum(watch.found.values()), sorted(watch.late)
    share = figures["cpu"] / figures["at"]
    print(f"{len(ports)} targets every {interval:g} s: {count / figures['at']:.0f} checks/s, {share:.3f} of a core")
    print(f"CPU of a check: {figures['cpu'] / count * 1e6:.0f} us")
    middle, high = late[len(late) // 2] * 1e3, late[len(late) * 99 // 100] * 1e3
    print(f"checks begin late by: median {middle:.1f} ms, p99 {high:.1f} ms, most {late[-1] * 1e3:.1f} ms")
    for what, times in watch.found.most_common(5):
        print(f"  {times} x {what}")


def floor(ports: list[int]) -> None:
    """The system calls alone, one conversation after the other."""
    poller = select.epoll()
    began = cpu()
    for at, port in enumerate(ports):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if not at % 2:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        sock.connect_ex((ADDRESS, port))
        sock.connect_ex((ADDRESS, port))
        if at % 2:
            sock.send(REQUEST)
            poller.register(sock, select.EPOLLIN)
            poller.poll()
            sock.recv(65536)
            poller.unregister(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    print(f"the system calls alone: {(cpu() - began) / len(ports) * 1e6:.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=5000)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.targets)
        return
    words = [sys.executable, __file__, "--serve", "--targets", str(options.targets)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ports = [int(word) for word in server.stdout.readline().split()]
        try:
            floor(ports)
            ours(ports, options.interval, options.seconds)
        finally:
            server.stdin.close()


if __name__ == "__main__":
    main()
