"""
A table from which a client's address picks a server, and which changes little when servers come and go.

Maglev's (Eisenbud et al., NSDI 2016, section 3.4): each server fills the table in an order of its own that depends on
its name alone, the servers taking turns.  A heavier server takes more turns, as in Envoy.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence

SMALL, LARGE = 16381, 65537
"""Primes.  The paper asks for 100 places a server; the small table is made in a few milliseconds."""
MOST_IN_SMALL = 128
"""With more servers the table is large.  Only at this number of servers do most clients move."""
_FREE = 0xFFFF


def table(servers: Sequence[tuple[str, float]]) -> array[int]:
    """
    Make the table.

    :param servers: names, each once, and weights above 0; fewer than 65535.
    :return: indices into ``servers``, each about as often as its weight asks; O(n log n) of the table's size.
    """
    size = SMALL if len(servers) <= MOST_IN_SMALL else LARGE
    heaviest = max(weight for _, weight in servers)
    positions, skips = [], []
    for name, _ in servers:
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        positions.append(int.from_bytes(digest[:8], "big") % size)
        skips.append(int.from_bytes(digest[8:], "big") % (size - 1) + 1)
    places = array("H", [_FREE]) * size
    credit = [0.0] * len(servers)
    shares = [weight / heaviest for _, weight in servers]
    left = size
    while True:
        for index, share in enumerate(shares):
            credit[index] += share
            if credit[index] < 1.0:
                continue
            credit[index] -= 1.0
            position, skip = positions[index], skips[index]
            while places[position] != _FREE:
                position = (position + skip) % size
            places[position] = index
            positions[index] = (position + skip) % size
            left -= 1
            if not left:
                return places


def place_of(client: int, attempt: int = 0) -> int:
    """
    Where ``client`` looks in a table; modulo its size.

    :param attempt: a client that finds no room looks elsewhere.
    :return: 32 bits that depend on each bit of both (the finalizer of MurmurHash3).
    """
    mixed = client + attempt * 0x9E3779B9 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return mixed ^ mixed >> 16
