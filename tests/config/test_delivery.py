"""Customers of the POPs: their keys, and what their names, origins and rules say about other sections."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model import AllDown, Choices, Delivery, OriginBy, PopWeights, Rule
from tests.config import FUZZ, ZONE, faults, read, warnings

REST = """\
appliance: {name: me}
pops: {me: {address: 192.0.2.65}}
probes: {t: {type: tcp}, l: {type: load, port: 1}}
servers: {o: {address: 192.0.2.1, port: 80, probes: [t, l]}, u: {address: 192.0.2.2, port: 80, probes: [t, l]}}
pools: {p: {addresses: [203.0.113.1]}}
sites: {a.example.test: {pool: p, services: [{port: 80}], servers: [u, o], aliases: [b.example.test]}}
delivery:
"""
"""Seven lines, so that customers begin in line 15."""
SHOP = "pages: [www.example.test], origins: [o, u]"
PLACE = "a.yaml:15: delivery.shop"


def customers(*keys: str, zone: str = ZONE) -> str:
    """Customers from line 15 on."""
    names = ("shop", "news", "third")
    lines = "".join(f"  {name}: {{{each}}}\n" for name, each in zip(names, keys, strict=False))
    return zone + REST + lines


def said(*keys: str, zone: str = ZONE) -> list[str]:
    return [fault.removeprefix(PLACE) for fault in faults(customers(*keys, zone=zone))]


def warned(*keys: str, zone: str = ZONE) -> list[str]:
    return [warning.removeprefix(PLACE) for warning in warnings(customers(*keys, zone=zone))]


class KeyTests(SynchronousTestCase):
    def test_all(self) -> None:
        weights = "{latency: 0, cpu: 1.5, memory: 2, connections: 3, http: 4, ftp: 1000000}"
        rule = f"{{origins: both, choices: two, all_down: backup, tolerance: 10, pops: {weights}}}"
        keys = f"pages: [WWW.example.test.], static: [img.example.test], origins: [u, o], rule: {rule}, answers: 16, ttl: 1m, backup: [192.0.2.80, '2001:db8::1']"
        config = read(customers(keys))
        made = Delivery(
            name="shop",
            pages=("www.example.test",),
            static=("img.example.test",),
            origins=(config.servers["u"], config.servers["o"]),
            rule=Rule(
                origins=OriginBy.BOTH,
                choices=Choices.TWO,
                all_down=AllDown.BACKUP,
                pops=PopWeights(latency=0.0, cpu=1.5, memory=2.0, connections=3.0, http=4.0, ftp=1e6),
                tolerance=10.0,
            ),
            answers=16,
            ttl=60.0,
            backup=(IPv4Address("192.0.2.80"), IPv6Address("2001:db8::1")),
        )
        self.assertEqual((config.delivery, config.warnings), ({"shop": made}, ()))

    def test_defaults(self) -> None:
        config = read(customers("static: [img.example.test]"))
        self.assertEqual(config.delivery, {"shop": Delivery(name="shop", static=("img.example.test",))})
        self.assertEqual(read(ZONE).delivery, {})
        (made,) = read(customers(f"{SHOP}, rule: {{all_down: empty}}")).delivery.values()
        self.assertEqual(made.rule, Rule(all_down=AllDown.EMPTY))

    def test_wrong(self) -> None:
        for keys, fault in {
            "answers: 0": ".answers: found 0; allowed: an integer from 1 to 16",
            "answers: 17": ".answers: found 17; allowed: an integer from 1 to 16",
            "ttl: 999ms": ".ttl: found '999ms'; allowed: seconds, or a number with ms, s, m, h or d, from 1s to 86400s",
            "ttl: 86401": ".ttl: found 86401; allowed: seconds, or a number with ms, s, m, h or d, from 1s to 86400s",
            "rule: {tolerance: 10.1}": ".rule.tolerance: found 10.1; allowed: a number from 0 to 10",
            "rule: {tolerance: -1}": ".rule.tolerance: found -1; allowed: a number from 0 to 10",
            "rule: {origins: least}": ".rule.origins: found 'least'; allowed: load, latency, both",
            "rule: {choices: 2}": ".rule.choices: found 2; allowed: all, two",
            "rule: {all_down: none}": ".rule.all_down: found 'none'; allowed: all, last-good, empty, backup",
            "rule: {pops: {cpu: -0.5}}": ".rule.pops.cpu: found -0.5; allowed: a number from 0 to 1e+06",
            "rule: {pops: {latency: 0, cpu: 0, memory: 0, connections: 0, http: 0}}": ".rule.pops: all weights are 0, so that all POPs cost the same; allowed: at least one more than 0",
            "rule: {pop: {}}": ".rule.pop: unknown key 'pop'; did you mean 'pops'?",
            "rule: {all_down: backup}": ".rule.all_down: 'backup' is required, the list of addresses that are answered then",
            "backup: []": ".backup: found an empty list; allowed: at least one entry",
            "backup: [203.0.113.1]": ".backup[0]: 203.0.113.1 is in pools.p.addresses[0] (line 12, 203.0.113.1), where it is leased to sites",
            "cache: {paths: [/x]}": ".cache: not yet supported",
        }.items():  # fmt: skip
            found = said(f"{SHOP}, {keys}")
            self.assertEqual(found[0], fault)
        for keys, fault in {
            "": ": needs 'pages' or 'static' names, for nothing would be answered",
            "pages: [], origins: [o]": ": needs 'pages' or 'static' names, for nothing would be answered",
            "pages: [www.example.test]": ": 'origins' is required where there are 'pages', which are answered with one of them",
            "pages: [www.example.test], origins: []": ".origins: found an empty list; allowed: at least one entry",
            "pages: [www.example.test], origins: [o, v]": ".origins[1]: unknown server 'v'; there is o, u",
            "pages: [www.example.test], origins: [o, u, o]": ".origins[2]: this server is already delivery.shop.origins[0] (line 15)",
            "pages: ['*.example.test'], origins: [o]": ".pages[0]: '*.example.test' is a wildcard; allowed: a single name",
        }.items():  # fmt: skip
            self.assertEqual(said(keys), [fault])

    def test_odd(self) -> None:
        for keys, warning in {
            "ttl: 61": ".ttl: found 61s, which is over 60s: whoever has an answer uses it for so long, whatever goes down",
            "backup: [192.0.2.80]": ".backup: is never answered, for rule.all_down is not 'backup'",
        }.items():
            self.assertEqual(warned(f"{SHOP}, {keys}"), [warning])

    def test_a_backup_for_when_no_pop_has_room(self) -> None:
        """It is answered at static names by any rule, so it is nothing to warn of."""
        self.assertEqual(warned("static: [www.example.test], backup: [192.0.2.80]"), [])

    def test_a_backup_that_is_a_pop(self) -> None:
        """Whoever nobody has room for goes there, though it has none either."""
        for capacity, keys, bounded in (
            (5, "static: [www.example.test]", True),
            (0, "static: [www.example.test]", False),
        ):
            text = customers(f"{keys}, backup: [192.0.2.65]").replace(
                "{address: 192.0.2.65}", f"{{address: 192.0.2.65, capacity: {capacity}}}"
            )
            found = [warning for warning in warnings(text) if ".backup[0]: is pop 'me', which gets whom" in warning]
            self.assertEqual(bool(found), bounded)

    def test_a_backup_of_another_family(self) -> None:
        """Clients of the family that it has not would be answered with no data."""
        rule = "pages: [www.example.test], origins: [o, u], rule: {all_down: backup}"
        none = "has no IPv4 address, as origins have: when all are down the answer is no data"
        self.assertEqual(warned(f"{rule}, backup: ['2001:db8::1']"), [f".backup[0]: {none}"])
        self.assertEqual(warned(f"{rule}, backup: ['2001:db8::1', 192.0.2.80]"), [])

    def test_what_is_not_looked_at(self) -> None:
        """Health that nobody measures, and load that nobody reads."""
        text = customers("pages: [www.example.test], origins: [o, u]")
        blind = text.replace("port: 80, probes: [t, l]}}", "port: 80}}")
        never = "server 'u' has no probes, so that it never counts as down"
        one = "rule.origins is 'load', and server 'u' has no probe of type load"
        unread = f"{one}, so that what the others tell of theirs is not looked at"
        self.assertEqual(warnings(blind), [f"{PLACE}.origins[1]: {said}" for said in (never, unread)])
        some = text.replace("port: 80, probes: [t, l]}}", "port: 80, probes: [t]}}")
        self.assertEqual(warnings(some), [f"{PLACE}.origins[1]: {unread}"])
        self.assertEqual(warnings(some.replace("[o, u]", "[o, u], rule: {origins: latency}")), [])
        plain = text.replace("probes: [t, l]", "probes: [t]").replace(", l: {type: load, port: 1}", "")
        tells = "and no origin has a probe of type load, which tells it"
        self.assertEqual(warnings(plain), [f"{PLACE}.origins[0]: rule.origins is 'load', {tells}"])
        both = plain.replace("[o, u]", "[o, u], rule: {origins: both}")
        self.assertEqual(warnings(both), [f"{PLACE}.rule.origins: rule.origins is 'both', {tells}"])
        self.assertEqual(warnings(both.replace("both", "latency")), [])
        self.assertEqual(warnings(plain.replace("[o, u]", "[u]"))[1:], [])


class PopTests(SynchronousTestCase):
    def test_static_needs_pops(self) -> None:
        text = customers("static: [img.example.test]").replace("pops: {me: {address: 192.0.2.65}}", "pops:")
        self.assertEqual(faults(text), [f"{PLACE}.static: needs 'pops', for these names are answered with one of them"])
        broken = text.replace("pops:", "pops: x")
        self.assertEqual([fault.split(": ")[1] for fault in faults(broken)], ["pops"])

    def test_this_one(self) -> None:
        text = customers("static: [img.example.test]").replace(
            "pops: {me:", "control: {peers: {allow: [192.0.2.0/24]}}\npops: {mee:"
        )
        never = (
            "no POP of 'pops' is 'me', this appliance's name, so that it never answers with itself; did you mean 'mee'?"
        )
        self.assertEqual([warning.partition(": ")[2] for warning in warnings(text)], [f"delivery.shop.static: {never}"])


class NameTests(SynchronousTestCase):
    def test_zones(self) -> None:
        found = said("pages: [www.example.org], origins: [o], static: [img.example.test, example.org]")
        outside = "is not in a zone of dns.zones; the zones are example.test"
        self.assertEqual(found, [f".pages[0]: 'www.example.org' {outside}", f".static[1]: 'example.org' {outside}"])
        self.assertEqual(said("static: [example.test]"), [])

    def test_records(self) -> None:
        more = "        www 60 CNAME ns1\n        sub 60 NS ns1\n        img 60 A 192.0.2.1\n        img 60 AAAA 2001:db8::1\n"
        zone = ZONE + more
        line = PLACE.replace("15", "19")
        (cname, cut) = said("pages: [www.example.test, x.sub.example.test], origins: [o]", zone=zone)
        alone = "a name with an address of its own has none (RFC 1034 s3.6.2)"
        self.assertEqual(
            cname, f"{line}.pages[0]: zone example.test has a record CNAME for 'www.example.test'; {alone}"
        )
        self.assertEqual(
            cut,
            f"{line}.pages[1]: 'x.sub.example.test' is never answered: zone example.test has NS records at sub.example.test",
        )
        two = [
            f"zone example.test has a record {each} for 'img.example.test', which is delivered; a server or POP is answered"
            for each in ("A", "AAAA")
        ]
        self.assertEqual(warned("static: [img.example.test]", zone=zone), [f"{line}.static[0]: {each}" for each in two])

    def test_a_zone_that_comes_later(self) -> None:
        zone = "dns:\n  zones:\n    example.test: {primary: {address: '192.0.2.53:53'}}\n"
        (warning,) = warned("static: [i.example.test, j.example.test]", zone=zone)
        later = "zone example.test is transferred in; whether it has a CNAME or a cut at 'i.example.test' and 1 more names is not known here"
        self.assertEqual(warning, f"a.yaml:11: delivery.shop.static[0]: {later}")

    def test_a_zone_that_others_have(self) -> None:
        zone = ZONE.replace("    example.test:\n", "    example.test:\n      transfer: {allow: [192.0.2.1]}\n")
        (warning,) = warned("static: [i.example.test]", zone=zone)
        self.assertIn(
            "other servers may have zone example.test, but get no address of 'a.example.test' and 2 more names", warning
        )

    def test_sites(self) -> None:
        found = said("pages: [a.example.test], static: [b.example.test], origins: [o]")
        there = "sites.a.example.test"
        self.assertEqual(
            found,
            [
                f".pages[0]: 'a.example.test' is already {there} (line 13)",
                f".static[0]: 'b.example.test' is already {there}.aliases[0] (line 13)",
            ],
        )

    def test_twice(self) -> None:
        found = said("static: [i.example.test, j.example.test, I.example.test]")
        self.assertEqual(found, [".static[2]: 'i.example.test' is already delivery.shop.static[0] (line 15)"])

    def test_two_customers(self) -> None:
        """Only a static name is of several; one of them may have pages there (3.3, 3.5)."""
        page, static, both = (
            "pages: [x.example.test], origins: [o]",
            "static: [x.example.test]",
            "pages: [x.example.test], static: [x.example.test], origins: [o]",
        )
        only = "only a static name may be of several customers"
        for first, second, place in (
            (page, page, "pages"), (page, static, "static"), (static, page, "pages"), (page, both, "pages"), (both, page, "pages"), (both, both, "pages")
        ):  # fmt: skip
            (fault,) = said(first, second)
            self.assertTrue(
                fault.startswith(f"a.yaml:16: delivery.news.{place}[0]: 'x.example.test' is already delivery.shop."),
                fault,
            )
            self.assertTrue(fault.endswith(f" (line 15); {only}"), fault)
        for first, second in ((static, static), (both, static), (static, both)):
            self.assertEqual((said(first, second), warned(first, second)), ([], []))
        self.assertEqual(len(said(static, both, both)), 1)
        (warning,) = warned(static, f"{static}, ttl: 9")
        hold = "of another customer with another rule, answers or ttl; the first one's hold"
        self.assertEqual(
            warning,
            f"a.yaml:16: delivery.news.static[0]: 'x.example.test' is also delivery.shop.static[0] (line 15), {hold}",
        )

    @FUZZ
    @given(st.lists(st.sampled_from(["", "p", "s", "ps"]), min_size=1, max_size=3))
    def test_any_customers(self, claims: list[str]) -> None:
        """Against the rule in words: one page at most; and where anybody has no static name, nobody else has the name."""
        keys = []
        for index, claim in enumerate(claims):
            static = f"own{index}.example.test" + (", x.example.test" if "s" in claim else "")
            pages = "x.example.test" if "p" in claim else ""
            keys.append(f"static: [{static}], pages: [{pages}], origins: [o]")
        having = [claim for claim in claims if claim]
        good = len(having) <= 1 or (
            all("s" in claim for claim in having) and sum("p" in claim for claim in having) <= 1
        )
        self.assertEqual(not said(*keys), good)


class FuzzTests(SynchronousTestCase):
    @FUZZ
    @given(
        st.dictionaries(
            st.sampled_from(["pages", "static", "origins", "rule", "answers", "ttl", "backup", "zzz"]),
            st.sampled_from(
                ["", "{}", "[]", "[[]]", "no", "-1", "1", "1m", "[o]", "[o, u, v]", "[~]", "[x.example.test]", "[x.example.test, a.example.test]",
                 "[x.test]", "{all_down: backup}", "{pops: {cpu: 0}}", "{tolerance: .inf, origins: latency}", "[192.0.2.80]", "[203.0.113.1, '::1']"]
            ),
        ),
        st.sampled_from(["", "pops: {me: {address: 192.0.2.65}}", "pops:", "pops: []", "pops: {x: {peers: 1}}"]),
    )  # fmt: skip
    def test_any_keys(self, keys: dict[str, str], pops: str) -> None:
        """Whatever a customer has, it is a value, or faults that name the section."""
        text = customers(", ".join(f"{key}: {value}" for key, value in keys.items()))
        text = text.replace("pops: {me: {address: 192.0.2.65}}", pops)
        found = faults(text)
        for fault in found:
            self.assertRegex(fault, "^a.yaml:[0-9]+: (delivery.shop|pops)")
        if not found:
            self.assertEqual(list(read(text).delivery), ["shop"])
