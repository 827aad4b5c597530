"""From a check to the connections: what probes find through SharedState, while configurations come and go."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Route
from appliance.balancing.events import ServerBack, ServerEvent, ServerFailed
from appliance.model import Cause, Layer, Probe, ProbeType, Result, Server, Site
from tests.control.world import WWW, World, server

WEB = Probe(name="web", type=ProbeType.HTTP, rise=1, fall=1)
OK = Result(layer=Layer.APPLICATION, cause=Cause.OK, latency=0.01, connect=0.005)
REFUSED = Result(layer=Layer.CONNECT, cause=Cause.REFUSED)


def www(*servers: Server, **more: Any) -> Site:
    return attrs.evolve(WWW, servers=servers, instances=(), **more)


class ProbedTests(SynchronousTestCase):
    """``alpha`` at 10.0.0.1:8080 was found down; ``beta`` has no probes."""

    def setUp(self) -> None:
        self.alpha = server("alpha", 1, port=8080, probes=(WEB,))
        self.beta = server("beta", 2)
        self.world = World(sites=(www(self.alpha, self.beta),))
        self.check("10.0.0.1:8080", REFUSED)
        self.assertEqual(self.events(), [(ServerFailed, "alpha", "web of 10.0.0.1:8080: connect refused")])

    def check(self, target: str, result: Result) -> None:
        """The next check of ``target`` finds this; others that come before find what works."""
        checking = self.world.state.network.checking
        for _ in range(200):
            self.world.clock.advance(0.5)
            for check in checking.due():
                wanted = str(check).endswith(f" of {target}")
                checking.heard(check, result if wanted else OK)
                if wanted:
                    return
        self.fail(f"{target} is not checked")

    def events(self) -> list[tuple[type[ServerEvent], str, str]]:
        """Since the last call."""
        found = [event for event in self.world.heard if isinstance(event, ServerFailed | ServerBack)]
        self.world.heard.clear()
        return [(type(event), event.server, event.reason) for event in found]

    def configure(self, *servers: Server) -> None:
        self.world.configure(www(*servers))

    def shown(self) -> tuple[str, str | None]:
        """STATE and FAILURE of ``alpha``."""
        row = self.world.server("alpha")
        return row["state"], row["failure"]

    def test_until_they_pass(self) -> None:
        """No client goes there, and it is an alarm with the reason, until they pass."""
        for number in range(4):
            route = self.world.begin(number)
            assert isinstance(route, Route)
            self.assertEqual(route.server.name, "beta")
        self.assertEqual(self.world.carried.alarms(), ["server alpha: failed, web of 10.0.0.1:8080: connect refused"])
        self.check("10.0.0.1:8080", OK)
        self.assertEqual(self.events(), [(ServerBack, "alpha", "web of 10.0.0.1:8080: application ok")])
        self.assertEqual((self.shown(), self.world.carried.alarms()), (("in-service", None), []))

    def test_a_reload_of_something_else(self) -> None:
        """Changes nothing of it, and nothing is said again."""
        self.configure(attrs.evolve(self.alpha, weight=3), self.beta)
        self.assertEqual((self.shown()[0], self.events()), ("failed", []))

    def test_another_port_behind_the_same_check(self) -> None:
        """Nobody would say again what the check has found, so it holds."""
        fixed = attrs.evolve(WEB, port=8080)
        self.configure(attrs.evolve(self.alpha, probes=(fixed,)), self.beta)
        self.assertEqual((self.shown()[0], self.events()), ("failed", []), "it looks where it did")
        self.configure(attrs.evolve(self.alpha, port=8081, probes=(fixed,)), self.beta)
        self.assertEqual((self.shown()[0], self.events()), ("failed", []))
        self.check("10.0.0.1:8080", OK)
        self.assertEqual(self.shown()[0], "in-service")

    def test_another_address(self) -> None:
        """It is up until a check of that address says otherwise."""
        self.configure(attrs.evolve(self.alpha, address=self.alpha.address + 10), self.beta)
        self.assertEqual(self.shown(), ("in-service", None))
        self.assertEqual(self.events(), [(ServerBack, "alpha", "it is checked in another way")])
        self.check("10.0.0.11:8080", REFUSED)
        self.assertEqual(self.shown(), ("failed", "web of 10.0.0.11:8080: connect refused"))

    def test_to_an_address_that_is_known_to_be_down(self) -> None:
        """It stays down without a word, for that address's reason: the check is shared with who had it before."""
        gamma = server("gamma", 3, port=8080, probes=(WEB,))
        self.configure(self.alpha, self.beta, gamma)
        self.check("10.0.0.3:8080", REFUSED)
        self.events()
        self.configure(attrs.evolve(self.alpha, address=gamma.address), self.beta, gamma)
        self.assertEqual((self.shown(), self.events()), (("failed", "web of 10.0.0.3:8080: connect refused"), []))

    def test_without_probes(self) -> None:
        self.configure(attrs.evolve(self.alpha, probes=()), self.beta)
        self.assertEqual(self.shown(), ("in-service", None))
        self.assertEqual(self.events(), [(ServerBack, "alpha", "it is configured otherwise")])

    def test_out_of_the_file_and_back(self) -> None:
        """Its checks begin anew."""
        self.configure(self.beta)
        self.configure(self.alpha, self.beta)
        self.assertEqual(self.shown(), ("in-service", None))
        self.check("10.0.0.1:8080", REFUSED)
        self.assertEqual(self.shown()[0], "failed")

    def test_one_that_no_site_has(self) -> None:
        """It may be an origin, and a site may have it later: what is known of it holds from its first connection on."""
        spare = server("spare", 8, port=8080, probes=(WEB,))
        self.world = World(sites=(www(self.beta),), spare=(spare,))
        self.check("10.0.0.8:8080", REFUSED)
        self.assertEqual(self.events(), [(ServerFailed, "spare", "web of 10.0.0.8:8080: connect refused")])
        stands = self.world.state.carrying.at("spare")
        assert stands is not None
        self.assertEqual((stands.live, stands.takes), (0, False))
        self.configure(spare, self.beta)
        for number in range(4):
            route = self.world.begin(number)
            assert isinstance(route, Route)
            self.assertEqual(route.server.name, "beta")
