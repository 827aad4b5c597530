"""One question to a name server, over UDP or TCP (RFC 1035 s4, RFC 7766)."""

from __future__ import annotations

import functools

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from appliance.model.health import Cause
from appliance.probe.conversation import Conversation

_HEADER_BYTES = 12


@functools.lru_cache(maxsize=1024)
def _question(qname: str, qtype: str) -> bytes:
    """
    The query with the id 0; recursion is asked for, as a client of a resolver would.

    :raises ValueError: for a name or type that is none.
    """
    try:
        return dns.message.make_query(dns.name.from_text(qname), qtype).to_wire()
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{qname} {qtype} cannot be asked for: {error}") from None


class Question(Conversation):
    """
    NOERROR, and at least one record of the type, is well; over UDP a truncated answer is, too: it speaks.

    Over UDP whatever is not the answer to this question is passed over, as a forged or a late datagram is; over TCP
    nobody else can send, and it is ``protocol``.

    :param ident: random, 0 to 65535.
    """

    __slots__ = ("_asked", "_ident", "_pending", "_qtype", "_stream")

    def __init__(self, qname: str, qtype: str, ident: int, *, stream: bool) -> None:
        """:raises ValueError: for a name or type that is none."""
        super().__init__()
        self._asked = _question(qname, qtype)
        self._qtype = dns.rdatatype.from_text(qtype)
        self._ident = ident.to_bytes(2, "big")
        self._stream = stream
        self._pending = b""

    def opened(self, own: str) -> bytes:
        query = self._ident + self._asked[2:]
        return len(query).to_bytes(2, "big") + query if self._stream else query

    def receive(self, data: bytes) -> bytes:
        if not self._stream:
            self._read(data)
            return b""
        self._pending += data
        if len(self._pending) >= 2:
            size = int.from_bytes(self._pending[:2], "big")
            if len(self._pending) >= size + 2:
                self._read(self._pending[2 : size + 2])
                if self.finding is None:
                    self.found(Cause.PROTOCOL, "not an answer to the question")
        return b""

    def _read(self, wire: bytes) -> None:
        if self.finding is not None or wire[:2] != self._ident or len(wire) < _HEADER_BYTES or not wire[2] & 0x80:
            return
        end = len(self._asked)
        asked = wire[_HEADER_BYTES:end].lower() == self._asked[_HEADER_BYTES:].lower()
        rcode = wire[3] & 0x0F
        if not asked and not (rcode and wire[4:6] == b"\0\0"):
            return  # an error may come without its question (RFC 1035 s4.1.1: FORMERR)
        if rcode:
            self.found(Cause.STATUS, dns.rcode.to_text(dns.rcode.Rcode.make(rcode)))
        elif wire[2] & 0x02 and not self._stream:
            self.found(Cause.OK, "truncated")
        else:
            self._count(wire)

    def _count(self, wire: bytes) -> None:
        try:
            message = dns.message.from_wire(wire, ignore_trailing=True, one_rr_per_rrset=False)
        except (dns.exception.DNSException, ValueError) as error:
            self.found(Cause.PROTOCOL, f"not a DNS message: {type(error).__name__}")
            return
        count = sum(len(rrset) for rrset in message.answer if rrset.rdtype == self._qtype)
        kind = dns.rdatatype.to_text(self._qtype)
        if count:
            self.found(Cause.OK, f"{count} of {kind}")
        else:
            self.found(Cause.CONTENT, f"no record of {kind}")
