"""
What SharedState asks of others: the ports that an operation calls and that may refuse.

``nat`` opens data paths and ``store`` keeps a journal; neither imports this, they only have what is asked for.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from appliance.events import Event
from appliance.model import Address, Server, Site


class DataPath(Protocol):
    """The port through which a grant opens the way for traffic."""

    def open(self, address: Address, site: Site, server: Server) -> None:
        """
        Traffic to the keys of ``site`` on ``address`` reaches ``server`` when this returns.

        Opening what is open brings it up to date; other sites' keys on the address are left alone.

        :raises DataPathError: when it cannot; then what was open before still is.
        """

    def close(self, address: Address, site: str) -> None:
        """No new traffic to ``address`` reaches ``site``; TCP connections go on, UDP sessions end."""

    def abort(self, address: Address, site: str) -> None:
        """End the connections and UDP sessions of ``site`` on ``address``."""


class Journal(Protocol):
    """The port through which a change is recorded before it is promised to anybody."""

    @property
    def failure(self) -> str | None:
        """Why nothing can be recorded now, for people; None while all is well."""

    def record(self, event: Event) -> None:
        """
        Put an event on its way to the disk, after all that were recorded before it.

        Never waits and never raises: whether it got there, :meth:`durable` tells.
        """

    def durable(self) -> Deferred[None] | None:
        """
        When all that was recorded so far cannot be lost any more, as far as the configuration asks for that.

        :return: None where that is so already; else a Deferred that fires then, or fails with a JournalError when it
            cannot be had: then nobody may be told of what was recorded.
        """
