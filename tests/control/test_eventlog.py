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
from appliance.control.words import WHYS
from appliance.delivery import Why
from appliance.delivery import events as delivery
from appliance.delivery.events import DeliveryDown, DeliveryUp
from appliance.events import ChoiceChanged, Event, Override, Pinned
from appliance.health import PopsAgreed, PopsAlone, SubjectDown, SubjectFlapping, SubjectForced, SubjectUp
from appliance.health import events as health
from appliance.model import Forced

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
        SubjectDown(at=5, subject="pop fra", check=None, reason="fra.load of 192.0.2.7:8054: connect refused"),
        "error",
        "subject-down: pop fra: fra.load of 192.0.2.7:8054: connect refused",
    ),
    (
        SubjectDown(at=5, subject="pop fra", check=None, reason="it is", forced=Forced.UP),
        "error",
        "subject-down: pop fra (by hand it is up): it is",
    ),
    (
        SubjectUp(at=5, subject="pop fra", check=None, reason="fra.load of 192.0.2.7:8054: ok", after=12.34),
        "info",
        "subject-up: pop fra after 12.3 s: fra.load of 192.0.2.7:8054: ok",
    ),
    (
        SubjectFlapping(at=5, subject="server alpha", flaps=5.04),
        "warn",
        "subject-flapping: server alpha goes up and down, 5.0 times lately",
    ),
    (
        SubjectForced(at=5, subject="pop fra", forced=Forced.DOWN, up=False),
        "info",
        "subject-forced: pop fra counts as down, by hand",
    ),
    (
        SubjectForced(at=5, subject="pop fra", forced=None, up=True),
        "info",
        "subject-forced: pop fra counts as up, as it is measured",
    ),
    (
        PopsAlone(at=5, doubted=("ams", "fra"), everything=False),
        "error",
        "pops-alone: more than half of the others seem to be down, also to ams, fra; what was last agreed on counts",
    ),
    (
        PopsAlone(at=5, doubted=(), everything=True),
        "error",
        "pops-alone: more than half of the others seem to be down; all configured POPs are answered",
    ),
    (PopsAgreed(at=5, observers=("ams", "fra")), "info", "pops-agreed: believed are ams, fra"),
    (
        DeliveryDown(at=5, customer="shop", names="pages", reason="last-good"),
        "error",
        "delivery-down: pages of shop: all are down, and what was answered last is answered",
    ),
    (
        DeliveryUp(at=5, customer="shop", names="static"),
        "info",
        "delivery-up: static of shop are answered as they should be",
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
        found = [kind for room in (balancing, health, delivery) for kind in vars(room).values()]
        kinds = {kind for kind in found if isinstance(kind, type) and issubclass(kind, Event)}
        abstract = {Event, balancing.ServerEvent, balancing.VirtualEvent, balancing.ClientEvent}
        abstract |= {health.SubjectEvent, delivery.DeliveryEvent}
        recorded = {balancing.Overridden, balancing.OverrideEnded}
        self.assertEqual(kinds - abstract - recorded, {type(event) for event, _, _ in LINES} - {Override})

    def test_every_reason_has_words(self) -> None:
        self.assertEqual(set(WHYS), {why.value for why in Why})

    def test_a_server_has_one_line(self) -> None:
        """The balancing's, which says what follows; and what changes with every sample has none."""
        self.log(SubjectDown(at=5, subject="server alpha", check=None, reason="r"))
        self.log(SubjectUp(at=6, subject="server alpha", check=None, reason="r", after=1.0))
        self.log(ChoiceChanged(at=6, customer="shop"))
        self.assertEqual(self.said(), [])

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
            self.bounded(kind(at=7, virtual=VIRTUAL))

    def test_what_befalls_many_servers(self) -> None:
        """A switch that fails, or this host's own network: the same of servers, POPs and customers."""
        many: list[tuple[Event, ...]] = [
            tuple(ServerFailed(at=at, server="a", ditched=0, again=False, reason="r", retry_at=None) for at in (5, 7)),
            tuple(ServerBack(at=at, server="a", reason="r") for at in (5, 7)),
            tuple(SubjectDown(at=at, subject="pop a", check=None, reason="r") for at in (5, 7)),
            tuple(SubjectUp(at=at, subject="pop a", check=None, reason="r", after=1.0) for at in (5, 7)),
            tuple(SubjectFlapping(at=at, subject="server a", flaps=5.0) for at in (5, 7)),
            tuple(DeliveryDown(at=at, customer="a", names="pages", reason="all") for at in (5, 7)),
            tuple(DeliveryUp(at=at, customer="a", names="pages") for at in (5, 7)),
        ]
        for first, later in many:
            for _ in range(1000):
                self.log(first)
            self.bounded(later)

    def bounded(self, later: Event) -> None:
        """Of a thousand before ``later``."""
        self.assertEqual(len(self.said()), MOST_AT_ONCE)
        self.log(later)
        [line] = self.said()
        self.assertIn(f"({1000 - MOST_AT_ONCE} more since the last such line)", line)
