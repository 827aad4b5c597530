"""What the name server asks of whoever transfers zones; ``transfers`` has it, and does not know this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import dns.message
import dns.name
import dns.tsig

from appliance.nameserver.sources import Source
from appliance.naming import Answer


class Messages(Protocol):
    """The messages of one response, made one at a time; whoever wants no more closes it."""

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


Sending = Callable[[dns.message.Message], Messages]
"""Takes the response that it is to be, still without records."""


class Transfers(Protocol):
    """Transfers out, notifications in, and the keys that sign queries."""

    @property
    def keyring(self) -> Mapping[dns.name.Name, dns.tsig.Key]:
        """The keys that a query may be signed with."""

    def unproven(self, data: bytes, error: Exception) -> bytes | None:
        """
        What to say to a query whose signature is not good.

        :param error: why it could not be read.
        :return: None where that has nothing to do with a signature.
        """

    def answer(self, query: dns.message.Message, source: Source, *, stream: bool) -> Answer | Sending:
        """The answer to a NOTIFY, AXFR or IXFR with one question of class IN; its signature is good if it has one."""
