"""The same bytes to gdnsd and to us: where the two differ, and why we do as we do."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.packets import IDENT, PACKETS, ZONE, told
from tests.integration.process import Running, free_port, own_address, tool, until

DIFFERENT = {
    "opcode 6": "DSO (RFC 8490): gdnsd speaks it, and finds this one malformed; we do not, and say NOTIMP",
    "NSID": "gdnsd has none until it is configured; ours is the appliance's name",
    "ECS": "dns.client_subnet is off until it is configured",
    "ECS with bits behind": "the same: what is not read may hold anything",
    "AXFR": "we know it and refuse it; gdnsd does not know it",
    "IXFR": "the same",
    "CNAME": "we follow it inside our zones, as BIND, NSD, Knot and PowerDNS do; gdnsd leaves that to the resolver",
    "DS of a cut": "DS lives at the parent (RFC 4035 s3.1.4.1); gdnsd knows nothing of DNSSEC and refers",
    "MX": "the addresses of the target come along (RFC 1035 s3.3.9)",
    "NS": "the same",
    "version.bind": "gdnsd tells everybody that it is gdnsd; we tell nobody until dns.version says what",
    "class CH": "gdnsd answers every question of class CH like that",
}
"""By the name in tests/integration/packets.py."""


def ask(address: str, port: int, data: bytes) -> bytes | None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        # Both are idle, and what is not answered at once is not answered.
        sock.settimeout(0.5)
        sock.connect((address, port))
        sock.send(data)
        try:
            response = sock.recv(65535)
        except TimeoutError:
            return None
    # A response is the query's, whatever it says.
    assert response[:2] in (data[:2], IDENT.to_bytes(2, "big"))
    return response


class GdnsdTests(TestCase):
    def test_the_same_packets(self) -> None:
        gdnsd = tool("gdnsd", "gdnsd")
        folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, folder)
        theirs, ours = own_address(), own_address()
        their_port, our_port = free_port(theirs), free_port(ours)
        for part in ("etc/zones", "run", "state"):
            (folder / part).mkdir(parents=True)
        (folder / "etc/zones/example.test").write_text(ZONE)
        (folder / "etc/config").write_text(
            f"options => {{ listen => [{theirs}:{their_port}], run_dir => {folder}/run, state_dir => {folder}/state, "
            "udp_threads => 1, tcp_threads => 1 }\n"
        )
        (folder / "appliance.yaml").write_text(
            "appliance: {state_directory: none, name: ams1}\n"
            f"dns: {{listen: ['{ours}:{our_port}'], zones: {{example.test: {{file: etc/zones/example.test}}}}}}\n"
        )
        with (folder / "log").open("w") as log:
            peer = subprocess.Popen([gdnsd, "-c", str(folder / "etc"), "start"], stdout=log, stderr=log)
        self.addCleanup(peer.wait)
        self.addCleanup(peer.send_signal, signal.SIGTERM)
        running = Running("--config", str(folder / "appliance.yaml"))
        self.addCleanup(running.stop)
        running.started()
        until(lambda: ask(theirs, their_port, PACKETS["A"]), f"gdnsd answers:\n{(folder / 'log').read_text()}")
        different = {}
        for name, data in PACKETS.items():
            # Twice, for the second answer may come from the wire cache.
            first, second = (told(ask(ours, our_port, data)) for _ in range(2))
            self.assertEqual(first, second, name)
            expected = told(ask(theirs, their_port, data))
            if first != expected:
                different[name] = f"{name}\n  ours   {first}\n  gdnsd  {expected}"
        self.assertEqual(set(different), set(DIFFERENT), "\n".join(different.values()))
