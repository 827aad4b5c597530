"""Real servers: their keys, named and inline, and who takes over from whom."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config.backups import circles, first_along
from appliance.model import Server
from tests.config import FUZZ, ZONE, faults, read, warnings

POOLS = ZONE + "pools: {p: {addresses: [203.0.113.1]}}\n"
"""Eight lines."""
SITE = "sites: {a.example.test: {pool: p, services: [{port: 80}], servers: [%s]}}\n"


def servers(*lines: str, listed: str = "a") -> str:
    """A configuration with servers from line 10 on, of which a site lists some."""
    return POOLS + "servers:\n" + "".join(f"  {line}\n" for line in lines) + SITE % listed


class KeyTests(SynchronousTestCase):
    def test_all(self) -> None:
        keys = (
            "{address: 10.0.0.1, port: 81, weight: 2, threshold: 3, distinct_clients: yes, retries: 4, retry_after: 1m, "
            "max_connections: 5, queue: 6, slow_start: 7s, backup: b, on_failure: reset}"
        )
        made = Server(
            name="a",
            address=IPv4Address("10.0.0.1"),
            port=81,
            weight=2,
            threshold=3,
            distinct_clients=True,
            retries=4,
            retry_after=60.0,
            max_connections=5,
            queue=6,
            slow_start=7.0,
            backup="b",
            reset_on_failure=True,
        )
        config = read(servers(f"a: {keys}", "b: {address: 10.0.0.2}"))
        self.assertEqual((config.servers["a"], config.sites["a.example.test"].servers), (made, (made,)))
        inline = read(servers("b: {address: 10.0.0.2}", listed=keys)).sites["a.example.test"].servers
        self.assertEqual([(server.name, server.backup, server.queue) for server in inline], [("10.0.0.1:81", "b", 6)])

    def test_defaults(self) -> None:
        config = read(servers("a: {address: 10.0.0.1}"))
        self.assertEqual(config.servers["a"], Server(name="a", address=IPv4Address("10.0.0.1")))
        kept = read(servers("a: {address: 10.0.0.1, on_failure: keep}"))
        self.assertEqual(kept.servers, config.servers)

    def test_wrong(self) -> None:
        for keys, said in {
            "threshold: 0": "threshold: found 0; allowed: an integer from 1 to 1000000",
            "distinct_clients: 1": "distinct_clients: found 1; allowed: true or false",
            "retries: 0": "retries: found 0; allowed: an integer from 1 to 100",
            "retries: 101": "retries: found 101; allowed: an integer from 1 to 100",
            "retry_after: 0": "retry_after: found 0; allowed: seconds, or a number with ms, s, m, h or d, from 0.1s to 86400s",
            "max_connections: -1": "max_connections: found -1; allowed: an integer from 0 to 16777216",
            "max_connections: 1, queue: 1000001": "queue: found 1000001; allowed: an integer from 0 to 1000000",
            "queue: 5": "queue: found 5, but nobody waits for a server without 'max_connections'; allowed: 0, or set max_connections",
            "slow_start: -1": "slow_start: found -1; allowed: seconds, or a number with ms, s, m, h or d, from 0s to 86400s",
            "on_failure: rest": "on_failure: found 'rest'; allowed: keep, reset; did you mean 'reset'?",
            "backup: 7": "backup: found 7; allowed: text; write it in quotes",
            "treshold: 7": "treshold: unknown key 'treshold'; did you mean 'threshold'?",
        }.items():
            self.assertEqual(faults(servers(f"a: {{address: 10.0.0.1, {keys}}}")), [f"a.yaml:10: servers.a.{said}"])
            inline = "a.yaml:11: sites.a.example.test.servers[0]."
            self.assertEqual(
                faults(servers("z: {address: 10.0.0.9}", listed=f"{{address: 10.0.0.1, {keys}}}")), [inline + said]
            )

    def test_just_inside(self) -> None:
        for keys in (
            "threshold: 1, retries: 100, retry_after: 100ms, max_connections: 1, queue: 1000000",
            "max_connections: 16777216, queue: 0",
            "queue: 0",
        ):
            self.assertEqual(faults(servers(f"a: {{address: 10.0.0.1, {keys}}}")), [])

    def test_too_many(self) -> None:
        many = ", ".join(f"{{address: 10.0.{i // 256}.{i % 256}, port: 1}}" for i in range(1025))
        said = faults(POOLS + SITE % many)
        self.assertEqual(said, ["a.yaml:9: sites.a.example.test.servers: found 1025 entries; allowed: at most 1024"])

    def test_a_bad_key_hides_nothing(self) -> None:
        """Neither what is wrong with the others, nor where the address is."""
        said = faults(servers("a: {address: 203.0.113.1, weight: x, queue: 1, backup: c}"))
        keys = [fault.split(": ")[1] for fault in said]
        self.assertEqual(keys, [f"servers.a.{key}" for key in ("address", "backup", "queue", "weight")])


class NameTests(SynchronousTestCase):
    """A server is counted, limited and changed by its name."""

    def test_one_address_in_two_sites(self) -> None:
        two = "sites:\n" + "".join(
            f"  {label}.example.test: {{pool: p, services: [{{port: 80}}], servers: [{server}]}}\n"
            for label, server in (("a", "{address: 10.0.0.1}"), ("b", "{address: 10.0.0.1, weight: %d}"))
        )
        self.assertEqual(faults(POOLS + two % 1), [])
        (said,) = faults(POOLS + two % 2)
        place, there = "a.yaml:11: sites.b.example.test.servers[0]", "sites.a.example.test.servers[0] (line 10)"
        hint = "list it once in 'servers', and name it here"
        self.assertEqual(said, f"{place}: '10.0.0.1' is {there} as well, with other keys; {hint}")

    def test_an_address_with_its_port(self) -> None:
        (said,) = faults(servers("a: {address: '10.0.0.1:80'}"))
        found = "servers.a.address: found '10.0.0.1:80'; allowed: an IPv4 or IPv6 address, without a port"
        self.assertEqual(said, f"a.yaml:10: {found}")

    def test_names(self) -> None:
        """What a table shows as a column, and a command takes as a word."""
        for name, shown in (("we b", "we b"), ("a\\nb", "a\\nb"), ("", ""), ("none", "none")):
            (said,) = faults(servers(f'"{name}": {{address: 10.0.0.9}}', "a: {address: 10.0.0.1}"))
            allowed = "one word of printable characters, and not 'none'"
            self.assertEqual(said, f"a.yaml:10: servers: found the name '{shown}'; allowed: {allowed}")

    def test_a_name_that_looks_like_an_address(self) -> None:
        (said,) = faults(servers("'10.0.0.7': {address: 10.0.0.5}", listed="{address: 10.0.0.7}"))
        place = "a.yaml:11: sites.a.example.test.servers[0]"
        self.assertEqual(
            said,
            f"{place}: '10.0.0.7' is servers.10.0.0.7 (line 10) as well, with other keys; list it once in 'servers', and name it here",
        )


class BackupTests(SynchronousTestCase):
    def one(self, text: str, said: str) -> None:
        self.assertEqual(faults(text), [said])

    def test_unknown(self) -> None:
        self.one(
            servers("a: {address: 10.0.0.1, backup: alpha-l}", "alpha-1: {address: 10.0.0.2}"),
            "a.yaml:10: servers.a.backup: unknown server 'alpha-l'; did you mean 'alpha-1'?",
        )
        self.one(
            POOLS + SITE % "{address: 10.0.0.1, backup: x}",
            "a.yaml:9: sites.a.example.test.servers[0].backup: unknown server 'x'; servers has none",
        )

    def test_itself(self) -> None:
        self.one(
            servers("a: {address: 10.0.0.1, backup: a}"),
            "a.yaml:10: servers.a.backup: 'a' is the server itself; allowed: another one",
        )
        self.one(
            servers("a: {address: 10.0.0.1, backup: b}", "b: {address: 10.0.0.1}"),
            "a.yaml:10: servers.a.backup: 'b' has the same address and port; allowed: another server",
        )
        inline = "{address: 10.0.0.1, port: 80, backup: b}"
        self.one(
            servers("b: {address: 10.0.0.1, port: 80}", listed=inline),
            "a.yaml:11: sites.a.example.test.servers[0].backup: 'b' has the same address and port; allowed: another server",
        )
        self.assertEqual(faults(servers("b: {address: 10.0.0.1, port: 81}", listed=inline)), [])

    def test_circles(self) -> None:
        """Told once, at the one that comes first in the file; who only leads there is not blamed."""
        lines = [
            f"{name}: {{address: 10.0.0.{index}, backup: {backup}}}"
            for index, (name, backup) in enumerate([("a", "c"), ("b", "c"), ("c", "d"), ("d", "b")], 1)
        ]
        self.one(
            servers(*lines),
            "a.yaml:11: servers.b.backup: each is the backup of the one before, in a circle: b, c, d, b",
        )
        many = [f"s{i}: {{address: 10.0.0.{i + 1}, backup: s{(i + 1) % 9}}}" for i in range(9)]
        self.one(
            servers(*many, listed="s0"),
            "a.yaml:10: servers.s0.backup: each is the backup of the one before, in a circle: s0, s1, s2, s3, s4, s5, ..., s0",
        )

    def test_a_backup_is_used(self) -> None:
        lines = ["a: {address: 10.0.0.1, backup: b}", "b: {address: 10.0.0.2}", "c: {address: 10.0.0.3}"]
        self.assertEqual(warnings(servers(*lines)), ["a.yaml:12: servers.c: no site uses this server"])


NAMES = "abcdefgh"
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES))


class WalkTests(SynchronousTestCase):
    """Against a walk from every name on its own."""

    @FUZZ
    @given(GRAPHS)
    def test_circles(self, backups: dict[str, str]) -> None:
        inside = set()
        for name in backups:
            at, steps = backups.get(name), 0
            while at is not None and at != name and steps < len(NAMES):
                at, steps = backups.get(at), steps + 1
            if at == name:
                inside.add(name)
        found = list(circles(backups))
        self.assertEqual(sorted(name for circle in found for name in circle), sorted(inside))
        order = list(backups)
        for circle in found:
            self.assertEqual(circle[0], min(circle, key=order.index))
            self.assertEqual([backups[name] for name in circle], [*circle[1:], circle[0]])

    @FUZZ
    @given(GRAPHS, st.frozensets(st.sampled_from(NAMES)))
    def test_first_along(self, backups: dict[str, str], wanted: frozenset[str]) -> None:
        naive = {}
        for name in NAMES:
            at: str | None = name
            for _ in NAMES:
                if at is None or at in wanted:
                    break
                at = backups.get(at)
            if at in wanted:
                naive[name] = at
        self.assertEqual(first_along(backups, wanted), naive)
