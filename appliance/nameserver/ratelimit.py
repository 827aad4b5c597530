"""
Response rate limiting: what keeps this server from being used to flood somebody else.

Whoever forges a source can have our answers sent there.  So answers of one kind to one network are counted: the same
question, names of one zone that do not exist, errors of one code.  Beyond the rate most are dropped, and every
``slip``-th says TC=1: who is really there comes back over TCP, which is never limited; nor is a valid cookie.

An account is one number, as the generic cell rate algorithm keeps it (ITU-T I.371): the instant up to which what was
sent is paid for.  It may lie one second ahead, which is the burst; what is dropped is charged too, up to ``window``
seconds more, so that a flood stays limited until it ends.

Accounts lie in arrays of a fixed size, as NSD's do, where the hash says: what an attacker sends changes no byte of the
memory that is used.  Python's hash has a secret of the process in it, so that nobody can choose who shares a place; of
two that want the same one, the one that owes more keeps it.
"""

from __future__ import annotations

import enum
from array import array

import dns.rcode

from appliance.config import RateLimit
from appliance.naming import Answer, Question

ACCOUNTS = 2**17
"""Places for accounts; 17 bytes each."""

BURST = 1.0
"""Seconds' worth of responses that may be sent at once."""

_ALL_BITS = 2**64 - 1

Kind = tuple[object, ...]
"""What is counted together."""


class Verdict(enum.Enum):
    SEND = "send"
    SLIP = "slip"
    """Say only that the asker is to come over TCP."""
    DROP = "drop"


def kind_of(question: Question, answer: Answer) -> Kind:
    """Under what a response is counted."""
    if answer.rcode == dns.rcode.NXDOMAIN and answer.authority:
        # Names that do not exist are without number; their zone is not.
        return ("nxdomain", answer.authority[0].owner)
    if answer.rcode in (dns.rcode.NOERROR, dns.rcode.YXDOMAIN):
        # A wildcard makes answers for names without number, and what a name has not got is of any type.
        return (answer.origin or question.qname, question.qtype if answer.answer else None)
    return ("error", answer.rcode)


def error_kind(rcode: int) -> Kind:
    """Under what an error that is about no question is counted."""
    return ("error", rcode)


class RateLimiter:
    """
    :param config: replaced by :meth:`configure`, which closes all accounts.
    :param places: for accounts; a power of two.
    """

    def __init__(self, config: RateLimit, places: int = ACCOUNTS) -> None:
        self._last_place = places - 1
        self._owner = array("Q", bytes(8 * places))
        self._paid_until = array("d", bytes(8 * places))
        self._dropped = array("B", bytes(places))
        self.configure(config)

    def configure(self, config: RateLimit) -> None:
        self._config = config
        self.rate = config.responses_per_second
        self._cost = 1.0 / config.responses_per_second if config.responses_per_second else 0.0
        self._debt = BURST + config.window
        self._shift4, self._shift6 = 32 - config.ipv4_prefix, 128 - config.ipv6_prefix
        self._exempt4 = [net for net in config.exempt if net.version == 4]
        self._exempt6 = [net for net in config.exempt if net.version == 6]
        self._owner = array("Q", bytes(8 * len(self._owner)))

    def judge(self, kind: Kind, source: bytes, now: float) -> Verdict:
        """
        One more response to ``source`` is about to be sent.

        :param source: the asker's address, 4 or 16 bytes.
        """
        if not self.rate or self._is_exempt(source):
            return Verdict.SEND
        number = int.from_bytes(source, "big")
        # IPv6 prefixes are negative, so that they never meet those of IPv4.
        prefix = number >> self._shift4 if len(source) == 4 else ~(number >> self._shift6)
        place = self._place(hash((kind, prefix)) & _ALL_BITS | 1, now)
        paid_until = min(max(self._paid_until[place], now) + self._cost, now + self._debt)
        self._paid_until[place] = paid_until
        if paid_until <= now + BURST:
            return Verdict.SEND
        slip = self._config.slip
        if not slip:
            return Verdict.DROP
        self._dropped[place] = (self._dropped[place] + 1) % slip
        return Verdict.DROP if self._dropped[place] else Verdict.SLIP

    def _place(self, owner: int, now: float) -> int:
        """Where the account of ``owner`` is: in one of two places, of which the one that owes less is given away."""
        first = owner >> 8 & self._last_place
        second = first ^ 1
        if self._owner[first] == owner:
            return first
        if self._owner[second] == owner:
            return second
        place = first if self._paid_until[first] <= self._paid_until[second] else second
        self._owner[place], self._paid_until[place], self._dropped[place] = owner, now, 0
        return place

    def _is_exempt(self, source: bytes) -> bool:
        nets = self._exempt4 if len(source) == 4 else self._exempt6
        if not nets:
            return False
        number = int.from_bytes(source, "big")
        return any(number & int(net.netmask) == int(net.network_address) for net in nets)

    def __len__(self) -> int:
        """Accounts that are open; O(places)."""
        return sum(owner != 0 for owner in self._owner)
