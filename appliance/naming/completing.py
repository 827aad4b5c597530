"""Answers to address questions, once somebody knows the addresses."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import attrs
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from appliance.naming.values import Answer, NeedsChoice, NeedsLease, RRset

EXHAUSTED_TTL = 5
"""Most seconds that a NODATA for want of an address may be cached: there may be one the next moment."""

_TYPES = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}


def leased(needs: NeedsLease, address: IPv4Address, ttl: int) -> Answer:
    """Complete an answer with the address that the site holds."""
    record = RRset(needs.owner, dns.rdatatype.A, ttl, (_address_rdata(address),))
    return Answer(answer=(*needs.chain, record), site=needs.site, origin=needs.origin)


def exhausted(needs: NeedsLease) -> Answer:
    """NODATA for want of an address, cached for 5 s at most."""
    return Answer(answer=needs.chain, authority=(_short(needs.soa),), for_all=False, origin=needs.origin)


def chosen(
    needs: NeedsChoice,
    addresses: Sequence[IPv4Address | IPv6Address],
    ttl: int,
    *,
    customer: str,
    for_all: bool,
    scope: int,
) -> Answer:
    """
    Complete an answer with the addresses that were chosen, all of them, in their order.

    :param addresses: at least one, of the family that is needed; what comes twice is answered once (RFC 2181 s5).
    :param ttl: seconds.
    :param customer: whose choice it is.
    :param for_all: whoever asks gets the same until the customer's choice changes.
    :param scope: how many bits of the asker's network it depends on; above 0 it is not for all.
    """
    assert addresses and all(address.version == needs.family for address in addresses)
    rdatas = tuple(map(_address_rdata, dict.fromkeys(addresses)))
    record = RRset(needs.owner, _TYPES[needs.family], ttl, rdatas)
    return Answer(
        answer=(*needs.chain, record),
        customer=customer,
        for_all=for_all and not scope,
        origin=needs.origin,
        scope=scope,
    )


def unchosen(needs: NeedsChoice, *, customer: str | None = None, for_all: bool = True, scope: int = 0) -> Answer:
    """
    NODATA, for nobody has an address of that family or nobody is to be answered; cached for 5 s at most.

    :param customer: as for :func:`chosen`, and so are the others; None: the name is nobody's any more, which is not for
        all, for nobody would tell when it is somebody's.
    """
    return Answer(
        answer=needs.chain,
        authority=(_short(needs.soa),),
        customer=customer,
        for_all=for_all and not scope and customer is not None,
        origin=needs.origin,
        scope=scope,
    )


def _short(soa: RRset) -> RRset:
    return attrs.evolve(soa, ttl=min(soa.ttl, EXHAUSTED_TTL))


@functools.lru_cache(maxsize=65536)
def _address_rdata(address: IPv4Address | IPv6Address) -> dns.rdata.Rdata:
    """Kept, because making one costs as much as the rest of an answer and there are few addresses."""
    return dns.rdata.from_text(dns.rdataclass.IN, _TYPES[address.version], str(address))
