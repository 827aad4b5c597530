"""
A queue of deadlines that is cheap to postpone.

Leases and connections are postponed far more often than they end.  So an item stands in the heap once, at the
deadline it had when it was put there; when that comes up, its owner says the deadline it has by now, and the item
goes back or is handed out.  Postponing costs nothing at all, ending O(log n).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Deadlines(Generic[Item]):
    """
    Items by deadline.

    :param deadline_of: the deadline of an item now, or None when it is gone and is to be forgotten.  It may only
        have grown since the item was added; an item whose deadline shrinks is added once more.
    :ivar added: how often an item was put into the heap.
    """

    def __init__(self, deadline_of: Callable[[Item], float | None]) -> None:
        self._deadline_of = deadline_of
        self._heap: list[tuple[float, int, Item]] = []
        self.added = 0

    def __len__(self) -> int:
        """How many entries stand in the heap, forgotten ones that have not come up yet included."""
        return len(self._heap)

    def add(self, at: float, item: Item) -> None:
        self.added += 1
        heapq.heappush(self._heap, (at, self.added, item))

    def next(self) -> float | None:
        """The instant at which :meth:`due` is worth calling: never later than the earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, *, limit: int) -> list[Item]:
        """
        Take out the items whose deadline has come, earliest first.

        :param limit: most entries to look at, postponed and forgotten ones included.
        """
        ready: list[Item] = []
        heap = self._heap
        for _ in range(limit):
            if not heap or heap[0][0] > now:
                break
            _, _, item = heap[0]
            deadline = self._deadline_of(item)
            if deadline is None:
                heapq.heappop(heap)
            elif deadline > now:
                self.added += 1
                heapq.heapreplace(heap, (deadline, self.added, item))
            else:
                heapq.heappop(heap)
                ready.append(item)
        return ready
