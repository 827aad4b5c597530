"""What happened to the answers of a customer."""

from __future__ import annotations

import attrs

from appliance.events import Event


@attrs.frozen(kw_only=True)
class DeliveryEvent(Event):
    """:param names: ``pages`` or ``static``."""

    customer: str
    names: str


@attrs.frozen(kw_only=True)
class DeliveryDown(DeliveryEvent):
    """
    Answers are not what they should be: everything that could be answered is down or full.

    :param reason: a value of :class:`appliance.delivery.Why`.
    """

    reason: str


@attrs.frozen(kw_only=True)
class DeliveryUp(DeliveryEvent):
    """They are again."""
