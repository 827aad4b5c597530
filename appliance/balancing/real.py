"""
A real server: its counts, what it is worth to the predictors, and its failing and coming back (5.2, 5.8).
"""

from __future__ import annotations

import math
import typing

from appliance.balancing.measured import Measured
from appliance.balancing.values import Administrative, Operational
from appliance.model import Server

if typing.TYPE_CHECKING:
    from appliance.balancing.ticket import Ticket
    from appliance.balancing.virtual import Need, Virtual

FULL = math.inf
"""The load of a server that takes no new connection now."""

STEPS = 10
"""In which a server that came back grows into its weight and its limit."""

_MOVES = frozenset(
    {
        (Operational.UP, Operational.FAILED),
        (Operational.FAILED, Operational.TESTING),
        (Operational.TESTING, Operational.UP),
        (Operational.TESTING, Operational.FAILED),
    }
)


class Real(Measured):
    """
    :param made: a person made it at run time, and the file does not know it.
    :ivar load: connections there would be for its strength with one more; :data:`FULL` where none may come.
    :ivar limit: it takes another one while ``live`` is below this.
    :ivar strength: its weight, as far as it has grown into it.
    :ivar most: connections that it may have at most; infinity for no limit.
    :ivar live: connections that were given to it and have not ended; ``opening`` of them do not stand yet.
    :ivar failure: why the latest attempt of those that failed did, for people.
    :ivar known_ports: of runs, and of ``port: all``, those that it has answered at.
    :ivar test: the connection that decides while it is tested.
    :ivar wake_at: when it is tested, or grows; None for never.
    :ivar operational: whether it answers live connections; ``fault``: what its probes say is wrong, None while they
        pass, or where it has none.  :meth:`verdict` is what counts of both.
    :ivar gone: it is not configured any more.
    :ivar users: virtual servers that may ever send to it; ``hungry``: queues of those that somebody waits in.
    :ivar told_empty: it was said that nothing is left since it drains.
    """

    __slots__ = (
        "_back_at",
        "_ditched_clients",
        "administrative",
        "backup",
        "ditched",
        "ditched_total",
        "failure",
        "fault",
        "gone",
        "host",
        "hungry",
        "known_ports",
        "limit",
        "live",
        "load",
        "made",
        "most",
        "name",
        "opening",
        "operational",
        "port",
        "server",
        "share",
        "strength",
        "test",
        "threshold",
        "told_empty",
        "total",
        "users",
        "wake_at",
        "weight",
    )

    def __init__(self, server: Server, *, made: bool = False) -> None:
        self.name = server.name
        self.server = server
        self.made = made
        self.gone = False
        self.administrative = Administrative.IN_SERVICE
        self.live = self.opening = self.total = 0
        self.ditched_total = 0
        self.test: Ticket | None = None
        self.told_empty = True
        self.users: dict[Virtual, None] = {}
        self.hungry: dict[Need, None] = {}
        self.fault: str | None = None
        self._ditched_clients: set[int] = set()
        self._begin_anew()
        self.configure(server)

    def configure(self, server: Server) -> None:
        """
        Be as the file says; another machine under the same name begins without a past, as connections have found it.

        What its probes have said holds until they say otherwise: they may look where they did, and find what they did.
        One that has none (any more) is not held by it, for nobody would take it back.
        """
        if (server.address, server.port) != (self.server.address, self.server.port):
            self._begin_anew()
        if not server.probes:
            self.forget_probes()
        self.server = server
        self.host = str(server.address)
        self.port = server.port
        self.weight = server.weight
        self.threshold = server.threshold
        self.most: float = server.max_connections or math.inf
        self.backup = server.backup
        self.settle()

    def _begin_anew(self) -> None:
        self.operational = Operational.UP
        self.share = 1.0
        self.test = None
        self.failure = ""
        self.known_ports: set[int] = set()
        self.wake_at: float | None = None
        self._back_at = 0.0
        self._forget_ditched()
        self.forget_measured()

    # -- what it takes ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Work out what follows from states and settings; to be called when any of them has changed."""
        if not self.takes():
            self.limit = 0.0
        else:
            self.limit = max(1.0, math.ceil(self.most * self.share)) if self.most < math.inf else math.inf
        self.strength = max(self.weight, 1) * self.share
        self.load = (self.live + 1) / self.strength if self.live < self.limit else FULL

    def verdict(self) -> Operational:
        """What counts of live connections and probes: failed while the latter fail, whatever the former show."""
        return self.operational if self.fault is None else Operational.FAILED

    def why(self) -> str:
        """What is wrong, for people: by its probes, and by live connections; empty where nothing is, or is known."""
        failure = self.failure if self.ditched or self.operational is not Operational.UP else ""
        return "; ".join(each for each in (self.fault, failure) if each)

    def takes(self) -> bool:
        """Does it take new connections, if it has room?"""
        return self._is_wanted() and self.verdict() is Operational.UP

    def is_tested(self) -> bool:
        """Is it given a connection to see whether it answers again?"""
        return self._is_wanted() and self.verdict() is Operational.TESTING

    def is_testable(self) -> bool:
        """Is it given one now?"""
        return self.test is None and self.live < self.most and self.is_tested()

    def keeps_company(self) -> bool:
        """May it have the further connections of a client that is there?  One that drains may: they belong together."""
        in_service = self.administrative is not Administrative.OUT_OF_SERVICE
        return in_service and self.verdict() is Operational.UP and not self.gone

    def _is_wanted(self) -> bool:
        return self.administrative is Administrative.IN_SERVICE and self.weight > 0 and not self.gone

    # -- connections -----------------------------------------------------------------------------------------------

    def take(self) -> None:
        """A connection is given to it."""
        self.total += 1
        self.opening += 1
        self.live = live = self.live + 1
        self.load = (live + 1) / self.strength if live < self.limit else FULL

    def leave(self, *, opening: bool) -> None:
        """One that it was given is over, or goes elsewhere."""
        if opening:
            self.opening -= 1
        self.live = live = self.live - 1
        self.load = (live + 1) / self.strength if live < self.limit else FULL

    # -- failing and coming back -----------------------------------------------------------------------------------

    def ditch(self, client: int) -> bool:
        """
        A connection was ditched.

        It counts in the row only while the server is up: once its probes have failed it, stragglers are no news.

        :return: whether this one fails the server.
        """
        self.ditched_total += 1
        if self.verdict() is not Operational.UP:
            return False
        if self.server.distinct_clients:
            if client in self._ditched_clients:
                return False
            self._ditched_clients.add(client)
        self.ditched += 1
        return self.ditched >= self.threshold

    def succeed(self) -> None:
        """A connection stands: there is no row of ditched ones any more."""
        if self.ditched and self.operational is Operational.UP:
            self._forget_ditched()

    def fail(self, now: float) -> float:
        """
        Take nothing new.

        :return: when it will be tested.
        """
        self._move(Operational.FAILED)
        self.test = None
        self.wake_at = retry_at = now + self.server.retry_after
        self.settle()
        return retry_at

    def begin_test(self) -> None:
        """Take one connection, which decides."""
        self._move(Operational.TESTING)
        self.wake_at = None
        self.settle()

    def come_back(self, now: float) -> None:
        """The test was passed; while its probes fail that brings nothing yet."""
        self._move(Operational.UP)
        self.test = None
        self._forget_ditched()
        if self.fault is None:
            self._begin_to_grow(now)

    def probes_fail(self, fault: str) -> None:
        """Take nothing new, and no test either, until they pass; no time brings it back."""
        self.fault = fault
        if self.operational is Operational.UP:
            self.wake_at = None
        self.settle()

    def probes_pass(self, now: float) -> None:
        """It is as live connections have found it; where they found nothing, it grows as after a test."""
        self.fault = None
        if self.operational is Operational.UP:
            self._forget_ditched()
            self._begin_to_grow(now)
        else:
            self.settle()

    def forget_probes(self) -> None:
        """They are gone from the configuration; to be followed by :meth:`settle`."""
        if self.fault is not None:
            self.fault = None
            self.share = 1.0

    def _begin_to_grow(self, now: float) -> None:
        self._back_at = now
        self.grow(now)

    def grow(self, now: float) -> None:
        """Take as large a share of the weight and the limit as the time since it came back allows."""
        step, span = STEPS, self.server.slow_start
        if span > 0:
            # A deadline may come a rounding error before its step.
            step = min(STEPS, int((now - self._back_at) / span * STEPS + 1e-6))
        self.share = max(step, 1) / STEPS
        self.wake_at = self._back_at + span * (step + 1) / STEPS if step < STEPS else None
        self.settle()

    def _forget_ditched(self) -> None:
        self.ditched = 0
        self._ditched_clients.clear()

    def _move(self, to: Operational) -> None:
        assert (self.operational, to) in _MOVES, (self.name, self.operational, to)
        self.operational = to
