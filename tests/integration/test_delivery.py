"""Names of the POP network's customers, seen with dig while servers and POPs get busy, slow, or die (3.1 to 3.5)."""

from __future__ import annotations

import time

from tests.integration.process import dig, until
from tests.integration.spots import NOTHING, DeliveryCase, Spot

INTERVAL, FALL = 0.25, 2
"""Of the probe that sees whether a server works."""


class DeliveryTests(DeliveryCase):
    def moves(self, name: str, spot: Spot) -> None:
        until(lambda: self.asked(name) == [spot.address], f"{name} is answered with {spot.address}", 12)

    def is_at(self, spot: Spot, *names: str) -> None:
        self.assertEqual([self.asked(name) for name in names], [[spot.address]] * len(names), names)

    def test_pages_by_load_and_latency(self) -> None:
        """3.1, 3.5: connections move the page that goes by load, and then latency the one that goes by that."""
        first, second = self.two()
        self.configuration["servers"] |= {"a": first.server("busy"), "b": second.server("busy")}
        for rule in ("load", "latency"):
            self.customer(rule, {"origins": rule}, origins=["a", "b"])
        first.load["connections"], second.load["connections"] = 1, 20
        second.delays["/load"] = 0.02
        self.start_names("load", "latency")
        for rule in ("load", "latency"):
            self.moves(rule, first)
        first.load["connections"] = 90
        self.moves("load", second)
        self.is_at(first, "latency")
        first.delays["/load"] = 0.15
        self.moves("latency", second)
        first.load["connections"], second.load["connections"] = 0, 80
        self.moves("load", first)
        self.is_at(second, "latency")

    def test_static_by_its_weights(self) -> None:
        """3.2, 3.5: a POP's CPU, then its HTTP, then its FTP time; each moves who weighs it, and nobody else."""
        near, other = self.pop("fra"), self.pop("nyc")
        figures = ("cpu", "http", "ftp")
        for name in figures:
            self.customer(name, {"pops": {**NOTHING, name: 1.0}, "tolerance": 0})
        self.customer("all", {"pops": {**NOTHING, "cpu": 1.0, "http": 1.0, "ftp": 1.0}, "tolerance": 0})
        other.load["cpu"] = 0.3
        other.delays |= {"/ping": 0.02, "ftp": 0.02}
        self.start_names(*figures)
        for name in figures:
            self.moves(name, near)
        near.load["cpu"] = 0.9
        self.moves("cpu", other)
        self.moves("all", other)
        self.is_at(near, "http", "ftp")
        near.delays["/ping"] = 0.15
        self.moves("http", other)
        self.is_at(near, "ftp")
        near.delays["ftp"] = 0.15
        self.moves("ftp", other)

    def test_a_dead_origin(self) -> None:
        """It is answered no longer than its checks take; when it is back, so are its answers."""
        first, second = self.two()
        self.configuration["servers"] |= {"a": first.server("web"), "b": second.server("web")}
        self.customer("page", {"origins": "load"}, origins=["a", "b"], answers=2)
        self.start_names("page")
        both = sorted((first.address, second.address))
        until(lambda: self.asked("page") == both, "both are answered")
        first.fall()
        died_at = time.monotonic()
        self.moves("page", second)
        self.assertLess(time.monotonic() - died_at, INTERVAL * FALL + 1)
        first.rise()
        until(lambda: self.asked("page") == both, "both are answered again")

    def test_a_server_of_a_site(self) -> None:
        """While its probe fails no connection goes to it, seen with curl through the leased address."""
        first, second = self.two()
        self.configuration["servers"] |= {"a": first.server("web"), "b": second.server("web")}
        self.site["servers"] = ["a", "b"]
        self.site["predictor"] = "round-robin"
        self.start()

        def pages(count: int) -> set[str]:
            return {self.curl("127.0.0.1", "-s").stdout.strip() for _ in range(count)}

        until(lambda: pages(2) == {first.address, second.address}, "both serve")
        first.delays["/ping"] = 9
        self.until_row("servers", {"server": "a"}, state="failed")
        self.assertEqual(pages(4), {second.address})
        second.delays["/ping"] = 9
        self.until_row("servers", {"server": "b"}, state="failed")
        self.assertNotEqual(self.curl().returncode, 0)
        first.delays.clear()
        self.until_row("servers", {"server": "a"}, state="in-service")
        self.assertEqual(pages(4), {first.address})

    def test_a_reload(self) -> None:
        """A customer comes, another goes; those who stay are answered all the while."""
        first, second = self.two()
        self.configuration["servers"] |= {"a": first.server("web"), "b": second.server("web")}
        self.customer("stays", {}, origins=["a"])
        self.customer("goes", {}, origins=["b"])
        self.start_names("stays", "goes")
        self.is_at(first, "stays")
        self.is_at(second, "goes")
        del self.configuration["delivery"]["goes"]
        self.customer("comes", {}, origins=["b"])
        self.reload()
        self.is_at(first, "stays")
        self.is_at(second, "comes")
        found = dig(f"@{self.dns}", "-p", str(self.dns_port), "goes.example.test")
        self.assertIn("status: NXDOMAIN", found)

    def test_targets_that_hang(self) -> None:
        """One that says nothing and one that never ends are down, and nobody waits for them."""
        hangs, dribbles, works = Spot(self), Spot(self), Spot(self)
        names = {"a": hangs, "b": dribbles, "c": works}
        self.configuration["servers"] |= {name: spot.server("web") for name, spot in names.items()}
        self.customer("page", {}, origins=list(names), answers=3)
        self.start_names("page")
        until(lambda: len(self.asked("page")) == 3, "all are answered")
        hangs.delays["/ping"], dribbles.dribble = 30, True
        self.moves("page", works)
        began_at = time.monotonic()
        for _ in range(10):
            self.is_at(works, "page")
        self.assertLess(time.monotonic() - began_at, 5)
        before = hangs.asked["/ping"]
        until(lambda: hangs.asked["/ping"] > before + 2, "it is asked again")
        hangs.delays.clear()
        dribbles.dribble = False
        until(lambda: len(self.asked("page")) == 3, "all are answered again")
