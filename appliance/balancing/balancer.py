"""Which server a connection goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.balancing.ticket import Ticket
from appliance.balancing.values import (
    ClientRow,
    Decision,
    Override,
    Refused,
    Route,
    ServerRow,
    Turned,
    VirtualRow,
    Wait,
)
from appliance.events import Event
from appliance.model import Server, Site


class Balancer:
    """
    The virtual and real servers of all sites.

    The caller has one :class:`Ticket` for each connection (or UDP session) and says what becomes of it.  ``connected``,
    ``failed``, ``override`` and ``configure`` may make room for those who wait: what becomes of them is returned by the
    next ``ended`` or ``due``, and ``next_deadline`` says so.
    """

    def configure(self, sites: Mapping[str, Site], servers: Mapping[str, Server], now: float) -> None:
        """
        Take over a configuration; what remains keeps its counts, states, queues and clients.

        What left takes nothing new, and goes on until its connections have ended.  Overrides whose configured value has
        changed, or whose subject is gone, end.
        """
        raise NotImplementedError

    def admits(self, site: str, key: int, client: int) -> bool:
        """May ``client`` (a packed IPv4 address) connect to that port (5.13)?"""
        raise NotImplementedError

    def begin(
        self, site: str, key: int, client: int, now: float, *, home: str | None = None
    ) -> Route | Wait | Turned | Refused:
        """
        A new connection, or the first datagram of a session.

        :param key: protocol and port that it came to, as :data:`appliance.model.Keys` packs them.
        :param home: name of the server that the leased address was granted for.
        """
        raise NotImplementedError

    def connected(self, ticket: Ticket, now: float) -> None:
        """The server has answered: the connection stands.  Of a UDP session: its first reply came."""
        raise NotImplementedError

    def first_byte(self, ticket: Ticket, now: float) -> None:
        """The server has sent something; said once, after :meth:`connected`."""
        raise NotImplementedError

    def failed(self, ticket: Ticket, now: float) -> Route | Wait | Refused:
        """An attempt to connect was refused, or not answered in time; where to go now."""
        raise NotImplementedError

    def ended(self, ticket: Ticket, now: float, *, received: int = 0, sent: int = 0) -> Sequence[Decision]:
        """
        It is over, whatever its state was; a second call changes nothing.

        :param received: bytes from the client; ``sent``: to it.
        :return: what becomes of those who waited.
        """
        raise NotImplementedError

    def due(self, now: float) -> Sequence[Decision]:
        """Do what time brings; as :meth:`ended`."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """When :meth:`due` is worth calling; an instant in the past: at once."""
        raise NotImplementedError

    def override(self, subject: str, setting: str, value: str | None, now: float) -> Override | None:
        """
        Change something at run time (5.10).

        :param value: None takes the override back: what the file says holds again.
        :return: what is to be stored, with the subject's canonical form; None where there is nothing any more.
        :raises BalancingError: and nothing has changed.
        """
        raise NotImplementedError

    def configured(self, subject: str, setting: str) -> str:
        """What the file says of it. :raises BalancingError: where there is no such subject or setting."""
        raise NotImplementedError

    def restore(self, overrides: Sequence[Override], now: float) -> list[Override]:
        """Take up what was stored; :return: those that do not hold any more."""
        raise NotImplementedError

    def overrides(self) -> list[Override]:
        """All that hold, in an order in which they can be restored."""
        raise NotImplementedError

    def virtuals(self, now: float) -> list[VirtualRow]:
        raise NotImplementedError

    def servers(self, now: float) -> list[ServerRow]:
        raise NotImplementedError

    def clients(self, now: float) -> list[ClientRow]:
        raise NotImplementedError

    def happened(self) -> list[Event]:
        """The events since the last call."""
        raise NotImplementedError
