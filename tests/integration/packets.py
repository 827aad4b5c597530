"""Queries as bytes, ordinary and strange, by name; and what a response says, in a line."""

from __future__ import annotations

from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

ZONE = """$TTL 60
@ SOA ns1 hostmaster 1 7200 3600 1209600 60
@ NS ns1.example.test.
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
www A 192.0.2.80
*.wild TXT "star"
a.b.c TXT "deep"
alias CNAME www
out CNAME elsewhere.test.
cut NS ns.cut
ns.cut A 192.0.2.99
""" + "".join(f"big A 198.51.100.{number}\n" for number in range(1, 100))

IDENT = 0x1234


def query(name: str = "www.example.test", rdtype: str = "A", **more: Any) -> dns.message.Message:
    message = dns.message.make_query(name, rdtype, **more)
    message.id = IDENT
    return message


def wire(name: str = "www.example.test", rdtype: str = "A", **more: Any) -> bytes:
    return bytes(query(name, rdtype, **more).to_wire())


def edns(*options: tuple[int, str], **more: Any) -> bytes:
    """With an OPT; options as number and hexadecimal digits."""
    made = [dns.edns.GenericOption(dns.edns.OptionType.make(kind), bytes.fromhex(text)) for kind, text in options]
    return wire(use_edns=0, options=made, **more)


def changed(at: int, value: int, data: bytes | None = None) -> bytes:
    """A query with another byte in it."""
    found = bytearray(data or wire())
    found[at] = value
    return bytes(found)


def named(label_bytes: bytes) -> bytes:
    """A question with this name, as it is on the wire."""
    return wire()[:12] + label_bytes + b"\0\1\0\1"


def with_answer() -> bytes:
    message = query()
    message.answer.append(dns.rrset.from_text("www.example.test.", 1, "IN", "A", "192.0.2.9"))
    return bytes(message.to_wire())


PACKETS: dict[str, bytes] = {
    "A": wire(),
    "RD=0": wire(flags=0),
    "QR=1": changed(2, 0x80),
    "no question": changed(5, 0),
    "QDCOUNT 2": changed(5, 2),
    "two questions": changed(5, 2) + wire()[12:],
    **{f"opcode {number}": changed(2, number << 3) for number in (1, 2, 3, 4, 5, 6, 15)},
    "TC=1": changed(2, 0x02),
    "AA=1": changed(2, 0x04),
    "Z, AD, CD": changed(3, 0x70),
    "RCODE 5": changed(3, 0x05),
    "EDNS 0": edns(),
    "EDNS 1": wire(use_edns=1),
    "DO": edns(want_dnssec=True),
    "payload 100": edns(payload=100),
    "two OPT": changed(11, 2, edns() + edns()[-11:]),
    "unknown option": edns((65001, "616263")),
    "NSID": edns((3, "")),
    "ECS": edns((8, "00011800c00002")),
    "ECS with bits behind": edns((8, "00011800c00002ff")),
    "client cookie": edns((10, "3132333435363738")),
    "bad server cookie": edns((10, "3132333435363738" + "78" * 16)),
    "short cookie": edns((10, "31323334")),
    "padding": edns((12, "00" * 20)),
    "OPT cut off": changed(-1, 50, edns()),
    "big": wire("big.example.test"),
    "big, 4096": wire("big.example.test", use_edns=0, payload=4096),
    "AXFR": wire("example.test", "AXFR"),
    "IXFR": wire("example.test", "IXFR"),
    "ANY": wire(rdtype="ANY"),
    "ANY of nothing": wire("no.example.test", "ANY"),
    "type 666": wire(rdtype="TYPE666"),
    "type 0": wire(rdtype="TYPE0"),
    "type OPT": wire(rdtype="OPT"),
    "type TSIG": wire(rdtype="TSIG"),
    "type MAILB": wire(rdtype="TYPE253"),
    "type RRSIG": wire(rdtype="RRSIG"),
    "NXDOMAIN": wire("no.example.test"),
    "NODATA": wire(rdtype="AAAA"),
    "empty non-terminal": wire("b.c.example.test"),
    "wildcard": wire("x.wild.example.test", "TXT"),
    "wildcard without data": wire("x.wild.example.test"),
    "out of zone": wire("elsewhere.test"),
    "the root": wire(".", "NS"),
    "CNAME": wire("alias.example.test"),
    "CNAME out of zone": wire("out.example.test"),
    "referral": wire("x.cut.example.test"),
    "NS of a cut": wire("cut.example.test", "NS"),
    "DS of a cut": wire("cut.example.test", "DS"),
    "MX": wire("example.test", "MX"),
    "SOA": wire("example.test", "SOA"),
    "NS": wire("example.test", "NS"),
    "version.bind": wire("version.bind", "TXT", rdclass=dns.rdataclass.CH),
    "class CH": wire(rdclass=dns.rdataclass.CH),
    "class HS": wire(rdclass=dns.rdataclass.HS),
    "class ANY": wire(rdclass=dns.rdataclass.ANY),
    "class NONE": wire(rdclass=dns.rdataclass.NONE),
    "class 0": wire(rdclass=0),
    "question cut off": wire()[:-3],
    "pointer to itself": named(b"\xc0\x0c"),
    "pointer ahead": named(b"\xc0\x20"),
    "label of 64": named(b"\x40" + b"a" * 64 + b"\0"),
    "name of 257": named((b"\x3f" + b"a" * 63) * 4 + b"\0"),
    "zero bytes in a label": named(b"\x03\x00\xff.\x07example\x04test\0"),
    "0x20": wire("wWw.eXAMPLE.TeSt"),
    "four bytes": b"\0\1\0\0",
    "header alone": b"\x12\x34\1\0" + b"\0\1" + b"\0" * 6,
    "garbage behind": wire() + b"garbage",
    "garbage behind an OPT": edns() + b"x",
    "ANCOUNT 1 without": changed(7, 1),
    "ARCOUNT 1 without": changed(11, 1),
    "with an answer": with_answer(),
}


def told(data: bytes | None) -> str:
    """What a response says; the sizes of TTLs, which are policy, are left out."""
    if data is None:
        return "silence"
    try:
        message = dns.message.from_wire(data)
    except dns.exception.DNSException:
        # The question of an UPDATE is none, and so is that of some others.
        return f"header {data[2:4].hex()} {data[4:12].hex()}"
    sections = [
        sorted(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {len(rrset)}" for rrset in section)
        for section in (message.answer, message.authority, message.additional)
    ]
    spoken = f"EDNS {message.edns} {message.ednsflags:x} {[int(option.otype) for option in message.options]}"
    flags = dns.flags.to_text(message.flags)
    return f"{dns.rcode.to_text(message.rcode())} {flags} {list(map(str, message.question))} {sections} {spoken}"
