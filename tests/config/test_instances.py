"""What certain clients get: instances, who is in them, and what they are told."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Behaviour, Instance, Predictor, Refusal, Server, Service, Spill, Transport
from tests.config import FUZZ, ZONE, faults, read, warnings

PLAIN = ZONE + "pools: {p: {addresses: [192.0.2.1]}}\nservers: {s: {address: 10.0.0.1}, t: {address: 10.0.0.2}}\n"
"""Nine lines."""
SITE = "{port: 80}, {port: 443}, {port: 53, protocol: udp}"
OTHER = "  z.example.test: {pool: p, services: [{port: 1}], servers: [t]}\n"
PLACE = "a.yaml:12: sites.a.example.test.instances[0]"


def site(*instances: str, keys: str = "", services: str = SITE) -> str:
    """A configuration with a site that has instances from line 12 on."""
    text = (
        PLAIN + "sites:\n  a.example.test: {pool: p, servers: [s], services: [" + services + f"]{keys}, instances: [\n"
    )
    return text + "".join(f"    {{{instance}}},\n" for instance in instances) + "  ]}\n" + OTHER


def instance(keys: str, more: str = "", services: str = SITE) -> Instance:
    (found,) = read(site(keys, keys=more, services=services)).sites["a.example.test"].instances
    return found


class KeyTests(SynchronousTestCase):
    def test_all(self) -> None:
        keys = (
            "bind_id: 7, name: preferred, clients: [198.51.100.0/24, 192.0.2.2-192.0.2.4], services: [{port: 80, to: 8001}], "
            "servers: [t, {address: 10.0.0.3}], predictor: round-robin, spill: never, lend: yes, backup: z.example.test, "
            "state: out-of-service, welcome: hello, behaviour: {connections: 1, window: 2s, bytes: 3K, short: 4, hold: 5s}"
        )
        networks = ("198.51.100.0/24", "192.0.2.2/31", "192.0.2.4/32")
        made = Instance(
            bind_id=7,
            name="preferred",
            clients=tuple(IPv4Network(network) for network in networks),
            behaviour=Behaviour(connections=1, window=2.0, bytes=3072, short=4, hold=5.0),
            services=(Service(first_port=80, last_port=80, to=8001),),
            servers=tuple(
                Server(name=name, address=IPv4Address(f"10.0.0.{last}")) for name, last in (("t", 2), ("10.0.0.3", 3))
            ),
            predictor=Predictor.ROUND_ROBIN,
            spill=Spill.NEVER,
            lend=True,
            backup="z.example.test",
            welcome=b"hello",
            in_service=False,
        )
        self.assertEqual(instance(keys), made)

    def test_defaults(self) -> None:
        """Predictor and backup are the site's; the name is the bind id."""
        found = instance(
            "bind_id: 1, clients: [192.0.2.9], servers: [t]", ", predictor: source-hash, backup: z.example.test"
        )
        server = Server(name="t", address=IPv4Address("10.0.0.2"))
        made = Instance(
            bind_id=1,
            name="1",
            clients=(IPv4Network("192.0.2.9/32"),),
            servers=(server,),
            predictor=Predictor.SOURCE_HASH,
            backup="z.example.test",
        )
        self.assertEqual(found, made)
        plain = instance("bind_id: 1, clients: [192.0.2.9], servers: [t]")
        self.assertEqual((plain.predictor, plain.backup), (Predictor.LEAST_CONNECTIONS, None))
        self.assertEqual(
            instance("bind_id: 1, clients: [192.0.2.9], answer: close", ", backup: z.example.test").backup, None
        )

    def test_behaviour_alone(self) -> None:
        found = instance("bind_id: 65535, behaviour: {short: 1}, answer: reset")
        self.assertEqual((found.clients, found.behaviour), ((), Behaviour(short=1)))
        self.assertEqual((found.answer, found.servers), (Refusal.RESET, ()))

    def test_sizes(self) -> None:
        for text, count in {"1": 1, "7K": 7168, "2M": 2 * 1024**2, "3G": 3 * 1024**3}.items():
            behaviour = instance(f"bind_id: 1, behaviour: {{bytes: {text}}}, answer: close").behaviour
            self.assertEqual(behaviour, Behaviour(bytes=count))
        for text in ("-1", "1T", "1.5K", "K", "01", "1k", "'1'", "'1024'", "99999999999G", "~", "1e9", "9" * 5000):
            (said,) = faults(site(f"bind_id: 1, behaviour: {{bytes: {text}}}, answer: close"))
            self.assertTrue(said.startswith(f"{PLACE}.behaviour.bytes: found "), said)
            self.assertIn("allowed: bytes, or a number with K, M or G, from 0 to 1073741824G", said)

    def test_wrong(self) -> None:
        good = {"bind_id": "1", "clients": "[192.0.2.9]", "servers": "[t]"}
        for key, value, said in [
            ("bind_id", "0", "bind_id: found 0; allowed: an integer from 1 to 65535"),
            ("bind_id", "65536", "bind_id: found 65536; allowed: an integer from 1 to 65535"),
            ("name", "''", "name: found nothing; allowed: text"),
            ("name", '"a\\tb"', "name: found 'a\\tb'; allowed: one line of at most 63 characters"),
            ("name", "x" * 64, f"name: found '{'x' * 57}...'; allowed: one line of at most 63 characters"),
            ("clients", "['::1']", "clients[0]: found '::1'; allowed: an address, a network such as 192.0.2.0/24, or a run such as 192.0.2.1-192.0.2.9; clients of a leased address have IPv4"),
            ("spill", "full", "spill: found 'full'; allowed: busy, one-failed, all-failed, never"),
            ("lend", "1", "lend: found 1; allowed: true or false"),
            ("state", "down", "state: found 'down'; allowed: in-service, out-of-service"),
            ("predictor", "wrr", "predictor: found 'wrr'; allowed: least-connections, round-robin, weighted-round-robin, fastest-response, source-hash"),
            ("services", "[]", "services: found an empty list; allowed: at least one entry"),
            ("services", "[{port: 80, allow: []}]", "services[0].allow: unknown key 'allow'; known here: port, protocol, to"),
            ("servers", "[]", "servers: found an empty list; allowed: at least one entry"),
            ("servers", "[u]", "servers[0]: unknown server 'u'; there is s, t"),
            ("servers", "[t, t]", "servers[1]: this server is already sites.a.example.test.instances[0].servers[0] (line 12)"),
            ("backup", "y.example.test", "backup: unknown site 'y.example.test'; did you mean 'z.example.test'?"),
            ("backup", "A.example.test", "backup: 'a.example.test' is the site itself; allowed: another one; 'spill' says when its clients use the general servers"),
            ("behaviour", "{connections: 0}", "behaviour: has no limit, so that nobody would reach it; set connections, bytes or short"),
            ("behaviour", "{connections: 1, hold: 0}", "behaviour.hold: found 0; allowed: seconds, or a number with ms, s, m, h or d, from 1s to 2147483647s"),
            ("behaviour", "{connections: 1, window: 0}", "behaviour.window: found 0; allowed: seconds, or a number with ms, s, m, h or d, from 0.1s to 86400s"),
            ("behavior", "{}", "behavior: unknown key 'behavior'; did you mean 'behaviour'?"),
        ]:  # fmt: skip
            keys = ", ".join(f"{name}: {text}" for name, text in {**good, key: value}.items())
            self.assertEqual(faults(site(keys)), [f"{PLACE}.{said}"])

    def test_who_and_what(self) -> None:
        """Clients or a behaviour, and exactly one of servers and an answer."""
        either = "has no meaning beside 'answer'; allowed: either 'servers' or 'answer'"
        nobody = "needs 'clients' or a 'behaviour', for it would be nobody's"
        for keys, said in {
            "clients: [192.0.2.9]": ": needs 'servers' or an 'answer'",
            "clients: [192.0.2.9], welcome: hello": ": needs 'servers' or an 'answer'",
            "clients: [192.0.2.9], servers: [t], answer: close": f".servers: {either}",
            "clients: [192.0.2.9], answer: close, welcome: hello": f".welcome: {either}",
            "clients: [192.0.2.9], answer: close, spill: busy": f".spill: {either}",
            "clients: [192.0.2.9], answer: close, lend: no": f".lend: {either}",
            "clients: [192.0.2.9], answer: close, predictor: round-robin": f".predictor: {either}",
            "clients: [192.0.2.9], answer: close, backup: z.example.test": f".backup: {either}",
            "clients: [192.0.2.9], answer: close, services: [{port: 80, to: 81}]": ".services[0].to: has no meaning in an instance with an 'answer'",
            "answer: close": f": {nobody}",
            "servers: [t], clients: []": f": {nobody}",
        }.items():
            self.assertEqual(faults(site(f"bind_id: 1, {keys}")), [PLACE + said])
        (said,) = faults(site("clients: [192.0.2.9], answer: close"))
        self.assertEqual(said, f"{PLACE}: 'bind_id' is required")
        part = instance("bind_id: 1, clients: [192.0.2.9], answer: close, services: [{port: 80}]")
        self.assertEqual(len(part.services), 1)

    def test_too_many(self) -> None:
        many = [f"bind_id: {i}, clients: [10.1.{i // 256}.{i % 256}], answer: close" for i in range(1, 258)]
        self.assertEqual(faults(site(*many[:256])), [])
        place = "a.yaml:11: sites.a.example.test.instances"
        self.assertEqual(faults(site(*many)), [f"{place}: found 257 entries; allowed: at most 256"])


class SiteTests(SynchronousTestCase):
    """Instances beside each other and beside their site."""

    def two(self, one: str, other: str, services: str = SITE) -> list[str]:
        keys = "bind_id: %d, answer: close, %s"
        return faults(site(keys % (1, one), keys % (2, other), services=services))

    def test_once(self) -> None:
        place, first = "a.yaml:13: sites.a.example.test.instances[1]", "sites.a.example.test.instances[0]"
        clients = "clients: [192.0.2.%d], answer: close"
        same = faults(site("bind_id: 1, " + clients % 1, "bind_id: 1, " + clients % 2))
        self.assertEqual(same, [f"{place}.bind_id: bind id 1 is already {first}.bind_id (line 12)"])
        for one, other in (("x", "x"), ("2", "2")):
            names = self.two(f"name: '{one}', clients: [192.0.2.1]", f"name: '{other}', clients: [192.0.2.2]")
            self.assertEqual(names, [f"{place}.name: the name '{one}' is already {first}.name (line 12)"])
        by_default = self.two("name: '2', clients: [192.0.2.1]", "clients: [192.0.2.2]")
        self.assertEqual(by_default, [f"{place}.bind_id: the name '2' is already {first}.name (line 12)"])

    def test_ports(self) -> None:
        def said(services: str, of_site: str = SITE) -> list[str]:
            keys = f"bind_id: 1, clients: [192.0.2.9], answer: close, services: [{services}]"
            return [fault.removeprefix(f"{PLACE}.services") for fault in faults(site(keys, services=of_site))]

        has = "it has tcp 80, tcp 443, udp 53"
        self.assertEqual(said("{port: 80}, {port: 53, protocol: udp}"), [])
        self.assertEqual(said("{port: 53}"), [f"[0]: tcp port 53 is none of the site's; {has}"])
        self.assertEqual(said("{port: 79-80}"), [f"[0]: tcp port 79 is none of the site's; {has}"])
        self.assertEqual(said("{port: all}"), [f"[0]: the site has not all tcp ports; {has}"])
        twice = "[1]: tcp port 80 is already in sites.a.example.test.instances[0].services[0] (line 12)"
        self.assertEqual(said("{port: 80}, {port: 80}"), [twice])
        every = "{port: all}, {port: 25}"
        self.assertEqual(said("{port: 7}, {port: all}", every), [])
        has = "it has all of tcp, tcp 25"
        self.assertEqual(said("{port: 7, protocol: udp}", every), [f"[0]: udp port 7 is none of the site's; {has}"])

    def test_ports_of_a_faulty_site(self) -> None:
        """What the site has is not known then."""
        keys = "bind_id: 1, clients: [192.0.2.9], answer: close, services: [{port: 81}]"
        (said,) = faults(site(keys, services="{port: 80}, {port: x}"))
        self.assertIn("sites.a.example.test.services[1].port: found 'x'", said)

    def test_clients(self) -> None:
        place, first = (
            "a.yaml:13: sites.a.example.test.instances[1].clients",
            "sites.a.example.test.instances[0].clients",
        )
        both = "both instances have tcp 80"
        self.assertEqual(
            self.two("clients: [192.0.2.1, 198.51.100.0/24]", "clients: [192.0.2.2, 198.51.100.0/24]"),
            [f"{place}[1]: 198.51.100.0/24 is already {first}[1] (line 12), and {both}"],
        )
        run = self.two("clients: [192.0.2.4-192.0.2.6]", "clients: [192.0.2.4/31]")
        self.assertEqual(run, [f"{place}[0]: 192.0.2.4/31 is already {first}[0] (line 12), and {both}"])
        (said,) = faults(site("bind_id: 1, answer: close, clients: [192.0.2.1, 192.0.2.1]"))
        self.assertEqual(said, f"{PLACE}.clients[1]: 192.0.2.1/32 is already {first}[0] (line 12)")

    def test_clients_that_do_not_clash(self) -> None:
        """A longer network wins; an instance for another port is another one; an exact port wins over all."""
        parts = "clients: [192.0.2.1], services: [{port: %s}]"
        for one, other, services in [
            ("clients: [192.0.2.0/24]", "clients: [192.0.2.1]", SITE),
            (parts % 80, parts % 443, SITE),
            (parts % 53, parts % "53, protocol: udp", "{port: 53}, {port: 53, protocol: udp}"),
            (parts % 80, parts % "all", "{port: all}"),
        ]:
            self.assertEqual(self.two(one, other, services), [])
        for one, other, services, port in [
            (parts % "all", parts % "all", "{port: all}", "tcp all"),
            (parts % 443, "clients: [192.0.2.1]", SITE, "tcp 443"),
            (parts % "53, protocol: udp", "clients: [192.0.2.1]", SITE, "udp 53"),
        ]:
            (said,) = self.two(one, other, services)
            self.assertTrue(said.endswith(f", and both instances have {port}"), said)

    def test_faulty_ports_clash_with_nobodys(self) -> None:
        (said,) = self.two("clients: [192.0.2.1], services: [{port: x}]", "clients: [192.0.2.1]")
        self.assertIn("services[0].port: found 'x'", said)

    @FUZZ
    @given(
        st.lists(
            st.tuples(st.sets(st.sampled_from([80, 443, 81]), min_size=1), st.sets(st.integers(1, 3), min_size=1)),
            max_size=5,
        )
    )
    def test_every_clash(self, instances: list[tuple[set[int], set[int]]]) -> None:
        """Against each with each."""
        texts = []
        clashing = set()
        for index, (ports, hosts) in enumerate(instances):
            services = ", ".join(f"{{port: {port}}}" for port in sorted(ports))
            clients = ", ".join(f"192.0.2.{host}" for host in sorted(hosts))
            texts.append(f"bind_id: {index + 1}, answer: close, clients: [{clients}], services: [{services}]")
            for before_ports, before_hosts in instances[:index]:
                if ports & before_ports:
                    clashing |= {(index, host) for host in hosts & before_hosts}
        said = faults(site(*texts, services="{port: 80}, {port: 443}, {port: 81}"))
        found = {
            (index, host)
            for index, (_, hosts) in enumerate(instances)
            for position, host in enumerate(sorted(hosts))
            if any(f".instances[{index}].clients[{position}]: 192.0.2.{host}/32 is already" in fault for fault in said)
        }
        self.assertEqual((found, len(said)), (clashing, len(clashing)))

    def test_servers_count_as_used(self) -> None:
        text = site("bind_id: 1, clients: [192.0.2.9], servers: [t]").replace(OTHER, "")
        self.assertEqual(warnings(text), [])
        self.assertEqual(len(warnings(text.replace("[t]", "[s]"))), 1)

    def test_servers_in_a_pool(self) -> None:
        (said,) = faults(site("bind_id: 1, clients: [192.0.2.9], servers: [{address: 192.0.2.1}]"))
        self.assertIn("instances[0].servers[0].address: server address 192.0.2.1 is in pools.p.addresses[0]", said)

    def test_ipv6_behind_client_nat(self) -> None:
        nat = "client_nat: {n: {first: 10.9.0.1, last: 10.9.0.1, netmask: 255.255.255.0}}\n"
        only = "has an IPv6 address, and connections from 'n' have IPv4"
        own = site("bind_id: 1, clients: [192.0.2.9], servers: [{address: '::1'}]", keys=", client_nat: n")
        self.assertEqual(faults(own + nat), [f"{PLACE}.servers[0]: the server {only}"])
        backup = site("bind_id: 1, clients: [192.0.2.9], servers: [t], backup: z.example.test", keys=", client_nat: n")
        six = backup.replace("{port: 1}], servers: [t]", "{port: 1}], servers: [{address: '::1'}]")
        self.assertEqual(faults(six + nat), [f"{PLACE}.backup: the server of site 'z.example.test' {only}"])

    def test_transports(self) -> None:
        found = instance("bind_id: 1, clients: [192.0.2.9], answer: close, services: [{port: 53, protocol: udp}]")
        self.assertEqual(found.services[0].transport, Transport.UDP)
