"""A configuration for a crowd: sites that share a few addresses, each with its own server, all on loopback."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.integration.crowd import Crowd
from tests.integration.process import free_port, own_address, own_subnet

ZONE = "@ 60 SOA ns1 h 1 7200 3600 1209600 5\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"


class SharedSetting:
    """
    :param sites: how many; their servers are to be started by a crowd.
    :param addresses: how many they share.
    """

    def __init__(self, sites: int, addresses: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.file = self.folder / "appliance.yaml"
        self.leased = own_subnet()
        self.addresses = addresses
        self.resolver = own_address()
        self.port = free_port(f"{self.leased}.1")
        self.dns_port = free_port(self.resolver)
        self.servers = [own_address() for _ in range(sites)]
        self.ports = [free_port(server) for server in self.servers]
        self.sites = [f"site{number}.example.test" for number in range(sites)]
        self.write(self.sites)

    def write(self, sites: list[str], *, base: str = "1s") -> None:
        """The configuration, with some of the sites."""
        services = f"[{{port: {self.port}}}, {{port: {self.port}, protocol: udp}}]"
        used = [(n, site) for n, site in enumerate(self.sites) if site in sites]
        lines = [
            "appliance: {state_directory: none, stop_timeout: 0s}",
            f"dns: {{listen: ['{self.resolver}:{self.dns_port}'], zones: {{example.test: {{records: \"{ZONE}\"}}}}}}",
            "pools:",
            "  public:",
            f"    addresses: [{self.leased}.1-{self.leased}.{self.addresses}]",
            f"    period: {{base: {base}, minimum: 1s, grace: 1s, cooling: 1s}}",
            "    pressure: {cookie: 1.0, tcp: 1.0, reputation: 1.0}",
            "    quota: {per_source: 1000}",
            "servers:",
            *(f"  s{n}: {{address: {self.servers[n]}, port: {self.ports[n]}}}" for n, _ in used),
            "sites:",
            *(
                f"  {site}: {{pool: public, servers: [s{n}], services: {services}, timeouts: {{udp: 2s}}}}"
                for n, site in used
            ),
        ]
        self.file.write_text("\n".join(lines) + "\n")

    def crowd(self, *, seed: int) -> Crowd:
        return Crowd((self.resolver, self.dns_port), self.port, self.sites, seed)

    async def serve(self, crowd: Crowd) -> None:
        """Start the servers of all sites."""
        for site, server, port in zip(self.sites, self.servers, self.ports, strict=True):
            await crowd.serve(site, server, port)
