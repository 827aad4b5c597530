"""
Which of several equal POPs a client gets: rendezvous hashing (Thaler and Ravishankar, 1998), with weights
(Schindelhauer and Schomaker, 2005).

A name and a client's prefix together fall into one of :data:`BUCKETS`; each POP draws a number for each bucket, from
its own name and nothing else, and the highest comes first.  So all appliances send a bucket to the same POP, and only
those move whose POP leaves.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable

from appliance.delivery.values import Rated

_BITS = 10
BUCKETS = 1 << _BITS
"""Enough for shares to be right within a few hundredths, and few enough for their orders to be kept."""


def bucket_of(name: bytes, client_prefix: bytes) -> int:
    """Where they fall; neighbouring prefixes fall apart.  Everywhere the same."""
    # The low bits of a CRC alone tell few neighbours apart; Knuth's multiplication takes from all of them.
    return (zlib.crc32(client_prefix, zlib.crc32(name)) * 0x9E3779B1 & 0xFFFFFFFF) >> 32 - _BITS


def score(name: str, bucket: int, share: float) -> float:
    """
    What a POP draws: -share / ln(h), h even in (0, 1).

    It is the highest of several in proportion to the shares, their logarithmic method.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=6, salt=bucket.to_bytes(2, "big")).digest()
    return -share / math.log((int.from_bytes(digest, "big") + 0.5) / 2.0**48)


def ordered(members: Iterable[Rated], bucket: int) -> tuple[Rated, ...]:
    """The highest first; O(n log n)."""
    return tuple(sorted(members, key=lambda one: (-score(one.candidate.name, bucket, one.share), one.candidate.name)))
