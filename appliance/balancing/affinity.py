"""
Clients that are sent where they have been before: sticky ones, UDP sessions, and buddies (5.12).

Live connections are counted by client; what a client leaves behind when its last one ends is remembered for ``sticky``
seconds, for at most :data:`MOST_REMEMBERED` clients of all sites.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable

from appliance.balancing.choosing import is_held_by
from appliance.balancing.premises import Port, Premises
from appliance.balancing.real import FULL, Real
from appliance.balancing.ticket import State, Ticket, Tickets
from appliance.balancing.virtual import Home, Section, Virtual
from appliance.model import UDP_KEYS, Transport

MOST_REMEMBERED = 65536
_LOOKS = 8
"""The first connections of a client at a port that are looked at for one whose server may have another."""


class Company:
    """The live connections of a client at the ports of a set of buddies, by port, oldest first."""

    __slots__ = ("by_port", "key", "place")

    def __init__(self, place: Premises, key: tuple[frozenset[int], int]) -> None:
        self.place = place
        self.key = key
        self.by_port: dict[int, OrderedDict[Ticket, None]] = {}


class Ties:
    """Where a ticket is counted; as it was when it began, whatever is configured since."""

    __slots__ = ("company", "counted", "section")

    def __init__(self) -> None:
        self.counted: Premises | None = None
        self.section: Section | None = None
        self.company: Company | None = None


class Affinity:
    """All of it, for all sites."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[object, int], tuple[Real, int, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many clients without a live connection are remembered."""
        return len(self._left)

    # -- where to ----------------------------------------------------------------------------------------------------

    def buddy(self, port: Port, virtual: Virtual, key: int, client: int, now: float) -> tuple[Real, int] | None:
        """
        Where the client's first live connection at another port of the set is, or where the last was.

        :return: the server, and the number of that connection.  O(ports of the set that the client is at).
        """
        assert port.buddies is not None
        place, number = virtual.section.place, key & UDP_KEYS - 1
        company = place.company.get((port.buddies, client))
        if company is not None:
            others = [tickets for other, tickets in company.by_port.items() if other != number]
            heads = (ticket for tickets in others for ticket in itertools.islice(tickets, _LOOKS))
            for head in sorted(heads, key=_number):
                if head.real is not None and is_held_by(virtual, head.real):
                    return head.real, head.number
        found = self._remembered((place.number, port.buddies), client, virtual, now)
        return (found[0], found[1]) if found is not None and found[0].load < FULL else None

    def home(self, virtual: Virtual, client: int, now: float) -> Real | None:
        """Where the client is, or was last; None where that server has no room."""
        section = virtual.section
        home = section.homes.get(client)
        if home is not None and home.real is not None:
            real = home.real
        else:
            found = self._remembered(section.number, client, virtual, now)
            if found is None:
                return None
            real = found[0]
        return real if real.load < FULL and real in virtual.reach else None

    def _remembered(self, whose: object, client: int, virtual: Virtual, now: float) -> tuple[Real, int] | None:
        left = self._left.get((whose, client))
        if left is None or now >= left[2] or left[0] not in virtual.reach:
            return None
        return left[0], left[1]

    # -- counting ----------------------------------------------------------------------------------------------------

    def begun(self, ticket: Ticket, place: Premises) -> None:
        """Count it for its client, where that is limited; also one that is live since before it was."""
        if not place.site.max_per_client:
            return
        ties = ticket.ties = ticket.ties or Ties()
        if ties.counted is None:
            ties.counted = place
            place.clients[ticket.client] = place.clients.get(ticket.client, 0) + 1

    def begun_before(self, live: Tickets, unlimited: Iterable[Premises]) -> None:
        """
        Count those that are live already, where one of these sites limits its clients now.

        :param unlimited: those that did not before.
        """
        for ticket in live if any(place.site.max_per_client for place in unlimited) else ():
            if ticket.state is not State.OVER:
                self.begun(ticket, ticket.virtual.section.place)

    def given(self, ticket: Ticket, buddies: frozenset[int] | None) -> None:
        """It has a server now, or another one."""
        section = ticket.virtual.section
        place = section.place
        ties = ticket.ties
        if place.site.sticky > 0 or ticket.virtual.transport is Transport.UDP:
            ties = ticket.ties = ties or Ties()
            if ties.section is None:
                ties.section = section
                section.homes.setdefault(ticket.client, Home()).count += 1
            ties.section.homes[ticket.client].real = ticket.real
        if buddies is not None and (ties is None or ties.company is None):
            ties = ticket.ties = ties or Ties()
            key = buddies, ticket.client
            company = ties.company = place.company.setdefault(key, Company(place, key))
            company.by_port.setdefault(ticket.key & UDP_KEYS - 1, OrderedDict())[ticket] = None

    def ended(self, ticket: Ticket, now: float) -> None:
        """It is over."""
        ties = ticket.ties
        if ties is None:
            return
        ticket.ties = None
        if ties.counted is not None:
            _count_down(ties.counted, ticket.client)
        if ties.section is not None:
            self._leave_home(ties.section, ticket, now)
        if ties.company is not None:
            self._leave_company(ties.company, ticket, now)

    def _leave_home(self, section: Section, ticket: Ticket, now: float) -> None:
        home = section.homes[ticket.client]
        home.count -= 1
        if not home.count:
            del section.homes[ticket.client]
            self._remember((section.number, ticket.client), ticket, section.place.site.sticky, now)

    def _leave_company(self, company: Company, ticket: Ticket, now: float) -> None:
        port = ticket.key & UDP_KEYS - 1
        tickets = company.by_port[port]
        del tickets[ticket]
        if not tickets:
            del company.by_port[port]
        if not company.by_port:
            del company.place.company[company.key]
            key = (company.place.number, company.key[0]), ticket.client
            self._remember(key, ticket, company.place.site.sticky, now)

    def _remember(self, key: tuple[object, int], ticket: Ticket, sticky: float, now: float) -> None:
        left = self._left
        left.pop(key, None)
        if sticky > 0 and ticket.real is not None:
            left[key] = ticket.real, ticket.number, now + sticky
            if len(left) > MOST_REMEMBERED:
                left.popitem(last=False)


def _count_down(place: Premises, client: int) -> None:
    left = place.clients[client] - 1
    if left:
        place.clients[client] = left
    else:
        del place.clients[client]


def _number(ticket: Ticket) -> int:
    return ticket.number
