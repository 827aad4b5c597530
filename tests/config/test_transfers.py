"""TSIG keys, primaries, and who may have a zone."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, ip_network

import dns.name
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Primary, TransferConfig, TSIGAlgorithm, TSIGKey
from appliance.model import Endpoint
from tests.config import faults, read, warnings

RECORDS = 'records: "@ 60 SOA ns1 h 1 7200 3600 1209600 60\\n@ 60 NS ns1\\nns1 60 A 127.0.0.1\\n"'
KEY = dns.name.from_text("k.test")


def text(tsig: str = "{k.test: {}}", zone: str = RECORDS, state: str = "var") -> str:
    return f"appliance: {{state_directory: {state}}}\ndns:\n  tsig: {tsig}\n  zones:\n    a.test: {{{zone}}}\n"


class TransferTests(SynchronousTestCase):
    def one(self, said: str, **more: str) -> None:
        self.assertEqual(faults(text(**more)), [f"a.yaml:{said}"])

    def test_defaults(self) -> None:
        """Nobody may have a zone, and nothing is signed."""
        config = read(text(tsig="{}")).dns
        self.assertEqual((config.tsig, config.zones[0].transfer), ((), TransferConfig()))
        self.assertIsNone(config.zones[0].primary)

    def test_a_key(self) -> None:
        file = os.path.abspath(self.mktemp())
        with open(file, "w") as secret:
            secret.write("x")
        config = read(text(f"{{K.test.: {{algorithm: hmac-sha512, secret: {file}}}}}")).dns
        self.assertEqual(config.tsig, (TSIGKey(KEY, TSIGAlgorithm.SHA512, file),))
        self.assertEqual(read(text()).dns.tsig, (TSIGKey(KEY, TSIGAlgorithm.SHA256, None),))

    def test_wrong_keys(self) -> None:
        place = "3: dns.tsig.k.test"
        self.one(
            f"{place}.algorithm: found 'hmac-md5', which is not safe any more; use hmac-sha256",
            tsig="{k.test: {algorithm: hmac-md5}}",
        )
        self.one(
            f"{place}.algorithm: found 'sha256'; allowed: hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512; "
            "did you mean 'hmac-sha256'?",
            tsig="{k.test: {algorithm: sha256}}",
        )
        self.one(
            f"{place}.secret: found what looks like the secret itself; allowed: the path of a file that has it",
            tsig="{k.test: {secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}}",
        )
        self.one(
            f"{place}.secret: '/nowhere/k' is no file; the other side has the same secret, so none can be made up here",
            tsig="{k.test: {secret: k}}",
        )
        self.one(
            f"{place}: 'secret' is required, for appliance.state_directory is 'none' and cannot keep one", state="none"
        )
        self.one("3: dns.tsig.K.TEST: the key is already dns.tsig.k.test (line 3)", tsig="{k.test: {}, K.TEST: {}}")
        self.assertIn("3: dns.tsig.a..b: 'a..b' cannot name a key", faults(text("{a..b: {}}"))[0])
        self.assertIn("cannot name a key; allowed: a DNS name", faults(text("{'.': {}}"))[0])

    def test_a_primary(self) -> None:
        zone = read(text(zone="primary: {address: '192.0.2.53:53', key: K.TEST}")).dns.zones[0]
        self.assertEqual(zone.primary, Primary(Endpoint(IPv4Address("192.0.2.53"), 53), KEY))
        self.assertIsNone(zone.zone)
        plain = read(text(zone="primary: {address: '192.0.2.53:53'}")).dns.zones[0]
        self.assertIsNotNone(plain.primary)
        self.assertNotEqual(plain, zone)

    def test_wrong_primaries(self) -> None:
        place = "5: dns.zones.a.test"
        only = f"{place}: needs exactly one of 'file', 'records' and 'primary'"
        self.one(only, zone=f"{RECORDS}, primary: {{address: '192.0.2.53:53'}}")
        self.one(only, zone="transfer: {}")
        self.one(
            f"{place}.primary.address: 127.0.0.1:5300 is in dns.listen; a zone cannot come from the appliance itself",
            zone="primary: {address: '127.0.0.1:5300'}",
        )
        self.one(
            f"{place}.primary.address: found 0.0.0.0:53; allowed: the endpoint of one server",
            zone="primary: {address: '0.0.0.0:53'}",
        )
        self.one(f"{place}.primary: 'address' is required", zone="primary: {key: k.test}")
        self.one(
            f"{place}.primary.key: unknown key 'k.tset'; did you mean 'k.test'?",
            zone="primary: {address: '192.0.2.53:53', key: k.tset}",
        )
        self.one(
            f"{place}.primary: found nothing; allowed: {{address: ENDPOINT}}, and 'key' beside it", zone="primary: ~"
        )

    def test_transfer(self) -> None:
        transfer = "transfer: {allow: [192.0.2.0/24, '2001:db8::1'], keys: [k.test, K.test], notify: ['192.0.2.1:53']}"
        self.assertEqual(
            read(text(zone=f"{RECORDS}, {transfer}")).dns.zones[0].transfer,
            TransferConfig(
                allow=(ip_network("192.0.2.0/24"), ip_network("2001:db8::1/128")),
                keys=(KEY,),
                notify=(Endpoint(IPv4Address("192.0.2.1"), 53),),
            ),
        )

    def test_wrong_transfers(self) -> None:
        """All at once, also beside what is wrong with the zone."""
        said = faults(
            text(zone="records: x, transfer: {allow: [192.0.2.1/24], keys: [z.test], notify: ['127.0.0.1:5300', 1]}")
        )
        for part in (
            "transfer.allow[0]: found '192.0.2.1/24'",
            "transfer.keys[0]: unknown key 'z.test'; did you mean 'k.test'?",
            "transfer.notify[0]: 127.0.0.1:5300 is in dns.listen",
            "transfer.notify[1]: found ",
            "records: ",
        ):
            self.assertTrue(any(f"a.yaml:5: dns.zones.a.test.{part}" in fault for fault in said), (part, said))
        many = ", ".join(["192.0.2.1"] * 1001)
        self.one(
            "5: dns.zones.a.test.transfer.allow: found 1001 entries; allowed: at most 1000",
            zone=f"{RECORDS}, transfer: {{allow: [{many}]}}",
        )

    def test_a_key_that_no_zone_uses(self) -> None:
        self.assertEqual(warnings(text()), ["a.yaml:3: dns.tsig.k.test: no zone uses this key"])
        self.assertEqual(warnings(text(zone=f"{RECORDS}, transfer: {{keys: [k.test]}}")), [])

    def test_notify_alone(self) -> None:
        said = warnings(text("{}", f"{RECORDS}, transfer: {{notify: ['192.0.2.53:53']}}"))
        self.assertIn("'notify' tells servers that may not have the zone", said[0])

    def test_others_in_a_pool(self) -> None:
        more = "pools: {p: {addresses: [192.0.2.0-192.0.2.99]}}\n"
        zone = f"{RECORDS}, transfer: {{allow: [192.0.2.1], notify: ['192.0.2.53:53']}}"
        for each in (zone, "primary: {address: '192.0.2.53:53'}"):
            (said,) = faults(text("{}", each) + more)
            self.assertIn("192.0.2.53 is in pools.p.addresses[0] (line 6, 192.0.2.0-192.0.2.99); no other name", said)

    def test_secrets_without_padding(self) -> None:
        (said,) = faults(text("{k.test: {secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}}"))
        self.assertIn("looks like the secret itself", said)

    def test_a_site_in_a_zone_that_is_transferred(self) -> None:
        """What the zone has there is not known yet."""
        more = "pools: {p: {addresses: [192.0.2.1]}}\nservers: {s: {address: 10.0.0.1}}\n"
        more += "sites: {x.a.test: {pool: p, services: [{port: 80}], servers: [s]}}\n"
        self.assertEqual(warnings(text("{}", "primary: {address: '192.0.2.53:53'}") + more), [])
