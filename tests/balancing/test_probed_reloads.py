"""Servers with probes while the file changes, and while a person orders something else (5.2, 5.10)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Why
from appliance.balancing.events import ServerBack, ServerEvent
from appliance.model import Server
from tests.balancing.driver import PROBES, Driver, name_of, server, site
from tests.balancing.test_probed import probed


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.driver = Driver(site(servers=(*probed("a"), server("b"))))
        self.driver.probed("a", up=False)
        self.driver.happened(ServerEvent)

    def reload(self, *servers: Server) -> str:
        self.driver.configure(site(servers=(*servers, server("b"))))
        return self.driver.state("a")

    def test_the_same_server(self) -> None:
        """Is as down as it was, whatever else the file says of it."""
        self.assertEqual(self.reload(*probed("a", weight=7, threshold=3)), "failed")
        self.assertEqual(self.driver.happened(ServerEvent), [])

    def test_a_new_one(self) -> None:
        """Is up until it is told otherwise."""
        self.reload(*probed("ac"))
        self.assertEqual(self.driver.state("c"), "in-service")

    def test_another_address(self) -> None:
        """It is as down as it was until the probes say otherwise: they may look where they did."""
        self.assertEqual(self.reload(server("a", port=81, probes=PROBES)), "failed")
        self.assertEqual(self.driver.happened(ServerEvent), [])
        self.assertEqual({*self.driver.opened_at(3)}, {"b"})
        self.driver.probed("a", up=True)
        self.assertEqual(self.driver.state("a"), "in-service")

    def test_another_address_of_one_that_was_ditched(self) -> None:
        """It has no past; those who wait hear of it."""
        self.driver.probed("a", up=True)
        self.reload(*probed("a", threshold=1, retries=1))
        self.driver.ditch(self.driver.route().ticket)
        self.driver.happened(ServerEvent)
        self.assertEqual(self.reload(server("a", port=81, threshold=1, retries=1, probes=PROBES)), "in-service")
        [back] = self.driver.happened(ServerEvent)
        self.assertEqual((type(back), getattr(back, "reason", "")), (ServerBack, "it is configured otherwise"))

    def test_without_probes(self) -> None:
        """Nobody would ever say that they pass."""
        self.assertEqual(self.reload(server("a")), "in-service")
        self.assertEqual([type(event) for event in self.driver.happened(ServerEvent)], [ServerBack])

    def test_one_that_comes_back_into_the_file(self) -> None:
        """Its connections have kept it; its probes begin anew, and say nothing where they find it up."""
        for ditched in (False, True):
            a = server("a", threshold=1, retries=1, probes=PROBES)
            driver = Driver(site(servers=(a,)))
            driver.open()
            if ditched:
                driver.ditch(driver.route().ticket)
            driver.probed("a", up=False)
            driver.pass_time(100.0)
            driver.configure(site(servers=(server("b"),)))
            driver.configure(site(servers=(a,)))
            self.assertEqual(driver.state("a"), "testing" if ditched else "in-service")
            self.assertEqual(name_of(driver.route().ticket), "a")

    def test_a_test_that_was_put_off(self) -> None:
        """Is made when the probes leave the file."""
        a = server("a", threshold=1, retries=1, probes=PROBES)
        driver = Driver(site(servers=(a,)))
        driver.ditch(driver.route().ticket)
        driver.probed("a", up=False)
        driver.pass_time(100.0)
        self.assertEqual(driver.refused(), Why.FAILED)
        driver.configure(site(servers=(server("a", threshold=1, retries=1),)))
        self.assertEqual(driver.state("a"), "testing")

    def test_an_order_stands_beside_it(self) -> None:
        """What a person takes out of service is out of service, and failed when it is put back."""
        self.driver.order("server a", "state", "out-of-service")
        self.assertEqual(self.driver.state("a"), "out-of-service")
        self.driver.order("server a", "state", None)
        self.assertEqual(self.driver.state("a"), "failed")
        self.assertEqual({*self.driver.opened_at(3)}, {"b"})
        self.driver.order("server a", "weight", "3")
        self.assertEqual(self.driver.state("a"), "failed", "nor does an order end it")
