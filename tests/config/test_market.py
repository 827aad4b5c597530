"""What a POP has to sell: values, what is wrong with them, and servers whose load is never seen (2.1)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.model import Capacity, Market, Unit
from tests.config import ZONE, faults, read, warnings

SERVERS = """\
servers:
  one: {address: 10.0.0.1, backup: two}
  two: {address: 10.0.0.2}
  six: {address: 10.0.0.6}
pools: {p: {addresses: [203.0.113.1]}}
sites: {a.example.test: {pool: p, services: [{port: 80}], servers: [one]}}
probes: {}
pops: {me: {address: 192.0.2.1, capacity: 70}}
"""
"""In lines 9 to 16."""


ME = "appliance: {name: me}\n"


def market(keys: str, more: str = "") -> str:
    """A capacity in line 8."""
    return ZONE + f"market: {{capacity: {{{keys}}}}}\n{more}"


class CapacityTests(SynchronousTestCase):
    def said(self, keys: str, more: str = "") -> str:
        (said,) = faults(market(keys, more))
        return said.removeprefix("a.yaml:8: market.capacity")

    def test_all(self) -> None:
        keys = "servers: [one, two], unit: connections, hard: 500, reserve: 0.3, stated: 20.5, forecast: 0.5"
        made = Capacity(
            servers=("one", "two"), unit=Unit.CONNECTIONS, hard=500.0, reserve=0.3, stated=20.5, forecast=0.5
        )
        self.assertEqual(read(market(keys, SERVERS)).market, Market(capacity=made))

    def test_defaults(self) -> None:
        made = Capacity(servers=(), unit=Unit.CONNECTIONS, hard=1.0, reserve=0.2, stated=0.0, forecast=0.95)
        for keys in ("hard: 1", "hard: 1, servers: []"):
            self.assertEqual(read(market(keys)).market, Market(capacity=made))
        for text in ("", "market:\n", "market: {}\n"):
            self.assertEqual(read(ZONE + text).market, Market(capacity=None))
        self.assertEqual(self.said(""), ": 'hard' is required")

    def test_wrong(self) -> None:
        for keys, said in {
            "hard: 0": ".hard: found 0; allowed: a number from 1 to 1e+09",
            "hard: 5, reserve: 0.91": ".reserve: found 0.91; allowed: a number from 0 to 0.9",
            "hard: 5, stated: 5.5": ".stated: found 5.5, more than there is; allowed: at most hard (5)",
            "hard: 5, stated: -1": ".stated: found -1; allowed: a number from 0 to 1e+09",
            "hard: 5, forecast: 0.4": ".forecast: found 0.4; allowed: a number from 0.5 to 1",
            "hard: 5, unit: requests": ".unit: not yet supported: the value 'requests'",
            "hard: 5, unit: conections": ".unit: found 'conections'; allowed: connections; did you mean 'connections'?",
            "hard: 5, servers: one": ".servers: found 'one'; allowed: a list; write [one]",
            "hard: 5, server: [one]": ".server: unknown key 'server'; did you mean 'servers'?",
        }.items():
            self.assertEqual(self.said(keys), said)
        self.assertEqual(read(market("hard: 5, stated: 5")).market.capacity, Capacity(hard=5.0, stated=5.0))

    def test_names_of_servers(self) -> None:
        """They are there, and each is counted once."""
        unknown = ".servers[1]: unknown server 'twoo'; did you mean 'two'?"
        self.assertEqual(self.said("hard: 5, servers: [one, twoo]", SERVERS), unknown)
        again = ".servers[1]: this server is already market.capacity.servers[0] (line 8)"
        self.assertEqual(self.said("hard: 5, servers: [one, one]", SERVERS), again)

    def test_a_server_that_nobody_connects_to(self) -> None:
        """A backup of one that a site uses gets connections; an origin of a customer's pages gets none of ours."""
        self.assertEqual(
            warnings(market("hard: 5, servers: [two]", SERVERS + ME)),
            ["a.yaml:12: servers.six: no site and no delivery uses this server"],
        )
        unseen = "server 'six' gets no connections from here, so that its load is always 0: no site uses it"
        self.assertEqual(
            warnings(market("hard: 5, servers: [one, six]", SERVERS + ME)),
            [f"a.yaml:8: market.capacity.servers[1]: {unseen}"],
        )


class CarriesTests(SynchronousTestCase):
    def test_what_this_pop_can_carry(self) -> None:
        """``pops`` says it of this POP, or else ``market``."""
        other = "appliance: {name: other}\n"
        for text, capacity in {
            market("hard: 500", SERVERS + ME): 70.0,
            market("hard: 500", SERVERS + other): 500.0,
            market("hard: 500", SERVERS.replace(", capacity: 70", "") + ME): 500.0,
            ZONE + SERVERS + other: 0.0,
        }.items():
            config = read(text)
            self.assertEqual(config.carries(config.name), capacity)
