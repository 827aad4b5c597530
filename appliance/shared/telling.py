"""Who is told of what happened: first the journal, then everybody who subscribed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from appliance.events import Event
from appliance.interfaces import Journal

Subscriber = Callable[[Event], None]


class Telling:
    """
    :param follow: does what an event means for the tables and the data path; it comes before the subscribers.
    :param told: is called when all subscribers know of all that happened, however much that was.
    :ivar happened: events by the name of their class.
    """

    _log = Logger()

    def __init__(self, journal: Journal, follow: Subscriber, told: Callable[[], None] = lambda: None) -> None:
        self._journal = journal
        self._follow = follow
        self._told = told
        self._subscribers: list[Subscriber] = []
        self._undelivered: deque[Event] = deque()
        self._delivering = False
        self.happened: Counter[str] = Counter()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def durable(self) -> Deferred[None] | None:
        """When all that was published so far cannot be lost any more; as :meth:`Journal.durable`."""
        return self._journal.durable()

    def publish(self, events: Iterable[Event]) -> None:
        """Record what happened, do what follows from it, and tell those who subscribed."""
        events = list(events)
        for event in events:
            self._journal.record(event)
        self.deliver(events)

    def deliver(self, events: Iterable[Event]) -> None:
        """
        Tell of what is recorded already.

        What subscribers cause in turn is told after, in order, and one that raises is skipped.
        """
        self._undelivered.extend(events)
        if self._delivering or not self._undelivered:
            return
        self._delivering = True
        try:
            while self._undelivered:
                event = self._undelivered.popleft()
                self.happened[type(event).__name__] += 1
                self._follow(event)
                for subscriber in self._subscribers:
                    with self._log.failuresHandled("{event}: {who}", event="subscriber-failed", who=subscriber):
                        subscriber(event)
        finally:
            self._delivering = False
        self._told()
