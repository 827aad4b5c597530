"""One log line for each change of a server or a client, and bounds for what strangers can cause."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import events as balancing
from appliance.balancing.events import (
    ClientAssigned,
    ClientReleased,
    QueueFull,
    ServerBack,
    ServerDrained,
    ServerFailed,
    ServerTested,
    VirtualBack,
    VirtualFailed,
)
from appliance.control import EventLog
from appliance.control.eventlog import MOST_A_MINUTE, MOST_AT_ONCE
from appliance.events import Event, Override, Pinned

VIRTUAL = "www.example.test:80:0"
CLIENT = {"site": "www.example.test", "bind_id": 2, "client": IPv4Network("203.0.113.7")}
LINES: tuple[tuple[Event, str, str], ...] = (
    (
        ServerFailed(at=5, server="alpha", ditched=8, again=False, retry_at=65),
        "error",
        "server-failed: alpha, 8 connections in a row were ditched; tested in 60 s",
    ),
    (
        ServerFailed(at=5, server="alpha", ditched=0, again=False, reason="web of 10.0.0.1:80: refused", retry_at=None),
        "error",
        "server-failed: alpha, web of 10.0.0.1:80: refused; back when its probes pass",
    ),
    (
        ServerFailed(at=5, server="alpha", ditched=0, again=False, reason="web of 10.0.0.1:80: refused", retry_at=None),
        "error",
        "server-failed: alpha, web of 10.0.0.1:80: refused; back when its probes pass",
    ),
    (
        ServerFailed(at=5, server="alpha", ditched=8, again=True, reason="port 80: no answer in time", retry_at=5.5),
        "error",
        "server-failed: alpha, its test failed (port 80: no answer in time); tested in 0.5 s",
    ),
    (ServerTested(at=5, server="alpha"), "info", "server-tested: alpha gets one connection, which decides"),
    (
        ServerBack(at=5, server="alpha", reason="its test connection stands"),
        "info",
        "server-back: alpha takes new connections again: its test connection stands",
    ),
    (ServerDrained(at=5, server="alpha"), "info", "server-drained: alpha has no connection left"),
    (
        VirtualFailed(at=5, virtual=VIRTUAL),
        "error",
        f"virtual-failed: {VIRTUAL}, for nothing that is available to it takes new connections",
    ),
    (VirtualBack(at=5, virtual=VIRTUAL), "info", f"virtual-back: {VIRTUAL} takes connections again"),
    (
        QueueFull(at=5, virtual=VIRTUAL),
        "warn",
        f"queue-full: {VIRTUAL} refuses connections, for all waiting places are taken",
    ),
    (
        ClientAssigned(at=5, reason="100 connections within 10 s", **CLIENT),  # type: ignore[arg-type]
        "info",
        "client-assigned: 203.0.113.7/32 to instance 2 of www.example.test: 100 connections within 10 s",
    ),
    (
        ClientReleased(at=5, **CLIENT),  # type: ignore[arg-type]
        "info",
        "client-released: 203.0.113.7/32 from instance 2 of www.example.test",
    ),
    (
        Override(at=5, subject="server alpha", setting="weight", value="5", configured="1"),
        "info",
        "override-set: server alpha: weight is 5; the file says 1",
    ),
    (
        Override(at=5, subject="server alpha", setting="weight", value=None, configured="1", reason="taken back"),
        "info",
        "override-ended: server alpha: weight is as configured, 1: taken back",
    ),
)


class EventLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.written: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.written.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.log = EventLog()

    def said(self) -> list[str]:
        said = [formatEvent(event) for event in self.written if event["log_namespace"].endswith("EventLog")]
        self.written.clear()
        return said

    def test_lines(self) -> None:
        """Of each event: its level, and what it says."""
        for event, level, line in LINES:
            self.log(event)
            [written] = [each for each in self.written if each["log_namespace"].endswith("EventLog")]
            self.assertEqual(written["log_level"], LogLevel.lookupByName(level))
            self.assertEqual(self.said(), [line])

    def test_an_address_for_good(self) -> None:
        """One of the file cannot be unpinned."""
        address = IPv4Address("203.0.113.9")
        for static, words in ((True, "until the file says something else"), (False, "until it is unpinned")):
            self.log(Pinned(at=5, site="www.example.test", address=address, static=static))
            self.assertEqual(self.said(), [f"address-pinned: 203.0.113.9 for www.example.test, {words}"])

    def test_all_events_have_one(self) -> None:
        kinds = {kind for kind in vars(balancing).values() if isinstance(kind, type) and issubclass(kind, Event)}
        abstract = {Event, balancing.ServerEvent, balancing.VirtualEvent, balancing.ClientEvent}
        recorded = {balancing.Overridden, balancing.OverrideEnded}
        self.assertEqual(kinds - abstract - recorded, {type(event) for event, _, _ in LINES} - {Override})

    def test_what_strangers_cause(self) -> None:
        """So many a minute, and then how many more there were; what others cause is always said."""
        for number in range(500):
            self.log(ClientAssigned(at=number / 100, reason="r", **CLIENT))  # type: ignore[arg-type]
            self.log(QueueFull(at=number / 100, virtual=VIRTUAL))
        self.assertEqual(len(self.said()), 2 * MOST_A_MINUTE)
        self.log(ServerBack(at=10, server="alpha", reason="its test connection stands"))
        self.assertEqual(len(self.said()), 1)
        self.log(QueueFull(at=61, virtual=VIRTUAL))
        self.log(QueueFull(at=62, virtual=VIRTUAL))
        [first, second] = self.said()
        self.assertIn(f"({500 - MOST_A_MINUTE} more since the last such line)", first)
        self.assertNotIn("more", second)

    def test_what_befalls_many(self) -> None:
        """A server that a thousand sites share: its own line, some of theirs, and how many more with the next one."""
        for kind in (VirtualFailed, VirtualBack):
            for number in range(1000):
                self.log(kind(at=5, virtual=f"s{number}.example.test:80:0"))
            self.assertEqual(len(self.said()), MOST_AT_ONCE)
            self.log(kind(at=7, virtual=VIRTUAL))
            [line] = self.said()
            self.assertIn(f"({1000 - MOST_AT_ONCE} more since the last such line)", line)
