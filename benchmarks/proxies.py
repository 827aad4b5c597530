"""What the benchmarks of the NAT share: the proxies side by side, in front of the same origin, and measures."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
DNS_HOST = "127.0.104.200"
"""Where the appliance answers DNS, on the port of the traffic."""

APPLIANCE = """
appliance: {{state_directory: none, stop_timeout: 0s}}
dns:
  listen: ['{dns}:{port}']
  rate_limit: {{responses_per_second: 0}}
  zones:
    example.test:
      records: |
        @ 60 SOA ns1 h 1 7200 3600 1209600 60
        @ 60 NS ns1
        ns1 60 A 127.0.0.1
sites:
  www.example.test:
    address: {address}
    services: [{{port: {port}, protocol: {protocol}}}]
    servers: [{{address: {origin}}}]
    max_sessions: 65536
control: {{log: {{level: warn}}}}
"""
HAPROXY = """
global
    nbthread 1
    maxconn {most}
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    option splice-auto
listen proxy
    bind {address}:{port} backlog 2048
    server origin {origin}:{port}
"""
NGINX = """
load_module {module};
worker_processes 1; daemon off; error_log {folder}/stream.log; pid {folder}/stream.pid;
events {{ worker_connections 4096; }}
stream {{ server {{ listen {address}:{port}{udp}; proxy_pass {origin}:{port}; }} }}
"""
PORTFORWARD = """
import sys
from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory
factory = ProxyFactory(sys.argv[1], int(sys.argv[3]))
reactor.listenTCP(int(sys.argv[3]), factory, backlog=2048, interface=sys.argv[2])
reactor.run()
"""


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(10)


def await_listener(address: str, port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class Proxies:
    """
    Those that are installed, each on its own address and all on the origin's port.

    :param protocol: tcp or udp.
    :ivar running: name to (address, pid).
    """

    def __init__(self, stack: ExitStack, folder: Path, origin: str, port: int, protocol: str = "tcp") -> None:
        self.port = port
        self.running: dict[str, tuple[str, int]] = {}
        self._stack, self._folder, self._origin, self._protocol = stack, folder, origin, protocol

    def appliance(self, address: str = "127.0.104.2") -> None:
        text = APPLIANCE.format(
            dns=DNS_HOST, port=self.port, protocol=self._protocol, address=address, origin=self._origin
        )
        file = self._folder / "appliance.yaml"
        file.write_text(text)
        twistd = str(Path(sys.executable).parent / "twistd")
        self._run("ours", address, twistd, "-n", "--pidfile=", "appliance", "--config", str(file))
        await_listener(DNS_HOST, self.port)

    def portforward(self, address: str = "127.0.104.3") -> None:
        (self._folder / "portforward.py").write_text(PORTFORWARD)
        script = str(self._folder / "portforward.py")
        self._run("portforward", address, sys.executable, script, self._origin, address, str(self.port))

    def haproxy(self, address: str = "127.0.104.4", most: int = 4000) -> None:
        if shutil.which("haproxy") is None:
            print("haproxy is not installed: skipped")
            return
        text = HAPROXY.format(address=address, origin=self._origin, port=self.port, most=most)
        (self._folder / "haproxy.cfg").write_text(text)
        self._run("haproxy", address, "haproxy", "-db", "-f", str(self._folder / "haproxy.cfg"))

    def nginx(self, address: str = "127.0.104.5") -> None:
        if shutil.which("nginx") is None or not os.path.exists(NGINX_STREAM):
            print("nginx with its stream module is not installed: skipped")
            return
        udp = " udp" if self._protocol == "udp" else ""
        text = NGINX.format(
            module=NGINX_STREAM, folder=self._folder, address=address, port=self.port, udp=udp, origin=self._origin
        )
        (self._folder / "stream.conf").write_text(text)
        self._run("nginx", address, "nginx", "-c", str(self._folder / "stream.conf"), "-p", str(self._folder))

    def _run(self, name: str, address: str, *command: str) -> None:
        child = self._stack.enter_context(process(*command))
        if self._protocol == "tcp":
            await_listener(address, self.port)
        self.running[name] = address, child.pid


def report(rows: dict[str, dict[str, list[float]]], *, lower_is_better: frozenset[str] = frozenset()) -> None:
    """Print the median of each measure and proxy with its spread, and our ratio to each peer."""
    print(f"{'':30}{'':14}{'median':>10}{'spread':>22}{'ours/it':>10}")
    for measure, by_name in rows.items():
        ours = statistics.median(by_name["ours"])
        for name, values in by_name.items():
            middle = statistics.median(values)
            spread = f"{min(values):.4g} - {max(values):.4g}"
            plain = name == "ours" or measure in lower_is_better or not middle
            print(f"{measure:30}{name:14}{middle:10.4g}{spread:>22}{'' if plain else f'{ours / middle:.2f}':>10}")


def dns_latency(port: int, seconds: float, rate: int = 500) -> tuple[float, float]:
    """:return: median and p99 of the appliance's answers, in milliseconds, asked so many times a second."""
    query = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + b"\3www\7example\4test\0\0\1\0\1"
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((DNS_HOST, port))
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            sock.send(query)
            sock.recv(512)
            done = time.perf_counter()
            took.append((done - began) * 1000)
            time.sleep(max(0.0, 1 / rate - (done - began)))
    ordered = sorted(took)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used of processors so far."""
    used = 0.0
    for each in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)
