"""
Connection blocks, and the subpools that hold them (4.3).

A block has its pair from the moment its subpool is made until it is gone; taking one costs no search for a free port
(US 7,089,328 claim 1).  Where a block waits, it is linked with the next one through itself, so that waiting takes no
memory.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from ipaddress import IPv4Address
from operator import attrgetter

import attrs

from appliance.model import Pair
from appliance.ports.pairs import Pairs


class State(enum.Enum):
    """
    Where a block is::

        FREE --take--> TAKEN --give--> RESTING --quarantine--> FREE
          |                               |
          +-------------------------------+--> GONE     by a reload, or with its subpool
    """

    FREE = enum.auto()
    TAKEN = enum.auto()
    RESTING = enum.auto()
    GONE = enum.auto()


@attrs.define(eq=False)
class Block:
    """
    One connection's source.

    :ivar given_at: when it was last given back; minus infinity: never.
    :ivar next: the block behind it, where it waits.
    """

    address: IPv4Address
    port: int
    subpool: Subpool = attrs.field(repr=False)
    state: State = State.FREE
    given_at: float = -math.inf
    next: Block | None = attrs.field(default=None, repr=False)

    @property
    def pair(self) -> Pair:
        """What the connection's socket is bound to."""
        return Pair(self.address, self.port)


given_at = attrgetter("given_at")
"""Sorts blocks by it."""


@attrs.define(eq=False)
class Line:
    """Blocks that were given back, the first of them first."""

    head: Block | None = attrs.field(default=None, repr=False)
    tail: Block | None = attrs.field(default=None, repr=False)

    def join(self, block: Block) -> None:
        block.next = None
        if self.tail is None:
            self.head = block
        else:
            self.tail.next = block
        self.tail = block


@attrs.define(eq=False)
class Subpool:
    """
    Blocks that were made together.

    :param number: counts up; the older of two has the lower one.
    :param line: where its blocks rest: one for all where each is taken again by itself, else its own.
    :param freed_at: when the last of its taken blocks was given back, or it was made.
    :ivar blocks: in the order of their pairs, those that are gone perhaps still among them; ``size`` are not.
    :ivar taken: of them, how many are.
    :ivar head: its free blocks, longest free first; ``tail`` is the last one where there is any.
    :ivar look_at: not before this is it asked again whether the pool needs it.
    :ivar is_idle: it stands among those that may be deleted, and ``is_ripening`` among those that rest as a whole;
        ``is_listed``: wherever it has to.
    """

    number: int
    line: Line = attrs.field(repr=False)
    freed_at: float = 0.0
    blocks: list[Block] = attrs.field(factory=list, repr=False)
    size: int = 0
    taken: int = 0
    head: Block | None = attrs.field(default=None, repr=False)
    tail: Block | None = attrs.field(default=None, repr=False)
    look_at: float = 0.0
    is_idle: bool = False
    is_ripening: bool = False
    is_listed: bool = False

    def fill(self, pairs: Pairs, first: int, last: int) -> None:
        """Make its blocks, all free, for the pairs from index ``first`` to ``last``."""
        for address, low, high in pairs.spans(first, last):
            for port in range(low, high + 1):
                self.blocks.append(Block(address, port, self))
        self.size = len(self.blocks)
        self.link()

    def link(self) -> None:
        """Those of its blocks that are free stand in line: longest free first, and new ones by their pairs."""
        free = Line()
        for block in sorted((each for each in self.blocks if each.state is State.FREE), key=given_at):
            free.join(block)
        self.head, self.tail = free.head, free.tail

    def drop(self, block: Block) -> None:
        """It is gone; O(1) in the long run."""
        block.state = State.GONE
        self.size -= 1
        if len(self.blocks) > 2 * self.size + 8:
            self.blocks = [block for block in self.blocks if block.state is not State.GONE]

    def clear(self) -> None:
        """All of them are gone, and nothing links them any more: Python's garbage collector has nothing to find."""
        for block in self.blocks:
            block.state, block.next = State.GONE, None
        self.blocks.clear()
        self.head = self.tail = None
        self.size = 0

    def runs(self, pairs: Pairs) -> Iterator[tuple[int, int]]:
        """(first, last) of the indexes of its blocks, which are all of ``pairs``, those in a row put together."""
        if self.size:
            # As it was made, it is one run, which need not be walked along.
            first, last = (pairs.index(block.address, block.port) for block in (self.blocks[0], self.blocks[-1]))
            if last - first + 1 == self.size:
                yield first, last
                return
        run: tuple[int, int] | None = None
        for block in self.blocks:
            if block.state is State.GONE:
                continue
            index = pairs.index(block.address, block.port)
            if run is not None and index == run[1] + 1:
                run = run[0], index
                continue
            if run is not None:
                yield run
            run = index, index
        if run is not None:
            yield run
