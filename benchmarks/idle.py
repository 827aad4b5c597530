"""
Idle connections through the NAT proxy, beside HAProxy: memory for them, and whether DNS is answered as before.

    PYTHONPATH=. .venv/bin/python benchmarks/idle.py [CONNECTIONS]
"""

from __future__ import annotations

import resource
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.proxies import Proxies, dns_latency, resident_bytes

ORIGIN = "127.0.104.1"


class Origin:
    """Takes connections and keeps them."""

    def __init__(self) -> None:
        self._listener = socket.create_server((ORIGIN, 0), backlog=4096)
        self.port = int(self._listener.getsockname()[1])
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return

    def forget(self) -> None:
        for sock in self.taken:
            sock.close()
        self.taken.clear()

    def close(self) -> None:
        self._listener.close()
        self.forget()


def hold(address: str, port: int, count: int, origin: Origin) -> list[socket.socket]:
    """So many connections, each through to the origin."""
    before = len(origin.taken)
    held = [socket.create_connection((address, port), 10) for _ in range(count)]
    until = time.monotonic() + 60
    while len(origin.taken) < before + count:
        if time.monotonic() > until:
            raise SystemExit(f"{address}: only {len(origin.taken) - before} of {count} connections got through")
        time.sleep(0.05)
    return held


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Two for each connection, here and in the proxy, half a pipe in HAProxy, and some for everything else.
    count = min(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, (hard - 2000) * 2 // 5)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = Origin()
        stack.callback(origin.close)
        proxies = Proxies(stack, folder, ORIGIN, origin.port)
        proxies.appliance()
        proxies.haproxy(most=count + 200)
        before = dns_latency(origin.port, 2)
        for name, (address, pid) in proxies.running.items():
            empty = resident_bytes(pid)
            held = hold(address, origin.port, count, origin)
            grown = resident_bytes(pid) - empty
            print(f"{count} idle connections: {name:10} {grown / 1e6:6.1f} MB more, {grown / count:6.0f} bytes each")
            if name == "ours":
                after = dns_latency(origin.port, 2)
            for sock in held:
                sock.close()
            origin.forget()
        for what, (middle, high) in (("without them", before), ("beside them", after)):
            print(f"DNS answers {what}: median {middle:.2f} ms, p99 {high:.2f} ms")


if __name__ == "__main__":
    main()
