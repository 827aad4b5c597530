"""
Which servers and POPs work: the board of checks with the one clock (5.1, 5.2, 3.1, 3.2).

Whoever carries the checks out asks what is due and says what was found; what follows is told to the balancing, to the
choice of answers, and to all who follow events.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from appliance.health import Board, CheckRow, SubjectDown, SubjectUp
from appliance.model import Check, Forced, Health, Layer, Pop, Probe, ProbeType, Result, Server, Url
from appliance.shared.telling import Telling

SWEEP_INTERVAL = 60.0
"""Seconds between two looks at what is in use; what is, is checked at its interval, not at its idle one."""
POP_TIMEOUT = 2.0
"""Seconds for a check of another POP, or its interval where that is less."""


def server_subject(name: str) -> str:
    return f"server {name}"


def pop_subject(name: str) -> str:
    return f"pop {name}"


class Checking:
    """
    :param in_use: names of the servers that somebody may come to at any time: they are not left idle.
    :param told: a server with probes went down (with the reason) or came back.
    :ivar age: how often somebody went up or down, was forced, or came and went.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        telling: Telling,
        in_use: Callable[[], Iterable[str]],
        told: Callable[[str, bool, str], None],
        rng: random.Random | None = None,
    ) -> None:
        self._seconds = seconds
        self._telling = telling
        self._in_use = in_use
        self._told = told
        self._rng = rng or random.Random()  # noqa: S311 - of jitter, not of secrets
        self._board = Board()
        self._nearer: list[Callable[[], None]] = []
        self._useless: list[Callable[[Collection[Check]], None]] = []
        self._pop_said: list[Callable[[], None]] = []
        self._of_pops: frozenset[Check] = frozenset()
        self._sweep_at = 0.0
        self._subjects: Mapping[str, Sequence[Check]] = {}
        self.age = 0

    # -- what there is -------------------------------------------------------------------------------------------------

    def configure(
        self, servers: Iterable[Server], probe_ports: Mapping[str, int], pops: Iterable[Pop], own: str = ""
    ) -> None:
        """
        :param servers: all, with or without probes; ``probe_ports``: where a probe without a port looks, by server.
        :param own: which of the POPs is this one, which nobody checks here.
        """
        now = self._seconds()
        subjects: dict[str, list[Check]] = {}
        for server in servers:
            if server.probes:
                port = probe_ports.get(server.name, server.port)
                subjects[server_subject(server.name)] = [
                    Check(probe, server.address, probe.port or port) for probe in server.probes
                ]
        of_pops = {pop_subject(pop.name): _checks_of(pop) if pop.name != own else [] for pop in pops}
        subjects |= of_pops
        self._of_pops = frozenset(check for checks in of_pops.values() for check in checks)
        gone = [name for name in self._subjects if name not in subjects]
        self._subjects = subjects
        self.age += 1
        useless = self._board.configure(subjects, now)
        for end in self._useless:
            end(useless)
        for subject in gone:
            # It has no probes any more, and nobody would ever say that it is back.
            self._tell(subject, up=True, reason="")
        self._sweep_at = now
        self._after()
        for subject in subjects:
            # The board says nothing of one that was down and is; but it may be so for other reasons now.
            if not self._board.is_up(subject) and (health := self._board.health(subject, now)).measured is False:
                self._tell(subject, up=False, reason=health.reason)
        self._came_nearer()

    # -- the prober's questions ----------------------------------------------------------------------------------------

    def due(self) -> list[Check]:
        """Checks that are to begin now; each is heard of once."""
        now = self._seconds()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_INTERVAL
            for name in self._in_use():
                self._board.wanted(server_subject(name), now)
        return self._board.due(now, self._rng)

    def heard(self, check: Check, result: Result) -> None:
        """What it found; one that could not even begin here (``Layer.LOCAL``) says nothing of its target."""
        now = self._seconds()
        if result.layer is Layer.LOCAL and not result.ok:
            self._board.passed_over(check, result, now)
        else:
            self._board.heard(check, result, now)
        self._after()
        if result.load is not None and check in self._of_pops:
            for call in self._pop_said:
                call()

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling."""
        return self._board.next_deadline()

    def call_when_nearer(self, callback: Callable[[], None]) -> None:
        self._nearer.append(callback)

    def call_when_useless(self, callback: Callable[[Collection[Check]], None]) -> None:
        """``callback`` is called with checks that are under way when a reload takes their targets away."""
        self._useless.append(callback)

    def call_when_pop_said(self, callback: Callable[[], None]) -> None:
        """
        ``callback`` is called when a POP has said how busy it is.

        At once: what is promised of it from then on is not in its figure yet.
        """
        self._pop_said.append(callback)

    # -- people --------------------------------------------------------------------------------------------------------

    def force(self, subject: str, forced: Forced | None) -> None:
        """
        A person says what it is; None: what is measured counts.

        :raises KeyError: there is no such subject.
        """
        self._board.force(subject, forced, self._seconds())
        self._after()

    # -- what is known -------------------------------------------------------------------------------------------------

    def wanted(self, names: Iterable[str]) -> None:
        """Somebody asks for what these servers serve."""
        now = self._seconds()
        for name in names:
            self._board.wanted(server_subject(name), now)
        self._came_nearer()

    def server(self, name: str) -> Health:
        """One without probes is up, and never changes by itself."""
        return self._board.health(server_subject(name), self._seconds())

    def pop(self, name: str) -> Health:
        return self._board.health(pop_subject(name), self._seconds())

    def is_checked(self, server: str) -> bool:
        return server_subject(server) in self._subjects

    def checks(self, subject: str) -> list[CheckRow]:
        """For people; ``server NAME`` or ``pop NAME``."""
        return self._board.checks(subject, self._seconds())

    # -- inside --------------------------------------------------------------------------------------------------------

    def _after(self) -> None:
        events = self._board.happened()
        if not events:
            return
        self.age += 1
        self._telling.publish(events)
        for event in events:
            if isinstance(event, SubjectDown | SubjectUp):
                self._tell(event.subject, up=isinstance(event, SubjectUp), reason=event.reason)

    def _tell(self, subject: str, *, up: bool, reason: str) -> None:
        kind, _, name = subject.partition(" ")
        if kind == "server":
            self._told(name, up, reason)

    def _came_nearer(self) -> None:
        for call in self._nearer:
            call()


def _checks_of(pop: Pop) -> list[Check]:
    """How another POP is looked at: its load, its page, its FTP server, as far as they are configured (3.2)."""
    checks = []
    for kind, url, path in (
        (ProbeType.LOAD, pop.peers, "/load"),
        (ProbeType.HTTP, pop.http, ""),
    ):
        if url is not None:
            probe = _probe(pop, kind, url, f"{url.path.rstrip('/')}{path}" if path else url.path)
            checks.append(Check(probe, url.endpoint.address, url.endpoint.port))
    if pop.ftp is not None:
        checks.append(Check(_probe(pop, ProbeType.FTP, None, ""), pop.ftp.address, pop.ftp.port))
    return checks


def _probe(pop: Pop, kind: ProbeType, url: Url | None, path: str) -> Probe:
    return Probe(
        name=f"{pop.name}.{kind.value}",
        type=kind,
        interval=pop.interval,
        # Not much faster: how long an answer may be kept is reckoned from it.
        fast_interval=pop.interval / 2,
        # Somebody may ask for the best POP at any time.
        idle_interval=pop.interval,
        timeout=min(POP_TIMEOUT, pop.interval),
        path=path,
        host=url.host if url is not None else "",
    )
