"""
A zone as the messages of an AXFR response (RFC 5936).

They are made one at a time, when the stream can take the next one, from a zone that does not change: a transfer that
takes an hour is of one version, and costs no more than one message in a turn of the reactor.  Names that are answered
by lease have no A record here, and names that are answered with a choice neither A nor AAAA, since it would be wrong a
moment later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import dns.exception
import dns.message
import dns.rdatatype
import dns.renderer
import dns.rrset
import dns.tsig

from appliance.naming import RRset, Zone
from appliance.naming.names import to_name
from appliance.transfers.keys import FUDGE

MESSAGE_BYTES = 8192
"""Most of one message, which is made in one turn of the reactor: up to 10 ms.  NSD's have 16 KiB, Knot's 64."""
LARGEST = 65535
RESERVED_BYTES = 1024
"""What a signature (two names, and the longest MAC) and an OPT may add."""


class Outgoing:
    """
    The messages of one transfer, for a stream; ends by itself, or is closed.

    :param response: with the question, and without records; signed if it is to be.
    :param ended: called once, with whether all of it was taken.
    """

    def __init__(self, zone: Zone, response: dns.message.Message, ended: Callable[[Outgoing, bool], None]) -> None:
        self._response = response
        self._messages = self._make(zone)
        self._ended: Callable[[Outgoing, bool], None] | None = ended
        self.records = 0
        self.bytes = 0

    def __next__(self) -> bytes:
        try:
            message = next(self._messages)
        except StopIteration:
            self._end(complete=True)
            raise
        except Exception:
            self._end(complete=False)
            raise
        self.bytes += len(message)
        return message

    def close(self) -> None:
        """The asker has gone."""
        self._messages.close()
        self._end(complete=False)

    def _end(self, *, complete: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self, complete)

    def _make(self, zone: Zone) -> Generator[bytes, None, None]:
        signing: Any = None
        renderer = self._begin(first=True)
        for rrset in _rrsets(zone):
            pieces = [rrset]
            while pieces:
                piece = pieces.pop()
                try:
                    renderer.add_rrset(dns.renderer.ANSWER, piece)
                    self.records += len(piece)
                except dns.exception.TooBig:
                    if renderer.counts[dns.renderer.ANSWER]:
                        signing = self._finish(renderer, signing)
                        yield renderer.get_wire()
                        renderer = self._begin()
                        pieces.append(piece)
                    elif len(piece) > 1:
                        # Larger than a message: a transfer may part what an answer must not (RFC 5936 s2.2).
                        pieces += [dns.rrset.from_rdata(piece.name, piece.ttl, rdata) for rdata in piece]
                    elif renderer.max_size < LARGEST // 2:
                        renderer = self._begin(LARGEST)
                        pieces.append(piece)
                    else:
                        raise
        self._finish(renderer, signing)
        yield renderer.get_wire()

    def _begin(self, size: int = MESSAGE_BYTES, *, first: bool = False) -> dns.renderer.Renderer:
        response = self._response
        renderer = dns.renderer.Renderer(response.id, response.flags, size)
        renderer.reserve(RESERVED_BYTES)
        if first:
            for question in response.question:
                renderer.add_question(question.name, question.rdtype, question.rdclass)
        self._first = first
        return renderer

    def _finish(self, renderer: dns.renderer.Renderer, signing: Any) -> Any:
        """
        Complete a message.

        :param signing: what the message before left for the next signature; None for the first.
        """
        response = self._response
        renderer.release_reserved()
        if self._first and response.opt is not None:
            # RFC 5936 s2.2.5: in the first one.
            renderer.add_opt(response.opt)
        renderer.write_header()
        key = response.keyring
        if not (response.had_tsig and isinstance(key, dns.tsig.Key)):
            return None
        return renderer.add_multi_tsig(
            signing, key.name, key, FUDGE, response.id, 0, b"", response.request_mac, key.algorithm
        )


def _rrsets(zone: Zone) -> Iterator[dns.rrset.RRset]:
    """All records, the SOA first and last."""
    soa = zone.nodes[zone.apex].rrsets[dns.rdatatype.SOA]
    yield _for_dnspython(soa)
    for node in zone.nodes.values():
        for rrset in node.rrsets.values():
            if rrset is not soa:
                yield _for_dnspython(rrset)
    yield _for_dnspython(soa)


def _for_dnspython(rrset: RRset) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(to_name(rrset.owner), rrset.ttl, rrset.rdatas)
