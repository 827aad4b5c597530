"""What servers say of probes: their names, and the ports that they look at."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Server
from tests.config import ZONE, faults, read, warnings
from tests.config.test_probes import probe


class ServerTests(SynchronousTestCase):
    """Servers name probes, and a probe without a port looks where connections go."""

    def test_values(self) -> None:
        config = read(probe("type: tcp"))
        self.assertEqual(
            config.servers["s"], Server(name="s", address=IPv4Address("10.0.0.1"), port=1, probes=(config.probes["x"],))
        )
        self.assertEqual((read(ZONE).probes, read(ZONE).probe_ports), ({}, {}))

    def test_names(self) -> None:
        text = probe("type: tcp").replace("probes: [x]", "probes: [x, x, xx, 3]")
        place = "a.yaml:8: servers.s.probes"
        self.assertEqual(
            faults(text),
            [
                f"{place}[1]: probe 'x' is already in this list",
                f"{place}[2]: unknown probe 'xx'; did you mean 'x'?",
                f"{place}[3]: found 3; allowed: text; write it in quotes",
            ],
        )
        many = probe("type: tcp").replace("probes: [x]", f"probes: [{', '.join(['x'] * 17)}]")
        self.assertEqual(faults(many), [f"{place}: found 17 entries; allowed: at most 16"])
        self.assertIn(
            "a.yaml:10: probes.x: no server uses this probe", warnings(probe("type: tcp").replace("probes: [x], ", ""))
        )

    def test_a_bad_probe_is_known(self) -> None:
        self.assertEqual(len(faults(probe("type: 1", "port: 0"))), 1)
        self.assertEqual(len(faults(probe("x", "port: 0"))), 2)

    def ports(self, servers: str, sites: str = "") -> dict[str, int]:
        text = (
            ZONE
            + f"pools: {{p: {{addresses: [192.0.2.1-192.0.2.9]}}}}\nprobes: {{x: {{type: tcp}}}}\nservers: {{{servers}}}\nsites: {{{sites}}}\n"
        )
        return dict(read(text).probe_ports)

    def test_ports(self) -> None:
        site = "%s.example.test: {pool: p, services: [%s], servers: [%s]}"
        both = site % ("a", "{port: 80, to: 81}, {port: 443}", "s") + ", " + site % ("b", "{port: 25}", "s, t")
        s, t = "s: {address: 10.0.0.1, probes: [x]%s}", "t: {address: 10.0.0.2, probes: [x]}"
        self.assertEqual(self.ports(f"{s % ''}, {t}", both), {"s": 81, "t": 25})
        self.assertEqual(self.ports(f"{s % ', port: 9'}, {t}", both), {"s": 9, "t": 25})
        self.assertEqual(self.ports(f"{s % ', backup: t'}, {t}", site % ("a", "{port: 80}", "s")), {"s": 80, "t": 80})
        self.assertEqual(
            self.ports(
                "u: {address: 10.0.0.3}", site % ("a", "{port: all}, {port: 22}", "{address: 10.0.0.9, probes: [x]}")
            ),
            {"10.0.0.9": 22},
        )
        inline = "{address: 10.0.0.9, probes: [x], backup: t}"
        self.assertEqual(self.ports(t, site % ("a", "{port: 22}", inline)), {"10.0.0.9": 22, "t": 22})
        two = "a.example.test: {pool: p, services: [{port: 80, to: 81}, {port: 90}], servers: [s], instances: [{bind_id: 1, clients: [10.1.1.1], services: [{port: 80, to: 82}], servers: [t]}]}"
        self.assertEqual(self.ports(f"{s % ''}, {t}", two), {"s": 81, "t": 82})
        self.assertEqual(
            self.ports(f"{s % ''}, {t}", two.replace("services: [{port: 80, to: 82}], ", "")), {"s": 81, "t": 81}
        )

    def test_nowhere_to_look(self) -> None:
        where = "neither it nor the server has a port, nor does a site send the server connections; set 'port' of one of them"
        self.assertEqual(
            faults(probe("type: http", "port: 0")),
            [f"a.yaml:8: servers.s.probes[0]: probe 'x' has nowhere to look: {where}"],
        )
        self.assertEqual(len(faults(probe("type: exec, command: [/bin/true, -p, '{port}']", "port: 0"))), 1)
        for keys in ("http, port: 80", "exec, command: [/bin/true, '{address}']"):
            self.assertEqual(faults(probe(f"type: {keys}", "port: 0")), [])

    def test_one_name_one_server(self) -> None:
        """What is counted under one name has the same probes everywhere."""
        site = "%s.example.test: {pool: p, services: [{port: 80}], servers: [{address: 10.0.0.1, probes: [%s]}]}"
        text = (
            ZONE + "pools: {p: {addresses: [192.0.2.1]}}\nprobes: {x: {type: tcp}, y: {type: tcp}}\nsites: {%s, %s}\n"
        )
        self.assertEqual(faults(text % (site % ("a", "x"), site % ("b", "x"))), [])
        (fault,) = faults(text % (site % ("a", "x"), site % ("b", "x, y")))
        self.assertIn("as well, with other keys", fault)
