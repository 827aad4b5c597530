"""
Clients who become one of an instance by what they do (5.11).

Connections, bytes and short connections are counted in windows, two of them, of which the first begins with a client's
first connection.  What counts is the present window and, of the one before it, the part that would still be in sight if
its traffic had been even: so what a client does within its first window is exact, and nothing older than two windows
matters.  Memory is bounded: the client that was seen longest ago is forgotten first.
"""

from __future__ import annotations

import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network

from appliance.balancing.events import ClientAssigned, ClientEvent, ClientReleased
from appliance.balancing.ticket import State, Ticket
from appliance.deadlines import Deadlines
from appliance.model import Behaviour

if typing.TYPE_CHECKING:
    from appliance.balancing.premises import Premises

MOST_CLIENTS = 65536
"""That are metered, and again that are held, of all sites together."""


class Watch:
    """
    What makes a client one of an instance.

    :param number: unique since the start.
    """

    __slots__ = ("behaviour", "bind_id", "number", "place")

    def __init__(self, number: int, place: Premises, bind_id: int, behaviour: Behaviour) -> None:
        self.number = number
        self.place = place
        self.bind_id = bind_id
        self.behaviour = behaviour


class Meter:
    """What a client did in the present window and in the one before: connections, bytes, short connections."""

    __slots__ = ("_before", "_began_at", "_now")

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._now = [0.0, 0.0, 0.0]
        self._before = [0.0, 0.0, 0.0]

    def count(self, kind: int, amount: float, window: float, now: float) -> float:
        """:return: how much of that kind there was within ``window`` before ``now``, this included."""
        passed = now - self._began_at
        if passed >= 2 * window:
            self._began_at, passed = now, 0.0
            self._now, self._before = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        elif passed >= window:
            self._began_at += window
            passed -= window
            self._now, self._before = [0.0, 0.0, 0.0], self._now
        self._now[kind] += amount
        return self._now[kind] + self._before[kind] * (1.0 - passed / window)


CONNECTIONS, BYTES, SHORT = range(3)


class Held:
    """A client that is held in an instance, until ``until``."""

    __slots__ = ("bind_id", "client", "place", "until")

    def __init__(self, place: Premises, client: int) -> None:
        self.place = place
        self.client = client
        self.bind_id = 0
        self.until = 0.0


class Conduct:
    """
    Of all clients of all sites.

    :param tell: is given what happened.
    :ivar ends: when those who are held are let go.
    """

    def __init__(self, tell: Callable[[ClientEvent], None]) -> None:
        self._tell = tell
        self._meters: OrderedDict[tuple[int, int], Meter] = OrderedDict()
        self._held: OrderedDict[tuple[int, int], Held] = OrderedDict()
        self.ends: Deadlines[Held] = Deadlines(lambda held: held.until if self._is_held(held) else None)

    def __len__(self) -> int:
        """How many clients are metered, counted for each instance."""
        return len(self._meters)

    def count(self, watches: Iterable[Watch], client: int, kind: int, amount: float, now: float) -> None:
        """``client`` did that."""
        for watch in watches:
            behaviour = watch.behaviour
            limit = (behaviour.connections, behaviour.bytes, behaviour.short)[kind]
            if not limit:
                continue
            key = watch.number, client
            meter = self._meters.get(key)
            if meter is None:
                meter = self._meters[key] = Meter(now)
                if len(self._meters) > MOST_CLIENTS:
                    self._meters.popitem(last=False)
            else:
                self._meters.move_to_end(key)
            counted = meter.count(kind, amount, behaviour.window, now)
            if counted >= limit:
                what = ("connections", "bytes", "short connections")[kind]
                self._hold(watch, client, f"{counted:.0f} {what} within {behaviour.window:g} s", now)

    def judge(self, ticket: Ticket, state: State, now: float, moved: int, *, silent: bool) -> None:
        """
        A connection has ended.

        :param state: in which it was; ``moved``: bytes from and to the client; ``silent``: none came from it.
        """
        watches = ticket.virtual.section.place.watches
        if moved:
            # Of a long one, what it moved in its last window, as if it had been even.
            lasted = max(now - ticket.dialled_at, 0.0)
            for watch in watches:
                share = min(1.0, watch.behaviour.window / lasted) if lasted else 1.0
                self.count((watch,), ticket.client, BYTES, moved * share, now)
        # Who gives up in a queue, or over a server that does not answer, is not to blame.
        at_once = state is State.OPENING and ticket.attempts == 1 and not ticket.tried
        if silent and (at_once or state is State.OPEN):
            self.count(watches, ticket.client, SHORT, 1, now)

    def bind_id(self, place: Premises, client: int, now: float) -> int:
        """:return: of the instance that the client is held in; 0 for none."""
        held = self._held.get((place.number, client))
        return held.bind_id if held is not None and now < held.until else 0

    def held(self) -> Iterable[Held]:
        return self._held.values()

    def next_deadline(self) -> float | None:
        return self.ends.next()

    def due(self, now: float, *, limit: int) -> None:
        """Let those go whose hold is over."""
        for held in self.ends.due(now, limit=limit):
            self._release(held, now)

    def forget(self, place: Premises, kept: Iterable[Watch], now: float) -> None:
        """Only ``kept`` are the site's watches: let the clients of the others go."""
        bind_ids = {watch.bind_id for watch in kept}
        for held in [held for held in self._held.values() if held.place is place and held.bind_id not in bind_ids]:
            self._release(held, now)

    def _hold(self, watch: Watch, client: int, reason: str, now: float) -> None:
        key = watch.place.number, client
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = Held(watch.place, client)
            if len(self._held) > MOST_CLIENTS:
                self._release(next(iter(self._held.values())), now)
        else:
            self._held.move_to_end(key)
        fresh = held.bind_id != watch.bind_id
        until = now + watch.behaviour.hold
        if fresh or until < held.until:
            self.ends.add(until, held)
        held.bind_id, held.until = watch.bind_id, until
        if fresh:
            self._tell(
                ClientAssigned(
                    at=now, site=watch.place.name, bind_id=watch.bind_id, client=IPv4Network(client), reason=reason
                )
            )

    def _release(self, held: Held, now: float) -> None:
        del self._held[held.place.number, held.client]
        client = IPv4Network(held.client)
        self._tell(ClientReleased(at=now, site=held.place.name, bind_id=held.bind_id, client=client))

    def _is_held(self, held: Held) -> bool:
        return self._held.get((held.place.number, held.client)) is held
