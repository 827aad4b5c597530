"""
NOTIFY (RFC 1996) to the secondaries of our zones: when a serial is new to them, until they answer, a few times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger

from appliance.model import Endpoint
from appliance.naming import RRset, Zones, to_text
from appliance.naming.names import to_name
from appliance.transfers.asking import PeerFailed, exchange

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds that each notification has for its answer."""
MOST_AT_ONCE = 32
"""Each has a socket."""

Target = tuple[bytes, Endpoint]
"""A zone's apex, and who is told of it."""


class Notifying:
    """:ivar failed: why the last word to somebody did not get there."""

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.failed: dict[Target, str] = {}
        self._targets: Mapping[Target, dns.tsig.Key | None] = {}
        self._told: dict[Target, int] = {}
        self._doing: dict[Target, Deferred[None]] = {}
        self._limit = DeferredSemaphore(MOST_AT_ONCE)

    def follow(self, targets: Mapping[Target, dns.tsig.Key | None]) -> None:
        """
        Who is told of what from now on, and the key that signs it.

        Who could not be told, or has another key now, is told again by the next :meth:`look`.
        """
        for target in list(self._told):
            if target not in targets or target in self.failed or targets[target] != self._targets[target]:
                del self._told[target]
                self.failed.pop(target, None)
                self._cancel(target)
        self._targets = targets

    def look(self, zones: Zones) -> None:
        """Tell everybody of the serials that he has not been told of."""
        for target in self._targets:
            zone = zones.apexes().get(target[0])
            serial = zone.serial if zone is not None else None
            if zone is None or serial is None or self._told.get(target) == serial:
                continue
            self._told[target] = serial
            self._cancel(target)
            soa = zone.nodes[zone.apex].rrsets[dns.rdatatype.SOA]
            doing = self._doing[target] = Deferred.fromCoroutine(self._tell(target, soa))
            doing.addErrback(lambda failure: failure.trap(CancelledError) and None)
            if doing.called:
                self._doing.pop(target, None)

    def stop(self) -> None:
        """Idempotent."""
        for target in list(self._doing):
            self._cancel(target)

    def _cancel(self, target: Target) -> None:
        doing = self._doing.pop(target, None)
        if doing is not None:
            doing.cancel()

    async def _tell(self, target: Target, soa: RRset) -> None:
        apex, to = target
        await self._limit.acquire()
        try:
            response = await exchange(self._reactor, to, notification(soa, self._targets[target]), WAITS)
            refused = response.rcode() != dns.rcode.NOERROR
            reason = f"it says {dns.rcode.to_text(response.rcode())}" if refused else ""
        except PeerFailed as error:
            reason = str(error)
        finally:
            self._limit.release()
        self.failed.pop(target, None)
        if reason:
            self.failed[target] = reason
            self._log.warn(
                "{event}: {zone} at {endpoint}: {reason}",
                event="notify-failed",
                zone=to_text(apex),
                endpoint=str(to),
                reason=reason,
            )
        self._doing.pop(target, None)


def notification(soa: RRset, key: dns.tsig.Key | None) -> dns.message.Message:
    """A message that says that a zone's SOA is ``soa`` now."""
    apex = to_name(soa.owner)
    message = dns.message.make_query(apex, dns.rdatatype.SOA, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    message.answer.append(dns.rrset.from_rdata_list(apex, soa.ttl, soa.rdatas))
    if key is not None:
        message.use_tsig(key)
    return message
