"""
What becomes of blocks when their pool gets another configuration.

A block whose pair is in the new range stays in its subpool.  One that is not is gone at once if it is free; else it
leaves: it goes on, in a subpool of its own kind that nothing is taken from, until it is given back and has rested.  If
a later reload brings its pair back before that, the pair is kept from others until then.
"""

from __future__ import annotations

import attrs

from appliance.model import NatPool
from appliance.ports.blocks import Block, State, Subpool
from appliance.ports.intervals import Intervals
from appliance.ports.pairs import Pairs


@attrs.frozen(kw_only=True)
class Fitted:
    """
    What there is after a reload.

    :param subpools: those that still have blocks, oldest first.
    :param resting: all blocks that rest, those that leave included.
    :param free: how many blocks are.
    """

    pairs: Pairs
    intervals: Intervals[Subpool]
    subpools: list[Subpool]
    resting: list[Block]
    free: int


def fit(pool: NatPool, subpools: list[Subpool], leaving: Subpool) -> Fitted:
    """
    :param subpools: oldest first; they and their blocks are brought to ``pool``.
    :param leaving: where blocks go that are not in the range.
    """
    pairs = Pairs(pool)
    leaving.blocks = _present(leaving)
    for subpool in subpools:
        _leave_out(subpool, pairs, leaving)
    surplus = leaving.size + sum(subpool.size for subpool in subpools) - pool.maximum
    for subpool in reversed(subpools):
        surplus -= _shed(subpool, surplus)
    intervals = Intervals[Subpool](pairs.runs())
    for subpool in subpools:
        subpool.blocks = _present(subpool)
        subpool.link()
        for first, last in subpool.runs(pairs):
            intervals.reserve(first, last, subpool)
    for block in leaving.blocks:
        if pairs.has(block.address, block.port):
            index = pairs.index(block.address, block.port)
            intervals.reserve(index, index, leaving)
    blocks = [block for subpool in (*subpools, leaving) for block in subpool.blocks]
    return Fitted(
        pairs=pairs,
        intervals=intervals,
        subpools=[subpool for subpool in subpools if subpool.size],
        resting=[block for block in blocks if block.state is State.RESTING],
        free=sum(block.state is State.FREE for block in blocks),
    )


def _present(subpool: Subpool) -> list[Block]:
    return [block for block in subpool.blocks if block.state is not State.GONE]


def _leave_out(subpool: Subpool, pairs: Pairs, leaving: Subpool) -> None:
    """Its blocks whose pairs are not among ``pairs`` are gone, or leave."""
    stay = []
    for block in _present(subpool):
        if pairs.has(block.address, block.port):
            stay.append(block)
        elif block.state is State.FREE:
            block.state = State.GONE
        else:
            block.subpool, block.next = leaving, None
            leaving.blocks.append(block)
            leaving.size += 1
            if block.state is State.TAKEN:
                leaving.taken += 1
                subpool.taken -= 1
    subpool.blocks, subpool.size = stay, len(stay)
    if not subpool.taken:
        rested = [block.given_at for block in stay if block.state is State.RESTING]
        subpool.freed_at = max(rested, default=subpool.freed_at)


def _shed(subpool: Subpool, surplus: int) -> int:
    """Up to so many of its free blocks are gone, the last of them first; :return: how many."""
    shed = 0
    for block in reversed(subpool.blocks):
        if shed >= surplus:
            break
        if block.state is State.FREE:
            subpool.drop(block)
            shed += 1
    return shed
