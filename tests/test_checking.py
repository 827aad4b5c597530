"""Checks with the one clock: what is due, what is told of servers, and what an own fault does not do to them."""

from __future__ import annotations

import random
from ipaddress import ip_address

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import Event
from appliance.health import SubjectDown, SubjectUp
from appliance.model import Cause, Check, Endpoint, Layer, Pop, Probe, ProbeType, Result, Server, Url
from appliance.shared.checking import SWEEP_INTERVAL, Checking
from appliance.shared.telling import Telling
from appliance.store import MemoryJournal

WEB = Probe(name="web", type=ProbeType.HTTP, path="/healthz", rise=2, fall=2)
OK = Result(layer=Layer.APPLICATION, cause=Cause.OK, latency=0.01, connect=0.005)
REFUSED = Result(layer=Layer.CONNECT, cause=Cause.REFUSED)
OURS = Result(layer=Layer.LOCAL, cause=Cause.ERROR, detail="Too many open files")


def server(name: str, *probes: Probe, port: int = 0) -> Server:
    return Server(name=name, address=ip_address("192.0.2.7"), port=port, probes=probes)


class CheckingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.told: list[tuple[str, bool, str]] = []
        self.in_use: list[str] = []
        telling = Telling(MemoryJournal(), lambda event: None)
        telling.subscribe(self.events.append)
        self.checking = Checking(
            self.clock.seconds,
            telling,
            lambda: self.in_use,
            lambda name, up, reason: self.told.append((name, up, reason)),
            random.Random(7),
        )

    def due(self, seconds: float) -> list[Check]:
        """All that is begun until then, in steps of a tenth of a second; every check passes at once."""
        begun = []
        for _ in range(round(seconds * 10)):
            for check in self.checking.due():
                begun.append(check)
                self.checking.heard(check, OK)
            self.clock.advance(0.1)
        return begun

    def hear(self, *results: Result) -> None:
        """The next checks find these."""
        for result in results:
            while not (begun := self.checking.due()):
                self.clock.advance(0.1)
            for check in begun:
                self.checking.heard(check, result)

    def test_where_a_probe_looks(self) -> None:
        """At its own port, else at the one that the configuration found for the server."""
        own = Probe(name="own", type=ProbeType.TCP, port=99)
        self.checking.configure([server("a", WEB, own), server("b")], {"a": 8080}, [])
        self.assertEqual({(check.probe.name, check.port) for check in self.due(6)}, {("web", 8080), ("own", 99)})
        self.assertTrue(self.checking.is_checked("a"))
        self.assertFalse(self.checking.is_checked("b"))
        self.assertTrue(self.checking.server("b").up)

    def test_down_and_back(self) -> None:
        self.checking.configure([server("a", WEB, port=80)], {}, [])
        self.hear(OK, REFUSED, REFUSED)
        [event] = self.events
        assert isinstance(event, SubjectDown)
        self.assertEqual(self.told, [("a", False, "web of 192.0.2.7:80: connect refused")])
        self.hear(OK, OK)
        self.assertIsInstance(self.events[-1], SubjectUp)
        self.assertEqual(self.told[-1][:2], ("a", True))

    def test_our_own_fault_says_nothing(self) -> None:
        """Neither does it take a server away, nor does it bring one back; and it is tried again soon."""
        self.checking.configure([server("a", WEB, port=80)], {}, [])
        self.hear(OK, REFUSED, OURS, OURS, OURS)
        self.assertTrue(self.checking.server("a").up)
        began = self.clock.seconds()
        self.hear(REFUSED)
        self.assertLess(self.clock.seconds() - began, 1.5)
        self.assertFalse(self.checking.server("a").up)
        self.hear(OURS, OURS, OURS)
        self.assertFalse(self.checking.server("a").up)
        [row] = self.checking.checks("server a")
        self.assertEqual(str(row.result), "local error: Too many open files")

    def test_a_reload_takes_the_probes_away(self) -> None:
        """Then nobody could ever say that it is back, so it is."""
        self.checking.configure([server("a", WEB, port=80)], {}, [])
        self.hear(REFUSED)
        self.checking.configure([server("a", port=80)], {}, [])
        self.assertEqual([up for _, up, _ in self.told], [False, True])
        self.assertEqual(self.due(10), [])

    def test_checks_end_with_their_target(self) -> None:
        ended: list[Check] = []
        self.checking.call_when_useless(ended.extend)
        self.checking.configure([server("a", WEB, port=80), server("b", WEB, port=81)], {}, [])
        begun: list[Check] = []
        while len(begun) < 2:
            self.clock.advance(0.1)
            begun += self.checking.due()
        self.checking.configure([server("b", WEB, port=81)], {}, [])
        self.assertEqual([check.port for check in ended], [80])

    def test_what_is_in_use_is_not_left_idle(self) -> None:
        self.checking.configure([server("a", WEB, port=80), server("b", WEB, port=81)], {}, [])
        self.due(400)
        self.in_use = ["b"]
        self.due(SWEEP_INTERVAL)
        ports = [check.port for check in self.due(120)]
        self.assertLessEqual(ports.count(80), 3)
        self.assertGreaterEqual(ports.count(81), 20)

    def test_somebody_asks(self) -> None:
        nearer: list[None] = []
        self.checking.configure([server("a", WEB, port=80)], {}, [])
        self.due(400)
        self.checking.call_when_nearer(lambda: nearer.append(None))
        self.checking.wanted(["a", "unknown"])
        self.assertEqual(len(nearer), 1)
        self.assertEqual(len(self.due(0.1)), 1)

    def test_other_pops(self) -> None:
        """Each is looked at where it says; one that says nothing is never looked at, and up."""
        at = Endpoint(ip_address("192.0.2.9"), 8054)
        fra = Pop(
            name="fra",
            address=ip_address("192.0.2.9"),
            peers=Url(endpoint=at, host="192.0.2.9:8054", path="/"),
            http=Url(endpoint=Endpoint(ip_address("192.0.2.9"), 80), host="fra", path="/ping"),
            ftp=Endpoint(ip_address("192.0.2.9"), 21),
            interval=3.0,
        )
        nyc = Pop(name="nyc", address=ip_address("192.0.2.10"))
        self.checking.configure([], {}, [fra, nyc])
        checks = self.due(3.5)
        found = {(check.probe.type, check.port, check.probe.path, check.probe.host) for check in checks}
        expected = {
            (ProbeType.LOAD, 8054, "/load", "192.0.2.9:8054"),
            (ProbeType.HTTP, 80, "/ping", "fra"),
            (ProbeType.FTP, 21, "", ""),
        }
        self.assertEqual(found, expected)
        self.assertTrue(self.checking.pop("nyc").up)
        self.assertEqual(self.told, [])
        self.due(600)
        self.assertGreaterEqual(len(self.due(30)), 27)
