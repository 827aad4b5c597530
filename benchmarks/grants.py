"""
New grants a second with ``fsync: grant``, and what a renewing answer waits meanwhile.

One process, its state on the disk that --folder names (the current one's by default).  dnsperf asks once for each of
10 000 names that have no lease: first as fast as it can, then 2 000 a second, while a client asks for one name that has
a lease, 100 times a second.  Prints the medians of some rounds: grants a second of the first (target 2 000), and the
99th percentile of the renewing answers during the second (target 5 ms).  As fast as it can, 100 queries always wait in
front of any other, so nothing is to be learnt about answers there.

    PYTHONPATH=. .venv/bin/python benchmarks/grants.py [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SITES = 10_000
ROUNDS = 3
PACE = 2000
HOST = "127.0.0.1"
HELD = "held.example.com"
INTERVAL = 0.01


def configuration(port: int, folder: Path) -> str:
    zone = "@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 60\\n@ 3600 NS ns1\\nns1 3600 A 127.0.0.1\\n"
    service = "services: [{port: 7, protocol: udp}]"
    sites = "".join(f"  site{n}.example.com: {{pool: public, servers: [one], {service}}}\n" for n in range(SITES))
    return (
        f"appliance: {{state_directory: {folder}/state, stop_timeout: 0s, fsync: grant}}\n"
        f'dns: {{listen: ["{HOST}:{port}"], zones: {{example.com: {{records: "{zone}"}}}}}}\n'
        "pools:\n  public:\n    addresses: [127.90.0.0/18]\n"
        "    period: {base: 60s, offer: 60s, minimum: 60s}\n"
        "    quota: {per_source: 1000000}\n    pressure: {cookie: 1.0, tcp: 1.0, reputation: 1.0}\n"
        "servers: {one: {address: 127.0.0.1}}\n"
        f"sites:\n{sites}  {HELD}: {{pool: public, servers: [one], {service}}}\n"
        "control: {log: {level: warn}}\n"
    )


def query_for(name: str) -> bytes:
    """A question for an A record.."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Renewing(threading.Thread):
    """Asks for the name that is held, and writes down how long each answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.waited: list[float] = []
        self.lost = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        query = query_for(HELD)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect((HOST, self._port))
            sock.settimeout(1.0)
            while not self.stopping.is_set():
                began = time.perf_counter()
                try:
                    sock.send(query)
                    sock.recv(4096)
                    self.waited.append(time.perf_counter() - began)
                except OSError:
                    self.lost += 1
                self.stopping.wait(max(0.0, INTERVAL - (time.perf_counter() - began)))


def once(folder: Path, *limit: str) -> tuple[float, float]:
    """
    :param limit: more arguments of dnsperf.
    :return: grants a second, and the p99 of renewing answers in ms.
    """
    port = free_port()
    shutil.rmtree(folder / "state", ignore_errors=True)
    (folder / "appliance.yaml").write_text(configuration(port, folder))
    names = folder / "names"
    names.write_text("".join(f"site{n}.example.com A\n" for n in range(SITES)))
    words = [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "appliance", "--config"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*words, str(folder / "appliance.yaml")], stdout=log, stderr=log)
    try:
        wait_for_answer(port)
        renewing = Renewing(port)
        renewing.start()
        done = subprocess.run(
            [
                "dnsperf",
                "-s",
                HOST,
                "-p",
                str(port),
                "-d",
                str(names),
                "-n",
                "1",
                "-q",
                "100",
                "-t",
                "10",
                "-l",
                "60",
                *limit,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        renewing.stopping.set()
        renewing.join()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    answered = re.search(r"NOERROR (\d+)", done.stdout)
    rate = re.search(r"Queries per second: +([\d.]+)", done.stdout)
    assert answered is not None and rate is not None and int(answered[1]) >= SITES * 0.999, done.stdout
    waited = sorted(renewing.waited)
    return float(rate[1]), waited[int(len(waited) * 0.99)] * 1000


def wait_for_answer(port: int) -> None:
    query = query_for(HELD)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        for _ in range(300):
            try:
                sock.sendto(query, (HOST, port))
                sock.recv(4096)
            except OSError:
                time.sleep(0.1)
            else:
                return
    raise SystemExit("the appliance does not answer")


def main() -> None:
    if shutil.which("dnsperf") is None:
        raise SystemExit("dnsperf is missing; apt install dnsperf")
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default=".")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder, prefix="bench-") as folder:
        fast = [once(Path(folder))[0] for _ in range(ROUNDS)]
        paced = [once(Path(folder), "-Q", str(PACE)) for _ in range(ROUNDS)]
    say("new grants/s, fsync: grant", "", fast, 2000)
    say(
        f"renewing answer p99 at {statistics.median(rate for rate, _ in paced):.0f}/s",
        "ms",
        [p99 for _, p99 in paced],
        5,
    )


def say(what: str, unit: str, values: list[float], target: int) -> None:
    median, low, high = statistics.median(values), min(values), max(values)
    print(f"{what:<34} {median:8.1f} {unit:<2}  ({low:.1f} to {high:.1f})   target {target}")


if __name__ == "__main__":
    main()
