"""A query as it was understood: the message, where it came from, and what its OPT says."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import attrs
import dns.edns
import dns.exception
import dns.message

from appliance.nameserver.cookies import CookieState
from appliance.nameserver.sources import Source

Network = IPv4Network | IPv6Network


@attrs.frozen(kw_only=True)
class Query:
    """
    :param data: the message as it came; ``message``: the same, parsed.
    :param stream: it came over TCP.
    :param age: of the wire cache when it came.
    :param cookie: its COOKIE option, and in ``state`` what that proves; None where it has none or cookies are off.
    """

    data: bytes
    message: dns.message.Message
    source: Source
    stream: bool
    cookie: dns.edns.CookieOption | None = None
    state: CookieState | None = None
    age: int = 0

    def option(self, kind: dns.edns.OptionType) -> dns.edns.Option | None:
        """The first option of a kind; further ones are ignored (RFC 7873 s5.2)."""
        return next((option for option in self.message.options if option.otype == kind), None)


def client_network(option: dns.edns.ECSOption) -> Network | None:
    """
    The network that a client subnet option (RFC 7871) names; None where it says that nobody is to know.

    :raises dns.exception.FormError: where s7.1.2 wants FORMERR: bits behind the prefix, or a scope in a query.
    """
    if option.scopelen:
        raise dns.exception.FormError("a scope in a query")
    try:
        network = ip_network((option.address, option.srclen))
    except ValueError as error:
        raise dns.exception.FormError(str(error)) from None
    return network if option.srclen else None
