"""Servers that are the appliance itself, so that traffic would go round in a circle."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config import ZONE, faults

LOOP = "traffic to it would come back to the appliance"


def text(
    servers: str, site: str, services: str = "{port: 53}", listen: str = "192.0.2.53:53", control: str = "{}"
) -> str:
    """The endpoint in line 2, servers in line 9, a site in line 12."""
    whole = ZONE.replace("dns:\n", f"dns:\n  listen: ['{listen}']\n") + f"servers: {{{servers}}}\n"
    whole += (
        "pools: {p: {addresses: [203.0.113.1]}}\n"
        if "0.0.0.0" not in listen and "[::]" not in listen
        else "pools: {}\n"
    )
    where = "pool: p" if "{addresses" in whole else "pool: q"
    whole += f"sites:\n  a.example.test: {{{where}, services: [{services}], {site}}}\n"
    return whole + f"control: {control}\n"


class OwnPortTests(SynchronousTestCase):
    """A server with a port of its own."""

    def test_a_named_one(self) -> None:
        (said,) = faults(text("s: {address: 192.0.2.53, port: 53}", "servers: [s]", "{port: 80}"))
        listens = "is where the appliance itself listens, dns.listen[0] (line 2)"
        self.assertEqual(said, f"a.yaml:9: servers.s.address: server 192.0.2.53:53 {listens}; {LOOP}")
        self.assertEqual(faults(text("s: {address: 192.0.2.53, port: 54}", "servers: [s]")), [])
        self.assertEqual(faults(text("s: {address: 192.0.2.54, port: 53}", "servers: [s]")), [])

    def test_in_other_words(self) -> None:
        for listen, address in (("192.0.2.53:53", "::ffff:192.0.2.53"), ("[2001:db8::1]:53", "2001:DB8::1")):
            (said,) = faults(text(f"s: {{address: '{address}', port: 53}}", "servers: [s]", "{port: 80}", listen))
            self.assertIn("is where the appliance itself listens, dns.listen[0] (line 2)", said)

    def test_inline_ones(self) -> None:
        own = "{address: 192.0.2.53, port: 53}"
        (said,) = faults(text("s: {address: 10.0.0.1}", f"servers: [s, {own}]", "{port: 80}"))
        self.assertTrue(
            said.startswith("a.yaml:12: sites.a.example.test.servers[1].address: server 192.0.2.53:53 "), said
        )
        instances = f"servers: [s], instances: [{{bind_id: 1, clients: [192.0.2.9], servers: [{own}]}}]"
        (said,) = faults(text("s: {address: 10.0.0.1}", instances, "{port: 80}"))
        self.assertIn("sites.a.example.test.instances[0].servers[0].address: server 192.0.2.53:53 ", said)

    def test_a_backup(self) -> None:
        servers = "s: {address: 10.0.0.1, backup: t}, t: {address: 192.0.2.53, port: 53}"
        (said,) = faults(text(servers, "servers: [s]", "{port: 80}"))
        self.assertTrue(said.startswith("a.yaml:9: servers.t.address: server 192.0.2.53:53 "), said)

    def test_the_manhole(self) -> None:
        control = "{manhole: {ssh: '10.0.0.1:22', authorized_keys: /dev/null}}"
        said = faults(text("s: {address: 10.0.0.1, port: 22}", "servers: [s]", control=control))
        listens = "is where the appliance itself listens, control.manhole.ssh (line 13)"
        self.assertEqual(said[0], f"a.yaml:9: servers.s.address: server 10.0.0.1:22 {listens}; {LOOP}")

    def test_where_it_listens_by_default(self) -> None:
        whole = text("s: {address: 127.0.0.1, port: 5300}", "servers: [s]").replace("  listen: ['192.0.2.53:53']\n", "")
        listens = "is where the appliance itself listens, dns.listen"
        self.assertEqual(faults(whole), [f"a.yaml:8: servers.s.address: server 127.0.0.1:5300 {listens}; {LOOP}"])
        self.assertEqual(faults(whole.replace("5300", "5301")), [])

    def test_a_wildcard(self) -> None:
        """Of its addresses, loopback's are known."""
        for listen in ("0.0.0.0:53", "[::]:53"):
            for address, count in {"127.0.0.9": 1, "'::1'": 1, "10.0.0.1": 0}.items():
                whole = text(f"s: {{address: {address}, port: 53}}", "servers: [s]", "{port: 80}", listen)
                said = [fault for fault in faults(whole) if "listens" in fault]
                self.assertEqual(len(said), count, (listen, address))


class ServicePortTests(SynchronousTestCase):
    """A server that has the service's port: one may lead to the listener, another past it."""

    own = "s: {address: 192.0.2.53}"
    place = "a.yaml:12: sites.a.example.test.servers[0]"
    listens = "at 192.0.2.53:53 is where the appliance itself listens, dns.listen[0] (line 2)"

    def test_services(self) -> None:
        for services, count in {
            "{port: 53}": 1,
            "{port: 80, to: 53}": 1,
            "{port: 53, to: 54}": 0,
            "{port: 1000-1010, to: 43}": 1,
            "{port: 1000-1009, to: 43}": 0,
            "{port: 1000-1010, to: 53}": 1,
            "{port: 1000-1010, to: 54}": 0,
            "{port: 53, protocol: udp}": 1,
            "{port: all}": 1,
            "{port: 53}, {port: 53, protocol: udp}": 1,
        }.items():
            said = faults(text(self.own, "servers: [s]", services))
            self.assertEqual(said, [f"{self.place}: the server 's' {self.listens}; {LOOP}"] * count, services)

    def test_protocols(self) -> None:
        """SSH is TCP."""
        control = "{manhole: {ssh: '192.0.2.7:22', authorized_keys: /dev/null}}"
        for services, count in {"{port: 22}": 2, "{port: 22, protocol: udp}": 1}.items():
            said = faults(text("s: {address: 192.0.2.7}", "servers: [s]", services, control=control))
            self.assertEqual(len(said), count, said)

    def test_inline_ones(self) -> None:
        (said,) = faults(text("s: {address: 10.0.0.1}", "servers: [{address: 192.0.2.53}, s]"))
        self.assertEqual(said, f"{self.place}: the server {self.listens}; {LOOP}")

    def test_instances(self) -> None:
        """Their services count, or the site's where they have none."""
        for keys, services, count in [
            ("", "{port: 53}", 1),
            (", services: [{port: 53, to: 80}]", "{port: 53}", 0),
            (", services: [{port: 80, to: 53}]", "{port: 80}", 1),
        ]:
            site = f"servers: [t], instances: [{{bind_id: 1, clients: [192.0.2.9], servers: [s]{keys}}}]"
            said = faults(text(f"{self.own}, t: {{address: 10.0.0.1}}", site, services))
            place = "a.yaml:12: sites.a.example.test.instances[0].servers[0]"
            self.assertEqual(said, [f"{place}: the server 's' {self.listens}; {LOOP}"] * count)

    def test_backups(self) -> None:
        servers = f"{self.own}, t: {{address: 10.0.0.1, backup: u}}, u: {{address: 10.0.0.2, backup: s}}"
        for entry in ("t", "u", "{address: 10.0.0.3, backup: t}"):
            said = faults(text(servers, f"servers: [{entry}]"))
            self.assertEqual(said, [f"{self.place}: the backup 's' {self.listens}; {LOOP}"])
        self.assertEqual(faults(text(servers, "servers: [t]", "{port: 80}")), [])

    def test_beyond_the_first(self) -> None:
        """One that is at the address of a listener, but not led to its port, does not hide the next."""
        control = "{manhole: {ssh: '192.0.2.7:22', authorized_keys: /dev/null}}"
        servers = f"t: {{address: 192.0.2.7, backup: s}}, {self.own}"
        said = faults(text(servers, "servers: [t]", control=control))
        self.assertEqual(said[0], f"{self.place}: the backup 's' {self.listens}; {LOOP}")

    def test_a_circle_ends(self) -> None:
        servers = "s: {address: 192.0.2.53, backup: t}, t: {address: 192.0.2.53, weight: 2, backup: s}"
        said = faults(text(servers, "servers: [s]"))
        self.assertTrue(any("the server 's' at 192.0.2.53:53" in fault for fault in said), said)
