"""
Response rate limiting: what keeps this server from being used to flood somebody else.

Whoever forges a source can have our answers sent there.  So answers of one kind to one network are counted: the same
question, names of one zone that do not exist, errors of one code.  Beyond the rate most are dropped, and every
``slip``-th says TC=1: who is really there comes back over TCP, which is never limited; nor is a valid cookie.

An account is one number, as the generic cell rate algorithm keeps it (ITU-T I.371): the instant up to which what was
sent is paid for.  It may lie one second ahead, which is the burst; what is dropped is charged too, up to ``window``
seconds more, so that a flood stays limited until it ends.
"""

from __future__ import annotations

import enum

import attrs
import dns.rcode

from appliance.config import RateLimit
from appliance.naming import Answer, Question

MOST_ACCOUNTS = 100_000
"""Accounts that are kept; with more the one that was opened first goes.  About 25 MB when all are in use."""

BURST = 1.0
"""Seconds' worth of responses that may be sent at once."""

Kind = tuple[object, ...]
"""What is counted together."""


class Verdict(enum.Enum):
    SEND = "send"
    SLIP = "slip"
    """Say only that the asker is to come over TCP."""
    DROP = "drop"


@attrs.define
class _Account:
    paid_until: float
    dropped: int = 0


def kind_of(question: Question, answer: Answer) -> Kind:
    """Under what a response is counted."""
    if answer.rcode == dns.rcode.NXDOMAIN and answer.authority:
        # Names that do not exist are without number; their zone is not.
        return ("nxdomain", answer.authority[0].owner)
    if answer.rcode in (dns.rcode.NOERROR, dns.rcode.YXDOMAIN):
        return (question.qname, question.qtype)
    return ("error", answer.rcode)


def error_kind(rcode: int) -> Kind:
    """Under what an error that is about no question is counted."""
    return ("error", rcode)


class RateLimiter:
    """
    :param config: replaced by :meth:`configure`.
    """

    def __init__(self, config: RateLimit) -> None:
        self._accounts: dict[tuple[Kind, int], _Account] = {}
        self.configure(config)

    def configure(self, config: RateLimit) -> None:
        self._config = config
        self.rate = config.responses_per_second
        self._cost = 1.0 / config.responses_per_second if config.responses_per_second else 0.0
        self._debt = BURST + config.window
        self._shift4, self._shift6 = 32 - config.ipv4_prefix, 128 - config.ipv6_prefix
        self._exempt4 = [net for net in config.exempt if net.version == 4]
        self._exempt6 = [net for net in config.exempt if net.version == 6]
        self._accounts.clear()

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
        key = (kind, prefix)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= MOST_ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
            account = self._accounts[key] = _Account(now)
        elif account.paid_until < now:
            account.paid_until = now
        account.paid_until = min(account.paid_until + self._cost, now + self._debt)
        if account.paid_until <= now + BURST:
            return Verdict.SEND
        account.dropped += 1
        if self._config.slip and account.dropped % self._config.slip == 0:
            return Verdict.SLIP
        return Verdict.DROP

    def _is_exempt(self, source: bytes) -> bool:
        nets = self._exempt4 if len(source) == 4 else self._exempt6
        if not nets:
            return False
        number = int.from_bytes(source, "big")
        return any(number & int(net.netmask) == int(net.network_address) for net in nets)

    def __len__(self) -> int:
        """Accounts that are kept."""
        return len(self._accounts)
