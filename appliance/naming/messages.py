"""Answers as dnspython's messages."""

from __future__ import annotations

from collections.abc import Iterable

import dns.flags
import dns.message
import dns.name
import dns.rrset

from appliance.naming.names import to_name, wire
from appliance.naming.values import Answer, RRset


def fill(response: dns.message.Message, answer: Answer) -> None:
    """
    Say in ``response`` what ``answer`` says: code, AA and the three sections.

    :param response: an empty response with the query's question.  The name asked for is spelt as it was asked (0x20),
        which compression then shares.
    """
    response.set_rcode(answer.rcode)
    if answer.authoritative:
        response.flags |= dns.flags.AA
    asked = response.question[0].name if response.question else dns.name.root
    response.answer.extend(_rrsets(answer.answer, asked))
    response.authority.extend(_rrsets(answer.authority, asked))
    response.additional.extend(_rrsets(answer.additional, asked))


def _rrsets(rrsets: Iterable[RRset], asked: dns.name.Name) -> Iterable[dns.rrset.RRset]:
    asked_wire = wire(asked)
    for rrset in rrsets:
        owner = asked if rrset.owner == asked_wire else to_name(rrset.owner)
        yield dns.rrset.from_rdata_list(owner, rrset.ttl, rrset.rdatas)
