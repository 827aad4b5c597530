"""
How long a query waits while a big configuration is reloaded.

    PYTHONPATH=. .venv/bin/python benchmarks/reload.py [SITES]

The process has SITES (5 000), two servers for five of them and a customer for every fifth.  A client asks for a name of
its zone 500 times a second, one query after the other; the file gets another server's address, another site's port and
another address for the name, and HUP.  Printed are median, p99 and longest wait before, and from HUP until the name has
its new address, and how long that took.  Reading is done in a thread and takes most of it; the longest wait is that the
configuration is taken over in one go.
"""

from __future__ import annotations

import signal
import socket
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.proxies import await_listener, free_port, process

HOST = "127.0.107.1"
QUERY = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + b"\3www\7example\4test\0\0\1\0\1"
RATE = 500
QUIET = 2.0
PATIENCE = 300.0
ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\nwww 60 A {address}\\n"


def configuration(sites: int, port: int, generation: int) -> str:
    servers = 2 * sites // 5
    zone = ZONE.format(address=f"192.0.2.{generation}")
    lines = [
        "appliance: {name: here, state_directory: none}",
        f"dns: {{listen: ['{HOST}:{port}'], rate_limit: {{responses_per_second: 0}},",
        f'  zones: {{example.test: {{records: "{zone}"}}}}}}',
        "pools: {pool: {addresses: [127.108.0.0/24]}}",
        "probes: {web: {type: http, path: /, idle_interval: 1h, interval: 1h}}",
        "servers:",
    ]
    for number in range(servers):
        network = 109 + (generation if number == 5 else 1)
        lines.append(
            f"  s{number}: {{address: 127.{network}.{number // 250}.{number % 250 + 1}, port: 8080, probes: [web]}}"
        )
    lines.append("sites:")
    for number in range(sites):
        service = 80 + (generation if number == 17 else 0)
        lines.append(
            f"  n{number}.example.test: {{pool: pool, services: [{{port: {service}}}], servers: [s{number % servers}]}}"
        )
    lines.append("delivery:")
    for number in range(sites // 5):
        origins = f"s{number % servers}, s{(number + 1) % servers}"
        lines.append(f"  c{number}: {{pages: [c{number}.example.test], origins: [{origins}]}}")
    return "\n".join(lines) + "\n"


class Client:
    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.settimeout(60)
        self._sock.connect((HOST, port))

    def ask(self, seconds: float, until: bytes = b"") -> tuple[list[float], float]:
        """:return: milliseconds of each query, and seconds until the answer ended with ``until``, or all."""
        took = []
        began = time.perf_counter()
        while (sent := time.perf_counter()) < began + seconds:
            self._sock.send(QUERY)
            answer = self._sock.recv(512)
            done = time.perf_counter()
            took.append((done - sent) * 1000)
            if until and until in answer:
                break
            time.sleep(max(0.0, 1 / RATE - (done - sent)))
        return took, time.perf_counter() - began


def show(what: str, took: list[float]) -> None:
    ordered = sorted(took)
    p99 = ordered[int(len(ordered) * 0.99)]
    print(f"{what:16} median {statistics.median(ordered):6.2f} ms  p99 {p99:6.2f} ms  longest {ordered[-1]:7.1f} ms")


def main() -> None:
    sites = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    port = free_port(HOST)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "appliance.yaml"
        file.write_text(configuration(sites, port, 1))
        twistd = str(Path(sys.executable).parent / "twistd")
        with process(twistd, "-n", "--pidfile=", "appliance", "--config", str(file)) as running:
            await_listener(HOST, port)
            client = Client(port)
            time.sleep(1)
            show("before", client.ask(QUIET)[0])
            file.write_text(configuration(sites, port, 2))
            running.send_signal(signal.SIGHUP)
            took, seconds = client.ask(PATIENCE, bytes((192, 0, 2, 2)))
            show("while it reloads", took)
            print(f"{sites} sites, {2 * sites // 5} servers, {sites // 5} customers: reloaded after {seconds:.1f} s")


if __name__ == "__main__":
    main()
