"""
Domain names as the bytes they are on the wire, lower case: ``b"\\x03www\\x07example\\x00"``.

A name's ancestors are its suffixes, so every look-up on the way is a slice and a dict access; no name is parsed twice.
"""

from __future__ import annotations

import dns.name

ROOT = b"\x00"
MAX_LENGTH = 255


def from_text(text: str) -> bytes:
    """``"www.Example"`` or ``"www.example."`` as wire bytes; raises dns.exception.DNSException where it is no name."""
    return wire(dns.name.from_text(text))


def wire(name: dns.name.Name) -> bytes:
    """An absolute dnspython name as lower-case wire bytes."""
    return bytes(name.canonicalize().to_wire() or b"")


def to_text(name: bytes) -> str:
    """For people: without the last dot, but ``"."`` for the root."""
    return dns.name.from_wire(name, 0)[0].to_text(omit_final_dot=True)


def to_name(name: bytes) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]


def parent(name: bytes) -> bytes:
    """The name without its first label.  The root has no parent."""
    return name[1 + name[0] :]


def is_under(name: bytes, ancestor: bytes) -> bool:
    """Is ``name`` equal to ``ancestor`` or below it?  Walks labels, since bytes of a label may look like a suffix."""
    while len(name) > len(ancestor):
        name = parent(name)
    return name == ancestor


def below(name: bytes, ancestor: bytes) -> list[bytes]:
    """The names from just below ``ancestor`` down to ``name`` itself; empty where both are the same."""
    path = []
    while name != ancestor:
        path.append(name)
        name = parent(name)
    path.reverse()
    return path
