"""
What happened to subjects.
"""

from __future__ import annotations

import attrs

from appliance.events import Event
from appliance.model import Check, Forced


@attrs.frozen(kw_only=True)
class SubjectEvent(Event):
    """:param subject: as it was configured, e.g. ``server alpha-1``."""

    subject: str


@attrs.frozen(kw_only=True)
class SubjectDown(SubjectEvent):
    """
    The measured state is down.

    :param check: whose result made it so; None: the configuration did.
    :param reason: for people.
    :param forced: what counts all the same.
    """

    check: Check | None
    reason: str
    forced: Forced | None = None


@attrs.frozen(kw_only=True)
class SubjectUp(SubjectEvent):
    """
    The measured state is down no longer.

    :param check: the last that came up; None: the configuration has taken those away that were down.
    :param after: seconds that it was down.
    """

    check: Check | None
    reason: str
    after: float
    forced: Forced | None = None


@attrs.frozen(kw_only=True)
class SubjectFlapping(SubjectEvent):
    """It changes again and again; said once until it has rested.  ``flaps``: changes, decayed."""

    flaps: float


@attrs.frozen(kw_only=True)
class SubjectForced(SubjectEvent):
    """
    A person says what it is, or (None) that what is measured counts again.

    :param up: what counts from now on.
    """

    forced: Forced | None
    up: bool


@attrs.frozen(kw_only=True)
class PopsAlone(Event):
    """
    Nobody can be believed about the POPs, this one included.

    :param doubted: who was heard, and sees more than half of the others down.
    :param everything: the last good table is too old, and every configured POP is answered; else that table is kept.
    """

    doubted: tuple[str, ...]
    everything: bool


@attrs.frozen(kw_only=True)
class PopsAgreed(Event):
    """Somebody can be believed again: ``observers``."""

    observers: tuple[str, ...]
