"""
What happened to servers and clients.
"""

from __future__ import annotations

from ipaddress import IPv4Network

import attrs

from appliance.balancing.values import Override
from appliance.events import Event


@attrs.frozen(kw_only=True)
class ServerEvent(Event):
    """:param server: name of a real server."""

    server: str


@attrs.frozen(kw_only=True)
class ServerFailed(ServerEvent):
    """
    It takes no new connections, because so many in a row were ditched, its test failed, or its probes do.

    :param ditched: so many in a row were, last.
    :param again: it failed its test.
    :param reason: why the last attempt failed, for people; may be empty.  Of probes: which, and what it has found.
    :param retry_at: when it is tested; None: probes failed it, and it comes back when they pass.
    """

    ditched: int
    again: bool
    reason: str = ""
    retry_at: float | None


@attrs.frozen(kw_only=True)
class ServerTested(ServerEvent):
    """From now on one connection at a time is given to it."""


@attrs.frozen(kw_only=True)
class ServerBack(ServerEvent):
    """It takes new connections again; ``reason``, for people: it passed its test, or what its probes have found."""

    reason: str


@attrs.frozen(kw_only=True)
class ServerDrained(ServerEvent):
    """Its last connection has ended since a person wanted it drained."""


@attrs.frozen(kw_only=True)
class VirtualEvent(Event):
    """:param virtual: name of a virtual server."""

    virtual: str


@attrs.frozen(kw_only=True)
class VirtualFailed(VirtualEvent):
    """Nothing that is available to it takes new connections (5.1)."""


@attrs.frozen(kw_only=True)
class VirtualBack(VirtualEvent):
    """Something does again."""


@attrs.frozen(kw_only=True)
class QueueFull(VirtualEvent):
    """A connection was refused because all waiting places were taken; said once until one could wait again."""


@attrs.frozen(kw_only=True)
class ClientEvent(Event):
    """Something about a client of ``site``, and the instance with ``bind_id``."""

    site: str
    bind_id: int
    client: IPv4Network


@attrs.frozen(kw_only=True)
class ClientAssigned(ClientEvent):
    """Its behaviour made it one of the instance (5.11); ``reason`` is a few words for people."""

    reason: str


@attrs.frozen(kw_only=True)
class ClientReleased(ClientEvent):
    """The hold is over."""


@attrs.frozen(kw_only=True)
class Overridden(Event):
    """A person changed something (5.10)."""

    override: Override


@attrs.frozen(kw_only=True)
class OverrideEnded(Event):
    """What the file says holds again; ``reason`` is a few words for people."""

    override: Override
    reason: str
