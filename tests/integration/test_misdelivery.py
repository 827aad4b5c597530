"""Nobody ever reaches a site that he did not ask for."""

from __future__ import annotations

import asyncio
import tempfile

from twisted.trial.unittest import TestCase

from tests.integration.crowd import Crowd
from tests.integration.process import Running, free_port, own_address

CLIENTS = 200
SITES = 20
SECONDS = 60.0


class MisdeliveryTests(TestCase):
    timeout = 180

    def test_a_crowd(self) -> None:
        """200 clients come and go for a minute over 20 sites and 5 addresses; misdelivered replies: 0."""
        leased = own_address().rsplit(".", 1)[0]
        resolver = own_address()
        port = free_port(f"{leased}.241")
        dns_port = free_port(resolver)
        servers = [own_address() for _ in range(SITES)]
        ports = [free_port(server) for server in servers]
        zone = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"
        services = f"[{{port: {port}}}, {{port: {port}, protocol: udp}}]"
        lines = [
            "appliance: {state_directory: none, stop_timeout: 0s}",
            f"dns: {{listen: ['{resolver}:{dns_port}'], zones: {{example.test: {{records: \"{zone}\"}}}}}}",
            "pools:",
            "  public:",
            f"    addresses: [{leased}.241-{leased}.245]",
            "    period: {base: 2s, minimum: 1s, grace: 1s, cooling: 2s}",
            "servers:",
            *(f"  s{n}: {{address: {servers[n]}, port: {ports[n]}}}" for n in range(SITES)),
            "sites:",
            *(
                f"  site{n}.example.test: {{pool: public, servers: [s{n}], timeouts: {{udp: 2s}}, services: {services}}}"
                for n in range(SITES)
            ),
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            running = Running("--config", file.name)
            self.addCleanup(running.stop)
            running.started()
        sites = [f"site{n}.example.test" for n in range(SITES)]
        crowd = Crowd((resolver, dns_port), port, sites, seed=1)

        async def run() -> None:
            for n in range(SITES):
                await crowd.serve(sites[n], servers[n], ports[n])
            await crowd.come_and_go(CLIENTS, SECONDS)

        asyncio.run(run())
        self.assertEqual(crowd.wrong, [])
        self.assertGreater(crowd.counts["right"], 5000, crowd.counts)
        self.assertGreaterEqual(len(crowd.reached), SITES // 2, crowd.counts)
        self.assertNotIn("Traceback", running.output())
        self.assertGreater(running.output().count("lease-granted"), 20)
