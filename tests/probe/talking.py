"""Conversations without sockets: what a target says, cut into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import strategies as st

from appliance.model.health import Cause
from appliance.probe.conversation import Conversation, Finding

OWN = "192.0.2.99"


def talk(conversation: Conversation, pieces: Iterable[bytes], *, ends: bool = True) -> tuple[bytes, Finding | None]:
    """
    What was said, and what was found, as the driver does it.

    :param ends: the target closes after the last piece; else it is silent.
    """
    said = [conversation.opened(OWN)]
    for piece in pieces:
        if conversation.finding is not None and not conversation.leaving:
            break
        said.append(conversation.receive(piece))
    if ends and conversation.finding is None:
        conversation.ended()
        assert conversation.finding is not None, "an end without a finding"
    return b"".join(said), conversation.finding


def cause_of(conversation: Conversation, *pieces: bytes, ends: bool = True) -> Cause | None:
    finding = talk(conversation, pieces, ends=ends)[1]
    return None if finding is None else finding.cause


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[first:last] for first, last in pairwise(bounds)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


def same_however_cut(make: Callable[[], Conversation], data: bytes, places: list[int]) -> None:
    """Whole, in these pieces, and byte by byte: the finding is the same, and so is all that is said on the way."""
    whole = talk(make(), [data])
    for pieces in (cut(data, places), [data[at : at + 1] for at in range(len(data))]):
        said, found = talk(make(), pieces)
        assert found is not None
        assert whole[1] is not None
        assert (found.layer, found.cause) == (whole[1].layer, whole[1].cause), (found, whole[1])
        if found.cause is not Cause.PROTOCOL:
            assert said == whole[0], (said, whole[0])
