"""
UDP datagrams through the NAT proxy, beside nginx's stream module: dnsperf asks a gdnsd behind each of them.

An answered query is two datagrams.  The peers take turns; "direct" is gdnsd without a proxy.

    PYTHONPATH=. .venv/bin/python benchmarks/udp.py [--rounds 3] [--seconds 3]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.proxies import Proxies, await_listener, free_port, process, report

ORIGIN = "127.0.104.1"
NAMES = 1000


def origin(stack: ExitStack, folder: Path, port: int) -> None:
    for name in ("etc/zones", "run", "state"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "etc/config").write_text(
        f"options => {{ listen => [{ORIGIN}:{port}], run_dir => {folder}/run, state_dir => {folder}/state, "
        "udp_threads => 1, tcp_threads => 1 }\n"
    )
    records = "".join(f"n{number} 60 A 192.0.2.{number % 250 + 1}\n" for number in range(NAMES))
    (folder / "etc/zones/example.com").write_text(
        f"@ 60 SOA ns1 h 1 7200 3600 1209600 60\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n{records}"
    )
    (folder / "queries").write_text("".join(f"n{number}.example.com A\n" for number in range(NAMES)))
    stack.enter_context(process("gdnsd", "-c", str(folder / "etc"), "start"))
    await_listener(ORIGIN, port)


def datagrams(address: str, port: int, folder: Path, seconds: int) -> float:
    command = ("dnsperf", "-s", address, "-p", str(port), "-d", str(folder / "queries"), "-c", "4", "-q", "100")
    out = subprocess.run([*command, "-l", str(seconds)], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Queries per second:\s+([\d.]+)", out)
    lost = re.search(r"Queries lost:\s+(\d+)", out)
    assert found and lost, out
    if int(lost[1]):
        print(f"  {address}: {lost[1]} queries lost")
    return 2 * float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    missing = [tool for tool in ("gdnsd", "dnsperf") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (apt-get install {' '.join(missing)})")
    port = free_port(ORIGIN)
    rows: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin(stack, folder, port)
        proxies = Proxies(stack, folder, ORIGIN, port, "udp")
        proxies.appliance()
        proxies.nginx()
        addresses = {**{name: address for name, (address, _) in proxies.running.items()}, "direct": ORIGIN}
        for _ in range(options.rounds):
            for name, address in addresses.items():
                rows.setdefault(name, []).append(datagrams(address, port, folder, options.seconds))
    report({"UDP datagrams/s": rows})


if __name__ == "__main__":
    main()
