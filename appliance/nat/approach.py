"""
The way to a server: a place in a queue, dialling, another try, another server.

::

    follow --Wait--> WAITING --proceed--> DIALLING --connected--> the connection has its server
       |                |                   |  ^
       +---Route--------+-------------------+  +--- failed: the same server again, or another one
       |                                    |
       +---Refused, no place in time--------+---Refused--> the connection gives up

Where to go, the balancing says each time; this only goes there.
"""

from __future__ import annotations

import errno
import os
import socket
import typing

from appliance.balancing import Refused, Route, Ticket, Wait
from appliance.model import Server, Site, Transport
from appliance.nat.dial import Dial
from appliance.nat.fabric import EXHAUSTED, Fabric
from appliance.nat.opening import NO_SOURCE
from appliance.nat.vigil import Vigil
from appliance.ports import Block

MOST_SOURCES = 3
"""Pairs that one attempt tries: another program may have one of them."""


class Traveller(typing.Protocol):
    """Who is on the way; hears exactly one of these, perhaps before :meth:`Approach.follow` returns."""

    def reached(self, sock: socket.socket) -> None: ...
    def unreached(self, why: str, *, rule: bool) -> None: ...

    def look_at(self, at: float) -> None:
        """:meth:`Approach.expired` is to be called then, unless its deadline is another by then."""


class Approach:
    """
    :param ticket: what the balancing knows the connection by.
    :param client: is not read; that it is gone is noticed only once it has had to wait.
    :ivar server: where it is going, or has got; None while it waits for its first server.
    :ivar source: its source, which is given back by who has it in the end.
    """

    __slots__ = (
        "_client",
        "_deadline",
        "_dial",
        "_fabric",
        "_route",
        "_site",
        "_sources_tried",
        "_traveller",
        "_vigil",
        "server",
        "source",
        "ticket",
    )

    def __init__(self, fabric: Fabric, site: Site, ticket: Ticket, traveller: Traveller, client: socket.socket) -> None:
        self._fabric = fabric
        self._site = site
        self._traveller = traveller
        self._client = client
        self._vigil: Vigil | None = None
        self._dial: Dial | None = None
        self._route: Route | None = None
        self._deadline: float | None = None
        self._sources_tried = 0
        self.ticket = ticket
        self.server: Server | None = None
        self.source: Block | None = None

    def follow(self, decision: Route | Wait | Refused) -> None:
        """Do what the balancing has decided."""
        fabric = self._fabric
        if isinstance(decision, Route):
            self._route = decision
            self.server = decision.server
            if decision.after:
                self._expire_in(decision.after)
            else:
                self._go(decision)
        elif isinstance(decision, Wait):
            self._route = None
            fabric.waiting[self.ticket] = self
            self._vigil = self._vigil or Vigil(fabric, self._client, self._client_gone)
            self._expire_in(self._site.timeouts.connect)
        else:
            self._end()
            self._traveller.unreached(decision.why.value, rule=self.server is None)

    def reconfigured(self, site: Site) -> None:
        """While it waited its site was; the source, which it has not yet, comes from where those of newcomers come."""
        if self.source is None and self._site.name == site.name:
            self._site = site

    def proceed(self, decision: Route | Refused) -> None:
        """It waited, and this is what becomes of it."""
        self.follow(decision)

    def cancel(self) -> None:
        """Nothing more is heard; to be said once.  The source stays with who asks for it."""
        self._end()
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        del self._traveller  # the two hold each other, and would wait for the garbage collector

    def deadline(self) -> float | None:
        return self._deadline

    def expired(self) -> None:
        route = self._route
        if route is None:
            self._end()
            self._traveller.unreached("no place became free in time", rule=True)
        elif self._dial is None:
            self._go(route)
        else:
            self._dial.cancel()
            self._dial = None
            self._try_on("no answer in time")

    # -- dialling ----------------------------------------------------------------------------------------------------

    def dialled(self, sock: socket.socket) -> None:
        self._dial = None
        self._end()
        self._traveller.reached(sock)

    def dial_failed(self, error: int) -> None:
        self._dial = None
        if error in EXHAUSTED:
            self._fabric.out_of_descriptors(os.strerror(error))
            self._end()
            self._traveller.unreached(os.strerror(error), rule=False)
        elif error in NO_SOURCE:
            if self.source is None or self._sources_tried >= MOST_SOURCES:
                self._without_source(os.strerror(error))
                return
            self.give_source_back()
            assert self._route is not None
            self._go(self._route)
        else:
            self._try_on(os.strerror(error), refused=error == errno.ECONNREFUSED)

    def _go(self, route: Route) -> None:
        fabric = self._fabric
        if route.host in fabric.leased:
            self._try_on("it is a leased address, from where it would come back")
            return
        pool = self._site.client_nat
        if pool is not None and self.source is None:
            self.source = fabric.balance.take_source(pool, Transport.TCP)
            self._sources_tried += 1
            if self.source is None:
                self._without_source("no pair is left")
                return
        pair = self.source.pair if self.source is not None else None
        self._expire_in(self._site.timeouts.connect)
        dial = self._dial = Dial(fabric, (route.host, route.port), self, pair)
        dial.start()

    def _try_on(self, why: str, *, refused: bool = False) -> None:
        fabric = self._fabric
        route = self._route
        assert route is not None
        fabric.connect_failed(f"{self._site.name} to {route.host} port {route.port}: {why}")
        self._sources_tried = 0
        self.follow(fabric.balance.failed(self.ticket, f"port {route.port}: {why}", refused=refused))

    def _without_source(self, why: str) -> None:
        """That is no fault of the server, which may serve others all the while: it is not ditched."""
        fabric, pool = self._fabric, self._site.client_nat
        whose = f"client NAT pool {pool}" if pool is not None else "the host's own addresses"
        fabric.counters.sources_exhausted += 1
        fabric.no_source(f"{whose}, for {self._site.name}: {why}")
        self._end()
        self._traveller.unreached(f"{whose}: {why}", rule=True)

    def give_source_back(self) -> None:
        """Idempotent."""
        source, self.source = self.source, None
        if source is not None and self._site.client_nat is not None:
            self._fabric.balance.give_source(self._site.client_nat, Transport.TCP, source)

    def _client_gone(self) -> None:
        self._traveller.unreached("its client has gone", rule=True)

    def _expire_in(self, seconds: float) -> None:
        at = self._deadline = self._fabric.seconds() + seconds
        self._traveller.look_at(at)

    def _end(self) -> None:
        self._deadline = None
        self._fabric.waiting.pop(self.ticket, None)
        if self._vigil is not None:
            self._vigil.end()
            self._vigil = None
