"""
What a primary sends, as a new version of a zone; dnspython parses and applies it.

Nothing is believed: each message has to be a response to what was asked, signed if that was; bytes and records
are bounded; what results has to be a zone.  The version that is held is not touched, so that whatever goes wrong, it
stays.  The work is cut into slices, between which the reactor turns.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import attrs
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.xfr
import dns.zone
from dns.rdtypes.ANY.SOA import SOA

RECORDS_A_SLICE = 200
"""Applied in one go: some 2 ms."""
MOST_UNSIGNED = 99
"""Messages between two signed ones (RFC 8945 s5.3.1)."""


class TransferFailed(Exception):
    """``str()`` says why, for people; the version that was held stays."""


@attrs.frozen(kw_only=True)
class Bounds:
    """
    Most that a zone may be, as it comes.

    :param bytes: of all messages; ``records`` likewise, those that an IXFR takes away included.
    """

    bytes: int = 256 * 2**20
    records: int = 1_000_000


@attrs.frozen
class Version:
    """:param source: a zone with absolute names, a SOA and an NS at its apex; never changed."""

    source: dns.zone.Zone

    @property
    def soa(self) -> SOA:
        assert self.source.origin is not None
        soa = self.source.find_rdataset(self.source.origin, dns.rdatatype.SOA)[0]
        assert isinstance(soa, SOA)
        return soa

    @property
    def serial(self) -> int:
        return int(self.soa.serial)


class Incoming:
    """
    One transfer.

    :param base: what an IXFR changes; None for an AXFR.
    :param query: as it was sent, with its signature.
    :ivar done: all is there; then ``source`` is the new version, or ``current`` says that there is none.
    """

    def __init__(self, apex: dns.name.Name, base: Version | None, query: dns.message.Message, bounds: Bounds) -> None:
        self.source = dns.zone.Zone(apex, dns.rdataclass.IN, relativize=False)
        self._base = base
        if base is not None:
            # Nodes are copied before they are changed.
            self.source.nodes.update(base.source.nodes)
        self._query = query
        self._bounds = bounds
        kind = query.question[0].rdtype
        serial = base.serial if base is not None else None
        self._inbound = dns.xfr.Inbound(self.source, kind, serial)
        self._signing: Any = None
        self._unsigned = 0
        self.done = False
        self.messages = self.records = self.bytes = 0

    @property
    def current(self) -> bool:
        """The primary has nothing newer."""
        return self.done and self._base is not None and self.records == 1

    def feed(self, data: bytes) -> Generator[None, None, None]:
        """
        Take the next message, in slices.

        :raises TransferFailed: when it is not what was asked for; then nothing more may be fed.
        """
        if self.done:
            raise TransferFailed("a message after the last one")
        self.bytes += len(data)
        if self.bytes > self._bounds.bytes:
            raise TransferFailed(f"more than {self._bounds.bytes} bytes")
        message = self._parse(data)
        yield
        answer = list(message.answer)
        self.messages += 1
        self.records += sum(map(len, answer))
        if self.records > self._bounds.records:
            raise TransferFailed(f"more than {self._bounds.records} records")
        for start in range(0, max(len(answer), 1), RECORDS_A_SLICE):
            message.answer = answer[start : start + RECORDS_A_SLICE]
            self._apply(message)
            yield

    def _parse(self, data: bytes) -> dns.message.Message:
        query = self._query
        try:
            message = dns.message.from_wire(
                data,
                keyring=query.keyring,
                request_mac=query.mac or b"",
                xfr=True,
                tsig_ctx=self._signing,
                multi=True,
                one_rr_per_rrset=query.question[0].rdtype == dns.rdatatype.IXFR,
            )
        except Exception as error:
            # dnspython promises no kinds for what strangers send.
            raise TransferFailed(f"message {self.messages + 1}: {_reason(error)}") from None
        if message.id != query.id or not message.flags & dns.flags.QR or message.opcode() != query.opcode():
            raise TransferFailed(f"message {self.messages + 1} is no response to what was asked")
        if message.question and message.question != query.question:
            raise TransferFailed(f"message {self.messages + 1} answers another question")
        if message.flags & dns.flags.TC:
            raise TransferFailed(f"message {self.messages + 1} is truncated")
        self._unsigned = 0 if message.had_tsig else self._unsigned + 1
        if query.had_tsig and self._unsigned > (MOST_UNSIGNED if self.messages else 0):
            raise TransferFailed(f"message {self.messages + 1} is not signed")
        self._signing = message.tsig_ctx
        return message

    def _apply(self, message: dns.message.Message) -> None:
        if message.rcode() == dns.rcode.NOERROR:
            self._check(message.answer)
        if self.done and message.answer:
            raise TransferFailed("records after the last SOA")
        try:
            self.done = self._inbound.process_message(message)
        except dns.xfr.TransferError as error:
            raise TransferFailed(f"the primary says {dns.rcode.to_text(error.rcode)}") from None
        except dns.xfr.SerialWentBackwards:
            raise TransferFailed("the primary's serial is older than ours") from None
        except Exception as error:
            raise TransferFailed(f"message {self.messages}: {_reason(error)}") from None

    def _check(self, answer: list[dns.rrset.RRset]) -> None:
        for rrset in answer:
            if rrset.rdclass != dns.rdataclass.IN or dns.rdatatype.is_metatype(rrset.rdtype):
                raise TransferFailed(f"a record that no zone has: {dns.rdatatype.to_text(rrset.rdtype)}")
            if rrset.rdtype == dns.rdatatype.SOA and rrset.name != self.source.origin:
                raise TransferFailed(f"a SOA at {rrset.name}, which is not the apex")


def version_of(source: dns.zone.Zone) -> Version:
    """:raises TransferFailed: when it is no zone."""
    assert source.origin is not None
    for rdtype in (dns.rdatatype.SOA, dns.rdatatype.NS):
        if not source.get_rdataset(source.origin, rdtype):
            raise TransferFailed(f"the zone has no {rdtype.name} at its apex")
    return Version(source)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
