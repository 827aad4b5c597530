"""POPs, where they read each other, and the example of three on one machine."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Config, PeersListen, load
from appliance.model import Endpoint, Pop, Url
from tests.config import ROOT, ZONE, faults, read, warnings

ME = "appliance: {name: me}\n"
PLACE = "a.yaml:9: pops.fra1"


def pops(keys: str, more: str = "") -> str:
    """A POP in line 9."""
    return ZONE + f"pops:\n  fra1: {{{keys}}}\n{more}"


def four(last: int, port: int) -> Endpoint:
    return Endpoint(IPv4Address(f"198.51.100.{last}"), port)


class PopTests(SynchronousTestCase):
    def said(self, keys: str) -> str:
        (said,) = faults(pops(f"address: 198.51.100.7, {keys}"))
        return said.removeprefix(f"{PLACE}.")

    def test_all(self) -> None:
        keys = "peers: 'http://198.51.100.7:8054', http: 'http://198.51.100.7/ping?a=b', ftp: '198.51.100.7:21', capacity: 2.5, interval: 100ms"
        pop = Pop(
            name="fra1",
            address=IPv4Address("198.51.100.7"),
            peers=Url(endpoint=four(7, 8054), host="198.51.100.7:8054"),
            http=Url(endpoint=four(7, 80), host="198.51.100.7", path="/ping?a=b"),
            ftp=four(7, 21),
            capacity=2.5,
            interval=0.1,
        )
        self.assertEqual(read(pops(f"address: 198.51.100.7, {keys}")).pops, {"fra1": pop})

    def test_defaults(self) -> None:
        pop = Pop(name="fra1", address=IPv6Address("2001:db8::1"))
        self.assertEqual(read(pops("address: '2001:db8::1'")).pops, {"fra1": pop})
        self.assertEqual(read(ZONE).pops, {})
        self.assertEqual(faults(pops("")), [f"{PLACE}: 'address' is required"])

    def test_a_page_under_a_name(self) -> None:
        pop = read(pops("address: 198.51.100.7, http: {url: 'http://198.51.100.8:81', host: IMG.example.test.}")).pops[
            "fra1"
        ]
        self.assertEqual(pop.http, Url(endpoint=four(8, 81), host="img.example.test", path="/"))
        self.assertEqual(self.said("http: {url: 'http://198.51.100.8'}"), "http: 'host' is required")

    def test_urls(self) -> None:
        six = read(pops("address: 198.51.100.7, http: 'HTTP://[2001:db8::1]:8080?x'")).pops["fra1"].http
        self.assertEqual(
            six, Url(endpoint=Endpoint(IPv6Address("2001:db8::1"), 8080), host="[2001:db8::1]:8080", path="/?x")
        )
        for url, said in {
            "https://198.51.100.7/": "found 'https://198.51.100.7/'; allowed: http://ADDRESS[:PORT][/PATH], such as http://192.0.2.1:8080/ping; https is not fetched here",
            "http://pop.example.test/": "found host 'pop.example.test'; allowed: an address in place of the name, for a check must not depend on DNS",
            "http://198.51.100.7:0/": "found port 0; allowed: 1 to 65535",
            "http://198.51.100.7:65536/": "found port 65536; allowed: 1 to 65535",
            "http://0.0.0.0/": "found host 0.0.0.0; allowed: the address of one host",
            "http://[ff02::1]/": "found host ff02::1; allowed: the address of one host",
            "http://[192.0.2.1]/": "found host '[192.0.2.1]'; allowed: http://ADDRESS[:PORT][/PATH], such as http://192.0.2.1:8080/ping, an IPv6 address in brackets",
            "http://198.51.100.7/a b": "found the path '/a b'; allowed: at most 2000 visible ASCII characters without '#'",
            "http://198.51.100.7/é": "found the path '/é'; allowed: at most 2000 visible ASCII characters without '#'",
        }.items():  # fmt: skip
            self.assertEqual(self.said(f"http: '{url}'"), f"http: {said}")
        for url in (
            "http://a@198.51.100.7/",
            "198.51.100.7",
            "http://2001:db8::1/",
            "http://198.51.100.7#x",
            "http://198.51.100.7:/",
        ):
            self.assertIn("allowed: http://ADDRESS[:PORT][/PATH]", self.said(f"http: '{url}'"))
        bare = "found the path '/x'; allowed: none, http://ADDRESS[:PORT]"
        self.assertEqual(self.said("peers: 'http://198.51.100.7/x'"), f"peers: {bare}")

    def test_wrong(self) -> None:
        for keys, said in {
            "ftp: '0.0.0.0:21'": "ftp: found 0.0.0.0:21; allowed: the endpoint of one server",
            "capacity: -1": "capacity: found -1; allowed: a number from 0 to 1e+09",
            "interval: 99ms": "interval: found '99ms'; allowed: seconds, or a number with ms, s, m, h or d, from 0.1s to 86400s",
            "adress: x": "adress: unknown key 'adress'; did you mean 'address'?",
        }.items():
            self.assertEqual(self.said(keys), said)

    def test_room_for_nobody(self) -> None:
        """A capacity is connections, and no part of something: less than one resolver may bring has no use."""
        for capacity, whole in ((0.8, "0.72"), (1, "0.9")):
            said = f"found {capacity} connections, of which {whole} are given out: a resolver that nobody knows yet counts as 1"
            self.assertIn(f"{PLACE}.capacity: {said}", warnings(pops(f"address: 198.51.100.7, capacity: {capacity}")))
        for capacity in (0, 2):
            found = warnings(pops(f"address: 198.51.100.7, capacity: {capacity}"))
            self.assertEqual([each for each in found if "capacity" in each], [])

    def test_whose_address(self) -> None:
        """What is answered for good is not leased; a site's own address never is."""
        pool = "pools: {p: {addresses: [198.51.100.7]}}\n"
        leased = "198.51.100.7 is in pools.p.addresses[0] (line 10, 198.51.100.7), where it is leased to sites"
        self.assertEqual(faults(pops("address: 198.51.100.7", pool)), [f"{PLACE}.address: {leased}"])
        (said,) = faults(pops("address: '::ffff:198.51.100.7'", pool))
        self.assertIn("where it is leased to sites", said)
        static = "servers: {s: {address: 10.0.0.1}}\nsites: {a.example.test: {address: 198.51.100.7, services: [{port: 80}], servers: [s]}}\n"
        self.assertEqual(
            faults(pops("address: 198.51.100.7", static + "pools: {p: {addresses: [198.51.100.7-198.51.100.8]}}\n")), []
        )
        (said,) = faults(pops("address: 198.51.100.7", "  ams1: {address: 198.51.100.7}\n"))
        self.assertEqual(said, f"a.yaml:10: pops.ams1.address: 198.51.100.7 is already {PLACE[10:]}.address (line 9)")

    def test_too_many(self) -> None:
        many = "".join(f"  p{i}: {{address: 10.0.{i // 256}.{i % 256}}}\n" for i in range(256))
        self.assertEqual(faults(ZONE + "pops:\n" + many), [])
        self.assertEqual(
            faults(pops("address: 192.0.2.1", many)),
            ["a.yaml:265: pops.p255: is one of 257 POPs; allowed: at most 256"],
        )


class PeersTests(SynchronousTestCase):
    def peers(self, text: str, more: str = "") -> str:
        return ZONE + f"control: {{peers: {text}}}\n{ME}{more}"

    def test_values(self) -> None:
        self.assertEqual(read(ZONE).peers, None)
        self.assertEqual(read(self.peers("{}")).peers, PeersListen(listen=Endpoint(IPv4Address("127.0.0.1"), 8054)))
        made = PeersListen(listen=four(7, 1), allow=(IPv4Network("192.0.2.0/24"), IPv4Network("192.0.2.1/32")))
        self.assertEqual(read(self.peers("{listen: '198.51.100.7:1', allow: [192.0.2.0/24, 192.0.2.1]}")).peers, made)

    def test_wrong(self) -> None:
        for text, said in {
            "": "control.peers: found nothing; write {} to listen on 127.0.0.1:8054, where this host alone may ask, or leave the key out",
            "{listen: 8054}": "control.peers.listen: found 8054; allowed: an endpoint such as 192.0.2.1:53 or [2001:db8::1]:53, port 1 to 65535",
            "{allow: [192.0.2.1/24]}": "control.peers.allow[0]: found '192.0.2.1/24'; allowed: an address, or a network such as 192.0.2.0/24; no bits may be set behind the prefix",
            f"{{allow: [{', '.join(['192.0.2.1'] * 1001)}]}}": "control.peers.allow: found 1001 entries; allowed: at most 1000",
        }.items():  # fmt: skip
            self.assertEqual(faults(self.peers(text)), [f"a.yaml:8: {said}"])

    def test_where_it_listens(self) -> None:
        pool = "pools: {p: {addresses: [203.0.113.1]}}\n"
        place = "a.yaml:8: control.peers.listen"
        (said,) = faults(self.peers("{listen: '203.0.113.1:1'}", pool))
        self.assertEqual(
            said,
            f"{place}: 203.0.113.1 is in pools.p.addresses[0] (line 10, 203.0.113.1); the appliance must keep an address of its own",
        )
        (said,) = faults(self.peers("{listen: '0.0.0.0:1'}", pool))
        self.assertEqual(
            said, f"{place}: 0.0.0.0:1 would take port 1 of the pools' addresses; list the addresses to listen on"
        )
        self.assertEqual(
            faults(self.peers("{listen: '127.0.0.1:5300'}")), [f"{place}: 127.0.0.1:5300 is already in dns.listen"]
        )
        (said,) = faults(
            self.peers(f"{{}}, manhole: {{ssh: '127.0.0.1:8054', authorized_keys: {os.path.abspath(__file__)}}}")
        )
        self.assertEqual(said, "a.yaml:8: control.peers: 127.0.0.1:8054 is already in control.manhole.ssh (line 8)")
        loop = "servers: {s: {address: 127.0.0.1, port: 8054}}\n"
        self.assertIn("server 127.0.0.1:8054 is where the appliance itself listens", faults(self.peers("{}", loop))[0])

    def test_where_others_look_for_it(self) -> None:
        """They ask where ``pops`` says that this one is: its own listener has to be there."""
        mine = "pops: {me: {address: 127.0.11.1, peers: 'http://127.0.11.1:8054'}}\n"
        place = "a.yaml:10: pops.me.peers: "
        for listen in ("127.0.11.1:8055", "0.0.0.0:8055"):
            others = [said for said in warnings(self.peers(f"{{listen: '{listen}'}}", mine)) if "'allow'" not in said]
            self.assertEqual(
                others, [f"{place}the others look at 127.0.11.1:8054, and control.peers.listen is {listen}"]
            )
        for listen in ("127.0.11.1:8054", "0.0.0.0:8054"):
            self.assertFalse([said for said in warnings(self.peers(f"{{listen: '{listen}'}}", mine)) if place in said])
        self.assertEqual(len(warnings(self.peers("{}", mine))), 1)
        far = mine.replace("127.0.11.1", "203.0.113.7")
        self.assertEqual(warnings(self.peers("{listen: '10.0.0.2:8054', allow: [192.0.2.1]}", far)), [])
        (said,) = warnings(ZONE + ME + mine)
        self.assertEqual(
            said, "a.yaml:9: pops.me.peers: the others look at 127.0.11.1:8054, and there is no control.peers"
        )

    def test_nobody_is_let_in(self) -> None:
        far, near = (
            "pops: {fra1: {address: 198.51.100.7}}\n",
            "pops: {fra1: {address: 127.0.11.2}, me: {address: 198.51.100.7}}\n",
        )
        nobody = "'allow' is empty, so that other hosts, and the POPs on them, read nothing here"
        self.assertEqual(warnings(self.peers("{}", far)), [f"a.yaml:8: control.peers: {nobody}"])
        self.assertEqual(
            warnings(self.peers("{listen: '198.51.100.9:1', allow: []}")), [f"a.yaml:8: control.peers.allow: {nobody}"]
        )
        for text, more in (("{}", near), ("{}", ""), ("{allow: [198.51.100.7]}", far)):
            self.assertEqual(warnings(self.peers(text, more)), [])
        none = "is another POP, and reads nothing of this one without control.peers"
        self.assertEqual(warnings(ZONE + ME + far), [f"a.yaml:9: pops.fra1: {none}"])
        self.assertEqual(warnings(ZONE + ME + "pops: {me: {address: 198.51.100.7}}\n"), [])


class ExampleTests(SynchronousTestCase):
    """``etc/pops``: three appliances on one machine."""

    def setUp(self) -> None:
        self.all: dict[str, Config] = {
            name: load(os.path.join(ROOT, "etc", "pops", f"{name}.yaml")) for name in ("ams1", "fra1", "nyc1")
        }

    def test_they_differ_in_places_alone(self) -> None:
        first, *others = self.all.values()
        for each in self.all.values():
            self.assertEqual(each.warnings, ())
        for other in others:
            for section in ("pops", "delivery", "servers", "probes"):
                self.assertEqual(getattr(first, section), getattr(other, section))
            self.assertEqual(first.dns.zones, other.dns.zones)
        self.assertEqual([each.name for each in self.all.values()], list(first.pops))
        self.assertEqual(len({each.state_directory for each in self.all.values()}), 3)

    def test_they_find_each_other(self) -> None:
        """Each listens where the others expect it, on this machine and without root."""
        for name, each in self.all.items():
            pop, peers = each.pops[name], each.peers
            assert peers is not None and pop.peers is not None and pop.http is not None
            self.assertEqual((pop.peers.endpoint, pop.http.endpoint), (peers.listen, peers.listen))
            for endpoint in (peers.listen, *each.dns.listen):
                self.assertEqual(endpoint.address, pop.address)
                self.assertTrue(endpoint.address.is_loopback)
                self.assertGreater(endpoint.port, 1024)

    def test_two_customers_with_rules_of_their_own(self) -> None:
        shop, news = self.all["ams1"].delivery.values()
        self.assertNotEqual(shop.rule, news.rule)
        self.assertEqual(news.pages, news.static)
