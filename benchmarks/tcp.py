"""
TCP through the NAT proxy, beside HAProxy and twisted.protocols.portforward, with nginx as the origin.

Prints keep-alive requests/s, new connections/s and bulk MB/s: the median of the rounds, its spread, and our ratio to
each peer.  The peers take turns within a round, so that a change of the machine's mood hits all of them.  Only the
ratios mean anything.  Everything listens on 127.0.0.0/8 and in a temporary folder, and ends with the script.

    .venv/bin/python benchmarks/tcp.py [--rounds 3] [--seconds 2]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ORIGIN = "127.0.104.1"
PROXIES = {"ours": "127.0.104.2", "portforward": "127.0.104.3", "haproxy": "127.0.104.4"}
BULK_BYTES = 100_000_000

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
HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option splice-auto
listen proxy
    bind {address}:{port} backlog 2048
    server origin {origin}:{port}
"""


class Silent:
    """Counts nothing."""

    def connection_opened(self, address: IPv4Address, site: str) -> None: ...

    def connection_closed(self, address: IPv4Address, site: str) -> None: ...


def serve_ours(address: str, port: int) -> None:
    """What the child process of our own proxy runs."""
    from twisted.internet import reactor

    from appliance.model import Server, Service, Site
    from appliance.nat import Nat

    server = Server(name="origin", address=IPv4Address(ORIGIN))
    services = (Service(first_port=port, last_port=port, to=port),)
    site = Site(name="origin.example", pool="public", services=services, servers=(server,))
    Nat(reactor, Silent()).open(IPv4Address(address), site, server)
    reactor.run()


def serve_portforward(address: str, port: int) -> None:
    from twisted.internet import reactor
    from twisted.protocols.portforward import ProxyFactory

    factory = ProxyFactory(ORIGIN, port)
    reactor.listenTCP(port, factory, backlog=2048, interface=address)  # type: ignore[arg-type]
    reactor.run()


@contextmanager
def process(*command: str) -> Iterator[None]:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait(10)


def await_listener(address: str, port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ORIGIN, 0))
        return int(probe.getsockname()[1])


def wrk(url: str, seconds: int, *extra: str) -> float:
    command = ("wrk", "-t1", "-c50", f"-d{seconds}", *extra, url)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found, out
    return float(found[1])


def keep_alive(base: str, seconds: int) -> float:
    return wrk(base + "small", seconds)


def new_connections(base: str, seconds: int) -> float:
    return wrk(base + "small", seconds, "-H", "Connection: close")


def bulk(base: str, seconds: int) -> float:
    command = ("curl", "-s", "-o", os.devnull, "-w", "%{size_download} %{speed_download}", base + "bulk")
    speeds = []
    for _ in range(3):
        size, speed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(size) == BULK_BYTES, f"{base}: {size} bytes came through, of {BULK_BYTES}"
        speeds.append(float(speed) / 1e6)
    return statistics.median(speeds)


MEASURES: dict[str, Callable[[str, int], float]] = {
    "keep-alive requests/s": keep_alive,
    "new connections/s": new_connections,
    "bulk MB/s": bulk,
}


def start(stack: ExitStack, folder: Path, port: int) -> dict[str, str]:
    """:return: address of each proxy that runs."""
    (folder / "small").write_bytes(b"x" * 100)
    (folder / "bulk").write_bytes(b"x" * BULK_BYTES)
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, origin=ORIGIN, port=port))
    stack.enter_context(process("nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)))
    await_listener(ORIGIN, port)
    running = {}
    for name, address in PROXIES.items():
        if name == "haproxy":
            if shutil.which("haproxy") is None:
                print("haproxy is not installed: skipped")
                continue
            text = HAPROXY.format(address=address, origin=ORIGIN, port=port)
            (folder / "haproxy.cfg").write_text(text)
            stack.enter_context(process("haproxy", "-db", "-f", str(folder / "haproxy.cfg")))
        else:
            stack.enter_context(process(sys.executable, __file__, "--serve", name, address, str(port)))
        await_listener(address, port)
        running[name] = address
    return running


def report(results: dict[tuple[str, str], list[float]], peers: list[str]) -> None:
    print(f"{'':24}{'peer':14}{'median':>10}{'spread':>22}{'ours/peer':>12}")
    for measure in MEASURES:
        ours = statistics.median(results[measure, "ours"])
        for peer in peers:
            values = results[measure, peer]
            middle = statistics.median(values)
            spread = f"{min(values):.0f} - {max(values):.0f}"
            ratio = "" if peer == "ours" else f"{ours / middle:.2f}"
            print(f"{measure:24}{peer:14}{middle:10.0f}{spread:>22}{ratio:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each wrk run")
    parser.add_argument("--serve", nargs=3, metavar=("PROXY", "ADDRESS", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        name, address, port = options.serve
        {"ours": serve_ours, "portforward": serve_portforward}[name](address, int(port))
        return
    missing = [tool for tool in ("nginx", "wrk", "curl") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (apt-get install nginx-light wrk curl)")
    port = free_port()
    results: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = start(stack, folder, port)
        for _ in range(options.rounds):
            for measure, run in MEASURES.items():
                for name, address in running.items():
                    value = run(f"http://{address}:{port}/", options.seconds)
                    results.setdefault((measure, name), []).append(value)
    report(results, list(running))


if __name__ == "__main__":
    main()
