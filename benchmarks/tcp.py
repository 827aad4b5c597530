"""
TCP through the NAT proxy, beside HAProxy, nginx's stream module and portforward of Twisted, with nginx as origin.

Prints keep-alive requests/s, new connections/s, the CPU that each takes, bulk MB/s and the p99 of one request after
the other (milliseconds, with the origin alone as "direct"): the median of the rounds, its spread, and our ratio to each
peer.  The peers take turns within a round, so that a change of the machine's mood hits all of them.  Only the ratios
mean anything.  Last, the p99 of DNS answers while nothing else happens and while a bulk flow goes through the same
process.

Long flows are not spliced: with splice(2) the proxy takes half the CPU for a byte, but between this machine's loopback
sockets no more bytes a second get through than with one read buffer of 256 KiB (0.8 to 1.0 of it, one flow or four);
HAProxy, which splices here, gets less.

What a new connection costs the appliance is about 105 us of CPU, where HAProxy takes 70: 73 us of it in the kernel
(HAProxy 65; connect, two closes and the sends are most of both), and 30 us in Python, where HAProxy takes 5.  Of the
30 no part is large: accepting and dialling make two socket objects (7), the balancing and the lease's count take 6, the
two sides, the timer and the epoll 8.  Where the other core is the load generator's, the rates show less of that.

Everything listens on 127.0.0.0/8 and in a temporary folder, and ends with the script.

    PYTHONPATH=. .venv/bin/python benchmarks/tcp.py [--rounds 3] [--seconds 3]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.proxies import Proxies, await_listener, cpu_seconds, dns_latency, free_port, process, report

ORIGIN = "127.0.104.1"
BULK_BYTES = 100_000_000
LATENCY = "p99 of a request, ms"

NGINX = """
worker_processes 1; daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; keepalive_requests 10000000; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen {origin}:{port} backlog=2048; root {folder}; }}
}}
"""


def wrk(url: str, seconds: int, *extra: str, connections: int = 50) -> str:
    command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}", *extra, url)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def requests(out: str) -> float:
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found, out
    return float(found[1])


def keep_alive(base: str, seconds: int) -> float:
    return requests(wrk(base + "small", seconds))


def new_connections(base: str, seconds: int) -> float:
    return requests(wrk(base + "small", seconds, "-H", "Connection: close"))


def bulk(base: str, seconds: int) -> float:
    command = ("curl", "-s", "-o", os.devnull, "-w", "%{size_download} %{speed_download}", base + "bulk")
    speeds = []
    for _ in range(3):
        size, speed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(size) == BULK_BYTES, f"{base}: {size} bytes came through, of {BULK_BYTES}"
        speeds.append(float(speed) / 1e6)
    return statistics.median(speeds)


def latency(base: str, seconds: int) -> float:
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", wrk(base + "small", seconds, "--latency", connections=1))
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


MEASURES: dict[str, Callable[[str, int], float]] = {
    "keep-alive requests/s": keep_alive,
    "new connections/s": new_connections,
    "bulk MB/s": bulk,
    LATENCY: latency,
}


CPU = {"keep-alive requests/s": "CPU us of a request", "new connections/s": "CPU us of a connection"}
"""Of the proxy's process; other programs on the machine disturb it less than a rate."""


def fairness(base: str, port: int) -> None:
    alone = dns_latency(port, 3)
    command = ("sh", "-c", f"for i in $(seq 60); do curl -s -o {os.devnull} {base}bulk; done")
    with process(*command):
        beside = dns_latency(port, 3)
    for what, (middle, high) in (("alone", alone), ("beside a bulk flow", beside)):
        print(f"DNS answers {what}: median {middle:.2f} ms, p99 {high:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each wrk run")
    options = parser.parse_args()
    missing = [tool for tool in ("nginx", "wrk", "curl") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (apt-get install nginx-light wrk curl)")
    port = free_port(ORIGIN)
    rows: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "small").write_bytes(b"x" * 100)
        (folder / "bulk").write_bytes(b"x" * BULK_BYTES)
        folder.chmod(0o755)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, origin=ORIGIN, port=port))
        stack.enter_context(process("nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)))
        await_listener(ORIGIN, port)
        proxies = Proxies(stack, folder, ORIGIN, port)
        for start in (proxies.appliance, proxies.portforward, proxies.haproxy, proxies.nginx):
            start()
        addresses = {name: address for name, (address, _) in proxies.running.items()}
        pids = {name: pid for name, (_, pid) in proxies.running.items()}
        for _ in range(options.rounds):
            for measure, run in MEASURES.items():
                direct = {"direct": ORIGIN} if measure == LATENCY else {}
                for name, address in {**addresses, **direct}.items():
                    before = cpu_seconds(pids[name]) if name in pids else 0.0
                    value = run(f"http://{address}:{port}/", options.seconds)
                    rows.setdefault(measure, {}).setdefault(name, []).append(value)
                    if measure in CPU:
                        micros = (cpu_seconds(pids[name]) - before) * 1e6 / (value * options.seconds)
                        rows.setdefault(CPU[measure], {}).setdefault(name, []).append(micros)
        report(rows, lower_is_better=frozenset({LATENCY, *CPU.values()}))
        fairness(f"http://{addresses['ours']}:{port}/", port)


if __name__ == "__main__":
    main()
