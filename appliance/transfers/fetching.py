"""One visit to a primary: is there a newer version, and if so, that version."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

import attrs
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
from dns.rdtypes.ANY.SOA import SOA
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import deferLater

from appliance.model import Endpoint
from appliance.transfers.asking import PeerFailed, exchange, in_slices, open_stream, read_response, within
from appliance.transfers.incoming import Bounds, Incoming, TransferFailed, Version, version_of


@attrs.frozen(kw_only=True)
class Patience:
    """
    Seconds for which a primary is waited for.

    :param datagrams: after each of the questions over UDP.
    :param connect: for a connection.
    :param message: for each message, all of it: one that dribbles is given up.
    :param transfer: for all of a transfer.
    """

    datagrams: Sequence[float] = (1.0, 2.0, 4.0)
    connect: float = 10.0
    message: float = 30.0
    transfer: float = 1800.0


@attrs.frozen
class Fetched:
    """A new version, and how it came: ``axfr`` or ``ixfr``; what it was worth in messages."""

    version: Version
    kind: str
    messages: int
    records: int
    bytes: int


class Fetching:
    """
    :param limit: how many transfers there are at once.
    """

    def __init__(self, reactor: Any, limit: DeferredSemaphore, patience: Patience, bounds: Bounds) -> None:
        self._reactor = reactor
        self._limit = limit
        self._patience = patience
        self._bounds = bounds

    async def soa(self, to: Endpoint, apex: dns.name.Name, key: dns.tsig.Key | None) -> SOA:
        """
        The primary's SOA, asked for over UDP, and over TCP where that brings nothing.

        :raises PeerFailed: when it does not say.
        """
        query = _query(apex, dns.rdatatype.SOA, key)
        try:
            response = await exchange(self._reactor, to, query, self._patience.datagrams)
            if response.flags & dns.flags.TC:
                response = await self._soa_by_stream(to, query)
        except PeerFailed as failed:
            try:
                response = await self._soa_by_stream(to, query)
            except PeerFailed as error:
                if failed.why and failed.why == error.why:
                    raise PeerFailed("no good answer, over UDP and TCP", failed.why) from None
                raise PeerFailed(f"{failed}; {error}") from None
        if response.rcode() != dns.rcode.NOERROR:
            raise PeerFailed(f"the primary says {dns.rcode.to_text(response.rcode())}")
        rrset = response.get_rrset(response.answer, apex, dns.rdataclass.IN, dns.rdatatype.SOA)
        if not rrset or not response.flags & dns.flags.AA:
            raise PeerFailed("the primary does not have the zone")
        soa = rrset[0]
        assert isinstance(soa, SOA)
        return soa

    async def _soa_by_stream(self, to: Endpoint, query: dns.message.Message) -> dns.message.Message:
        stream = await open_stream(self._reactor, to, self._patience.connect)
        try:
            stream.send(query.to_wire())
            response, reason = read_response(await stream.next(self._reactor, self._patience.message), query)
        finally:
            stream.abort()
        if response is None:
            raise PeerFailed("no good answer over TCP", reason)
        return response

    async def version(
        self, to: Endpoint, apex: dns.name.Name, key: dns.tsig.Key | None, base: Version | None
    ) -> Fetched | None:
        """
        The newest version: what has changed since ``base`` where there is one and the primary can tell, else all of it.

        :return: None where ``base`` is the newest.
        :raises PeerFailed: as a TransferFailed does.
        :raises TransferFailed: when what came was not good.
        """
        await self._limit.acquire()
        try:
            if base is not None:
                try:
                    return await self._in_time(self._transfer(to, apex, key, base))
                except (PeerFailed, TransferFailed):
                    # RFC 1995 s4: whatever went wrong, all of it may still be had.
                    pass
            return await self._in_time(self._transfer(to, apex, key, None))
        finally:
            self._limit.release()

    async def _in_time(self, transfer: Coroutine[Any, Any, Fetched | None]) -> Fetched | None:
        return await within(self._reactor, self._patience.transfer, transfer)

    async def _transfer(
        self, to: Endpoint, apex: dns.name.Name, key: dns.tsig.Key | None, base: Version | None
    ) -> Fetched | None:
        query = _query(apex, dns.rdatatype.AXFR if base is None else dns.rdatatype.IXFR, key)
        if base is not None:
            soa = query.find_rrset(query.authority, apex, dns.rdataclass.IN, dns.rdatatype.SOA, create=True)
            soa.add(base.soa, 0)
        stream = await open_stream(self._reactor, to, self._patience.connect)
        try:
            stream.send(query.to_wire())
            # Made after to_wire, which signs it.
            incoming = Incoming(apex, base, query, self._bounds)
            while not incoming.done:
                message = await stream.next(self._reactor, self._patience.message)
                await in_slices(self._reactor, incoming.feed(message))
                # However many small ones came at once.
                await deferLater(self._reactor, 0)
        finally:
            stream.abort()
        if incoming.current:
            return None
        kind = "axfr" if base is None else "ixfr"
        return Fetched(version_of(incoming.source), kind, incoming.messages, incoming.records, incoming.bytes)


def _query(apex: dns.name.Name, rdtype: dns.rdatatype.RdataType, key: dns.tsig.Key | None) -> dns.message.Message:
    query = dns.message.make_query(apex, rdtype, flags=0)
    if key is not None:
        query.use_tsig(key)
    return query
