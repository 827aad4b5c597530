"""
Leased-name answers a second over UDP and TCP: the appliance beside stock Twisted Names, gdnsd and PowerDNS.

Each server has one process and answers for 1 000 names that dnsperf asks in turn; dnsperf has the other core.  The runs
are interleaved, because the machine's speed wanders, and only the ratios mean anything.  The third table asks for names
that are not there, each another one, as a flood of random names does.

What an answer over UDP costs the appliance (CPU s/M is the same as microseconds an answer): four fifths are the
kernel's, in sendmmsg above all, as strace -c shows, and so they are for gdnsd; about 0.9 us are Python's: a slice, a
dict, a concatenation, and a copy into the batch.  Stock Twisted Names answers a fourth to a fifth of what gdnsd does on
the machine where this was written; eight times as much as it is more than a C name server has with one thread.

    PYTHONPATH=. .venv/bin/python benchmarks/answers.py
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = 1000
MISSING = 500_000
ROUNDS = 3
SECONDS = 4
HOST = "127.0.0.1"

STOCK = """
import sys
from twisted.internet import reactor
from twisted.names import authority, dns, server
zone = authority.BindAuthority(sys.argv[1])
factory = server.DNSServerFactory(authorities=[zone])
reactor.listenUDP(int(sys.argv[2]), dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
reactor.listenTCP(int(sys.argv[2]), factory, interface="127.0.0.1")
reactor.run()
"""


def zone_text() -> str:
    head = "@ 3600 IN SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ 3600 IN NS ns1\nns1 3600 IN A 127.0.0.1\n"
    return head + "".join(f"site{n} 300 IN A 127.{n // 250 + 90}.0.{n % 250 + 1}\n" for n in range(NAMES))


def configuration(port: int) -> str:
    sites = "".join(
        f"  site{n}.example.com: {{pool: public, servers: [one], services: [{{port: 7, protocol: udp}}]}}\n"
        for n in range(NAMES)
    )
    return (
        "appliance: {state_directory: none, stop_timeout: 0s}\n"
        f"dns: {{listen: ['{HOST}:{port}'], rate_limit: {{responses_per_second: 0}}, "
        "tcp: {max_queries: 1000000000}, zones: {example.com: {records: "
        '"@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 60\\n@ 3600 NS ns1\\nns1 3600 A 127.0.0.1\\n"}}}\n'
        "pools: {public: {addresses: [127.90.0.0/22], period: {base: 300s, offer: 300s}, "
        "quota: {per_source: 10000}, pressure: {cookie: 1.0, tcp: 1.0, reputation: 1.0}}}\n"
        "servers: {one: {address: 127.0.0.1}}\n"
        f"sites:\n{sites}"
        "control: {log: {level: warn}}\n"
    )


@contextmanager
def server(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block is left; it is there when it answers."""
    with (folder / "server.log").open("ab") as log:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        for _ in range(300):
            asked = ["dig", f"@{HOST}", "-p", str(port), "site1.example.com", "+short", "+time=1", "+tries=1"]
            if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.startswith("127."):
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"{command[0]} does not answer; see {folder}/server.log")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(command: list[str], port: int, folder: Path, mode: str, queries: str = "held") -> tuple[float, float]:
    """
    :param mode: udp or tcp.
    :param queries: which file has the questions.
    :return: answers a second, and CPU seconds of the server for a million queries.
    """
    with server(command, port, folder) as process:
        warm = ["dnsperf", "-m", mode, "-s", HOST, "-p", str(port), "-d", str(folder / queries), "-n", "1"]
        subprocess.run(warm, capture_output=True, check=True)
        before = cpu_seconds(process.pid)
        done = subprocess.run(
            [*warm[:-2], "-l", str(SECONDS), "-c", "4", "-q", "100"], capture_output=True, text=True, check=True
        ).stdout
        used = cpu_seconds(process.pid) - before
    values = dict(line.strip().split(":", 1) for line in done.splitlines() if ":" in line)
    completed = int(values["Queries completed"].split()[0])
    good = values["Response codes"]
    if ("NOERROR" if queries == "held" else "NXDOMAIN") not in good or "100.00%" not in good:
        print(f"  {command[0]}: response codes {good.strip()}")
    return float(values["Queries per second"]), used / completed * 1e6


def peers(folder: Path) -> dict[str, tuple[int, Callable[[int], list[str]]]]:
    """Name to port and command, for each server that is installed."""
    (folder / "held").write_text("".join(f"site{n}.example.com A\n" for n in range(NAMES)))
    (folder / "missing").write_text("".join(f"{random.getrandbits(40):x}.example.com A\n" for _ in range(MISSING)))
    (folder / "example.com").write_text("$ORIGIN example.com.\n" + zone_text())
    (folder / "stock.py").write_text(STOCK)
    (folder / "appliance.yaml").write_text(configuration(5301))
    twistd = str(Path(sys.executable).parent / "twistd")
    found: dict[str, tuple[int, Callable[[int], list[str]]]] = {
        "appliance": (
            5301,
            lambda port: [twistd, "-n", "--pidfile=", "appliance", "--config", str(folder / "appliance.yaml")],
        ),
        "stock Twisted Names": (
            5302,
            lambda port: [sys.executable, str(folder / "stock.py"), str(folder / "example.com"), str(port)],
        ),
    }
    if shutil.which("gdnsd"):
        for part in ("etc/zones", "run", "state"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "etc" / "config").write_text(
            f"options => {{ listen => [{HOST}:5303], run_dir => {folder}/run, state_dir => {folder}/state, "
            "udp_threads => 1, tcp_threads => 1 }\n"
        )
        (folder / "etc" / "zones" / "example.com").write_text(zone_text())
        found["gdnsd"] = (5303, lambda port: ["gdnsd", "-c", str(folder / "etc"), "start"])
    if shutil.which("pdns_server"):
        (folder / "named.conf").write_text(f'zone "example.com" {{ type master; file "{folder}/example.com"; }};\n')
        (folder / "pdns.conf").write_text(
            f"launch=bind\nbind-config={folder}/named.conf\nlocal-address={HOST}\nlocal-port=5306\n"
            f"socket-dir={folder}\nreceiver-threads=1\ndistributor-threads=1\ncache-ttl=20\ndaemon=no\nguardian=no\n"
        )
        found["PowerDNS"] = (5306, lambda port: ["pdns_server", f"--config-dir={folder}"])
    return found


def main() -> None:
    if not shutil.which("dnsperf"):
        raise SystemExit("dnsperf is missing; apt install dnsperf")
    with tempfile.TemporaryDirectory(prefix="bench-dns-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers = peers(folder)
        for missing in {"gdnsd", "PowerDNS"} - set(servers):
            print(f"{missing} is not installed; its row is left out")
        for mode, queries in (("udp", "held"), ("tcp", "held"), ("udp", "missing")):
            results: dict[str, list[tuple[float, float]]] = {peer: [] for peer in servers}
            for _ in range(ROUNDS):
                for peer, (port, command) in servers.items():
                    results[peer].append(measure(command(port), port, folder, mode, queries))
            what = f"{NAMES} names" if queries == "held" else "names that are not there"
            report(f"answers for {what} over {mode.upper()}", results)


def report(title: str, results: dict[str, list[tuple[float, float]]]) -> None:
    head = ("a second", "spread", "CPU s/M", "appliance / it")
    print("\n{:<42} {:>10} {:>15} {:>8} {:>15}".format(title, *head))
    ours = [rate for rate, _ in results["appliance"]]
    for peer, measured in results.items():
        rates = [rate for rate, _ in measured]
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, rates, strict=True))
        cpu = statistics.median(used for _, used in measured)
        spread = f"{min(rates):.0f}-{max(rates):.0f}"
        print(f"{peer:<42} {statistics.median(rates):>10.0f} {spread:>15} {cpu:>8.1f} {ratio:>15.2f}")


if __name__ == "__main__":
    main()
