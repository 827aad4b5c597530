"""Questions, RRsets and answers."""

from __future__ import annotations

from typing import Literal

import attrs
import dns.rcode
import dns.rdata
import dns.rdatatype


@attrs.frozen
class Question:
    """
    :param qname: lower-case wire bytes.
    :param qtype: e.g. 1 for A.
    """

    qname: bytes
    qtype: dns.rdatatype.RdataType


@attrs.frozen
class RRset:
    """All records of one owner and type (class IN); never split (RFC 2181 s5)."""

    owner: bytes
    rdtype: dns.rdatatype.RdataType
    ttl: int
    rdatas: tuple[dns.rdata.Rdata, ...]


@attrs.frozen
class ExtendedError:
    """
    An Extended DNS Error (RFC 8914), told to those who speak EDNS.

    :param code: e.g. 14 for Not Ready.
    :param text: short and ASCII.
    """

    code: int
    text: str


@attrs.frozen(kw_only=True)
class Answer:
    """
    What a response says; header bits that depend on the query are the shell's.

    :param truncated: the asker is to come back over TCP.
    :param site: whose lease the last address record is; None where no lease is in it.
    :param customer: whose choice of servers or POPs it is; None where nothing was chosen.
    :param for_all: whoever asks the same gets the same, until the zones, the lease of ``site`` or the choice of
        ``customer`` change.
    :param origin: the wildcard, DNAME or delegation that it was made from, which answers for names without number; None
        where the name has its own records, or is not there.
    :param scope: how many bits of the asker's network (RFC 7871) it depends on.
    """

    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    authoritative: bool = True
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    truncated: bool = False
    error: ExtendedError | None = None
    site: str | None = None
    customer: str | None = None
    for_all: bool = True
    origin: bytes | None = None
    scope: int = 0


@attrs.frozen(kw_only=True)
class NeedsLease:
    """
    An address question for a site: who knows the leases completes it with ``leased`` or ``exhausted``.

    :param owner: the name that the A record is for: the question's, or the end of its CNAME chain.
    :param chain: CNAME and DNAME records that led there.
    :param soa: the zone's negative SOA, for an answer without data.
    :param origin: as in :class:`Answer`.
    """

    site: str
    owner: bytes
    chain: tuple[RRset, ...]
    soa: RRset
    origin: bytes | None = None


@attrs.frozen(kw_only=True)
class NeedsChoice:
    """
    An address question for a name of the POP network's customers (3.1, 3.2): who knows what they are answered with
    completes it with ``chosen`` or ``unchosen``.

    :param owner: the name that the records are for: the question's, or the end of its CNAME chain.
    :param family: 4 where A was asked for, 6 for AAAA.
    :param chain: CNAME and DNAME records that led there.
    :param soa: the zone's negative SOA, for an answer without data.
    :param origin: as in :class:`Answer`.
    """

    owner: bytes
    family: Literal[4, 6]
    chain: tuple[RRset, ...]
    soa: RRset
    origin: bytes | None = None
